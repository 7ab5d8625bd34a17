"""Stores to measure in: filled by rows, and served where a figure is about a server."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import sqlalchemy
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag, SqlRegisteredModel
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam, SqlRun

from hokusai_nb.schema.tags import KEY_TAG, METRIC_TAG, TOKEN_TAG, VALUE_TAG
from tests.conftest import mlflow_server, train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.conftest import Trained

__all__ = ["MIGRATED", "REQUIRED", "USER_TAGS", "fresh_models", "migrate", "served", "sqlite_store"]

MIGRATED = "BENCH_DATABASE"
"""Variable that names an empty, migrated database: all processes copy the one."""
REQUIRED = {TOKEN_TAG: "MSG-AI", METRIC_TAG: "accuracy", VALUE_TAG: "0.91"}
USER_TAGS = {
    "dataset_version": "2026-01",
    "training_samples": "120",
    "contributor_address": "0x52908400098527886E0F7030069857D2E4169EE7",
}
"""With the three required ones, six tags: what a careful user states."""


def migrate(database: Path) -> None:
    """Make an empty MLflow database with all its tables, which takes seconds."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    tracking = Tracking(f"sqlite:///{database}", str(database.parent))
    Registry(f"sqlite:///{database}").engine.dispose()
    tracking.engine.dispose()


@contextmanager
def filled(models: Mapping[str, int], token_of: Callable[[str], str] | None = None) -> Iterator[Path]:
    """A database in a folder that goes away, with that many versions of each model."""
    folder = Path(tempfile.mkdtemp(prefix="hokusai-bench-"))
    try:
        database = folder / "mlflow.db"
        shutil.copy(os.environ[MIGRATED], database)
        fill(database, models, token_of)
        yield database
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sqlite_store(models: Mapping[str, int], token_of: Callable[[str], str] | None = None) -> Iterator[str]:
    """URI of a store that MLflow is set to."""
    with filled(models, token_of) as database:
        uri = f"sqlite:///{database}"
        mlflow.set_tracking_uri(uri)
        mlflow.MlflowClient(uri).create_experiment("tests", artifact_location=(database.parent / "files").as_uri())
        yield uri


@contextmanager
def served(models: Mapping[str, int], token_of: Callable[[str], str] | None = None) -> Iterator[str]:
    """Address of a server of one worker, with SQLite behind it, that MLflow is set to."""
    with filled(models, token_of) as database:
        (database.parent / "server").mkdir()
        with mlflow_server(database.parent / "server", database) as (address, _):
            mlflow.set_tracking_uri(address)
            yield address


def fresh_models(uri: str, count: int) -> Iterator[Trained]:
    """Runs, each with a model of its own, none registered yet."""
    return iter([train(uri, accuracy=0.5 + i / 1000, params={"depth": i}) for i in range(count)])


def fill(database: Path, models: Mapping[str, int], token_of: Callable[[str], str] | None) -> None:
    """Write the rows that registrations write, each of a run of its own: thousands of calls would take minutes."""
    tables = (SqlRun, SqlLatestMetric, SqlParam, SqlRegisteredModel, SqlModelVersion, SqlModelVersionTag)
    rows: dict[type, list[dict[str, object]]] = {table: [] for table in tables}
    now = int(time.time() * 1000) - 10_000_000
    for name, count in models.items():
        rows[SqlRegisteredModel].append({"name": name, "creation_time": now, "last_updated_time": now})
        for version in range(1, count + 1):
            _add_version(rows, name, version, now + version, token_of(name) if token_of else "MSG-AI")
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        for table, values in rows.items():
            if values:
                connection.execute(sqlalchemy.insert(table), values)
    engine.dispose()


def _add_version(rows: dict[type, list[dict[str, object]]], name: str, version: int, moment: int, token: str) -> None:
    run_id, value = uuid.uuid4().hex, round(0.5 + version / 10_000, 6)
    rows[SqlRun].append(
        {
            "run_uuid": run_id,
            "name": f"run-{version}",
            "source_type": "LOCAL",
            "user_id": "bench",
            "status": "FINISHED",
            "lifecycle_stage": "active",
            "experiment_id": 0,
            "start_time": moment,
            "end_time": moment,
            "artifact_uri": f"mlflow-artifacts:/0/{run_id}/artifacts",
        }
    )
    metric = {"run_uuid": run_id, "key": "accuracy", "value": value, "timestamp": moment, "step": 0, "is_nan": False}
    rows[SqlLatestMetric].append(metric)
    rows[SqlParam].append({"run_uuid": run_id, "key": "depth", "value": str(version)})
    source = f"models:/m-{run_id}"
    rows[SqlModelVersion].append(
        {
            "name": name,
            "version": version,
            "run_id": run_id,
            "source": source,
            "storage_location": source,
            "creation_time": moment,
            "last_updated_time": moment,
            "current_stage": "None",
            "status": "READY",
        }
    )
    tags = {**REQUIRED, TOKEN_TAG: token, VALUE_TAG: str(value), KEY_TAG: uuid.uuid4().hex * 2, **USER_TAGS}
    rows[SqlModelVersionTag] += [{"name": name, "version": version, "key": k, "value": v} for k, v in tags.items()]
