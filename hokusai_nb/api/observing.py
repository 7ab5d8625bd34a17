"""What a server tells of itself: a metric, a log line and an id for each request."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import MutexValue, ValueClass
from starlette.requests import ClientDisconnect

from hokusai_nb.api.problems import problem_response
from hokusai_nb.errors import HokusaiError, ServiceError
from hokusai_nb.log import logger, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Metrics", "Observed", "join_logs", "log_as_json"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_GONE = 499
"""What a request is logged with whose sender did not wait for the answer."""
_access = logging.getLogger(f"{logger.name}.access")


class Metrics:
    """The counters of one application, and of the other workers of its server.

    Args:
        pending: Returns how many deliveries of events wait; asked at each scrape.
    """

    def __init__(self, pending: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nothing here needs
        self.registry = CollectorRegistry()
        names = ("method", "route", "status")
        self.requests = Counter("hokusai_requests", "Requests answered.", names, registry=self.registry)
        self.seconds = Histogram(
            "hokusai_request_seconds",
            "Time to the end of an answer.",
            names[:2],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.under_way = Gauge(
            "hokusai_requests_under_way", "Requests under way.", registry=self.registry, multiprocess_mode="livesum"
        )
        self._pending = _Pending(pending)

    def text(self) -> bytes:
        """Return all of them as Prometheus reads them."""
        found = CollectorRegistry()
        if ValueClass is MutexValue:  # another class where workers share a folder
            for collector in (self.requests, self.seconds, self.under_way):
                found.register(collector)
        else:
            MultiProcessCollector(found)  # type: ignore[no-untyped-call]  # the library's own gap
        found.register(self._pending)
        return generate_latest(found)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request by the template of its route, never by its path."""
        method = method if method in _METHODS else "OTHER"
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)


class _Pending(Collector):
    """Deliveries that wait, as the database says at the time."""

    def __init__(self, pending: Callable[[], int]) -> None:
        self.pending = pending

    def collect(self) -> Iterable[Metric]:
        """Yield nothing where the database cannot be asked: a gap is more honest than a zero."""
        family = GaugeMetricFamily("hokusai_deliveries_pending", "Deliveries of events that wait.")
        try:
            family.add_metric([], self.pending())
        except HokusaiError as error:
            logger.warning("Pending deliveries cannot be counted: %s", error.what)
            return
        yield family


class Observed:
    """Gives each request an id, counts and logs it, and answers where the application fails.

    The outermost layer, so that nothing is answered that no line tells of.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        begun = time.perf_counter()

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        self.metrics.under_way.inc()
        try:
            await self.app(scope, receive, identified)
        except ClientDisconnect:
            status = status or _GONE
        except Exception:
            # Whatever it is, its sender learns the id and nothing else.
            logger.exception("Request %s failed.", request_id)
            if status:  # the answer has begun; to break it off is all that tells the client
                raise
            error = ServiceError("The server failed.", f"Tell its operator the request id: {request_id}")
            await problem_response(error, status=500, request_id=request_id)(scope, receive, identified)
        finally:
            self.metrics.under_way.dec()
            seconds = time.perf_counter() - begun
            self.metrics.count(scope["method"], route_of(scope), status or _GONE, seconds)
            _access.info("request", extra={"fields": _line(scope, request_id, status or _GONE, seconds)})


def _request_id(scope: Scope) -> str:
    """Return the id that the sender gave, if it can stand in a log, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def route_of(scope: Scope) -> str:
    """Return the template of the route that served a request, such as ``/api/v1/tokens/{token_id}``."""
    if template := scope["state"].get("route"):
        return str(template)
    return str(getattr(scope.get("route"), "path", None) or "none")


def _line(scope: Scope, request_id: str, status: int, seconds: float) -> dict[str, Any]:
    """Return what the log says of a request; the query is left out, because it may hold a secret."""
    state, client = scope["state"], scope.get("client")
    return {
        "request_id": request_id,
        "method": scope["method"],
        "path": scope["path"],
        "route": route_of(scope),
        "status": status,
        "milliseconds": round(1000 * seconds, 1),
        "client": client[0] if client else None,
        "key": getattr(state.get("principal"), "key_id", None),
    }


class _AsJson(logging.Formatter):
    """One line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
            **{k: redact(v) if isinstance(v, str) else v for k, v in getattr(record, "fields", {}).items()},
        }
        trace = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else None)
        if trace:
            line["trace"] = redact(trace)
        return json.dumps(line)


def log_as_json(level: str) -> None:
    """Have everything that this process logs go to stderr as JSON, one line each.

    Warnings and failures of threads are logged too. What a library prints by a handler of its own, which it
    makes when it is imported, is JSON after `join_logs`.

    Args:
        level: From which level on; requests are logged at any.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger.setLevel(level)
    _access.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_failed
    join_logs()


def join_logs() -> None:
    """Have the libraries that are imported by now log as JSON too: MLflow has handlers of its own.

    They are kept, because MLflow leaves out by them what a thread is not to log.
    """
    for name in set(logging.root.manager.loggerDict) - {logger.name}:
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.setFormatter(_AsJson())


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    name = failure.thread.name if failure.thread else "that is gone"
    logger.error("Thread %s failed.", name, exc_info=failure.exc_value)
