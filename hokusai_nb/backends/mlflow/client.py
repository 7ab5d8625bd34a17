"""One client per MLflow store, shared by threads."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import mlflow
import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.utils.logging_utils import suppress_logs_in_thread

from hokusai_nb.backends.mlflow.failures import translate, unreachable
from hokusai_nb.backends.mlflow.rest import PatientClient, Server
from hokusai_nb.config import settings
from hokusai_nb.log import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.tracking import MlflowClient

__all__ = ["Backend", "quiet", "resolve_uri"]

CONNECT_SECONDS = 3.0
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

quiet = suppress_logs_in_thread
"""Silence MLflow's own log lines in this thread, and in no other, for a ``with`` block."""


def resolve_uri(uri: str | None = None) -> tuple[str, str]:
    """Return the tracking URI to use and, in words, why it is that one.

    In this order: the argument; what the user set in MLflow (``set_tracking_uri`` or
    ``MLFLOW_TRACKING_URI``); with ``HOKUSAI_API_KEY`` set, the Hokusai registry; MLflow's local
    default. Nothing is contacted.
    """
    if uri is not None:
        return uri, "given as an argument"
    if mlflow.is_tracking_uri_set():
        return mlflow.get_tracking_uri(), "set in MLflow"
    if settings().api_key is not None:
        return settings().proxy_uri, "HOKUSAI_API_KEY is set"
    return mlflow.get_tracking_uri(), "MLflow's local default"


class Backend:
    """An MLflow store and the one client that talks to it.

    Attributes:
        uri: Tracking URI; may hold credentials, so never show it.
        registry_uri: Where models are registered; the same unless the user set another in MLflow.
        safe_uri: The tracking URI without credentials.
        is_server: Whether the registry is reached over HTTP.
    """

    _shared: dict[tuple[str, str], Backend] = {}  # noqa: RUF012 - the pool itself
    _lock = threading.Lock()

    def __init__(self, uri: str, registry_uri: str) -> None:
        self.uri = uri
        self.registry_uri = registry_uri
        self.safe_uri = redact(uri)
        self._servers = {u: Server(u) for u in {uri, registry_uri} if urlsplit(u).scheme in ("http", "https")}
        self.is_server = registry_uri in self._servers
        self._client: MlflowClient | None = None
        self._opening = threading.Lock()

    @classmethod
    def at(cls, uri: str | None = None) -> Backend:
        """Return the shared backend of a tracking URI, or of the one in force."""
        resolved, _ = resolve_uri(uri)
        # A registry of its own, set with mlflow.set_registry_uri, belongs to MLflow's own tracking URI only.
        registry = mlflow.get_registry_uri() if resolved == mlflow.get_tracking_uri() else resolved
        with cls._lock:
            return cls._shared.setdefault((resolved, registry), cls(resolved, registry))

    def __repr__(self) -> str:
        return f"Backend({self.safe_uri!r})"

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, made on first use; safe to share between threads.

        Raises:
            ConnectionFailedError: The database of a direct connection does not answer.
        """
        # The first opening of a fresh SQLite file migrates it, which two threads must not do at once.
        with self._opening:
            if self._client is None:
                for uri in {self.uri, self.registry_uri}:
                    _ensure_database_answers(uri, redact(uri))
                self._client = PatientClient(self.uri, self.registry_uri, self._servers)
            return self._client

    @property
    def is_default(self) -> bool:
        """Whether MLflow's own global calls go to this store."""
        return mlflow.get_tracking_uri() == self.uri

    def address(self, path: str) -> str | None:
        """Return the address of a page of MLflow's UI, or None where there is no server."""
        return f"{self.safe_uri.rstrip('/')}/#/{path}" if self.is_server else None

    @contextmanager
    def calling(self) -> Iterator[MlflowClient]:
        """Yield the client for some calls: quiet, checked to be alive, errors in our words.

        Raises:
            ConnectionFailedError: The server does not answer; known within five seconds.
            NotFoundError: What a call named does not exist.
            ReadOnlyError: A write, and the store refuses to be written.
            RegistryError: Any other refusal.
        """
        with quiet():
            try:
                for server in self._servers.values():
                    server.ensure_alive()
                yield self.client
            except (MlflowException, sqlalchemy.exc.SQLAlchemyError) as error:
                raise translate(error, self.safe_uri) from error


def _ensure_database_answers(uri: str, safe_uri: str) -> None:
    """Fail fast where MLflow would retry the first connection to a database for minutes."""
    try:
        url = sqlalchemy.make_url(uri)
    except sqlalchemy.exc.ArgumentError:
        return  # a file store, a server, or a scheme of a plugin
    if url.get_backend_name() not in _PORTS:
        return
    port = url.port or _PORTS[url.get_backend_name()]
    if not url.host:
        return
    try:
        socket.create_connection((url.host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise unreachable(safe_uri, "the database does not answer") from error
