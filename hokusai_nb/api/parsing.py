"""What the text of a request may be: parts of its path, its query, and its JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any

from fastapi import Path, Query, Request

from hokusai_nb.schema.names import MAX_NAME_LENGTH

__all__ = [
    "Cursor",
    "EventId",
    "JsonRequest",
    "Limit",
    "ModelPath",
    "Prefix",
    "State",
    "TokenPath",
    "TokenQuery",
    "VersionPath",
    "VersionQuery",
    "read_json",
]

MAX_ENTRIES = 1000
MAX_DEPTH = 64
_PLAIN = r"^[^\x00]+$"
_NUMBER = r"^[0-9]{1,9}$"
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TOO_DEEP = "it is nested too deeply"

ModelPath = Annotated[
    str,
    Path(max_length=MAX_NAME_LENGTH, pattern=r"^[^\x00/:]+$", description="Registered model name.", examples=["churn"]),
]
VersionPath = Annotated[str, Path(pattern=_NUMBER, description="Registry version.", examples=["1"])]
VersionQuery = Annotated[str, Query(pattern=_NUMBER, description="Registry version.", examples=["1"])]
TokenPath = Annotated[str, Path(max_length=255, pattern=_PLAIN, description="Token ID.", examples=["MSG-AI"])]
EventId = Annotated[
    str,
    Path(
        max_length=36,
        pattern=r"^[0-9a-fA-F\-]+$",
        description="Event ID, a UUID.",
        examples=["3f2b1c9e-5d0e-4c38-9f43-0b1a6f0a7c11"],
    ),
]
Prefix = Annotated[
    str | None,
    Query(max_length=MAX_NAME_LENGTH, pattern=r"^[^\x00]*$", description="Only names that begin with this."),
]
TokenQuery = Annotated[
    str | None, Query(max_length=255, pattern=_PLAIN, description="Only what belongs to this token.")
]
State = Annotated[
    str | None, Query(pattern="^(pending|delivered|dead)$", description="Only events with a delivery in this state.")
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=5000,
        pattern=r"^[A-Za-z0-9_\-]+$",
        description="Where it begins: next_cursor of the page before.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=MAX_ENTRIES, description="Most entries of the page.")]


def read_json(body: bytes) -> Any:
    """Return what a body says.

    Raises:
        json.JSONDecodeError: It is no JSON, or holds what no database could keep: NUL characters,
            half characters, numbers that are not finite, or too many levels.
    """
    try:
        found = json.loads(body.decode())
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except ValueError:  # an integer of so many digits that Python does not read them
        reason = "a number has too many digits"
    except RecursionError:
        reason = _TOO_DEEP
    else:
        reason = _trouble_in(found)
        if not reason:
            return found
    raise json.JSONDecodeError(reason, "", 0)


def _trouble_in(value: object) -> str:
    """Return why no database could keep a JSON value; empty where each can."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item, *item.values()]
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and _UNSTORABLE.search(item):
                return "a text holds a NUL or half a character"
            elif isinstance(item, float) and not math.isfinite(item):
                return "a number is not finite"
        if not below:
            return ""
        level = below
    return _TOO_DEEP


class JsonRequest(Request):
    """A request whose JSON is what a database can keep."""

    async def json(self) -> Any:
        """Return what the body says."""
        return read_json(await self.body())
