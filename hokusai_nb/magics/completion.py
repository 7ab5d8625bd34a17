"""Completion of a magic's line: its options and, for each, what can be named there.

What a registry holds comes from `Suggestions`, which never waits; everything else is at hand.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion

from hokusai_nb.core.suggestions import Known, Suggestions, load_suggestions
from hokusai_nb.log import logger
from hokusai_nb.magics import MAGICS
from hokusai_nb.magics.estimators import fitted_estimators, is_data
from hokusai_nb.schema.arguments import Argument, arguments
from hokusai_nb.schema.line_words import Word, scan
from hokusai_nb.schema.lines import quote
from hokusai_nb.schema.metrics import known_metrics
from hokusai_nb.schema.prompt_metadata import RECOMMENDED
from hokusai_nb.schema.tags import known_tags
from hokusai_nb.schema.templates import variables_of

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from hokusai_nb.schema.verbs import Verb

__all__ = ["Sources", "candidates", "match", "suggestions_of"]

_MAGIC = re.compile(r"(?P<head>[^\n%]*)(?P<sign>%{1,2})(?P<name>hokusai\w*)[ \t](?P<rest>.*)", re.DOTALL)
_MANY = 200
STAGES = ("staging", "production")

_suggestions: weakref.WeakKeyDictionary[InteractiveShell, Suggestions] = weakref.WeakKeyDictionary()


def suggestions_of(shell: InteractiveShell) -> Suggestions:
    """Return what the shell's completion knows of the registry."""
    return _suggestions.setdefault(shell, Suggestions(_load))


def _load(run_id: str | None) -> Known:
    from hokusai_nb.core.registry import ModelRegistry  # noqa: PLC0415 - imports MLflow, on the loading thread

    return load_suggestions(ModelRegistry(), run_id)


def match(shell: InteractiveShell, context: CompletionContext) -> SimpleMatcherResult:
    """Answer IPython: what can stand where the cursor is; nothing outside our magics."""
    try:
        fragment, found = _match(shell, context)
    except Exception:  # noqa: BLE001 - a failure here would fail every completion of the shell
        logger.debug("Completion failed.", exc_info=True)
        fragment, found = "", []
    result: SimpleMatcherResult = {"completions": found, "suppress": bool(found), "ordered": True}
    if found:
        # IPython's own idea of the fragment ends at : and =, which are parts of our words.
        result["matched_fragment"] = fragment
    return result


def _match(shell: InteractiveShell, context: CompletionContext) -> tuple[str, list[SimpleCompletion]]:
    called = _called(context)
    if called is None:
        return "", []
    name, rest = called
    verb = MAGICS[name].read_as()
    body = "\n".join(context.full_text.split("\n")[context.cursor_line + 1 :])
    at_hand = Sources(shell.user_ns, partial(_known, shell), body)
    fragment, found = candidates(verb, rest, at_hand)
    return fragment, [SimpleCompletion(text=text, type=kind) for text, kind in found[:_MANY]]


def _called(context: CompletionContext) -> tuple[str, str] | None:
    """Return the magic whose line the cursor is in, and that line up to the cursor."""
    lines = context.full_text.split("\n")[: context.cursor_line + 1]
    first = len(lines) - 1
    text = lines[first][: context.cursor_position]
    while first and lines[first - 1].endswith("\\"):  # a line that goes on
        first -= 1
        text = f"{lines[first][:-1]} {text}"
    found = _MAGIC.fullmatch(text)
    if found is None or found["name"] not in MAGICS:
        return None
    head = found["head"].strip()
    if found["sign"] == "%%":
        starts_cell = not found["head"] and not any(line.strip() for line in lines[:first])
        return (found["name"], found["rest"]) if starts_cell and MAGICS[found["name"]].cell else None
    return (found["name"], found["rest"]) if not head or head.endswith("=") else None


def _known(shell: InteractiveShell) -> Known:
    """Return what is known of the registry in force, without importing MLflow to find out."""
    client = sys.modules.get("hokusai_nb.backends.mlflow.client")
    runs = sys.modules.get("hokusai_nb.backends.mlflow.runs")
    # Either may still be on its way in, on the loading thread.
    resolve, current = getattr(client, "resolve_uri", None), getattr(runs, "current_run_id", None)
    uri = resolve()[0] if resolve else None
    run_id = current()[0] if current else None
    return suggestions_of(shell).current(uri, run_id)


@dataclass(frozen=True)
class Sources:
    """Where candidates come from.

    Attributes:
        namespace: The user's variables.
        known: What is known of the registry.
        body: The cell below the line.
    """

    namespace: Mapping[str, Any]
    known: Callable[[], Known]
    body: str = ""

    def find(self, source: str, given: Mapping[str, Word]) -> tuple[Iterable[str], str]:
        """Return the candidates and their kind.

        Args:
            source: Name of the source, as an option gives it.
            given: What the line names already, by field.
        """
        kind, look = _SOURCES.get(source, ("", _nothing))
        return look(self, given), kind

    def plain_variables(self) -> Iterator[str]:
        """Yield ``$name`` for each variable whose value can be put in a line."""
        for name, value in list(self.namespace.items()):
            if not name.startswith("_") and type(value) in (str, int, float):
                yield f"${name}"


Looks = Callable[[Sources, Mapping[str, Word]], Iterable[str]]


def _nothing(sources: Sources, given: Mapping[str, Word]) -> Iterable[str]:
    del sources, given
    return ()


def _metrics(sources: Sources, given: Mapping[str, Word]) -> Iterable[str]:
    del given
    catalogue = (name for metric in known_metrics() for name in (metric.name, *metric.aliases))
    return dict.fromkeys((*sources.known().run_metrics, *catalogue))


def _rows(sources: Sources, given: Mapping[str, Word]) -> Iterable[str]:
    del given
    return (n for n, value in list(sources.namespace.items()) if not n.startswith("_") and is_data(value))


def _versions(sources: Sources, given: Mapping[str, Word]) -> Iterable[str]:
    if "name" not in given:
        return ()
    name, known = given["name"].shown, sources.known()
    return known.versions.get(name) or known.prompts.get(name, ())


def _versions_or_stages(sources: Sources, given: Mapping[str, Word]) -> Iterable[str]:
    return (*(found := tuple(_versions(sources, given))), *(STAGES if found else ()))


def _names(sources: Sources, given: Mapping[str, Word]) -> Iterable[str]:
    del given
    known = sources.known()
    return sorted({*known.model_names, *known.prompts})


_SOURCES: Mapping[str, tuple[str, Looks]] = {
    "bumps": ("value", lambda _, __: ("major", "minor", "patch")),
    "metadata_keys": ("metadata", lambda _, __: (f"{key}=" for key in RECOMMENDED)),
    "model_names": ("model", lambda sources, _: sources.known().model_names),
    "models": ("model", lambda s, _: dict.fromkeys((*fitted_estimators(s.namespace), *s.known().logged_models))),
    "names": ("model", _names),
    "prompt_names": ("prompt", lambda sources, _: sources.known().prompts),
    "run_ids": ("run", lambda sources, _: sources.known().run_ids),
    "run_metrics": ("metric", _metrics),
    "stages": ("value", lambda _, __: STAGES),
    "tag_names": ("tag", lambda _, __: (f"{name}=" for name in known_tags())),
    "template_variables": ("variable", lambda sources, _: (f"{name}=" for name in variables_of(sources.body))),
    "token_ids": ("token", lambda sources, _: sources.known().token_ids),
    "variables": ("variable", _rows),
    "versions": ("version", _versions),
    "versions_or_stages": ("version", _versions_or_stages),
}


def candidates(verb: type[Verb], rest: str, sources: Sources) -> tuple[str, list[tuple[str, str]]]:
    """Return the unfinished word and what it can become, each with its kind.

    Args:
        verb: What the line is read as.
        rest: The line after the magic's name, up to the cursor.
        sources: Where candidates come from.
    """
    line = scan(rest)
    if line.unclosed in ("#", "{", "\\") or line.silent:
        return "", []
    *before, word = line.words or [Word((), len(rest), len(rest))]
    if word.end != len(rest):
        before.append(word)
        word = Word((), len(rest), len(rest))
    raw = rest[word.start :]
    state = _State(verb, before)
    flag, equals, _ = word.lead.partition("=")
    if state.pending:
        return raw, _values(state.pending, word, raw, sources, state)
    if equals and flag in state.flags:
        return raw, _values(state.flags[flag], word.after(f"{flag}="), raw, sources, state, f"{flag}=")
    open_to_it = [*([state.pairs] if state.pairs else []), *state.places[:1]]
    found = []
    if not word.lead.startswith("-"):
        found = [pair for argument in open_to_it for pair in _values(argument, word, raw, sources, state)]
    if not raw or word.lead.startswith("-"):
        options = [*(a.flag for a in state.open_options()), "--help"]
        found += [(o, "option") for o in options if o.startswith(word.lead)]
    return raw, found


class _State:
    """What the words before the cursor leave open."""

    def __init__(self, verb: type[Verb], words: list[Word]) -> None:
        self.flags = {a.flag: a for a in arguments(verb) if a.flag}
        self.places = [a for a in arguments(verb) if not a.flag]
        self.given: dict[str, Word] = {}
        self.pending: Argument | None = None
        self.pairs: Argument | None = None
        self.keys: set[str] = set()
        for word in words:
            self._take(word)

    def _take(self, word: Word) -> None:
        flag, equals, _ = word.lead.partition("=")
        if self.pending or (self.pairs and equals and flag not in self.flags):
            argument = self.pending or self.pairs
            assert argument is not None
            self.given[argument.field] = word
            self.pairs = argument if argument.several else None
            self.keys |= {f"{argument.field} {flag}"}
            self.pending = None
        elif flag in self.flags:
            argument = self.flags[flag]
            self.given[argument.field] = word
            self.pairs = None
            self.pending = None if equals or argument.kind == "switch" else argument
        elif self.places and not word.lead.startswith("--"):
            self.given[self.places.pop(0).field] = word

    def open_options(self) -> Iterator[Argument]:
        """Yield the options that may still be given."""
        return (a for a in self.flags.values() if a.kind == "pairs" or a.field not in self.given)


def _values(
    argument: Argument, word: Word, raw: str, sources: Sources, state: _State, prefix: str = ""
) -> list[tuple[str, str]]:
    """Return what an argument's value can become, spelled so that the line means just that."""
    mark = raw[0] if raw[:1] in ("'", '"') else ""
    if mark and prefix:
        return []
    if word.shown.startswith("$") and not mark:
        return [(f"{prefix}{v}", "variable") for v in sources.plain_variables() if v.startswith(word.shown)]
    if word.has_references or (argument.kind == "pairs" and "=" in word.lead):
        return []
    values, kind = (
        (("on", "off"), "value") if argument.kind == "on|off" else sources.find(argument.suggest, state.given)
    )
    typed = word.shown.casefold()
    if argument.kind == "pairs":
        values = (value for value in values if f"{argument.field} {value.removesuffix('=')}" not in state.keys)
    # A name that no line can hold, because it has a line break in it, is left out.
    fit = (value for value in values if value.casefold().startswith(typed) and value.isprintable())
    return [(f"{prefix}{quote(value, mark)}", kind) for value in fit]
