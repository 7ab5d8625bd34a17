"""Every refusal as an RFC 9457 problem document, in the words that all faces use."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import pydantic
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from hokusai_nb.errors import (
    AccessError,
    AmbiguousModelError,
    BaselineError,
    ConflictError,
    ConnectionFailedError,
    DatabaseBusyError,
    DatabaseConnectionError,
    HokusaiError,
    NoCurrentRunError,
    NoModelError,
    NotFoundError,
    RateLimitError,
    RegistryBusyError,
    RegistryError,
    ServiceConnectionError,
    ServiceError,
    ValidationError,
)
from hokusai_nb.log import redact
from hokusai_nb.schema.problems import Problem, problems_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from fastapi import FastAPI, Request
    from fastapi.routing import APIRoute

__all__ = ["MEDIA_TYPE", "ProblemDocument", "Refusal", "conceal", "problem_response", "status_of", "use_problems"]

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[HokusaiError], HTTPStatus], ...] = (
    (RateLimitError, HTTPStatus.TOO_MANY_REQUESTS),
    (AccessError, HTTPStatus.FORBIDDEN),
    (ConnectionFailedError, HTTPStatus.SERVICE_UNAVAILABLE),
    (RegistryBusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseConnectionError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseBusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ServiceConnectionError, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (ValidationError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (BaselineError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NoCurrentRunError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NoModelError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (AmbiguousModelError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RegistryError, HTTPStatus.BAD_GATEWAY),
    (ServiceError, HTTPStatus.BAD_GATEWAY),
)
"""The first class that fits decides; anything else of ours is a fault of the server."""
_WORDS = {
    HTTPStatus.NOT_FOUND: (
        "There is nothing at this address.",
        "The description at /openapi.json lists all addresses.",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: ("This address does not take the method.", "The header Allow lists what it takes."),
    HTTPStatus.BAD_REQUEST: ("The request cannot be read.", "Send JSON as UTF-8."),
}
_NAMES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "ValidationError",
    HTTPStatus.NOT_FOUND: "NotFoundError",
    HTTPStatus.CONFLICT: "ConflictError",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "ValidationError",
}
"""The classes of `hokusai_nb.errors` that come nearest to what HTTP itself refuses."""
_RETRY_SECONDS = 1.0
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


class ProblemDocument(pydantic.BaseModel, frozen=True, use_attribute_docstrings=True):
    """What failed and what to try, as RFC 9457 has it."""

    type: str
    """URI of the kind of problem."""
    title: str
    """The kind of problem in words; the same each time."""
    status: int
    """HTTP status."""
    detail: str
    """What failed and what to try, in one text."""
    what: str
    """What failed, with the value."""
    hint: str
    """What to try; empty where there is nothing sensible to say."""
    error: str
    """Name of the error's class in `hokusai_nb.errors`."""
    problems: tuple[Problem, ...] | None = None
    """What is wrong with each field, where fields are wrong."""
    retry_after: float | None = None
    """Seconds to wait before asking again, where that helps."""
    request_id: str | None = None
    """What the server's log knows the request by."""


class Refusal(HokusaiError):  # noqa: N818 - what HTTP refuses is no fault
    """A request that HTTP itself refuses: no route, no such method, a body that is too large.

    Attributes:
        status: HTTP status.
        retry_after: Seconds to wait before asking again; None where that does not help.
    """

    def __init__(self, status: int, what: str, hint: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(what, hint)
        self.status = status
        self.retry_after = retry_after


def status_of(error: HokusaiError) -> int:
    """Return the HTTP status that an error is answered with."""
    if isinstance(error, Refusal):
        return error.status
    return next((int(s) for kind, s in _STATUS if isinstance(error, kind)), int(HTTPStatus.INTERNAL_SERVER_ERROR))


def problem_response(
    error: HokusaiError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Response:
    """Return an error as the answer to a request.

    Args:
        error: What failed.
        status: HTTP status, where the error's class alone does not decide it.
        headers: Further headers.
        request_id: What the log knows the request by.
    """
    status = status_of(error) if status is None else status
    wait = _seconds_to_wait(error, status)
    document = _document(error, status, wait, request_id)
    content = document.model_dump_json(exclude_none=True).encode()
    more = {} if wait is None else {"Retry-After": str(max(1, round(wait + 0.499)))}
    return Response(content, status, {**more, **(headers or {})}, MEDIA_TYPE)


def _seconds_to_wait(error: HokusaiError, status: int) -> float | None:
    if isinstance(error, Refusal) and error.retry_after is not None:
        return error.retry_after
    if isinstance(error, RateLimitError):
        return error.retry_after or _RETRY_SECONDS
    return _RETRY_SECONDS if status == HTTPStatus.SERVICE_UNAVAILABLE else None


def _document(error: HokusaiError, status: int, wait: float | None, request_id: str | None) -> ProblemDocument:
    name = _NAMES.get(status, "ServiceError") if isinstance(error, Refusal) else type(error).__name__
    phrase = HTTPStatus(status).phrase if isinstance(error, Refusal) else _in_words(name)
    what, hint = _clean(error.what), _clean(error.hint)
    found = getattr(error, "problems", None)
    return ProblemDocument(
        type=f"urn:hokusai:problem:{phrase.lower().replace(' ', '-')}",
        title=phrase,
        status=status,
        detail=f"{what} {hint}".strip(),
        what=what,
        hint=hint,
        error=name,
        problems=tuple(_cleaned(p) for p in found) if found else None,
        retry_after=wait,
        request_id=request_id,
    )


def _in_words(name: str) -> str:
    """Return the name of an error's class in words.

    >>> _in_words("TokenNotFoundError"), _in_words("AccessError")
    ('Token not found', 'Access error')
    """
    words = _WORD.sub(" ", name.removesuffix("Error")).capitalize()
    return words if " " in words else f"{words} error"


def _clean(text: str) -> str:
    """Return a text without secrets and without what UTF-8 cannot hold."""
    return redact(text).encode(errors="replace").decode()


def _cleaned(problem: Problem) -> Problem:
    repair = None if problem.repair is None else _clean(problem.repair)
    fields = {"field": _clean(problem.field), "what": _clean(problem.what), "hint": _clean(problem.hint)}
    return problem.model_copy(update={**fields, "repair": repair})


def conceal(error: HokusaiError, hidden: Mapping[str, str]) -> None:
    """Take out of an error's words where the server keeps its data, which is nobody's business outside.

    Args:
        error: Changed in place; it is about to be answered.
        hidden: Addresses, and what is said in place of each.
    """
    for address, words in hidden.items():
        error.what, error.hint = error.what.replace(address, words), error.hint.replace(address, words)


def use_problems(app: FastAPI, routes: Collection[APIRoute] = ()) -> None:
    """Have an application answer every refusal of its own with a problem document.

    Args:
        app: The application; ``app.state.hidden`` says what `conceal` takes out.
        routes: Its routes, for the methods that an address takes.
    """

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, HokusaiError)
        conceal(error, request.app.state.hidden)
        return problem_response(error, request_id=_id_of(request))

    async def fields(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(_of_fields(error), request_id=_id_of(request))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        what, hint = _WORDS.get(HTTPStatus(error.status_code), (f"{error.detail}.", ""))
        refusal = Refusal(error.status_code, what, hint)
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request.url.path, routes)):
            headers["Allow"] = ", ".join(methods)
        return problem_response(refusal, headers=headers, request_id=_id_of(request))

    app.add_exception_handler(HokusaiError, ours)
    app.add_exception_handler(RequestValidationError, fields)
    app.add_exception_handler(HTTPException, http)


def _methods(path: str, routes: Iterable[APIRoute]) -> list[str]:
    """Return the methods that an address takes; a router names those of the first route that has it only."""
    return sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})


def _id_of(request: Request) -> str | None:
    return getattr(request.state, "request_id", None)


class _Details:
    """A validation error of FastAPI, with each place named as the sender knows it."""

    def __init__(self, error: RequestValidationError) -> None:
        self.details = error.errors()

    def errors(self, **options: object) -> list[dict[str, Any]]:
        del options
        return [{**d, "loc": tuple(d["loc"][1:])} for d in self.details]


def _of_fields(error: RequestValidationError) -> HokusaiError:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        what = f"The body cannot be read as JSON: {first['ctx']['error']}."
        return Refusal(HTTPStatus.BAD_REQUEST, what, "Send JSON as UTF-8, without NUL characters.")
    # FastAPI's error lists the same details, and is none of pydantic's all the same.
    return ValidationError(problems_in(cast("pydantic.ValidationError", _Details(error))))
