"""One client per MLflow store, shared by threads."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import mlflow
import requests
import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.utils.logging_utils import suppress_logs_in_thread

from hokusai_nb.backends.mlflow.failures import translate, unreachable
from hokusai_nb.backends.mlflow.registry_plugin import database_of
from hokusai_nb.backends.mlflow.rest import PatientClient, Server
from hokusai_nb.config import settings
from hokusai_nb.errors import HokusaiError, RegistryError
from hokusai_nb.log import redact, set_level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.tracking._tracking_service.client import TrackingServiceClient

__all__ = ["Backend", "quiet", "resolve_uri", "use_store"]

CONNECT_SECONDS = 3.0
_HTTP = re.compile(r"https?://", re.IGNORECASE)
_DRIVERS = {"MySQLdb": "mysqlclient", "psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary"}
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

quiet = suppress_logs_in_thread
"""Silence MLflow's own log lines in this thread, and in no other, for a ``with`` block."""


def resolve_uri(uri: str | None = None) -> tuple[str, str]:
    """Return the tracking URI to use and, in words, why it is that one.

    In this order: in mock mode, the private store, whatever else is said; the argument; what the
    user set in MLflow (``set_tracking_uri`` or ``MLFLOW_TRACKING_URI``); with ``HOKUSAI_API_KEY``
    set, the Hokusai registry; MLflow's local default. Nothing is contacted.
    """
    if settings().mock_mode:
        from hokusai_nb.backends.mlflow.mock import private_uri  # noqa: PLC0415 - loads MLflow's database store

        return private_uri(), "mock mode: HOKUSAI_MOCK_MODE is set, and nothing outlasts this process"
    if uri:
        return uri, "given as an argument"
    if mlflow.is_tracking_uri_set():
        return mlflow.get_tracking_uri(), "set in MLflow"
    if settings().api_key is not None:
        return settings().proxy_uri, "HOKUSAI_API_KEY is set"
    return mlflow.get_tracking_uri(), "MLflow's local default"


def use_store(uri: str) -> None:
    """Have MLflow, and so us, write to this store from now on; nothing is contacted."""
    mlflow.set_tracking_uri(uri)


class Backend:
    """An MLflow store and the one client that talks to it.

    Attributes:
        uri: Tracking URI; may hold credentials, so never show it.
        registry_uri: Where models are registered; the same unless the user set another in MLflow.
        safe_uri: The tracking URI without credentials.
        is_server: Whether the registry is reached over HTTP.
        simulated: Whether it is mock mode's private store.
    """

    _shared: dict[tuple[str, str], Backend] = {}  # noqa: RUF012 - the pool itself
    _lock = threading.Lock()

    def __init__(self, uri: str, registry_uri: str, *, simulated: bool = False) -> None:
        self.uri = uri
        self.registry_uri = registry_uri
        self.safe_uri = redact(uri)
        self.simulated = simulated
        self._servers = {u: Server(u) for u in {uri, registry_uri} if _HTTP.match(u)}
        self.is_server = registry_uri in self._servers
        self._client: PatientClient | None = None
        self._opening = threading.Lock()

    @classmethod
    def at(cls, uri: str | None = None) -> Backend:
        """Return the shared backend of a tracking URI, or of the one in force."""
        set_level(settings().log_level)
        resolved, _ = resolve_uri(uri)
        if simulated := settings().mock_mode:
            registry = resolved
        else:
            # A registry of its own, set with mlflow.set_registry_uri, belongs to MLflow's own tracking URI only.
            registry = mlflow.get_registry_uri() if resolved == mlflow.get_tracking_uri() else resolved
        with cls._lock:
            return cls._shared.setdefault((resolved, registry), cls(resolved, registry, simulated=simulated))

    def __repr__(self) -> str:
        return f"Backend({self.safe_uri!r})"

    @property
    def client(self) -> PatientClient:
        """MLflow's client, made on first use; safe to share between threads.

        Raises:
            ConnectionFailedError: The database of a direct connection does not answer.
        """
        # The first opening of a fresh SQLite file migrates it, which two threads must not do at once.
        with self._opening:
            if self._client is None:
                for uri in dict.fromkeys((self.uri, self.registry_uri)):
                    _ensure_database_answers(uri)
                tracking = _private_client(self.uri) if self.simulated else None
                self._client = PatientClient(self.uri, self.registry_uri, self._servers, tracking)
            return self._client

    @property
    def is_default(self) -> bool:
        """Whether MLflow's own global calls go to this store."""
        return mlflow.get_tracking_uri() == self.uri

    def address(self, path: str) -> str | None:
        """Return the address of a page of MLflow's UI, or None where there is no server."""
        if not self.is_server:
            return None
        parts = urlsplit(self.registry_uri)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/") + "/", "", f"/{path}"))

    @contextmanager
    def calling(self) -> Iterator[PatientClient]:
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
            except HokusaiError:
                raise
            except (MlflowException, sqlalchemy.exc.SQLAlchemyError, requests.RequestException, OSError) as error:
                raise translate(error, self.safe_uri) from error


def _private_client(uri: str) -> TrackingServiceClient:
    from hokusai_nb.backends.mlflow.mock import PrivateTrackingClient  # noqa: PLC0415 - as above, in mock mode only

    return PrivateTrackingClient(uri)


def _ensure_database_answers(uri: str) -> None:
    """Open a database once, where MLflow would retry a failure for minutes.

    Raises:
        ConnectionFailedError: It does not answer.
        RegistryError: It refuses access, or its driver is not installed.
    """
    try:
        url = sqlalchemy.make_url(database_of(uri))
    except sqlalchemy.exc.ArgumentError:
        return  # a file store, a server, or a scheme of a plugin
    kind = url.get_backend_name()
    if kind in _PORTS and url.host:
        try:
            socket.create_connection((url.host, url.port or _PORTS[kind]), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            raise unreachable(redact(uri), "the database does not answer") from error
    if kind in ("postgresql", "mysql") and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(int(CONNECT_SECONDS))})
    elif kind == "sqlite" and url.database and not Path(url.database.removeprefix("file:")).parent.is_dir():
        return  # MLflow makes the folder
    if kind in (*_PORTS, "sqlite"):
        _open_once(url, redact(uri))


def _open_once(url: sqlalchemy.URL, safe_uri: str) -> None:
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        sqlalchemy.inspect(engine).get_table_names()
    except ImportError as error:
        what = f"The driver of the database at {safe_uri} is not installed: {error.name}."
        raise RegistryError(what, f"pip install '{_DRIVERS.get(str(error.name), error.name)}'") from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise translate(error, safe_uri) from error
    engine.dispose()
