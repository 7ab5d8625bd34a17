"""What the API answers, made into records and into errors of our own."""

from __future__ import annotations

import datetime as dt
import email.utils
import http
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import pydantic

from hokusai_nb import errors
from hokusai_nb.errors import (
    AccessError,
    DatabaseBusyError,
    HokusaiError,
    MissingExtraError,
    RateLimitError,
    ServiceConnectionError,
    ServiceError,
    ValidationError,
)
from hokusai_nb.schema.display import printable, shortened
from hokusai_nb.schema.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.backends.http.call import Call

__all__ = ["Answer", "Passing", "passing", "record_of", "unreachable"]

T = TypeVar("T")
_OK = range(200, 300)
_MOVED = range(300, 400)
_DENIED = (401, 403)
_GONE = 404
_CONFLICT = 409
_TOO_MANY = 429
_BAD_GATEWAY = 502
_LOST = (_CONFLICT, _BAD_GATEWAY, 504)
"""Answers in place of one that may have been given: the request was perhaps carried out."""
_PASSING = (_TOO_MANY, 503, *_LOST)
_BUSY = (DatabaseBusyError.__name__,)
"""Errors of a server that works, and had to wait for others until it gave up."""
_MAX_TEXT = 2_000
_MAX_PROBLEMS = 50
_MAX_PLACE = 200
_KNOWN: Mapping[str, type[HokusaiError]] = {
    name: kind
    for name in errors.__all__
    if isinstance(kind := getattr(errors, name), type) and issubclass(kind, HokusaiError)
    # What the server lacks is nothing that the user could install.
    if kind is not MissingExtraError
}
"""Errors that an answer may name; whatever else it says is a `ServiceError`."""


@dataclass(frozen=True)
class Answer:
    """An answer that was read to its end.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        content: The body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def kind(self) -> str:
        """The media type, without its parameters."""
        return printable(self.headers.get("content-type", "").partition(";")[0].strip().lower()) or "no media type"


class Passing(Exception):  # noqa: N818 - no error: the reason to ask again
    """What may be different a moment later.

    Attributes:
        error: What is raised if it is not.
        wait: Seconds that the server asks us to wait; None where it does not say.
        busy: Whether it works, and has too much to do.
        lost: Whether the request may have been carried out all the same.
    """

    def __init__(
        self, error: HokusaiError, *, wait: float | None = None, busy: bool = False, lost: bool = False
    ) -> None:
        super().__init__(error)
        self.error = error
        self.wait = wait
        self.busy = busy
        self.lost = lost


class _Document(pydantic.BaseModel):
    """The part of an RFC 9457 problem document that we use."""

    what: str
    status: int | None = None
    hint: str = ""
    error: str = ""
    problems: tuple[Problem, ...] | None = None
    retry_after: float | None = None


def unreachable(endpoint: str, reason: str) -> ServiceConnectionError:
    """Return the error for an API that does not answer.

    Args:
        endpoint: Its address.
        reason: What was observed, one clause.
    """
    hint = "Check that it is running, or set HOKUSAI_API_ENDPOINT to another address."
    return ServiceConnectionError(f"Failed to connect to the Hokusai API at {endpoint}: {reason}.", hint)


def record_of(answer: Answer, call: Call[T], endpoint: str, *, repeated: bool) -> T:
    """Return the record of an answer.

    Args:
        answer: The answer.
        call: What was asked.
        endpoint: Address of the API, for messages.
        repeated: Whether an earlier request may have been carried out, and its answer was lost.

    Raises:
        HokusaiError: The error that the answer is, or that it makes no sense.
    """
    if answer.status not in _OK and not (answer.status == _GONE and repeated and call.gone_is_done):
        raise _refusal(answer, endpoint)
    try:
        return call.read(answer.content)
    except (pydantic.ValidationError, ValueError, LookupError, TypeError) as error:
        kind, path = shortened(answer.kind, _MAX_PLACE), shortened(printable(call.path), _MAX_PLACE)
        where = ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, pydantic.ValidationError) else ""
        at = f" (at {shortened(printable(where), _MAX_PLACE)})" if where else ""
        msg = f"What {endpoint} answered with {kind} is not what the Hokusai API answers at {path}{at}."
        raise ServiceError(msg, "Check the address, and that client and server are of the same version.") from None


def passing(answer: Answer, endpoint: str) -> Passing | None:
    """Return why the same request may get another answer a moment later; None if it would not."""
    if answer.status not in _PASSING:
        return None
    document = _document(answer)
    if answer.status == _CONFLICT and (document is None or document.retry_after is None):
        return None  # with a time to wait, an earlier attempt of ours is still under way
    if answer.status == _BAD_GATEWAY and document is not None and document.status == _BAD_GATEWAY:
        return None  # no gateway's words but the API's own: the registry behind it refused
    return Passing(
        _refusal(answer, endpoint),
        wait=_retry_after(answer, document),
        busy=answer.status in (_CONFLICT, _TOO_MANY) or (document is not None and document.error in _BUSY),
        lost=answer.status in _LOST,
    )


def _document(answer: Answer) -> _Document | None:
    try:
        return _Document.model_validate_json(answer.content)
    except pydantic.ValidationError:
        return None


def _retry_after(answer: Answer, document: _Document | None) -> float | None:
    """Return the seconds to wait that the document, or the header as a number or a date, asks for."""
    stated: Any = document.retry_after if document else None
    if stated is None:
        stated = answer.headers.get("retry-after", "")
    try:
        seconds = float(stated)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(stated)
        except ValueError:
            return None
        now = dt.datetime.now(dt.UTC)
        seconds = (moment.replace(tzinfo=moment.tzinfo or dt.UTC) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _refusal(answer: Answer, endpoint: str) -> HokusaiError:
    """Return the error that an answer is: the API's own words, or ours about a stranger's answer."""
    document = _document(answer)
    if document is None:
        return _of_stranger(answer, endpoint)
    what, hint = _clean(document.what), _clean(document.hint)
    if answer.status in _DENIED:
        return AccessError(what, hint)
    if answer.status == _TOO_MANY:
        return RateLimitError(what, hint, _retry_after(answer, document) or 0.0)
    kind = _KNOWN.get(document.error, ServiceError)
    if issubclass(kind, ValidationError):
        found = [_clean_problem(p) for p in (document.problems or ())[:_MAX_PROBLEMS]]
        return kind(found or [Problem(field="request", what=what, hint=hint)])
    return kind(what, hint)


def _clean(text: str) -> str:
    """Return text without control characters, of a length that one can read."""
    return "\n".join(printable(line) for line in shortened(text, _MAX_TEXT).split("\n"))


def _clean_problem(problem: Problem) -> Problem:
    texts = {"field": _clean(problem.field), "what": _clean(problem.what), "hint": _clean(problem.hint)}
    return problem.model_copy(update=texts)


def _of_stranger(answer: Answer, endpoint: str) -> HokusaiError:
    """Return the error for an answer that the API does not give: a proxy's, or another server's."""
    try:
        phrase = f" {http.HTTPStatus(answer.status).phrase}"
    except ValueError:
        phrase = ""
    kind = shortened(answer.kind, _MAX_PLACE)
    what = f"{endpoint} answered {answer.status}{phrase} with {kind}, which the Hokusai API does not."
    if answer.status in _DENIED:
        return AccessError(what, "Check HOKUSAI_API_KEY, and what stands between you and the API.")
    if answer.status == _TOO_MANY:
        wait = _retry_after(answer, None) or 0.0
        return RateLimitError(what, f"Wait {wait:.0f} seconds." if wait else "Wait a while.", wait)
    if answer.status in _MOVED:
        return ServiceError(what, _where_to(answer))
    return ServiceError(what, "Check HOKUSAI_API_ENDPOINT, and what stands between you and the API.")


def _where_to(answer: Answer) -> str:
    hint = "A redirection is not followed, because the key goes to the endpoint only"
    try:
        target = urlsplit(answer.headers.get("location", ""))
        place = f"{target.scheme}://{target.hostname}" if target.scheme and target.hostname else ""
    except ValueError:
        place = ""
    named = f"; it leads to {shortened(printable(place), 200)}" if place else ""
    return f"{hint}{named}. Set HOKUSAI_API_ENDPOINT to the API itself."
