from __future__ import annotations

import contextvars
import json
import threading

import mlflow
import numpy as np
import pandas as pd
import pytest
import sqlalchemy
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.store.tracking.dbmodels.models import SqlRun

from hokusai_nb.backends.mlflow import runs
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.errors import ConnectionFailedError, HokusaiError, RunNotFoundError
from tests.conftest import free_port


def dataset(profile, context="training", name="d", digest="abc"):
    return DatasetInput(
        Dataset(name, digest, "code", json.dumps({"tags": {}}), profile=profile),
        [InputTag("mlflow.data.context", context)] if context else [],
    )


# The current run


@pytest.mark.usefixtures("store")
def test_the_active_run_is_the_current_one_and_the_last_that_ended_afterwards():
    assert runs.current_run_id() == (None, False)
    with mlflow.start_run() as outer:
        assert runs.current_run_id() == (outer.info.run_id, True)
        with mlflow.start_run(nested=True) as inner:
            assert runs.current_run_id() == (inner.info.run_id, True)
        assert runs.current_run_id() == (outer.info.run_id, True)
    assert runs.current_run_id() == (outer.info.run_id, False)


def in_another_thread(call):
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.usefixtures("store")
def test_another_thread_has_a_current_run_of_its_own_unless_it_works_for_this_one():
    with mlflow.start_run() as run:
        pass
    assert in_another_thread(runs.current_run_id) == (None, False)
    with runs.seen_from_here():
        context = contextvars.copy_context()
        assert in_another_thread(lambda: context.run(runs.current_run_id)) == (run.info.run_id, False)
    assert in_another_thread(runs.current_run_id) == (None, False)


# A scope for a cell


def status(store, run_id):
    return mlflow.MlflowClient(store).get_run(run_id).info.status


def test_a_scope_starts_a_run_and_ends_it(store, backend):
    with runs.run_scope(backend, "mine") as run_id:
        assert mlflow.active_run().info.run_id == run_id
        assert mlflow.active_run().info.run_name == "mine"
    assert mlflow.active_run() is None
    assert status(store, run_id) == "FINISHED"


def test_a_scope_that_fails_marks_its_run_and_any_other_it_left_open(store, backend):
    started = []

    def cell():
        with runs.run_scope(backend) as run_id:
            started.extend([run_id, mlflow.start_run(nested=True).info.run_id])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cell()
    assert mlflow.active_run() is None
    assert [status(store, run_id) for run_id in started] == ["FAILED", "FAILED"]


def test_a_scope_leaves_the_users_own_run_alone(store, backend):
    with mlflow.start_run() as mine:
        with runs.run_scope(backend) as run_id:
            assert run_id == mine.info.run_id
        assert mlflow.active_run().info.run_id == run_id
        with pytest.raises(ZeroDivisionError), runs.run_scope(backend):
            1 / 0  # noqa: B018 - any failure of a cell
        assert status(store, run_id) == "RUNNING"


def test_a_scope_for_a_block_that_starts_its_own_run_starts_none(store, backend):
    with runs.run_scope(backend, start=False) as run_id:
        assert run_id is None
        assert mlflow.active_run() is None
        mine = mlflow.start_run().info.run_id
    assert mlflow.active_run() is None
    assert status(store, mine) == "FINISHED"


@pytest.mark.usefixtures("store")
def test_a_scope_on_a_server_that_is_down_fails_at_once_and_begins_nothing():
    address = f"http://127.0.0.1:{free_port()}"
    mlflow.set_tracking_uri(address)
    with pytest.raises(ConnectionFailedError), runs.run_scope(Backend.at(address)):
        pytest.fail("the block must not run")
    assert mlflow.active_run() is None


@pytest.mark.usefixtures("store")
def test_a_scope_in_a_store_that_mlflow_does_not_write_to_is_refused(tmp_path):
    elsewhere = Backend.at(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(HokusaiError, match="MLflow itself is not set") as caught, runs.run_scope(elsewhere):
        pytest.fail("the block must not run")
    assert "set_tracking_uri" in caught.value.hint
    assert mlflow.active_run() is None


@pytest.mark.usefixtures("store")
def test_a_scope_on_another_store_than_mlflows_own_says_so_and_begins_nothing(tmp_path):
    elsewhere = Backend.at(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    with pytest.raises(HokusaiError, match="not set to write its runs there"), runs.run_scope(elsewhere):
        pytest.fail("the block must not run")
    assert mlflow.active_run() is None


@pytest.mark.usefixtures("store")
def test_what_the_block_raised_is_seen_also_where_the_run_cannot_be_marked(tmp_path):
    unopenable = Backend(f"sqlite:///{tmp_path}", f"sqlite:///{tmp_path}")

    def cell():
        with runs.run_scope(unopenable, start=False):
            mlflow.start_run()
            1 / 0  # noqa: B018 - any failure of a cell

    with pytest.raises(ZeroDivisionError) as caught:
        cell()
    assert "could not be marked FAILED" in caught.value.__notes__[0]


# Facts


def test_a_run_is_read_with_its_figures_and_data_sets(backend, trained):
    made = trained(accuracy=0.9, loss=0.25, params={"depth": 3}, datasets=[dataset('{"num_rows": 120}')])
    run = runs.get_run(backend, made.run_id)
    assert (run.run_id, run.status) == (made.run_id, "FINISHED")
    assert run.metrics == {"accuracy": 0.9, "loss": 0.25}
    assert run.params == {"depth": "3"}
    assert [(d.name, d.digest, d.context, d.rows) for d in run.datasets] == [("d", "abc", "training", 120)]


@pytest.mark.parametrize(
    ("profile", "rows"),
    [
        ('{"num_rows": 120, "num_elements": 480}', 120),
        ('{"features_shape": [150, 4], "features_size": 600}', 150),
        ('{"features_shape": {"a": [30, 2], "b": [30]}}', 30),
        ('{"num_rows": 0}', 0),
        ('{"num_rows": -1}', None),
        ('{"num_rows": true}', None),
        ('{"num_rows": 1.5}', None),
        ('{"num_rows": "12"}', None),
        ('{"num_rows": 1000000000000000000000}', None),
        ('{"num_rows": null}', None),
        ('{"features_shape": []}', None),
        ('{"features_shape": {}}', None),
        ('{"features_shape": [[1]]}', None),
        ('{"features_shape": "many"}', None),
        ("[1, 2]", None),
        ("12", None),
        ("NaN", None),
        ("null", None),
        ("{", None),
        ("", None),
        ("[" * 100_000, None),
        ("<script>alert(1)</script>", None),
        (None, None),
    ],
)
def test_the_rows_of_a_data_set_are_read_from_a_profile_of_any_shape(profile, rows):
    assert runs._rows(profile) == rows


@pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0")  # in MLflow's own reading of a frame
def test_data_sets_of_numpy_and_pandas_are_counted(backend, trained):
    source = CodeDatasetSource(tags={})
    array = mlflow.data.from_numpy(np.zeros((150, 4)), source=source, targets=np.zeros(150))
    several = mlflow.data.from_numpy({"a": np.zeros((30, 2)), "b": np.zeros(30)}, source=source)
    frame = mlflow.data.from_pandas(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}), source=source)
    for data, rows in ((array, 150), (several, 30), (frame, 2)):
        made = trained(datasets=[DatasetInput(data._to_mlflow_entity(), [])])
        found = runs.get_run(backend, made.run_id).datasets[0]
        assert (found.rows, found.digest, found.context) == (rows, data.digest, None)


def test_a_run_that_does_not_exist_is_named(backend):
    for run_id in ("no-such-run", "", "it's", 'x"', "a' OR '1'='1", "../..", "😀", "a" * 5000, "%"):
        with pytest.raises(RunNotFoundError) as caught:
            runs.get_run(backend, run_id)
        assert repr(run_id)[:80] in caught.value.what
        assert len(caught.value.what) < 400


def test_a_deleted_run_is_gone(store, backend, trained):
    made = trained()
    mlflow.MlflowClient(store).delete_run(made.run_id)
    with pytest.raises(RunNotFoundError, match="was deleted"):
        runs.get_run(backend, made.run_id)
    assert runs.get_runs(backend, [made.run_id]) == {}


def test_many_runs_are_found_by_id_and_the_others_are_missing(backend, trained):
    made = [trained(accuracy=i / 10).run_id for i in range(3)]
    odd = ["gone", "", "it's", "a' OR '1'='1", 'x"', "\0", "😀", "x" * 5000]
    found = runs.get_runs(backend, [*made, *made, *odd])
    assert {run_id: run.metrics["accuracy"] for run_id, run in found.items()} == dict(
        zip(made, (0.0, 0.1, 0.2), strict=True)
    )
    assert runs.get_runs(backend, []) == runs.get_runs(backend, odd) == {}


def test_runs_of_every_experiment_are_found(store, backend, trained):
    client = mlflow.MlflowClient(store)
    elsewhere = [client.create_run(client.create_experiment(f"e{i}")).info.run_id for i in range(3)]
    assert set(runs.get_runs(backend, [*elsewhere, trained().run_id])) >= set(elsewhere)


def test_more_runs_than_fit_one_search_are_found(store, backend):
    experiment = mlflow.MlflowClient(store).create_experiment("many")
    wanted = [f"{i:032x}" for i in range(2300)]
    engine = sqlalchemy.create_engine(store)
    with engine.begin() as connection:
        plain = {"name": "r", "user_id": "me", "status": "FINISHED", "lifecycle_stage": "active"}
        rows = [{**plain, "run_uuid": r, "experiment_id": experiment} for r in wanted]
        connection.execute(sqlalchemy.insert(SqlRun), rows)
    engine.dispose()
    assert set(runs.get_runs(backend, wanted)) == set(wanted)


def test_recent_runs_come_newest_first_and_no_more_than_asked(store, backend):
    client = mlflow.MlflowClient(store)
    experiments = [client.create_experiment(name) for name in ("a", "b")]
    made = [client.create_run(experiments[i % 2], start_time=1000 + i).info.run_id for i in range(5)]
    assert [run.run_id for run in runs.recent_runs(backend, 3)] == made[:1:-1]
