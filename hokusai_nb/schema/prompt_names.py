"""Names of prompts: words joined by slashes, which MLflow stores with dots."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.names import MAX_NAME_LENGTH
from hokusai_nb.schema.problems import Problem, checked, guess_or, plain, quoted

__all__ = ["PromptName", "check_prompt_name", "parse_prompt_name", "shown_name", "stored_name"]

_SHAPE = r"[A-Za-z0-9_\-]+(/[A-Za-z0-9_\-]+)*"
_NAME = re.compile(_SHAPE)
_EXAMPLE = "Give a name, such as persona/entrepreneur/hook."
_RULE = "A name is words of letters, digits, - and _, joined by slashes."


def check_prompt_name(value: object, *, field: str = "name") -> list[Problem]:
    """Return what is wrong with a prompt's name."""
    text = plain(value) if isinstance(value, str) else ""
    if value is None or (isinstance(value, str) and not text.strip()):
        return [Problem(field=field, what="Model name cannot be empty.", hint=_EXAMPLE)]
    if len(text) > MAX_NAME_LENGTH:
        what = f"Model name invalid: it has {len(text):,} characters."
        return [Problem(field=field, what=what, hint=f"{MAX_NAME_LENGTH} is the most.")]
    if _NAME.fullmatch(text):
        return []
    repair = _nearest(text)
    hint = f"{guess_or(repair, '')} {_RULE}".strip()
    return [Problem(field=field, what=f"Model name invalid: {quoted(value)}", hint=hint, repair=repair)]


def _nearest(text: str) -> str | None:
    """Return the name most like the text; None where a letter or digit would get lost."""
    text = unicodedata.normalize("NFKC", text)
    if any(not c.isascii() and unicodedata.category(c)[0] in "LMN" for c in text):
        return None
    levels = re.split(r"[./:\\]+", text)
    words = ["-".join(re.findall(r"[A-Za-z0-9_\-]+", level)) for level in levels]
    guess = "/".join(word for word in words if word.strip("-"))
    return guess if _NAME.fullmatch(guess) and len(guess) <= MAX_NAME_LENGTH else None


def parse_prompt_name(value: object) -> str:
    """Return the name as plain text.

    Raises:
        ModelValidationError: ``Model name cannot be empty``, or it is no name.
    """
    if problems := check_prompt_name(value):
        raise ModelValidationError(problems)
    assert isinstance(value, str)
    return plain(value)


def stored_name(name: str) -> str:
    """Return what MLflow stores a prompt as; its names have dots where ours have slashes.

    >>> stored_name("persona/entrepreneur/hook")
    'persona.entrepreneur.hook'
    """
    return name.replace("/", ".")


def shown_name(stored: str) -> str:
    """Return the name of a stored prompt, whoever stored it; `stored_name` leads back.

    >>> shown_name("persona.entrepreneur.hook")
    'persona/entrepreneur/hook'
    """
    return stored.replace(".", "/")


PromptName = Annotated[
    str,
    BeforeValidator(checked(check_prompt_name, plain)),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH, "pattern": f"^{_SHAPE}$"}, mode="validation"
    ),
]
"""A name that a prompt can be registered under."""
