"""Cursors: where a page ends, as text that callers hand back unread."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TypeVar

from hokusai_nb.backends.sql.types import storable
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem, quoted

__all__ = ["MOST", "check_limit", "decode_cursor", "encode_cursor"]

T = TypeVar("T", str, int)
_BEYOND = 2**63
MOST = 1000
"""Entries of one page at most."""


def encode_cursor(kind: str, last: str | int) -> str:
    """Return the cursor of a list whose page ended with this key.

    >>> decode_cursor("tokens", encode_cursor("tokens", "MSG-AI"), str)
    'MSG-AI'
    """
    return base64.urlsafe_b64encode(json.dumps([kind, last]).encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str, expected: type[T]) -> T:
    """Return the key that a page ended with.

    Raises:
        ValidationError: It is no cursor of this list.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        of, last = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, TypeError, ValueError):
        of, last = None, None
    if of == kind and type(last) is expected and _is_key(last):
        return last
    what = f"The cursor {quoted(cursor)} does not belong to this list."
    raise ValidationError([Problem(field="cursor", what=what, hint="Begin anew without a cursor.")])


def _is_key(last: str | int) -> bool:
    """Whether a database can compare it: whoever made the cursor up may have chosen something else."""
    return storable(last) == last if isinstance(last, str) else abs(last) < _BEYOND


def check_limit(limit: int) -> int:
    """Return the number of entries of a page.

    Raises:
        ValidationError: It is none that a page can have.
    """
    if 1 <= limit <= MOST:
        return limit
    what = f"A page cannot have {quoted(limit)} entries."
    raise ValidationError([Problem(field="limit", what=what, hint=f"Give a number from 1 to {MOST:,}.")])
