"""How a call is carried out, apart from waiting: what is sent, what an answer means, when to ask again."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import ssl
import threading
import time
import uuid
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx
import tenacity

from hokusai_nb.backends.http.answers import Answer, Passing, passing, record_of, unreachable
from hokusai_nb.backends.http.call import HEALTH
from hokusai_nb.backends.http.endpoint import Endpoint
from hokusai_nb.config import settings
from hokusai_nb.errors import ServiceError
from hokusai_nb.log import logger, set_level

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from concurrent.futures import Future

    from pydantic import SecretStr

    from hokusai_nb.backends.http.call import Call

__all__ = ["CONNECTIONS", "POLICY", "PROBE_SECONDS", "SILENT_SECONDS", "Asked", "Reading", "Service"]

T = TypeVar("T")
CONNECTIONS = 100
"""Requests that one client has under way at a time; more wait for their turn."""
CONNECT_SECONDS = 2.0
SILENT_SECONDS = 1.5
"""An answer that takes longer makes us ask whether the server is still there."""
PROBE_SECONDS = 2.5
PATIENCE_SECONDS = 3.0
"""How long a server that is away, or says that it is, is asked again."""
BUSY_SECONDS = 15.0
"""How long one is waited for that has too much to do."""
MAX_ANSWER = 64 * 2**20
"""Bytes of an answer; the API's own are far from it."""
_TIMEOUT = "it did not answer in time"
_AGENT = f"hokusai_nb/{importlib.metadata.version('hokusai_nb')}"


class Service(ABC):
    """What both clients share: the endpoint, the limits, and what they have heard of the server."""

    _http: httpx.Client | httpx.AsyncClient
    _beginning = threading.Lock()

    def __init__(
        self, endpoint: str | None = None, api_key: str | SecretStr | None = None, *, timeout: float | None = None
    ) -> None:
        set_level(settings().log_level)
        self._endpoint = Endpoint(endpoint, api_key)
        self._timeout = settings().http_timeout if timeout is None else timeout
        self._heard = float("-inf")
        self._trusted = httpx.create_ssl_context()
        self._process = os.getpid()
        self._make_own()

    @abstractmethod
    def _make_own(self) -> None:
        """Make what belongs to one process: the connections, and what its threads or tasks wait for."""

    def _belong_here(self) -> None:
        """In a process that was forked, leave the parent its connections and locks; two would mix up their answers."""
        if self._process == os.getpid():
            return
        with self._beginning:
            if self._process != os.getpid():
                if not self._http.is_closed:
                    self._make_own()
                self._process = os.getpid()

    @classmethod
    def _after_fork(cls) -> None:
        """Leave the parent's lock to the parent."""
        cls._beginning = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.endpoint!r})"

    @property
    def endpoint(self) -> str:
        """Address of the API."""
        return self._endpoint.address

    def _options(self) -> dict[str, Any]:
        """Return what a client of httpx is made with."""
        return {
            "headers": {"Accept": "application/json", "User-Agent": _AGENT},
            "timeout": httpx.Timeout(self._timeout, connect=min(CONNECT_SECONDS, self._timeout)),
            # Their number is bounded before, so that a sign of life can be asked for at any time.
            "limits": httpx.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS),
            "follow_redirects": False,
            "verify": self._trusted,
        }

    def _asked(self, call: Call[T]) -> Asked[T]:
        headers = {"Authorization": f"Bearer {self._endpoint.key.get_secret_value()}"}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        url, query = f"{self.endpoint}{call.path}", call.query or None
        request = self._http.build_request(call.method, url, params=query, headers=headers, content=call.body)
        return Asked(call, request, self._endpoint)

    def _question_of_life(self) -> httpx.Request:
        return self._http.build_request("GET", f"{self.endpoint}{HEALTH}", timeout=PROBE_SECONDS)

    def _reading(self, response: httpx.Response) -> Reading:
        self._heard = time.monotonic()
        return Reading(response, self._endpoint, self._heard + self._timeout)

    def _heard_lately(self) -> bool:
        return time.monotonic() - self._heard < SILENT_SECONDS

    def _require_life(self, sign: Future[Answer] | asyncio.Task[Answer]) -> None:
        """Refuse to wait any longer for a server that gave no sign of life.

        Raises:
            ServiceConnectionError: It gave none.
        """
        error = sign.exception() if sign.done() else None
        if error is not None or not sign.done():
            raise unreachable(self.endpoint, _why(error) if isinstance(error, httpx.HTTPError) else _TIMEOUT)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=Service._after_fork)  # noqa: SLF001 - its own


class Reading:
    """An answer while it is read: neither without end in size nor in time."""

    def __init__(self, response: httpx.Response, endpoint: Endpoint, deadline: float) -> None:
        self._response = response
        self._endpoint = endpoint
        self._deadline = deadline
        self._chunks: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Take a part of the body.

        Raises:
            ServiceError: It is more than an answer of the API can be.
            httpx.ReadTimeout: The whole takes too long.
        """
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > MAX_ANSWER:
            what = f"The Hokusai API at {self._endpoint.address} answered with more than {MAX_ANSWER // 2**20} MiB."
            raise ServiceError(what, "Ask for less at a time, and check the address.")
        if time.monotonic() > self._deadline:
            raise httpx.ReadTimeout(_TIMEOUT, request=self._response.request)

    def answer(self) -> Answer:
        """Return the whole."""
        content = b"".join(self._chunks)
        if self._response.is_error:
            content = self._endpoint.without_key(content)
        headers = {name.lower(): value for name, value in self._response.headers.items()}
        return Answer(self._response.status_code, headers, content)


class Asked(Generic[T]):
    """A call under way: its request, the same for every attempt, and whether one may have been carried out."""

    def __init__(self, call: Call[T], request: httpx.Request, endpoint: Endpoint) -> None:
        self.call = call
        self.request = request
        self._endpoint = endpoint.address
        self._began = time.monotonic()
        self._lost = False

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise httpx's errors in our words, for a ``with`` block.

        Raises:
            Passing: It may be different a moment later.
            ServiceError: It will not.
        """
        try:
            yield
        except httpx.DecodingError as error:
            msg = f"The answer of the Hokusai API at {self._endpoint} is damaged."
            raise ServiceError(msg, "Check what stands between you and the API.") from error
        except httpx.TransportError as error:
            found = unreachable(self._endpoint, _why(error))
            if not self.call.repeat or not _dropped(error):
                raise found from error
            self._lost |= not isinstance(error, httpx.ConnectError)
            raise Passing(found) from error

    def judged(self, answer: Answer) -> Answer:
        """Return an answer that is one.

        Raises:
            Passing: A moment later it may be another.
        """
        took = (time.monotonic() - self._began) * 1000
        place = self.request.url.copy_with(query=None)
        logger.debug("%s %s: %d after %.0f ms", self.call.method, place, answer.status, took)
        found = passing(answer, self._endpoint)
        if found is None or not self.call.repeat:
            return answer
        self._lost |= found.lost
        raise found

    def record(self, answer: Answer) -> T:
        """Return the record that the call is about.

        Raises:
            HokusaiError: The error that the answer is.
        """
        return record_of(answer, self.call, self._endpoint, repeated=self._lost)


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _why(error: httpx.HTTPError) -> str:
    """Return in one clause why there is no answer."""
    causes = list(_causes(error))
    if any(isinstance(c, httpx.TimeoutException) for c in causes):
        return _TIMEOUT
    if any(isinstance(c, ssl.SSLCertVerificationError) for c in causes):
        return "its certificate is not accepted"
    if any(isinstance(c, ssl.SSLError) for c in causes):
        return "it does not speak TLS"
    if any(isinstance(c, socket.gaierror) for c in causes):
        return "its name is not known"
    return "the connection failed"


def _dropped(error: httpx.TransportError) -> bool:
    """Whether a connection was refused or broke, so that asking again may help."""
    final = (httpx.TimeoutException, ssl.SSLError, socket.gaierror)
    return not any(isinstance(c, final) for c in _causes(error))


# Asking again


def _reason(state: tenacity.RetryCallState) -> Passing:
    assert state.outcome is not None
    found = state.outcome.exception()
    assert isinstance(found, Passing)
    return found


_backoff = tenacity.wait_exponential(multiplier=0.1, max=1.0) + tenacity.wait_random(0, 0.1)


def _pause(state: tenacity.RetryCallState) -> float:
    asked = _reason(state).wait
    return _backoff(state) if asked is None else asked


def _is_over(state: tenacity.RetryCallState) -> bool:
    patience = BUSY_SECONDS if _reason(state).busy else PATIENCE_SECONDS
    return (state.seconds_since_start or 0.0) + state.upcoming_sleep > patience


def _give_up(state: tenacity.RetryCallState) -> Answer:
    found = _reason(state)
    raise found.error from found.__cause__


def _tell(state: tenacity.RetryCallState) -> None:
    logger.info("Asking again in %.1f s: %s", state.upcoming_sleep, _reason(state).error.what)


POLICY: dict[str, Any] = {
    "retry": tenacity.retry_if_exception_type(Passing),
    "wait": _pause,
    "stop": _is_over,
    "before_sleep": _tell,
    "retry_error_callback": _give_up,
}
"""What both of tenacity's loops are made with."""
