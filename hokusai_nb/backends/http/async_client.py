"""The client of the Hokusai API whose answers are awaited; in tasks, what `client` does in threads."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import httpx
import tenacity

from hokusai_nb.backends.http import calls
from hokusai_nb.backends.http.methods import described, following
from hokusai_nb.backends.http.transport import CONNECTIONS, POLICY, PROBE_SECONDS, SILENT_SECONDS, Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from types import TracebackType

    from hokusai_nb.backends.http.answers import Answer
    from hokusai_nb.backends.http.call import Call, Page
    from hokusai_nb.backends.http.transport import Asked

__all__ = ["AsyncHokusaiClient"]

P = ParamSpec("P")
T = TypeVar("T")


def _awaits(
    describe: Callable[P, Call[T]],
) -> Callable[Concatenate[AsyncHokusaiClient, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncHokusaiClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.send(describe(*args, **kwargs))

    return described(method, describe)


def _streams(describe: Callable[P, Call[Page[T]]]) -> Callable[Concatenate[AsyncHokusaiClient, P], AsyncIterator[T]]:
    def method(self: AsyncHokusaiClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.each(describe(*args, **kwargs))

    return described(method, describe, "AsyncIterator")


class AsyncHokusaiClient(Service):
    """The Hokusai API, for code that awaits its answers: every method of `HokusaiClient`, as a coroutine.

    Belongs to one event loop, whose tasks may share it; use it in an ``async with`` block, or `aclose` it.
    A list is an asynchronous iterator that asks for a page when it gets there.

    Args:
        endpoint: Address of the API; ``HOKUSAI_API_ENDPOINT`` if left out.
        api_key: Sent to that address and nowhere else; ``HOKUSAI_API_KEY`` if left out.
        timeout: Seconds to wait for one answer of a server that is up; ``HOKUSAI_HTTP_TIMEOUT`` if left out.

    Raises:
        AccessError: There is no key.
        ServiceError: The address is none.
    """

    _http: httpx.AsyncClient

    def _make_own(self) -> None:
        self._http = httpx.AsyncClient(**self._options())
        self._slots = asyncio.BoundedSemaphore(CONNECTIONS)
        self._sign: asyncio.Task[Answer] | None = None
        self._under_way: set[asyncio.Task[Answer]] = set()
        self._signs: weakref.WeakSet[asyncio.Task[Answer]] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; the client cannot be used any more."""
        self._belong_here()
        for sign in self._signs:
            sign.cancel()
        # What was given up may still be giving back its connection.
        if given_up := {task for task in self._under_way if task.cancelling()}:
            await asyncio.wait(given_up)
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Make a call and return the record that it is about."""
        self._belong_here()
        asked = self._asked(call)
        return asked.record(await tenacity.AsyncRetrying(**POLICY)(self._attempt, asked))

    async def each(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Yield the entries of a list, page after page."""
        asked: Call[Page[T]] | None = call
        seen: set[str] = set()
        while asked is not None:
            page = await self.send(asked)
            for entry in page.entries:
                yield entry
            asked = following(call, page, seen)

    async def _attempt(self, asked: Asked[Any]) -> Answer:
        async with self._slots:
            with asked.translated():
                answer = self._start(asked.request)
                try:
                    while not (await asyncio.wait({answer}, timeout=SILENT_SECONDS))[0]:
                        await self._look_for_life(answer)
                    return asked.judged(answer.result())
                finally:
                    answer.cancel()

    def _start(self, request: httpx.Request) -> asyncio.Task[Answer]:
        """Begin a request in a task; an error that nobody waits for any more is not told."""
        task = asyncio.create_task(self._exchange(request))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _exchange(self, request: httpx.Request) -> Answer:
        response = await self._http.send(request, stream=True)
        try:
            reading = self._reading(response)
            async for chunk in response.aiter_bytes():
                reading.add(chunk)
            return reading.answer()
        finally:
            await response.aclose()

    async def _look_for_life(self, answer: asyncio.Task[Answer]) -> None:
        if self._heard_lately():
            return
        if self._sign is None or self._sign.done():  # one question for all tasks that wait
            self._sign = self._start(self._question_of_life())
            self._signs.add(self._sign)
        sign = self._sign
        await asyncio.wait({sign, answer}, timeout=PROBE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            self._sign = None  # one that is late is no sign for those who ask after us
            self._require_life(sign)

    register = _awaits(calls.register)
    models = _streams(calls.models)
    model = _awaits(calls.model)
    lineage = _awaits(calls.lineage)
    compare = _awaits(calls.compare)
    update_tags = _awaits(calls.update_tags)
    delete_version = _awaits(calls.delete_version)
    metrics = _awaits(calls.metrics)
    create_token = _awaits(calls.create_token)
    token = _awaits(calls.token)
    tokens = _streams(calls.tokens)
    history = _awaits(calls.history)
    change_token = _awaits(calls.change_token)
    renew_lease = _awaits(calls.renew_lease)
    events = _streams(calls.events)
    publish = _awaits(calls.publish)
    retry_event = _awaits(calls.retry_event)
    report_registration = _awaits(calls.report_registration)
    health = _awaits(calls.health)
    ready = _awaits(calls.ready)
