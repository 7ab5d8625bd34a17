"""Templates of prompts: Python format strings, parsed once.

`string.Formatter` parses, here as in `str.format`; what is refused beyond that are fields without a
name, names that begin with an underscore, and widths that nobody needs. A `Template` that exists is
valid, and renders as `str.format` would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, WithJsonSchema

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, checked, plain, quoted
from hokusai_nb.schema.rendering import MAX_OUTPUT, Field, Piece, render_pieces
from hokusai_nb.schema.template_reading import TemplateProblem, TemplateReading

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_TEMPLATE_LENGTH",
    "Template",
    "TemplateProblem",
    "TemplateText",
    "check_template",
    "parse_template",
    "variables_of",
]

MAX_TEMPLATE_LENGTH = 100_000
"""Characters of text that MLflow stores of a prompt."""
SHORT = 1_000
MEDIUM = 10_000


@dataclass(frozen=True, slots=True)
class Template:
    """A valid template; `parse_template` makes it, and keeps it."""

    text: str
    pieces: tuple[Piece, ...] = field(compare=False, repr=False)
    """Literal texts and fields, in order."""
    fields: tuple[Field, ...] = field(compare=False, repr=False)
    """All fields, those in format specifications too."""
    variables: tuple[str, ...] = field(compare=False)
    """Names that a value is needed for, in the order they first appear."""

    def missing(self, values: Mapping[str, object]) -> list[str]:
        """Return the variables that have no value."""
        return [name for name in self.variables if name not in values]

    def render(self, values: Mapping[str, object], *, limit: int = MAX_OUTPUT) -> str:
        """Return the text; values that no field asks for are left aside, as `str.format` does.

        Args:
            values: By variable.
            limit: Characters that the text has at most.

        Raises:
            ModelValidationError: ``Missing required variables: …``, a value cannot be followed or
                formatted as its field says, or the text would be too long.

        >>> parse_template("{price:.2f} for {who[name]}").render({"price": 2, "who": {"name": "Ada"}})
        '2.00 for Ada'
        """
        if missing := self.missing(values):
            what = f"Missing required variables: {', '.join(missing)}"
            raise ModelValidationError([Problem(field="values", what=what, hint="Give each of them a value.")])
        return render_pieces(self.pieces, values, limit=limit)


def parse_template(text: object) -> Template:
    """Return the template that the text is, from a cache if it was parsed lately.

    Raises:
        ModelValidationError: ``Template cannot be empty``, or ``Invalid template format: …``; its
            problems are each a `TemplateProblem` where there is a place to point at.

    >>> parse_template("{greeting}, {user[name]:>{width}}!").variables
    ('greeting', 'user', 'width')
    """
    if problems := _check_text(text):
        raise ModelValidationError(problems)
    assert isinstance(text, str)
    text = plain(text)
    kept = _kept_short if len(text) <= SHORT else _kept_medium if len(text) <= MEDIUM else _kept_long
    return kept(text)


def check_template(text: object) -> list[Problem]:
    """Return what is wrong with a template; an empty list where it can be used."""
    try:
        parse_template(text)
    except ModelValidationError as error:
        return [p for p in error.problems if isinstance(p, Problem)]
    return []


def variables_of(text: str) -> tuple[str, ...]:
    """Return the variables of a text, and none if it is no valid template of ours."""
    return () if check_template(text) else parse_template(text).variables


def _check_text(text: object) -> list[Problem]:
    """Return what keeps text from being looked at, or from being stored."""
    if text is None or (isinstance(text, str) and not plain(text).strip()):
        return [Problem(field="template", what="Template cannot be empty.", hint="Such as: Hello {name}!")]
    if not isinstance(text, str):
        what = f"Invalid template format: it must be text, not {quoted(text)}"
        return [Problem(field="template", what=what, hint="Such as: Hello {name}!")]
    if (length := len(plain(text))) > MAX_TEMPLATE_LENGTH:
        what = f"Invalid template format: it has {length:,} characters."
        return [Problem(field="template", what=what, hint=f"{MAX_TEMPLATE_LENGTH:,} is the most.")]
    return []


def _parsed(text: str) -> Template:
    reading = TemplateReading(text)
    pieces = reading.pieces(text, start=0)
    if reading.problems:
        raise ModelValidationError(reading.problems)
    names = dict.fromkeys(f.name for f in reading.fields)
    return Template(text=text, pieces=pieces, fields=tuple(reading.fields), variables=tuple(names))


# A template of nothing but fields takes fifty bytes for each of its characters, so the longer they are, the fewer are
# kept: all together take 100 MB at the very most.
_kept_short = lru_cache(maxsize=512)(_parsed)
_kept_medium = lru_cache(maxsize=64)(_parsed)
_kept_long = lru_cache(maxsize=8)(_parsed)


TemplateText = Annotated[
    str,
    BeforeValidator(checked(check_template, plain)),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_TEMPLATE_LENGTH}, mode="validation"),
]
"""The text of a valid template."""
