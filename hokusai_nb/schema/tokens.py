"""Hokusai token ids: upper-case words joined by hyphens, such as ``MSG-AI``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

from hokusai_nb.schema.problems import Problem, checked, guess_or, joined_words, quoted, raise_for

__all__ = ["MAX_TOKEN_LENGTH", "StoredTokenId", "TokenId", "check_token", "fold_token", "parse_token"]

MAX_TOKEN_LENGTH = 64
_CANONICAL = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")
_TICKER = re.compile(r"[A-Z][A-Z0-9]*")
_EXAMPLE = "A token ID is two or more words of letters and digits joined by hyphens, such as MSG-AI."
_TO_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def fold_token(text: str) -> str:
    """Return the token id with ASCII letters in upper case, valid or not.

    Only ASCII is folded: ``str.upper`` would turn ``ß`` into ``SS`` and so one id into another.

    >>> fold_token("msg-ai")
    'MSG-AI'
    """
    return str.translate(text, _TO_UPPER)


def check_token(value: object, *, ticker: bool = False) -> list[Problem]:
    """Return what is wrong with a token id; an empty list when it can be written.

    Args:
        value: What the user gave.
        ticker: A token store confirmed that the site has this one-word ticker.
    """
    text = fold_token(value) if isinstance(value, str) else ""
    if _is_valid(text, ticker=ticker):
        return []
    repair = None
    if len(text) > MAX_TOKEN_LENGTH:
        hint = f"It has {len(text):,} characters; {MAX_TOKEN_LENGTH} is the most."
    elif _TICKER.fullmatch(text):
        hint = "A one-word ticker is accepted only where a token store confirms it; use an ID such as MSG-AI."
    else:
        guess = fold_token(joined_words(text, "-") or "")
        repair = guess if _is_valid(guess, ticker=ticker) else None
        hint = guess_or(repair, _EXAMPLE)
    return [Problem(field="token", what=f"Token ID format invalid: {quoted(value)}", hint=hint, repair=repair)]


def _is_valid(text: str, *, ticker: bool) -> bool:
    fits = len(text) <= MAX_TOKEN_LENGTH
    return fits and bool(_CANONICAL.fullmatch(text) or (ticker and _TICKER.fullmatch(text)))


def parse_token(value: object, *, ticker: bool = False) -> str:
    """Return the canonical token id.

    Raises:
        ValidationError: It is not a token id; the message proposes a repair where there is one.

    >>> parse_token("msg-ai")
    'MSG-AI'
    """
    raise_for(check_token(value, ticker=ticker))
    return fold_token(str.__str__(value))


TokenId = Annotated[
    str,
    BeforeValidator(checked(check_token, fold_token)),
    WithJsonSchema(
        {"type": "string", "maxLength": MAX_TOKEN_LENGTH, "pattern": "^[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)+$"},
        mode="validation",
    ),
]
"""A token id that may be written: canonical, upper case."""

StoredTokenId = Annotated[str, StringConstraints(min_length=1), AfterValidator(fold_token)]
"""A token id as some client stored it: any text, folded for comparison. For reads only."""
