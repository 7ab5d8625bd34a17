from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from hokusai_nb.backends.mlflow.server import mlflow_app
from hokusai_nb.errors import ConnectionFailedError, HokusaiError, MissingExtraError
from tests.conftest import free_port

SERVING = """
import json, os, sys, warnings
warnings.simplefilter("error")
from pathlib import Path
warnings.filterwarnings("ignore", "The ..noload.. loader strategy is deprecated")
from hokusai_nb.backends.mlflow.server import mlflow_app
from hokusai_nb.errors import HokusaiError

uri, folder = sys.argv[1:]
other = os.fork()  # two processes, of which each makes the store and loads MLflow's server
app = mlflow_app(uri, folder)
assert mlflow_app(uri, os.path.relpath(folder)) is app
try:
    mlflow_app(uri, folder + "-2")
except HokusaiError as error:
    refused = error.what

import mlflow
from mlflow.artifacts import download_artifacts
from mlflow.server.handlers import _get_model_registry_store
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.telemetry.utils import is_telemetry_disabled

(Path(folder) / "1" / "a b").mkdir(parents=True, exist_ok=True)
(Path(folder) / "1" / "a b" / "c d").write_text("hello")
hostile = []
for path in ("mlflow-artifacts:/../secret", "mlflow-artifacts:/1/%2e%2e/%2e%2e/secret"):
    try:
        get_artifact_repository(path)
    except mlflow.MlflowException as error:
        hostile.append(error.error_code)
elsewhere = get_artifact_repository("mlflow-artifacts:/1", tracking_uri="http://127.0.0.1:9")

class Watching:
    imported = []

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.imported.append(name)

from mlflow.protos.service_pb2 import SearchRuns
from mlflow.server.handlers import search_runs_impl
sys.meta_path.insert(0, Watching)
search_runs_impl(SearchRuns(experiment_ids=["0"], max_results=1))
print(json.dumps({
    "store": type(_get_model_registry_store()).__name__,
    "uris": [mlflow.get_tracking_uri(), mlflow.get_registry_uri()],
    "refused": refused,
    "telemetry": not is_telemetry_disabled(),
    "experiment": mlflow.MlflowClient().create_experiment(f"by {os.getpid()}") > "0",
    "read": Path(download_artifacts("mlflow-artifacts:/1/a b/c d")).read_text(),
    "hostile": hostile,
    "elsewhere": elsewhere.artifact_uri,
    "authentication": "mlflow.server.auth" in Watching.imported,
}), flush=True)
if other:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))
"""


def found_by_two_processes(uri, folder):
    command = [sys.executable, "-c", SERVING, uri, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder.parent, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def expected(uri):
    return {
        "store": "GuardedStore",
        "uris": [uri, f"hokusai+{uri}"],
        "refused": "This process serves another MLflow store already.",
        "telemetry": False,
        "experiment": True,
        "read": "hello",
        "hostile": ["INVALID_PARAMETER_VALUE"] * 2,
        "elsewhere": "http://127.0.0.1:9/api/2.0/mlflow-artifacts/artifacts/1",
        "authentication": False,
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store(request, tmp_path):
    """URI of a database that holds nothing yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    config = request.getfixturevalue("postgres_config")
    secret = config.password.get_secret_value()
    return f"postgresql://{config.username}:{secret}@{config.host}:{config.port}/{config.database}"


@pytest.mark.slow
def test_several_processes_at_once_make_a_store_and_serve_it(new_store, tmp_path):
    assert found_by_two_processes(new_store, tmp_path / "files") == [expected(new_store)] * 2


def test_a_database_that_is_down_is_said_within_five_seconds_and_nothing_is_set(tmp_path):
    before, began = dict(os.environ), time.monotonic()
    with pytest.raises(ConnectionFailedError, match="the database cannot be opened") as caught:
        mlflow_app(f"postgresql://me:secret@127.0.0.1:{free_port()}/d", str(tmp_path))
    assert time.monotonic() - began < 5
    assert "secret" not in str(caught.value)
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1", "./mlruns", "mysql://u:secret@h/d", "postgresql+pg8000://h/d", ""]
)
def test_only_a_database_can_be_served(uri):
    with pytest.raises(HokusaiError, match="MLflow cannot be served from") as caught:
        mlflow_app(uri, "files")
    assert "secret" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_said_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"A store in PostgreSQL needs an extra") as caught:
        mlflow_app("postgresql://me:secret@127.0.0.1:1/d", "files")
    assert "hokusai_nb[postgres]" in str(caught.value)
