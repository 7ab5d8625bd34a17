"""MLflow's own server as an application of this process: the only module that imports it.

MLflow keeps one set of stores for its process. It is told by environment variables where they are,
reads some of them while it is imported, and makes them the process's tracking and registry URI.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.store.db.utils import _safe_initialize_tables
from mlflow.utils.uri import append_to_uri_path, validate_path_is_safe

from hokusai_nb.backends.mlflow.client import Backend, quiet
from hokusai_nb.backends.mlflow.failures import translate
from hokusai_nb.backends.mlflow.registry_plugin import SCHEME, confirm_tickers
from hokusai_nb.errors import HokusaiError, MissingExtraError
from hokusai_nb.log import redact

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository
    from starlette.types import ASGIApp

    from hokusai_nb.backends.mlflow.tag_guard import Confirm

__all__ = ["artifacts_of_run", "mlflow_app"]

CONNECT_SECONDS = 3
_DRIVERS = ("sqlite", "postgresql", "postgresql+psycopg")
"""Those that the guarded registry is registered for."""
_ARTIFACTS = "mlflow-artifacts"
_LOCK = 0x686F6B75736169
"""Of PostgreSQL, while tables are made; any number that nobody else takes."""
_lock = threading.Lock()
_built: dict[tuple[str, str], ASGIApp] = {}


def mlflow_app(store_uri: str, artifacts: str, *, confirm: Confirm | None = None) -> ASGIApp:
    """Return MLflow's application, with a registry that keeps the tag schema.

    It takes requests for any host, runs no jobs and sends no telemetry. It asks nobody for a key:
    what stands before it has to.

    Args:
        store_uri: The database of runs and of the registry; made, or brought up to date, if need be.
        artifacts: Folder or URI that clients' artifacts are written to, through this server.
        confirm: Says whether a one-word ticker is a token; without it, none is accepted.

    Raises:
        HokusaiError: The URI is no database that MLflow can be served from, or this process serves another.
        ConnectionFailedError: The database does not answer.
    """
    place = _database(store_uri), artifacts if urlsplit(artifacts).scheme else str(Path(artifacts).resolve())
    with _lock:
        if _built and place not in _built:
            what = "This process serves another MLflow store already."
            raise HokusaiError(what, "Start another process for another store.")
        if place not in _built:
            _built[place] = _build(*place)
        confirm_tickers(confirm)
        return _built[place]


def artifacts_of_run(run_id: str) -> str | None:
    """Return where the artifacts of a run lie that `mlflow_app` serves; None where there is no such run."""
    from mlflow.server.handlers import _get_tracking_store  # noqa: PLC0415 - reads the variables of `_build`

    try:
        return str(_get_tracking_store().get_run(run_id).info.artifact_uri)
    except MlflowException:
        return None


def _database(store_uri: str) -> str:
    with suppress(sqlalchemy.exc.ArgumentError):  # no database at all; said below
        if sqlalchemy.make_url(store_uri).drivername in _DRIVERS:
            return store_uri
    what = f"MLflow cannot be served from {redact(store_uri)}."
    raise HokusaiError(what, "Give a database: sqlite:///mlflow.db or postgresql://user@host/database.")


def _build(store_uri: str, artifacts: str) -> ASGIApp:
    registry_uri, root = f"{SCHEME}{store_uri}", f"{_ARTIFACTS}:/"
    _make_tables(store_uri)
    with Backend(store_uri, store_uri).calling():
        os.environ.update(
            {
                "_MLFLOW_SERVER_FILE_STORE": store_uri,
                "_MLFLOW_SERVER_REGISTRY_STORE": registry_uri,
                "_MLFLOW_SERVER_ARTIFACT_ROOT": root,
                "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
                "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
                "_MLFLOW_IN_JOB_EXECUTOR": "false",  # as MLflow's own command has it: no code of a client's is run
                "_MLFLOW_STATIC_PREFIX": "",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
                # Names are checked by what stands before it, and a page that rebinds its own has no key.
                "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            }
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "starlette.middleware.wsgi is deprecated")
            from mlflow.server.fastapi_app import app  # noqa: PLC0415 - reads the variables above
        from mlflow.server.handlers import initialize_backend_stores  # noqa: PLC0415 - likewise

        initialize_backend_stores(store_uri, registry_uri, root)
    _leave_out_its_own_authentication()
    _read_artifacts_here(artifacts)
    made: ASGIApp = app
    return made


def _make_tables(store_uri: str) -> None:
    """Make MLflow's tables where there are none; of several processes at once, one does and the others wait.

    Raises:
        ConnectionFailedError: The database does not answer; known within seconds, where MLflow would
            retry for minutes.
        MissingExtraError: The driver of the database is not installed.
    """
    url = sqlalchemy.make_url(store_uri)
    is_file = url.get_backend_name() == "sqlite"
    if is_file and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    limits = {} if is_file else {"connect_timeout": CONNECT_SECONDS}
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=limits)
        with quiet(), engine.connect() as waiting:
            if not is_file:  # the other processes may be on other machines
                waiting.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(_LOCK)))
            _safe_initialize_tables(engine)
    except ImportError as error:
        feature = "A store in PostgreSQL"
        raise MissingExtraError(feature, "postgres") from error
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise translate(error, redact(store_uri)) from error


def _leave_out_its_own_authentication() -> None:
    """Keep MLflow from importing its basic authentication, which has no part in this.

    Each search of runs tries to. Without the package that it needs, that takes longer than the search,
    and of two at once one may find half a module there and answer 500.
    """
    sys.modules.setdefault("mlflow.server.auth", None)  # type: ignore[arg-type]  # None refuses an import at once


def _read_artifacts_here(artifacts: str) -> None:
    """Have clients of this process find the artifacts that it serves where they lie.

    With a database for a tracking URI they would not know which server to ask for them.
    """

    def repository(
        artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> ArtifactRepository:
        asked = urlsplit(artifact_uri)
        if asked.netloc or urlsplit(tracking_uri or "").scheme in ("http", "https"):
            return MlflowArtifactsRepository(artifact_uri, tracking_uri, registry_uri)
        below = asked.path.lstrip("/")
        validate_path_is_safe(below)
        return get_artifact_repository(append_to_uri_path(artifacts, below))

    artifact_repository_registry._artifact_repository_registry.register(_ARTIFACTS, repository)  # noqa: SLF001
