"""From a line to a verb: the options, the help and the checks are read from the verb's fields."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hokusai_nb.errors import ValidationError
from hokusai_nb.magics.references import in_namespace
from hokusai_nb.schema.arguments import arguments, as_typed
from hokusai_nb.schema.line_reading import LineRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.verbs import Verb

__all__ = ["Request", "help_text", "parse"]

V = TypeVar("V", bound="Verb")
_HELP_WIDTH = 96
_COLUMN = 28


class Request(LineRequest):
    """A line as a notebook reads it: with the values of its variables."""

    def values(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the verb is made of, with the variables' values put in.

        Raises:
            UsageError: A variable does not exist, an expression fails, or a value has not the
                form that its option needs.
        """
        return self.values_by(in_namespace(namespace))

    def make(self, namespace: Mapping[str, Any]) -> Verb:
        """Return the verb.

        Raises:
            ValidationError: What `values` raises, or a field is wrong.
        """
        try:
            return self._verb.parse(self.values(namespace))
        except ValidationError as error:
            raise type(error)(as_typed(self._verb, cast("tuple[Problem, ...]", error.problems))) from None


def parse(verb: type[V], text: str, namespace: Mapping[str, Any], magic: str) -> V:
    """Return the verb that a line asks for.

    Raises:
        ValidationError: The line cannot be understood, or a field is wrong.
    """
    made = Request(verb, text, magic).make(namespace)
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
    if any(a.kind == "pairs" for a in every):
        lines += ['A value that is a JSON object stands for itself: KEY={"a": 1}.']
    return "\n".join(lines)


def _help_row(usage: str, text: str) -> list[str]:
    head = f"  {usage}"
    if len(head) > _COLUMN - 2:
        return [head, *_help_row("", text)]
    wrapped = textwrap.wrap(text, _HELP_WIDTH - _COLUMN) or [""]
    return [f"{head:<{_COLUMN}}{wrapped[0]}".rstrip(), *(" " * _COLUMN + line for line in wrapped[1:])]
