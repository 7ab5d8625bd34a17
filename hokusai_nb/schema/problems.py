"""What is wrong with a field, why, and what would be right: one wording for every face."""

from __future__ import annotations

import numbers
import re
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pydantic
from pydantic_core import PydanticCustomError

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.text_length import is_longer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Problem",
    "checked",
    "errors_in",
    "guess_or",
    "joined_words",
    "plain",
    "problems_in",
    "quoted",
    "quoted_path",
    "raise_custom",
    "raise_for",
    "validated",
]

M = TypeVar("M", bound=pydantic.BaseModel)
CODE = "hokusai_problem"
SHOWN_CHARACTERS = 80
MAX_WRITTEN = 100_000
"""Characters of a value that are made so that the first few can be shown."""
LONGEST_PATH = 4096
"""Bytes; what Linux opens at most."""


class Problem(pydantic.BaseModel, frozen=True):
    """One finding about one field.

    A form shows ``what`` under the field with ``repair`` on a button, a magic raises the same
    words, and the HTTP API sends them as they are.
    """

    field: str
    """Name of the field as the verb spells it, of a tag as it is spelled; a verb's tag has both: ``tags.gpu_type``."""
    what: str
    """What is wrong, with the value."""
    hint: str = ""
    """What to try."""
    repair: str | None = None
    """A value for this field that is valid, where one can be guessed."""
    severity: Literal["error", "warning"] = "error"
    """An error refuses the write; a warning is only shown."""

    @property
    def sentence(self) -> str:
        """What is wrong and what to try, on one line."""
        stop = "." if self.hint and not self.what.endswith((".", "!", "?")) else ""
        return f"{self.what}{stop} {self.hint}".rstrip()

    def under(self, field: str) -> Problem:
        """The same finding, told of another field name."""
        return self.model_copy(update={"field": field})


def plain(text: str) -> str:
    """Return the characters of a text; a subclass, such as an Enum's member, may print others."""
    return str.__str__(text)


def quoted(value: object, longest: int = SHOWN_CHARACTERS) -> str:
    """Return text in quotes and anything else as Python writes it, shortened to a readable line.

    Args:
        value: What is shown.
        longest: Characters, before the value is cut.

    >>> quoted("a" * 200)[-6:], quoted(None), quoted(float("nan"))
    ("aaaa…'", 'None', 'nan')
    """
    if isinstance(value, str):
        text = plain(value)
        return repr(text if len(text) <= longest else text[:longest] + "…")
    text = f"<{type(value).__name__}>"
    with suppress(Exception):  # a value may fail even at this, and the message must not
        if isinstance(value, numbers.Number):
            text = str(value)
        elif not is_longer(value, MAX_WRITTEN):
            text = repr(value)
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * longest]).split())
    return text if len(text) <= longest else text[:longest] + "…"


def quoted_path(path: object) -> str:
    """Return the path of a file in quotes, whole: it ends with what tells it from others."""
    return quoted(str(path), LONGEST_PATH)


def guess_or(repair: str | None, otherwise: str) -> str:
    """Return the hint that offers a repair, or another hint where there is none."""
    if repair is None:
        return otherwise
    readable = repair.isprintable() and len(repair) <= SHOWN_CHARACTERS
    return f"Did you mean {repair if readable else quoted(repair)}?"


def joined_words(text: str, separator: str) -> str | None:
    r"""Return the words of a text with one separator between them.

    None where a letter, digit or accent outside ASCII would get lost: half a word is no guess.

    >>> joined_words(" msg_ai\n", "-"), joined_words("größe", "_")
    ('msg-ai', None)
    """
    text = unicodedata.normalize("NFKC", text)
    if any(not c.isascii() and unicodedata.category(c)[0] in "LMN" for c in text):
        return None
    return separator.join(re.findall(r"[A-Za-z0-9]+", text))


def errors_in(problems: Iterable[Problem]) -> list[Problem]:
    """Return only the problems that refuse a write."""
    return [p for p in problems if p.severity == "error"]


def raise_for(problems: Iterable[Problem]) -> None:
    """Raise `ValidationError` if any of the problems is an error."""
    if errors := errors_in(problems):
        raise ValidationError(errors)


def checked(check: Callable[[Any], list[Problem]], convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make a pydantic validator of a field's check, so that models carry the same problems.

    Args:
        check: Returns what is wrong with a raw value.
        convert: Turns a raw value without errors into the stored one.
    """

    def validate(value: Any) -> Any:
        raise_custom(check(value))
        return convert(value)

    return validate


def raise_custom(problems: Iterable[Problem]) -> None:
    """Raise the errors among the problems as pydantic expects them from a validator."""
    if errors := errors_in(problems):
        # Braces are pydantic's template syntax; the texts themselves travel in the context.
        raise PydanticCustomError(CODE, "{what}", {"what": errors[0].what, "problems": errors})


def problems_in(error: pydantic.ValidationError) -> list[Problem]:
    """Return pydantic's findings in our words, in the fields' order."""
    found = []
    for detail in error.errors(include_url=False):
        field = ".".join(_field_name(part) for part in detail["loc"]) or "value"
        if detail["type"] == CODE:
            found += detail["ctx"]["problems"]
        elif detail["type"] == "missing":
            found.append(Problem(field=field, what=f"{field} is missing.", hint="It is required."))
        elif detail["type"] == "extra_forbidden":
            found.append(Problem(field=field, what=f"There is no field {field}.", hint="Check its spelling."))
        else:
            found.append(Problem(field=field, what=f"{field}: {detail['msg']}: {quoted(detail['input'])}"))
    return found


def _field_name(part: str | int) -> str:
    """Return a field's name as one readable word, also where a caller made it up."""
    return quoted(part)[1:-1] if isinstance(part, str) else str(part)


def validated(model: type[M], values: object) -> M:
    """Return the record that the values make.

    Raises:
        ValidationError: Some field is wrong; every problem that was found is in it.
    """
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise ValidationError(problems_in(error)) from None
