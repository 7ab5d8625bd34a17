"""Reading a format string: what `string.Formatter` finds in it, where, and what is wrong with it."""

from __future__ import annotations

import re
import string
import unicodedata
from typing import TYPE_CHECKING, Any

from hokusai_nb.schema.display import printable
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.rendering import CONVERSIONS, MAX_WIDTH, Field, Piece, Step, widest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["TemplateProblem", "TemplateReading"]

MAX_PROBLEMS = 10
SHOWN_BEFORE = 50
SHOWN_AFTER = 20

_BRACE = re.compile(r"[{}]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# What Python reads on from, as if the closing brace were the conversion.
_NO_CONVERSION = re.compile(r"\{[^][{}!:]*(?:\[[^]]*\][^][{}!:]*)*!\}")
_BRACES = "Write {{ and }} for braces themselves."
_UNCLOSED = f"Close the field with }}. {_BRACES}"
_CONVERSION = "A conversion is one letter: !r, !s or !a."
_UNDERSCORE = "Pass what it holds as a variable of another name."
_HINTS = {
    "Single '}' encountered in format string": _BRACES,
    "Single '{' encountered in format string": _BRACES,
    "expected '}' before end of string": _UNCLOSED,
    "unmatched '{' in format spec": _UNCLOSED,
    "unexpected '{' in field name": _UNCLOSED,
    "expected ':' after conversion specifier": _CONVERSION,
    "end of string while looking for conversion specifier": _CONVERSION,
    "Missing ']' in format string": "Close the key with ].",
    "Empty attribute in format string": "Give a name after the dot, and a key between the brackets.",
}
"""What to try, by what Python's parser says."""


class TemplateProblem(Problem, frozen=True):
    """What is wrong with a template, and where; its hint ends with the line and a caret under the place."""

    line: int
    """Counted from 1."""
    column: int
    """Counted from 1, in characters."""
    advice: str = ""
    """The hint without the lines that show the place."""


class _Route(string.Formatter):
    """Follows a field's name as `str.format` does, over a value that notes the way."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        del key, args
        return kwargs["steps"]


class _Steps:
    """Stands for any value; asked for an attribute or an item, it notes that and stands for that too."""

    def __init__(self, taken: list[Step]) -> None:
        object.__setattr__(self, "taken", taken)

    def __getattribute__(self, name: str) -> _Steps:
        object.__getattribute__(self, "taken").append((True, name))
        return self

    def __getitem__(self, key: str | int) -> _Steps:
        object.__getattribute__(self, "taken").append((False, key))
        return self


_ROUTE = _Route()


class TemplateReading:
    """One text being read.

    Attributes:
        fields: Those found so far, those in format specifications too, by their opening braces.
        problems: What is wrong with them, the first few.
    """

    def __init__(self, text: str) -> None:
        self.whole = text
        self.fields: list[Field] = []
        self.problems: list[TemplateProblem] = []
        if unstorable := _UNSTORABLE.search(text):
            advice = "Remove NUL characters and lone surrogates."
            self.refuse(unstorable.start(), "a character that cannot be stored", advice)

    def refuse(self, at: int, what: str, advice: str) -> None:
        """Note a problem at a place in the whole text."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(_problem(self.whole, at, what, advice))

    def pieces(self, text: str, start: int, *, nested: bool = False) -> tuple[Piece, ...]:
        """Return the pieces of a text that begins at ``start`` in the whole; inside a specification it is nested.

        `string.Formatter` says what comes, not where. The place follows from what it took: a
        literal text without the second of a doubled brace, a field with its braces and signs.
        """
        pieces: list[Piece] = []
        literals: list[str] = []
        at = 0
        try:
            for literal, name, spec, conversion in _ROUTE.parse(text):
                literals.append(literal)
                at += len(literal)
                if name is None:
                    at += text[at : at + 1] in ("{", "}")
                    continue
                opening = at
                at += 1 + len(name) + (1 + len(conversion) if conversion else 0)
                signed = text[at : at + 1] == ":"
                inside = start + at + signed
                at += signed + len(spec or "") + 1
                pieces.append("".join(literals))
                literals.clear()
                pieces.append(self.field(start + opening, name, conversion, (spec or "", inside), nested=nested))
        except ValueError as error:
            at = _next_brace(text, at)
            if _NO_CONVERSION.match(text, at):
                self.refuse(start + at, "a conversion is missing after the '!'", _CONVERSION)
            else:
                self.refuse(start + at, str(error), _HINTS.get(str(error), _BRACES))
        return tuple(piece for piece in (*pieces, "".join(literals)) if piece)

    def field(self, at: int, name: str, conversion: str | None, spec: tuple[str, int], *, nested: bool) -> Field:
        """Return the field whose brace stands at a place, and note what is wrong with it."""
        place = len(self.fields)
        variable, steps = self.route(at, name)
        if conversion and conversion not in CONVERSIONS:
            self.refuse(at, f"unknown conversion {quoted(conversion)}", "Use !r, !s or !a, or none.")
        text, inside = spec
        inner: str | tuple[Piece, ...] = text
        if "{" in text and nested:
            self.refuse(inside, "fields are nested too deep", "A field may stand in a format specification, no deeper.")
        elif "{" in text:
            inner = self.pieces(text, inside, nested=True)
        elif widest(text) > MAX_WIDTH:
            self.refuse(inside, f"a width or precision of more than {MAX_WIDTH:,}", "Give a smaller one.")
        field = Field(name=variable, steps=steps, conversion=conversion, spec=inner, source=name)
        self.fields.insert(place, field)
        return field

    def route(self, at: int, name: str) -> tuple[str, tuple[Step, ...]]:
        """Return a field's variable and the steps from it, and note what is wrong with them."""
        steps: list[Step] = []
        at += 1
        try:
            _, variable = _ROUTE.get_field(name, (), {"steps": _Steps(steps)})
        except ValueError as error:
            self.refuse(at, str(error), _HINTS.get(str(error), _BRACES))
            return name, ()
        if variable == "" or isinstance(variable, int):
            what = "a field without a name" if variable == "" else f"a field with a number, {quoted(name)}"
            self.refuse(at, what, f"Name the variable, such as {{name}}. {_BRACES}")
        else:
            self.check_name(at, str(variable))
        for is_attribute, key in steps:
            if is_attribute:
                self.check_name(at, str(key))
            elif str(key).startswith("_"):
                self.refuse(at, f"a name that begins with an underscore, {quoted(key)}", _UNDERSCORE)
        return str(variable), tuple(steps)

    def check_name(self, at: int, name: str) -> None:
        """Note what is wrong with the name of a variable or an attribute."""
        normal = unicodedata.normalize("NFKC", name)
        if normal.startswith("_"):
            self.refuse(at, f"a name that begins with an underscore, {quoted(name)}", _UNDERSCORE)
        elif not name.isidentifier():
            self.refuse(at, f"{quoted(name)} is no name", f"Use letters, digits and underscores. {_BRACES}")
        elif normal != name:
            # Python writes the names of its own source in this form, so no keyword argument would reach it.
            self.refuse(at, f"{quoted(name)} is not in Unicode's normal form", f"Did you mean {normal}?")


def _next_brace(text: str, at: int) -> int:
    """Return the place of the brace that the parser, having taken all before ``at``, could not go on from."""
    brace = _BRACE.search(text, at)
    return brace.start() if brace else at


def _problem(text: str, at: int, what: str, advice: str) -> TemplateProblem:
    line_start = text.rfind("\n", 0, at) + 1
    line_end = text.find("\n", at)
    line_end = len(text) if line_end < 0 else line_end
    first = max(line_start, at - SHOWN_BEFORE)
    before = printable(text[first:at])
    excerpt = before + printable(text[at : min(line_end, at + SHOWN_AFTER)])
    line, column = text.count("\n", 0, at) + 1, at - line_start + 1
    return TemplateProblem(
        field="template",
        what=f"Invalid template format: {what} (line {line}, column {column})",
        hint=f"{advice}\n{excerpt}\n{' ' * _columns(before)}^",
        line=line,
        column=column,
        advice=advice,
    )


def _columns(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    from wcwidth import wcswidth  # noqa: PLC0415 - takes longer to import than the rest of this room, for errors only

    return wcswidth(text)
