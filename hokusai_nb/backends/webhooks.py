"""Posting to webhooks: several at a time, each within its time, to addresses that were checked."""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import httpx

from hokusai_nb.backends.answers import UNWELL, Answer, Verdict, judged, reason
from hokusai_nb.backends.breaker import Breaker
from hokusai_nb.backends.targets import check_target, resolve
from hokusai_nb.errors import UnsafeTargetError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from hokusai_nb.backends.targets import Target

__all__ = ["Post", "Sender", "Sending"]

LONGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are read; nothing in it is used, but a connection is reused after its end only."""
MOST_ADDRESSES = 3
_Endpoint: TypeAlias = tuple[str, str, int]
_AGENT = f"hokusai_nb/{version('hokusai_nb')}"


@dataclass(frozen=True)
class Post:
    """What to send where.

    Attributes:
        url: The whole address; may hold a secret.
        body: Sent as it is, as JSON.
        headers: Signature and keys.
    """

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Sender:
    """How webhooks are posted; safe to share between threads.

    Redirects are not followed, and neither proxies nor credentials are taken from the environment.

    Args:
        allow_private: Whether posts may go to this machine and to private networks.
        connect_seconds: How long to wait for a connection, for each of a host's addresses.
        read_seconds: How long to wait for an answer to begin, and for each further part of it.
        total_seconds: How long a post may take in all.
        at_once: Posts to one endpoint at the same time.
        failures: After so many in a row an endpoint is left alone,
        rest_seconds: for this long; then one post tries it.
        tls: Which certificates are trusted; those of the package ``certifi`` if left out.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        connect_seconds: float = 3.0,
        read_seconds: float = 5.0,
        total_seconds: float = 10.0,
        at_once: int = 8,
        failures: int = 5,
        rest_seconds: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._timeouts = {
            "connect": connect_seconds,
            "read": read_seconds,
            "write": read_seconds,
            "pool": total_seconds,
        }
        self._total_seconds = total_seconds
        self._at_once = at_once
        self._tls = tls
        self._breakers: defaultdict[_Endpoint, Breaker] = defaultdict(
            lambda: Breaker(failures=failures, rest=rest_seconds)
        )
        self._endpoints: dict[str, _Endpoint] = {}

    @property
    def resting(self) -> list[str]:
        """The addresses, among those posted to so far, whose endpoints are left alone now."""
        return [url for url, endpoint in list(self._endpoints.items()) if self._breakers[endpoint].is_open]

    def lane(self) -> _Lane:
        """Return a pool of connections for one host: each says by its certificate whom it leads to."""
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        limits = httpx.Limits(max_connections=self._at_once, max_keepalive_connections=self._at_once)
        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits)
        return _Lane(transport, asyncio.Semaphore(self._at_once))

    async def send(
        self, post: Post, latest: float, ends: float, stop: threading.Event, lanes: dict[_Endpoint, _Lane]
    ) -> Answer:
        """Post, once there is room, unless it is too late by then; the arguments are those of `Sending.begin`.

        Args:
            post: What to send where.
            latest: When it has to be begun.
            ends: When it has to be done.
            stop: Once it is set, nothing more is begun.
            lanes: The ways to endpoints that are open, of the loop that this runs in.
        """
        try:
            target = check_target(post.url, allow_private=self._allow_private)
        except UnsafeTargetError as error:
            return Answer(Verdict.REFUSED, error.what)
        self._endpoints[post.url] = target.endpoint
        if target.endpoint not in lanes:
            lanes[target.endpoint] = self.lane()
        lane = lanes[target.endpoint]
        async with lane.room:
            now, breaker = time.monotonic(), self._breakers[target.endpoint]
            seconds = min(ends - now, self._total_seconds)
            if now >= latest or seconds <= 0 or stop.is_set() or not breaker.admits():
                return Answer(Verdict.UNTRIED)
            return await self._admitted(post, target, lane, breaker, seconds)

    async def _admitted(self, post: Post, target: Target, lane: _Lane, breaker: Breaker, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                response = await self._exchange(post, target, lane.transport)
        except UnsafeTargetError as error:
            breaker.withdraw()
            return Answer(Verdict.REFUSED, error.what)
        except asyncio.CancelledError:
            breaker.withdraw()
            raise
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the post is tried again
            breaker.fail()
            return Answer(Verdict.LATER, reason(error, target.place))
        if response.status_code in UNWELL:
            breaker.fail()
        else:
            breaker.succeed()
        return judged(response, target.place)

    async def _exchange(self, post: Post, target: Target, transport: httpx.AsyncHTTPTransport) -> httpx.Response:
        addresses = await resolve(target, allow_private=self._allow_private)
        *others, last = addresses[:MOST_ADDRESSES]
        for address in others:
            try:
                return await self._post(post, target, address, transport)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent, and the host has another address
        return await self._post(post, target, last, transport)

    async def _post(
        self, post: Post, target: Target, address: str, transport: httpx.AsyncHTTPTransport
    ) -> httpx.Response:
        fixed = {"Host": target.url.netloc.decode("ascii"), "Content-Type": "application/json", "User-Agent": _AGENT}
        # To the transport itself: a client would log the address, keep cookies and follow the environment.
        request = httpx.Request(
            "POST",
            target.at(address),
            content=post.body,
            headers={**post.headers, **fixed},
            extensions={"timeout": self._timeouts, "sni_hostname": target.host},
        )
        response = await transport.handle_async_request(request)
        try:
            read = 0
            async for part in response.aiter_raw():
                read += len(part)
                if read > LONGEST_ANSWER:
                    break
        finally:
            await response.aclose()
        return response


@dataclass(frozen=True)
class _Lane:
    """The way to one endpoint."""

    transport: httpx.AsyncHTTPTransport
    room: asyncio.Semaphore


Key = TypeVar("Key")


class Sending(Generic[Key]):
    """Posts under way, in a thread of their own; a context manager, which at its end breaks off what is left.

    Args:
        sender: How they are posted.
        stop: Once it is set, nothing more is begun; what was not is answered as untried.
    """

    def __init__(self, sender: Sender, stop: threading.Event | None = None) -> None:
        self._sender = sender
        self._stop = stop or threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._lanes: dict[_Endpoint, _Lane] = {}
        self._done: queue.SimpleQueue[tuple[Key, Future[Answer]]] = queue.SimpleQueue()
        self.under_way = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def begin(self, key: Key, post: Post, *, latest: float = math.inf, ends: float = math.inf) -> None:
        """Begin to send, or queue where enough posts to the same endpoint are under way.

        Args:
            key: What the answer is handed out with.
            post: What to send where.
            latest: What is not begun by then, in the time of `time.monotonic`, is answered as untried.
            ends: What is under way then is answered as late.
        """
        if self._loop is None:
            self._loop = self._started()
        sending = self._sender.send(post, latest, ends, self._stop, self._lanes)
        future = asyncio.run_coroutine_threadsafe(sending, self._loop)
        self.under_way += 1
        future.add_done_callback(lambda done: self._done.put((key, done)))

    def answers(self, wait: float) -> list[tuple[Key, Answer]]:
        """Return the answers that have come in; without any, wait for the first one.

        Args:
            wait: Seconds at most.
        """
        found: list[tuple[Key, Answer]] = []
        try:
            while self.under_way:
                key, done = self._done.get(timeout=0 if found else wait)
                self.under_way -= 1
                found.append((key, done.result()))
        except queue.Empty:
            pass  # the others are not there yet
        return found

    def _started(self) -> asyncio.AbstractEventLoop:
        started: Future[asyncio.AbstractEventLoop] = Future()
        # A daemon: whoever is interrupted while it waits is not kept from ending.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)), name="hokusai-webhooks", daemon=True
        )
        self._thread.start()
        return started.result()

    async def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        started.set_result(asyncio.get_running_loop())
        await self._over.wait()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for lane in self._lanes.values():
            await lane.transport.aclose()
