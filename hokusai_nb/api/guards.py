"""What stands before every route: known hosts, bodies of bounded size, and headers that protect."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import Headers, MutableHeaders

from hokusai_nb.api.mlflow_refusals import for_mlflow
from hokusai_nb.api.paths import MLFLOW
from hokusai_nb.api.problems import Refusal, conceal, problem_response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hokusai_nb.errors import HokusaiError

__all__ = ["BoundedBodies", "KnownHosts", "ProtectingHeaders", "refuse"]

_DRAINED = 64 << 20
"""Bytes over its limit that are read of a body at most."""
_DRAINED_ANYWAY = 1 << 20
_DRAIN_SECONDS = 1.0
_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_UNLESS_SET = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    error: HokusaiError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer a request in place of the application.

    Args:
        scope: The request.
        receive: Its body.
        send: Where the answer goes.
        error: What failed.
        status: HTTP status, where the error's class alone does not decide it.
        headers: Further headers.
    """
    conceal(error, scope["app"].state.hidden)
    answer = problem_response(error, status=status, headers=headers, request_id=scope["state"]["request_id"])
    if scope["path"].startswith(f"{MLFLOW}/"):
        answer = for_mlflow(answer)
    await answer(scope, receive, send)


class ProtectingHeaders:
    """Tells browsers not to guess, keep, frame or downgrade what is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_ALWAYS)
                if scope["scheme"] == "https":
                    headers.update(_HTTPS)
                for name, value in _UNLESS_SET.items():
                    headers.setdefault(name, value)
                del headers["Server"]
            await send(message)

        await self.app(scope, receive, protected if scope["type"] == "http" else send)


class KnownHosts:
    """Refuses requests for a host that is not ours, so that no page can rebind its name to us.

    Args:
        app: What is guarded.
        hosts: Names without port; ``*.example.org`` stands for every name below. Empty allows any.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app = app
        self.exact = {h.lower() for h in hosts if not h.startswith("*.")}
        self.below = tuple(h[1:].lower() for h in hosts if h.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not (self.exact or self.below) or self._knows(scope):
            await self.app(scope, receive, send)
            return
        error = Refusal(HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer for that host.")
        await refuse(scope, receive, send, error)

    def _knows(self, scope: Scope) -> bool:
        given = Headers(scope=scope).get("host", "").lower()
        name = given.partition("]")[0] + "]" if given.startswith("[") else given.partition(":")[0]
        return name in self.exact or name.endswith(self.below)


class _TooLargeError(Exception):
    """A body went over its limit while it was read."""


async def _drain(scope: Scope, receive: Receive, limit: int) -> None:
    """Read some of a body that nobody wants: a sender who is cut off while it sends never sees why."""
    if "expect" in Headers(scope=scope):  # it waits for our word before it sends
        return
    left = min(max(limit, _DRAINED_ANYWAY), _DRAINED)
    with anyio.move_on_after(_DRAIN_SECONDS):
        while left > 0:
            message = await receive()
            if not message.get("more_body"):
                return
            left -= len(message.get("body", b""))


class BoundedBodies:
    """Refuses bodies of more bytes than a request may have, whether or not their length is announced.

    Args:
        app: What is guarded.
        limit: Returns the most bytes that may come with a method and a path.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[str, str], int]) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit(scope["method"], scope["path"])
        error = Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {limit:,} bytes.")
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced[:20]) > limit:
            await _drain(scope, receive, limit)
            await refuse(scope, receive, send, error)
            return
        read, over, started = 0, False, False

        async def counted() -> Message:
            nonlocal read, over
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                over = True
                raise _TooLargeError
            return message

        async def sent(message: Message) -> None:
            nonlocal started
            # What the application makes of its broken body is nothing to send.
            if not over or started:
                started = True
                await send(message)

        try:
            await self.app(scope, counted, sent)
        except _TooLargeError:
            if started:
                raise
        if over and not started:
            await _drain(scope, receive, limit)
            await refuse(scope, receive, send, error)
