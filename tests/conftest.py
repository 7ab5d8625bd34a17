"""Real stores for every test: a migrated SQLite file is copied, a server is started once."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"
for name in [n for n in os.environ if n.startswith("HOKUSAI_")]:
    del os.environ[name]

MLMODEL = """artifact_path: {name}
flavors:
  python_function:
    loader_module: hokusai_test_model
    python_version: 3.11.0
mlflow_version: 3.17.2
model_uuid: 0123456789abcdef0123456789abcdef
signature:
  inputs: '[{{"type": "double", "name": "a", "required": true}}, {{"type": "double", "name": "b", "required": true}}]'
  outputs: '[{{"type": "double", "required": true}}]'
"""


@pytest.fixture(autouse=True)
def no_loop_runs(request):
    """Have a test begin without an event loop: with a browser there, Playwright's seems to run between its calls."""
    if "browser" in request.path.parts:
        yield
        return
    playwrights = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(playwrights)


@pytest.fixture(autouse=True)
def mlflow_is_set_to_nothing():
    """After every test: what it told MLflow, whose settings are this process's and its children's, holds no more."""
    yield
    if "mlflow" not in sys.modules:
        return
    import mlflow
    from mlflow.tracking import fluent

    while mlflow.active_run():
        mlflow.end_run()
    fluent._last_active_run_id.set(None)
    fluent._active_experiment_id = None
    mlflow.set_registry_uri(None)
    mlflow.set_tracking_uri(None)
    for variable in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"):
        os.environ.pop(variable, None)


@pytest.fixture(autouse=True)
def token_stores_have_time(request):
    """On a machine that is busy with other tests a store may answer late; ``@pytest.mark.impatient`` is about that."""
    standing = sys.modules.get("hokusai_nb.core.standing")
    if standing is None or request.node.get_closest_marker("impatient"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standing, "PATIENCE_SECONDS", 20.0)
        yield


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory):
    """An empty MLflow database with all its tables, to copy: making one takes seconds."""
    from mlflow.store.db import utils
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    # Of an installed MLflow it is always the same; finding it takes most of the time that opening a store does.
    utils._get_latest_schema_revision = functools.cache(utils._get_latest_schema_revision)
    folder = tmp_path_factory.mktemp("migrated")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    tracking = Tracking(uri, str(folder))
    Registry(uri).engine.dispose()
    tracking.engine.dispose()
    return folder / "mlflow.db"


@pytest.fixture
def store(tmp_path, migrated_database, monkeypatch):
    """URI of a fresh SQLite store that MLflow is set to; artifacts lie beside it."""
    import mlflow

    shutil.copy(migrated_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.MlflowClient().create_experiment("tests", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    return uri


@pytest.fixture
def backend(store):
    """The test's store as the rest of the package reaches it."""
    from hokusai_nb.backends.mlflow.client import Backend

    return Backend.at(store)


@pytest.fixture
def registry(store):
    from hokusai_nb.core.registry import ModelRegistry

    return ModelRegistry(store)


@dataclass(frozen=True)
class Trained:
    run_id: str
    model_id: str
    model_uri: str
    runs_uri: str


def train(uri, *, params=None, datasets=(), name="model", run=None, **metrics):
    """Make a finished run that holds a small logged model, without fitting or pickling anything."""
    import mlflow
    from mlflow.entities import LoggedModelStatus, Metric, Param

    client = mlflow.MlflowClient(uri)
    if run is None:
        experiment = client.get_experiment_by_name("tests")
        experiment_id = experiment.experiment_id if experiment else client.create_experiment("tests")
        run = client.create_run(experiment_id)
    now = int(time.time() * 1000)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
        params=[Param(key, str(value)) for key, value in (params or {}).items()],
    )
    if datasets:
        client.log_inputs(run.info.run_id, list(datasets))
    model = client.create_logged_model(run.info.experiment_id, name=name, source_run_id=run.info.run_id)
    if model.artifact_location.startswith(("file:", "/")):
        folder = Path(model.artifact_location.removeprefix("file://"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "MLmodel").write_text(MLMODEL.format(name=name))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.set_terminated(run.info.run_id)
    uris = f"models:/{model.model_id}", f"runs:/{run.info.run_id}/{name}"
    return Trained(run.info.run_id, model.model_id, *uris)


@pytest.fixture
def trained(store):
    """Make runs with models in the test's store: ``trained(accuracy=0.9, params={…})``."""

    def make(**given):
        return train(store, **given)

    return make


def free_port():
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def mlflow_server(folder, database, port=None):
    """A real MLflow server on loopback; yields its address and its process."""
    port = port or free_port()
    shutil.copy(database, folder / "server.db") if not (folder / "server.db").exists() else None
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_TRACKING_URI": ""}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(address, process, folder / "server.log")
        yield address, process
    finally:
        stop(process)


def _wait_until_healthy(address, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"mlflow server ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"mlflow server did not start: {log.read_text()[-2000:]}")


def stop(process):
    """End a server and its workers."""
    import signal

    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory, migrated_database):
    """Address of a real MLflow server that this worker's tests share."""
    with mlflow_server(tmp_path_factory.mktemp("server"), migrated_database) as (address, _):
        yield address


@pytest.fixture
def sqlite_or_server(request, store):
    """The same test on SQLite and on a server: parametrise indirectly with either word."""
    return store if request.param == "sqlite" else request.getfixturevalue(request.param)


both = pytest.mark.parametrize(
    "sqlite_or_server", ["sqlite", pytest.param("server", marks=pytest.mark.slow)], indirect=True
)
"""Runs a test on SQLite and on a server; the test takes the fixture ``sqlite_or_server``."""


@pytest.fixture
def postgres_store(postgres):
    """URI of a fresh store of MLflow in PostgreSQL, in a database of its own: MLflow knows a URI's store for ever."""
    config = postgres.config(postgres.created())
    at = f"{config.username}:{config.password.get_secret_value()}@{config.host}:{config.port}"
    return f"postgresql+psycopg://{at}/{config.database}"


@pytest.fixture
def unique():
    """Make names that no other test on the shared server uses: ``unique("model")``."""
    import uuid

    return lambda stem: f"{stem}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def proxy(server):
    """A `Proxy` before the shared server; its ``address`` is the tracking URI to use."""
    from tests.servers import Proxy

    made = Proxy(server)
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL server that this worker's tests share; ``postgres.database()`` makes a database."""
    from tests.postgres import postgres_server

    with postgres_server() as server:
        yield server


def open_database(config):
    """The shared database of a description, closed at the end."""
    from hokusai_nb.backends.sql.database import Database

    made = Database.at(config)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def sqlite_config(tmp_path):
    """The description of a SQLite file that does not exist yet."""
    from hokusai_nb.config import DatabaseConfig

    return DatabaseConfig(db_type="sqlite", database=str(tmp_path / "hokusai.db"))


@pytest.fixture
def postgres_config(postgres):
    """The description of an empty PostgreSQL database."""
    with postgres.database() as config:
        yield config


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_config(request):
    """The description of an empty database: the test runs on SQLite and on PostgreSQL."""
    return request.getfixturevalue("sqlite_config" if request.param == "sqlite" else "postgres_config")


@pytest.fixture
def database(database_config):
    """An empty database of tokens and events: the test runs on SQLite and on PostgreSQL."""
    yield from open_database(database_config)


@pytest.fixture
def sqlite_database(sqlite_config):
    """An empty database of tokens and events in a SQLite file."""
    yield from open_database(sqlite_config)


@pytest.fixture
def postgres_database(postgres_config):
    """An empty database of tokens and events in PostgreSQL."""
    yield from open_database(postgres_config)


@pytest.fixture
def tokens(tmp_path, monkeypatch):
    """The token store that the settings name: a SQLite file that is not there yet."""
    from hokusai_nb.site.opening import open_store

    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", str(tmp_path / "tokens.db"))
    made = open_store()
    yield made
    made.database.close()


@pytest.fixture(scope="session")
def api(tmp_path_factory, migrated_database):
    """The real API server that this worker's tests share: ``url``, ``keys`` by scope, ``ask(method, path, …)``."""
    from tests.apis import api_server

    with api_server(tmp_path_factory.mktemp("api"), migrated_database) as running:
        yield running
