"""Cursors of lists that MLflow holds, as text that callers hand back unread."""

from __future__ import annotations

import base64
import binascii
import json

from hokusai_nb.backends.mlflow.pages import Place
from hokusai_nb.backends.mlflow.versions import VERSION
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem, quoted

__all__ = ["cursor_of", "place_of"]

_KINDS = (str, str, int)
_MOST_ROWS = 10**9


def cursor_of(place: Place | None) -> str | None:
    """Return the cursor of a page that ended there; None on the last page.

    >>> place_of(cursor_of(Place("churn", "3", 17)))
    Place(name='churn', version='3', row=17)
    """
    return None if place is None else base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str | None) -> Place | None:
    """Return where the page before ended.

    Raises:
        ValidationError: It is no cursor of this list.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if isinstance(found, list) and tuple(map(type, found)) == _KINDS:
        place = Place(*found)
        if VERSION.fullmatch(place.version) and 0 < place.row < _MOST_ROWS:
            return place
    what = f"The cursor {quoted(cursor)} does not belong to this list."
    raise ValidationError([Problem(field="cursor", what=what, hint="Begin anew without a cursor.")])
