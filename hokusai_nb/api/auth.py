"""Who asks, and what they may: API keys, checked before anything else sees a request."""

from __future__ import annotations

import hashlib
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders

from hokusai_nb.api.guards import refuse
from hokusai_nb.api.problems import Refusal
from hokusai_nb.errors import AccessError, HokusaiError, RateLimitError
from hokusai_nb.schema.keys import SCOPES
from hokusai_nb.schema.lifecycle import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as AsgiScope

    from hokusai_nb.api.limits import Allowance, Limiter, Rate
    from hokusai_nb.schema.keys import ApiKey, Scope

__all__ = ["ADMIN", "READ", "REGISTER", "Authenticated", "Needs", "Recent", "caller", "require"]

_CHALLENGE = 'Bearer realm="hokusai"'
_HINT = "Send it as X-API-Key, or as Authorization with the scheme Bearer. hokusai key create makes one."
_MOST_REMEMBERED = 10_000
_KNOWN_SECONDS = 3600.0
_POLICY_VIOLATION = 1008


class Recent:
    """Keys that were valid a moment ago, known by a digest of their text.

    Args:
        seconds: How long a key is taken for valid without asking again.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._found: dict[bytes, tuple[ApiKey, float]] = {}

    def get(self, digest: bytes) -> ApiKey | None:
        """Return the key, if it was found valid so recently that it still counts as such."""
        key, at = self._found.get(digest, (None, 0.0))
        return key if key and time.monotonic() - at < self.seconds and key.is_valid(utc_now()) else None

    def knows(self, digest: bytes) -> bool:
        """Whether the key was valid within the last hour."""
        return time.monotonic() - self._found.get(digest, (None, -_KNOWN_SECONDS))[1] < _KNOWN_SECONDS

    def add(self, digest: bytes, key: ApiKey) -> None:
        """Remember a key; the oldest make room."""
        self._found.pop(digest, None)
        self._found[digest] = (key, time.monotonic())
        while len(self._found) > _MOST_REMEMBERED:
            del self._found[next(iter(self._found))]

    def drop(self, digest: bytes) -> None:
        """Forget a key that is no longer valid."""
        self._found.pop(digest, None)


class Authenticated:
    """Lets nothing through but requests with a valid key, and those for the few open addresses.

    A key is looked up once in some seconds. An address that sends too many wrong keys is not looked up
    for a while, except with keys that were valid here before: one client with an old key must not lock
    out its neighbours.

    Args:
        app: What is guarded.
        find: Returns the key of a text; raises `AccessError` where it is not valid; may block.
        open_paths: Addresses that need no key.
        limiter: Counts requests.
        rate: What one key may ask for.
        wrong_rate: How many wrong keys one address may send.
        recent: Keys that need no look-up.
        uncounted: Whether a request, by its method and path, is left out of what a key may ask for.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        find: Callable[[str], ApiKey],
        open_paths: Collection[str],
        limiter: Limiter,
        rate: Rate,
        wrong_rate: Rate,
        recent: Recent,
        uncounted: Callable[[str, str], bool] = lambda _method, _path: False,
    ) -> None:
        self.app = app
        self.find = find
        self.open_paths = frozenset(open_paths)
        self.limiter = limiter
        self.rate = rate
        self.wrong_rate = wrong_rate
        self.recent = recent
        self.uncounted = uncounted

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":  # there is none to be had here, and it must not pass by
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        if scope["type"] != "http" or scope["path"] in self.open_paths:
            await self.app(scope, receive, send)
            return
        try:
            key = await self._key_of(scope)
            scope["state"]["principal"] = key
            if self.uncounted(scope["method"], scope["path"]):
                await self.app(scope, receive, send)
                return
            allowance = await self._counted(self.rate, key.key_id, take=True)
        except AccessError as error:
            challenge = {"WWW-Authenticate": _CHALLENGE}
            await refuse(scope, receive, send, error, status=HTTPStatus.UNAUTHORIZED, headers=challenge)
            return
        except HokusaiError as error:
            await refuse(scope, receive, send, error)
            return
        headers = allowance.headers(self.rate)
        if not allowance.granted:
            await refuse(scope, receive, send, _too_many(self.rate, allowance), headers=headers)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self.app(scope, receive, counted)

    async def _key_of(self, scope: AsgiScope) -> ApiKey:
        """Return the key that a request was sent with.

        Raises:
            Refusal: It was sent with two.
            AccessError: There is none, or it is not valid.
            RateLimitError: Too many wrong ones came from there.
        """
        text = _presented(Headers(scope=scope))
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
        if key := self.recent.get(digest):
            return key
        client = scope.get("client")
        address = client[0] if client else "unknown"
        if not self.recent.knows(digest):
            wrong = await self._counted(self.wrong_rate, address, take=False)
            if not wrong.granted:
                raise _too_many(self.wrong_rate, wrong)
        try:
            found = await run_in_threadpool(self.find, text)
        except AccessError:
            self.recent.drop(digest)
            await self._counted(self.wrong_rate, address, take=True)
            raise
        self.recent.add(digest, found)
        return found

    async def _counted(self, rate: Rate, who: str, *, take: bool) -> Allowance:
        ask = self.limiter.take if take else self.limiter.look
        return await run_in_threadpool(ask, rate, who) if self.limiter.waits else ask(rate, who)


def _presented(headers: Headers) -> str:
    """Return the key of a request.

    Raises:
        Refusal: There are two different ones.
        AccessError: There is none.
    """
    found = {value.strip() for value in headers.getlist("x-api-key")}
    for value in headers.getlist("authorization"):
        scheme, _, text = value.partition(" ")
        if scheme.lower() == "bearer":
            found.add(text.strip())
    found.discard("")
    if len(found) > 1:
        what = "The request carries two different API keys."
        raise Refusal(HTTPStatus.BAD_REQUEST, what, "Send one: Authorization, or X-API-Key.")
    if not found:
        what = "An API key is needed."
        raise AccessError(what, _HINT)
    return found.pop()


def _too_many(rate: Rate, allowance: Allowance) -> RateLimitError:
    counted = "requests with this key" if rate.name == "key" else "wrong API keys from this address"
    what = f"Too many {counted}: {rate.item.amount:,} in {rate.item.get_expiry():,} seconds are the most."
    return RateLimitError(what, f"Try again in {allowance.seconds:,} seconds.", float(allowance.seconds))


def require(key: ApiKey, scope: Scope) -> None:
    """Refuse a key that may not do what needs a scope.

    Raises:
        AccessError: It has too few rights.
    """
    if not key.allows(scope):
        what = f"The API key {key.key_id} has the scope {key.scope}; this needs {scope}."
        raise AccessError(what, f"Use another key, or make one: hokusai key create NAME --scope {scope}")


def caller(request: Request) -> ApiKey:
    """Return the key of a request that was let through."""
    key: ApiKey = request.state.principal
    return key


class Needs:
    """A route's dependency: the key must have a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(self, request: Request) -> None:
        """Refuse a key that has it not."""
        require(caller(request), self.scope)


READ, REGISTER, ADMIN = (Depends(Needs(scope)) for scope in SCOPES)
