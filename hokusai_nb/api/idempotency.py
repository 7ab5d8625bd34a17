"""The route class of the API: JSON that can be stored, and POST requests that can be sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from fastapi import Header
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from hokusai_nb.api.auth import Needs, caller
from hokusai_nb.api.parsing import JsonRequest
from hokusai_nb.api.problems import Refusal
from hokusai_nb.backends.sql.idempotency import Answer, Claim, UnderWayError, claim, complete, release
from hokusai_nb.errors import HokusaiError, ValidationError
from hokusai_nb.log import logger
from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from starlette.requests import Request

    from hokusai_nb.backends.sql.database import Database

__all__ = ["ApiRoute", "idempotency_key", "made"]

NAME = "Idempotency-Key"
REPLAYED = {"Idempotent-Replayed": "true"}
_LONGEST = 255
_WAIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.1

_Handler = Callable[..., Coroutine[Any, Any, Response]]


def idempotency_key(
    key: Annotated[
        str | None,
        Header(
            alias=NAME,
            min_length=1,
            max_length=_LONGEST,
            description="The same key with the same request gets the same answer for a day, and is carried out once.",
        ),
    ] = None,
) -> None:
    """Describe the header; `ApiRoute` reads it before the request is carried out."""
    del key


def made(record: type, description: str) -> dict[int | str, dict[str, Any]]:
    """Describe the answer of a POST that has made something; where it was there before, it answers 200."""
    return {HTTPStatus.CREATED.value: {"model": record, "description": description}}


class ApiRoute(APIRoute):
    """A route whose bodies can be stored, and whose POST requests are carried out once for each key."""

    def get_route_handler(self) -> _Handler:
        """Return what serves a request."""
        serve = super().get_route_handler()
        needed = [d.dependency for d in self.dependencies if isinstance(d.dependency, Needs)]

        async def handle(request: Request) -> Response:
            request = JsonRequest(request.scope, request.receive)
            key = request.headers.get(NAME) if request.method == "POST" else None
            if key is None:
                return await serve(request)
            for needs in needed:  # before an answer is repeated
                needs(request)
            return await _once(request, _checked(key), serve)

        return handle


def _checked(key: str) -> str:
    """Return the key.

    Raises:
        ValidationError: It is empty or too long.
    """
    if 1 <= len(key) <= _LONGEST:
        return key
    what = f"{NAME} has {len(key):,} characters: {quoted(key)}"
    raise ValidationError([Problem(field=NAME, what=what, hint=f"Give 1 to {_LONGEST}, such as a UUID.")])


async def _once(request: Request, key: str, serve: _Handler) -> Response:
    """Carry a request out, or repeat the answer that it got before."""
    database: Database = request.app.state.services.database
    told = b"\n".join((request.method.encode(), request.url.path.encode(), request.url.query.encode()))
    asked = told + b"\n" + await request.body()
    taken = await _claimed(database, caller(request).key_id, key, asked)
    if isinstance(taken, Answer):
        return Response(taken.body, taken.status, REPLAYED, "application/json")
    try:
        response = await serve(request)
    except BaseException:
        await _given_back(database, taken)
        raise
    # A refusal is not kept: what was wrong may be right a moment later.
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        await _given_back(database, taken)
    else:
        answer = Answer(response.status_code, bytes(response.body).decode())
        with _at_best("An answer cannot be repeated"):
            await run_in_threadpool(complete, database, taken, answer)
    return response


async def _given_back(database: Database, taken: Claim) -> None:
    with anyio.CancelScope(shield=True), _at_best("A request can be sent again only after a while"):
        await run_in_threadpool(release, database, taken)


@contextmanager
def _at_best(consequence: str) -> Iterator[None]:
    """Log what a database refuses and go on, for a ``with`` block: the request has its answer already."""
    try:
        yield
    except HokusaiError as error:
        logger.warning("%s: %s", consequence, error.what)


async def _claimed(database: Database, owner: str, key: str, asked: bytes) -> Claim | Answer:
    """Take a request, or wait for the answer to the same one that is under way.

    Raises:
        ConflictError: The key was used for another request.
        Refusal: The other request takes too long to be waited for.
    """
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return await run_in_threadpool(claim, database, owner, key, asked)
        except UnderWayError as error:
            if time.monotonic() > until:
                raise Refusal(HTTPStatus.CONFLICT, error.what, error.hint, retry_after=1.0) from None
        await anyio.sleep(_PAUSE_SECONDS)
