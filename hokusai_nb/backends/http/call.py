"""A call: what is asked of the Hokusai API, before anybody asks it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from urllib.parse import quote

import pydantic
from pydantic_core import to_jsonable_python

from hokusai_nb.errors import EventNotFoundError, HokusaiError, ModelNotFoundError, ValidationError
from hokusai_nb.schema.hints import LIST_MODELS
from hokusai_nb.schema.lifecycle import no_such_token
from hokusai_nb.schema.names import MAX_NAME_LENGTH
from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "HEALTH",
    "Call",
    "Page",
    "as_body",
    "as_query",
    "event_path",
    "model_path",
    "token_path",
    "version_of",
    "version_path",
]

T_co = TypeVar("T_co", covariant=True)
HEALTH = "/api/v1/health"
_MODEL = re.compile(rf"[^\0/:]{{1,{MAX_NAME_LENGTH}}}")
_VERSION = re.compile(r"[0-9]{1,9}")
_TOKEN = re.compile(r"[^\0/]{1,255}")
_EVENT = re.compile(r"[0-9a-fA-F-]{1,36}")


class Page(Protocol[T_co]):
    """A part of a list, and where the next part begins."""

    @property
    def entries(self) -> Sequence[T_co]:
        """What it holds."""

    @property
    def next_cursor(self) -> str | None:
        """Where the next one begins; None on the last."""


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """One question to the API.

    Attributes:
        method: HTTP method. A POST is sent with an idempotency key, so that all of them can be repeated.
        path: Below the endpoint, quoted.
        read: Makes the record of an answer's body.
        query: Names and values behind the question mark.
        body: What is sent, as JSON.
        repeat: Whether to ask again where the server is busy or away; not where that is the answer.
        gone_is_done: Whether a repetition that finds nothing shows that the first request was carried out.
    """

    method: str
    path: str
    read: Callable[[bytes], T_co]
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    repeat: bool = True
    gone_is_done: bool = False

    def at(self, cursor: str | None) -> Call[T_co]:
        """Return the call for the page that begins at a cursor; None is the first."""
        return self if cursor is None else replace(self, query=(*self.query, ("cursor", cursor)))


def as_query(**given: str | int | None) -> tuple[tuple[str, str], ...]:
    """Return what stands behind the question mark; None is left out.

    Raises:
        ValidationError: A text holds half a character, which nothing that is stored does.
    """
    found = tuple((name, str(value)) for name, value in given.items() if value is not None)
    for name, text in found:
        try:
            text.encode()
        except UnicodeEncodeError:
            what = f"{name} holds half a character: {quoted(text)}"
            raise ValidationError([Problem(field=name, what=what, hint="Give text that can be written.")]) from None
    return found


def as_body(record: pydantic.BaseModel | Mapping[str, object]) -> bytes:
    """Return a record as JSON.

    Raises:
        ValidationError: It holds what JSON has no form for.
    """
    try:
        # Pydantic's own JSON would make null of a number that is not finite.
        given = record.model_dump() if isinstance(record, pydantic.BaseModel) else record
        return json.dumps(given, allow_nan=False, default=to_jsonable_python).encode()
    except (ValueError, TypeError, RecursionError) as error:  # pydantic's serialisation errors are ValueErrors
        reason = str(error).partition("\n")[0]
        hint = "Give text, finite numbers, true, false, null, lists and mappings of them."
        raise ValidationError(
            [Problem(field="body", what=f"This cannot be sent as JSON: {reason}", hint=hint)]
        ) from None


def _segment(text: str, form: re.Pattern[str], missing: HokusaiError) -> str:
    """Return one segment of a path.

    Raises:
        HokusaiError: The error that was given: nothing is stored under such a name, and as a part of
            a path it could lead elsewhere.
    """
    if not form.fullmatch(text) or text in (".", ".."):
        raise missing
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:  # half a character
        raise missing from None


def model_path(name: str) -> str:
    """Return the path of a model.

    Raises:
        ModelNotFoundError: No model can have this name.
    """
    what = f"Model {quoted(name)} does not exist in the registry, or has no version."
    missing = ModelNotFoundError(what, LIST_MODELS)
    return f"/api/v1/models/{_segment(name, _MODEL, missing)}"


def version_of(name: str, version: int | str) -> str:
    """Return the number of a version.

    Raises:
        ModelNotFoundError: It is none.
    """
    what = f"Model {quoted(name)} has no version {quoted(str(version))} in the registry."
    return _segment(str(version), _VERSION, ModelNotFoundError(what, LIST_MODELS))


def version_path(name: str, version: int | str) -> str:
    """Return the path of a version.

    Raises:
        ModelNotFoundError: No model can have this name, or no version this number.
    """
    return f"{model_path(name)}/versions/{version_of(name, version)}"


def token_path(token_id: str) -> str:
    """Return the path of a token.

    Raises:
        TokenNotFoundError: No token can have this id.
    """
    return f"/api/v1/tokens/{_segment(token_id, _TOKEN, no_such_token(token_id))}"


def event_path(event_id: str) -> str:
    """Return the path of an event.

    Raises:
        EventNotFoundError: No event can have this id.
    """
    missing = EventNotFoundError(f"There is no event {quoted(event_id)}.", "hokusai events list shows the events.")
    return f"/api/v1/events/{_segment(event_id, _EVENT, missing)}"
