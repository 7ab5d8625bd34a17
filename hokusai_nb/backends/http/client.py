"""The client of the Hokusai API that waits for its answers.

A request goes out in a thread of its own. If no answer comes for a while, the server is asked for a sign
of life beside it: one that works on a long answer is waited for, one that died is given up within five
seconds.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import httpx
import tenacity

from hokusai_nb.backends.http import calls
from hokusai_nb.backends.http.methods import described, following
from hokusai_nb.backends.http.transport import CONNECTIONS, POLICY, PROBE_SECONDS, SILENT_SECONDS, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from hokusai_nb.backends.http.answers import Answer
    from hokusai_nb.backends.http.call import Call, Page
    from hokusai_nb.backends.http.transport import Asked

__all__ = ["HokusaiClient"]

P = ParamSpec("P")
T = TypeVar("T")


def _asks(describe: Callable[P, Call[T]]) -> Callable[Concatenate[HokusaiClient, P], T]:
    def method(self: HokusaiClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(describe(*args, **kwargs))

    return described(method, describe)


def _lists(describe: Callable[P, Call[Page[T]]]) -> Callable[Concatenate[HokusaiClient, P], Iterator[T]]:
    def method(self: HokusaiClient, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.each(describe(*args, **kwargs))

    return described(method, describe, "Iterator")


def _begin(work: Callable[[], Answer]) -> Future[Answer]:
    """Begin a request in a thread that nobody has to wait for."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answer.set_exception(error)

    threading.Thread(target=run, name="hokusai-request", daemon=True).start()
    return answer


class HokusaiClient(Service):
    """The Hokusai API, for code that waits for its answers.

    Keeps its connections open; close it, or use it in a ``with`` block. Safe to share between threads; a
    process that was forked makes connections of its own. A list is an iterator that asks for a page when it
    gets there.

    Every method raises `ServiceConnectionError` within five seconds if the server is down, `AccessError`
    if the key is not good for it, `RateLimitError` after too many requests, `ServiceError` if the answer
    makes no sense, and otherwise the error that the same call of `ModelRegistry` would raise. What failed
    on the way is asked again for a few seconds; the server carries it out once.

    Args:
        endpoint: Address of the API; ``HOKUSAI_API_ENDPOINT`` if left out.
        api_key: Sent to that address and nowhere else; ``HOKUSAI_API_KEY`` if left out.
        timeout: Seconds to wait for one answer of a server that is up; ``HOKUSAI_HTTP_TIMEOUT`` if left out.

    Raises:
        AccessError: There is no key.
        ServiceError: The address is none.
    """

    _http: httpx.Client

    def _make_own(self) -> None:
        self._http = httpx.Client(**self._options())
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._lock = threading.Lock()
        self._sign: Future[Answer] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        self._belong_here()
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Make a call and return the record that it is about."""
        self._belong_here()
        asked = self._asked(call)
        return asked.record(tenacity.Retrying(**POLICY)(self._attempt, asked))

    def each(self, call: Call[Page[T]]) -> Iterator[T]:
        """Yield the entries of a list, page after page."""
        asked: Call[Page[T]] | None = call
        seen: set[str] = set()
        while asked is not None:
            page = self.send(asked)
            yield from page.entries
            asked = following(call, page, seen)

    def _attempt(self, asked: Asked[Any]) -> Answer:
        with self._slots, asked.translated():
            answer = _begin(lambda: self._exchange(asked.request))
            while not wait([answer], SILENT_SECONDS).done:
                self._look_for_life(answer)
            return asked.judged(answer.result())

    def _exchange(self, request: httpx.Request) -> Answer:
        response = self._http.send(request, stream=True)
        try:
            reading = self._reading(response)
            for chunk in response.iter_bytes():
                reading.add(chunk)
            return reading.answer()
        finally:
            response.close()

    def _look_for_life(self, answer: Future[Answer]) -> None:
        if self._heard_lately():
            return
        with self._lock:  # one question for all threads that wait
            if self._sign is None or self._sign.done():
                self._sign = _begin(lambda: self._exchange(self._question_of_life()))
            sign = self._sign
        wait([sign, answer], PROBE_SECONDS, FIRST_COMPLETED)
        if not answer.done():
            self._sign = None  # one that is late is no sign for those who ask after us
            self._require_life(sign)

    register = _asks(calls.register)
    models = _lists(calls.models)
    model = _asks(calls.model)
    lineage = _asks(calls.lineage)
    compare = _asks(calls.compare)
    update_tags = _asks(calls.update_tags)
    delete_version = _asks(calls.delete_version)
    metrics = _asks(calls.metrics)
    create_token = _asks(calls.create_token)
    token = _asks(calls.token)
    tokens = _lists(calls.tokens)
    history = _asks(calls.history)
    change_token = _asks(calls.change_token)
    renew_lease = _asks(calls.renew_lease)
    events = _lists(calls.events)
    publish = _asks(calls.publish)
    retry_event = _asks(calls.retry_event)
    report_registration = _asks(calls.report_registration)
    health = _asks(calls.health)
    ready = _asks(calls.ready)
