"""Sample values of a template's variables: typed as text, converted where a field needs something else."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.rendering import Field, render_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hokusai_nb.schema.rendering import Piece
    from hokusai_nb.schema.templates import Template

__all__ = ["MOST_SHOWN", "Rendered", "render_texts", "written"]

MOST_SHOWN = 20_000
"""Characters that are rendered while somebody types."""
_NUMBERS = frozenset("bcdeEfFgGnoxX%")


@dataclass(frozen=True)
class Rendered:
    """A template with the values that there are.

    Attributes:
        parts: Texts in order, and whether each is a field that has no value yet and stands as it is written.
        problems: What is wrong with a value, by variable.
        values: The values as they were passed, by variable.
        cut: Whether there is more than is shown.
    """

    parts: tuple[tuple[str, bool], ...] = ()
    problems: Mapping[str, Problem] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    cut: bool = False

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(text for text, _ in self.parts)


def _number(text: str) -> int | float:
    cleaned = text.strip()
    try:
        return int(cleaned)
    except ValueError:
        return float(cleaned)


def _objects(text: str) -> Any:
    return json.loads(text, object_hook=lambda pairs: SimpleNamespace(**pairs))


# In this order: what was typed counts as it is where that will do.
_READINGS: tuple[Callable[[str], Any], ...] = (
    str,
    _number,
    lambda text: dt.date.fromisoformat(text.strip()),
    lambda text: dt.datetime.fromisoformat(text.strip()),
    json.loads,
    _objects,
)


def render_texts(template: Template, texts: Mapping[str, str]) -> Rendered:
    """Return a template rendered with typed texts; a variable without one is shown as its field is written.

    Args:
        template: The template.
        texts: What was typed, by variable; an empty text is none.
    """
    given = {name: text for name, text in texts.items() if text and name in template.variables}
    values: dict[str, Any] = dict(given)
    problems: dict[str, Problem] = {}
    for name in _in_specs_first(template):
        if name in given:
            wrong = _read(name, given[name], values, template.fields)
            if wrong:
                problems[name] = wrong
    parts, cut = _parts(template.pieces, values, problems)
    return Rendered(parts, problems, values, cut)


def _in_specs_first(template: Template) -> list[str]:
    """Return the variables, first those in the format specifications of others."""
    nested = [inner.name for outer in template.fields for inner in _inner(outer)]
    return list(dict.fromkeys([*nested, *template.variables]))


def _inner(outer: Field) -> Iterator[Field]:
    if not isinstance(outer.spec, str):
        yield from (piece for piece in outer.spec if isinstance(piece, Field))


def _read(name: str, text: str, values: dict[str, Any], fields: Sequence[Field]) -> Problem | None:
    """Put a value that all of a variable's fields take in the place of its text, or return why there is none."""
    mine = [one for one in dict.fromkeys(fields) if one.name == name and all(i.name in values for i in _inner(one))]
    refusal: tuple[Field, Problem] | None = None
    for reading in _READINGS:
        try:
            values[name] = reading(text)
        except (ValueError, TypeError, RecursionError):
            continue
        refused = next((pair for one in mine if (pair := _refused(one, values))), None)
        if refused is None:
            return None
        refusal = refusal or refused
    assert refusal is not None  # every text is a text
    values[name] = text
    return _explained(name, text, *refusal)


def _refused(one: Field, values: Mapping[str, Any]) -> tuple[Field, Problem] | None:
    try:
        render_pieces((one,), values, limit=MOST_SHOWN)
    except ModelValidationError as error:
        (found,) = error.problems
        assert isinstance(found, Problem)
        return one, found
    return None


def _explained(name: str, text: str, one: Field, found: Problem) -> Problem:
    """Return what is wrong with a value in words that say what to type."""
    spec = one.spec if isinstance(one.spec, str) else ""
    shown = quoted(written(one))[1:-1]
    if one.steps:
        what, hint = f"{shown} follows a value that {quoted(text)} is not.", 'Type JSON, such as {"key": "text"}.'
    elif not one.conversion and spec[-1:] in _NUMBERS and "%" not in spec[:-1]:
        whole = spec[-1:] in "bcdoxX"
        kind, example = ("a whole number", "42") if whole else ("a number", "3.14")
        what, hint = f"{shown} needs {kind}: {quoted(text)}", f"Type one, such as {example}."
    elif "%" in spec:
        what, hint = f"{shown} needs a date: {quoted(text)}", "Type one, such as 2026-01-31 or 2026-01-31T12:30."
    else:
        what, hint = found.what, found.hint
    return Problem(field=name, what=what, hint=hint)


def _parts(
    pieces: Sequence[Piece], values: Mapping[str, Any], problems: Mapping[str, Problem]
) -> tuple[tuple[tuple[str, bool], ...], bool]:
    parts: list[tuple[str, bool]] = []
    room = MOST_SHOWN
    for piece in pieces:
        text, waits = (piece, False) if isinstance(piece, str) else _field(piece, values, problems)
        parts.append((text[:room], waits))
        room -= len(text)
        if room < 0:
            return tuple(parts), True
    return tuple(parts), False


def _field(one: Field, values: Mapping[str, Any], problems: Mapping[str, Problem]) -> tuple[str, bool]:
    names = {one.name, *(inner.name for inner in _inner(one))}
    if names & problems.keys() or not names <= values.keys():
        return written(one), True
    try:
        return render_pieces((one,), values, limit=MOST_SHOWN), False
    except ModelValidationError:  # a width that only two values together make wrong
        return written(one), True


def written(one: Field) -> str:
    """Return a field as it stands in its template.

    >>> written(Field(name="price", source="price", spec=".2f"))
    '{price:.2f}'
    """
    spec = one.spec
    inside = spec if isinstance(spec, str) else "".join(p if isinstance(p, str) else written(p) for p in spec)
    sign = f"!{one.conversion}" if one.conversion else ""
    return f"{{{one.source or one.name}{sign}{f':{inside}' if inside else ''}}}"
