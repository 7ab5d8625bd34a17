"""Bodies of requests to MLflow: read, and put in place of what came."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from hokusai_nb.api.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.types import Message, Receive

__all__ = ["headers_for", "instead", "pieces", "whole"]

_MOST_TAGS = 16 * 2**20
"""Bytes of a request that makes a version; a tag has 100,000 characters at most."""


async def pieces(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the body of a request as it comes.

    Raises:
        ClientDisconnect: The client went away, and what came is not the whole.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def whole(receive: Receive, most: int = _MOST_TAGS) -> bytes:
    """Return the body of a request.

    Raises:
        ClientDisconnect: The client went away, and what came is not the whole.
        Refusal: It is too large.
    """
    body = bytearray()
    async for piece in pieces(receive):
        body += piece
        if len(body) > most:
            what = f"The body has more than {most:,} bytes."
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, what, "Log it as an artifact.")
    return bytes(body)


def instead(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body at once, and then what the connection has to say."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def headers_for(body: bytes, kind: str, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request with another body, of another type if one is given."""
    changed = {b"content-length", b"transfer-encoding"} | ({b"content-type", b"content-encoding"} if kind else set())
    kept = [(k, v) for k, v in headers if k.lower() not in changed]
    if kind:
        kept.append((b"content-type", kind.encode()))
    return [*kept, (b"content-length", str(len(body)).encode())]
