"""From a line to a verb: the options, the help and the checks are read from the verb's fields."""

from __future__ import annotations

import difflib
import textwrap
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from hokusai_nb.errors import ValidationError
from hokusai_nb.magics.references import refuse
from hokusai_nb.magics.words import split
from hokusai_nb.schema.arguments import Argument, arguments, as_typed, pairs_in
from hokusai_nb.schema.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hokusai_nb.magics.words import Word
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.verbs import Verb

__all__ = ["Request", "help_text", "parse", "read"]

V = TypeVar("V", bound="Verb")
_YES = {"on", "true", "yes", "1"}
_NO = {"off", "false", "no", "0"}
_HELP = ("--help", "-h")
_HELP_WIDTH = 96
_COLUMN = 28


class Request:
    """A line whose words were given to the verb's fields; no variable was read yet.

    Attributes:
        silent: Whether the line ends in ``;``, so that nothing is to be shown.
        wants_help: Whether ``--help`` or ``-h`` is on the line.
        is_bare: Whether there is nothing on the line.
    """

    def __init__(self, verb: type[Verb], magic: str, *, silent: bool = False, wants_help: bool = False) -> None:
        self.silent = silent
        self.wants_help = wants_help
        self.is_bare = True
        self._verb = verb
        self._magic = magic
        self._given: dict[str, list[Word | None]] = {}

    def take(self, argument: Argument, word: Word | None) -> None:
        """Note a word as an argument's value; None is a switch that was set."""
        if argument.kind != "pairs" and argument.field in self._given:
            self.refuse(f"{argument.typed} is given twice.", "Leave one of them out.")
        self._given.setdefault(argument.field, []).append(word)
        self.is_bare = False

    def refuse(self, what: str, hint: str = "") -> NoReturn:
        """Raise the error for this line, with the way to the help."""
        refuse(what, f"{hint} See %{self._magic} --help.".strip())

    def names(self, field: str) -> bool:
        """Whether the line gives a field a value."""
        return field in self._given

    def values(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the verb is made of, with the variables' values put in.

        Raises:
            UsageError: A variable does not exist, an expression fails, or a value has not the
                form that its option needs.
        """
        wanted = {a.field: a for a in arguments(self._verb)}
        return {f: self._value(wanted[f], words, namespace) for f, words in self._given.items()}

    def _value(self, argument: Argument, words: list[Word | None], namespace: Mapping[str, Any]) -> Any:
        texts = [word.text(namespace) for word in words if word is not None]
        match argument.kind:
            case "switch":
                return True
            case "pairs":
                return self._pairs(argument, texts)
            case "on|off":
                return self._switch(argument, texts[0])
            case _:
                return texts[0]

    def _pairs(self, argument: Argument, texts: list[str]) -> dict[str, str]:
        pairs, problems = pairs_in(argument, texts)
        if problems:
            self.refuse(problems[0].what, problems[0].hint)
        return pairs

    def _switch(self, argument: Argument, text: str) -> bool:
        if text.lower() not in _YES | _NO:
            self.refuse(f"{argument.flag} is either on or off: {quoted(text)}.")
        return text.lower() in _YES

    def check(self) -> None:
        """Raise what is wrong already, whatever the values of variables will be.

        Raises:
            ValidationError: A field is wrong, or missing, that no variable is to fill.
        """
        fixed = {f: w for f, w in self._given.items() if not any(word and word.has_references for word in w)}
        wanted = {a.field: a for a in arguments(self._verb)}
        values = {f: self._value(wanted[f], words, {}) for f, words in fixed.items()}
        late = set(self._given) - set(fixed)
        problems = [p for p in self._verb.check(values) if p.severity == "error" and p.field not in late]
        if problems:
            raise ValidationError(as_typed(self._verb, problems))

    def make(self, namespace: Mapping[str, Any]) -> Verb:
        """Return the verb.

        Raises:
            ValidationError: What `values` raises, or a field is wrong.
        """
        try:
            return self._verb.parse(self.values(namespace))
        except ValidationError as error:
            raise type(error)(as_typed(self._verb, cast("tuple[Problem, ...]", error.problems))) from None


def read(verb: type[Verb], text: str, magic: str) -> Request:
    """Give the words of a line to the verb's fields.

    Args:
        verb: What the magic does.
        text: The line after the magic's name.
        magic: Name of the magic, for messages.

    Raises:
        UsageError: An option is unknown, lacks its value or is given twice; there are too many
            words; a quote is not closed.
    """
    line = split(text)
    if any(word.shown in _HELP and not word.has_references for word in line.words):
        return Request(verb, magic, wants_help=True)
    request = Request(verb, magic, silent=line.silent)
    flags = {a.flag: a for a in arguments(verb) if a.flag}
    places = [a for a in arguments(verb) if not a.flag]
    words = iter(line.words)
    only_values = False
    pairs: Argument | None = None
    for word in words:
        if word.shown == "--" and not word.has_references and not only_values:
            only_values = True
        elif word.lead.startswith("-") and not only_values:
            taken = _take_option(request, flags, word, words)
            pairs = taken if taken.several else None
        elif pairs is not None and "=" in word.lead and not only_values:
            request.take(pairs, word)
        elif places:
            request.take(places.pop(0), word)
        else:
            hint = "Put text with spaces in quotes."
            request.refuse(f"There is no place for the argument {quoted(word.shown)}.", hint)
    return request


def _take_option(request: Request, flags: Mapping[str, Argument], word: Word, words: Iterator[Word]) -> Argument:
    flag, equals, _ = word.lead.partition("=")
    if flag not in flags or (word.has_references and not equals):
        guess = difflib.get_close_matches(word.shown.partition("=")[0], flags, n=1)
        listed = f"There are: {', '.join(flags)}." if flags else "It has no options."
        hint = f"Did you mean {guess[0]}?" if guess else listed
        request.refuse(f"There is no option {quoted(word.shown.partition('=')[0])[1:-1]}.", hint)
    argument = flags[flag]
    if argument.kind == "switch":
        if equals:
            request.refuse(f"{flag} takes no value: {quoted(word.shown)}.")
        request.take(argument, None)
        return argument
    if equals:
        request.take(argument, word.after(f"{flag}="))
        return argument
    value = next(words, None)
    if value is None or value.lead.startswith("--"):
        hint = f"Write {flag}=… for a value that begins with --." if value else ""
        request.refuse(f"{flag} needs a value: {argument.metavar}.", hint)
    request.take(argument, value)
    return argument


def parse(verb: type[V], text: str, namespace: Mapping[str, Any], magic: str) -> V:
    """Return the verb that a line asks for.

    Raises:
        ValidationError: The line cannot be understood, or a field is wrong.
    """
    made = read(verb, text, magic).make(namespace)
    assert isinstance(made, verb)
    return made


def help_text(verb: type[Verb], magic: str, kinds: tuple[str, ...] = ("line",), body: str = "") -> str:
    """Return how a magic is called, what it does and what each argument means.

    Args:
        verb: What a line is read as.
        magic: Name of the magic.
        kinds: The kinds of magic it is.
        body: What it does with a cell.
    """
    every = arguments(verb)
    needed = [a.usage for a in every if a.required]
    optional = [f"[{a.usage}]" for a in every if not a.required and not a.flag]
    more = ["[options]"] if any(a.flag and not a.required for a in every) else []
    signs = {"line": "%", "cell": "%%"}
    first = " ".join([f"{signs[kinds[0]]}{magic}", *needed, *optional, *more])
    lines = [first, "", (verb.__doc__ or "").strip(), ""]
    for a in every:
        lines += _help_row(a.usage, f"{a.help} Required." if a.required and a.flag else a.help)
    lines += _help_row("-h, --help", "Show this help.")
    if "cell" in kinds and len(kinds) > 1:
        lines += ["", f"%%{magic} … in the first line of a cell {body}"]
    lines += ["", "$name and {expression} stand for values; $$, {{ and }} for the characters themselves."]
    return "\n".join(lines)


def _help_row(usage: str, text: str) -> list[str]:
    head = f"  {usage}"
    if len(head) > _COLUMN - 2:
        return [head, *_help_row("", text)]
    wrapped = textwrap.wrap(text, _HELP_WIDTH - _COLUMN) or [""]
    return [f"{head:<{_COLUMN}}{wrapped[0]}".rstrip(), *(" " * _COLUMN + line for line in wrapped[1:])]
