"""One run for each registration, whoever asks for it and however often."""

from __future__ import annotations

import threading

import mlflow
import pytest

from hokusai_nb.backends.mlflow import registration_runs
from hokusai_nb.backends.mlflow.client import Backend
from tests.conftest import both


def obtain(backend, key):
    return registration_runs.obtain(backend, key, "XRAY model.bin", {"hokusai_token_id": "XRAY"})


@both
def test_a_run_is_made_once_and_found_by_its_key_after_that(sqlite_or_server, unique):
    backend, key = Backend.at(sqlite_or_server), unique("k")
    run = obtain(backend, key)
    assert obtain(backend, key).run_id == run.run_id
    assert obtain(backend, unique("k")).run_id != run.run_id
    tags = mlflow.MlflowClient(sqlite_or_server).get_run(run.run_id).data.tags
    assert (tags["hokusai_token_id"], tags["hokusai.registration_key"]) == ("XRAY", key)


@both
def test_a_run_is_ended_without_a_word_on_stdout(sqlite_or_server, unique, capfd):
    backend = Backend.at(sqlite_or_server)
    run = obtain(backend, unique("k"))
    registration_runs.finish(backend, run, "auroc", 0.85)
    found = mlflow.MlflowClient(sqlite_or_server).get_run(run.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"auroc": 0.85})
    assert found.info.end_time
    assert capfd.readouterr() == ("", "")


def test_what_was_measured_is_written_once(backend, store):
    registration_runs.finish(backend, obtain(backend, "k"), "auroc", 0.85)
    registration_runs.finish(backend, obtain(backend, "k"), "auroc", 0.85)
    assert len(mlflow.MlflowClient(store).get_metric_history(obtain(backend, "k").run_id, "auroc")) == 1


def test_what_was_not_measured_is_not_written(backend):
    registration_runs.finish(backend, obtain(backend, "k"), "auroc", None)
    assert obtain(backend, "k").metrics == {}


@pytest.mark.parametrize(("interrupted", "status"), [(True, "KILLED"), (False, "FAILED")])
def test_an_abandoned_run_says_how_it_ended_and_can_be_gone_on_with(backend, interrupted, status):
    run = obtain(backend, "k")
    registration_runs.abandon(backend, run, interrupted=interrupted)
    assert obtain(backend, "k").status == status
    registration_runs.finish(backend, run, "auroc", 0.85)
    assert obtain(backend, "k").status == "FINISHED"


def test_a_run_that_was_deleted_is_not_gone_on_with(backend, store):
    run = obtain(backend, "k")
    mlflow.MlflowClient(store).delete_run(run.run_id)
    assert obtain(backend, "k").run_id != run.run_id
    registration_runs.abandon(backend, run, interrupted=False)  # says nothing: there is an error to report already


def test_many_that_begin_at_once_share_one_experiment(backend, store):
    found, start = [], threading.Barrier(6)

    def begin(key):
        start.wait()
        found.append(obtain(backend, key).experiment_id)

    threads = [threading.Thread(target=begin, args=(f"k{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert set(found) == {mlflow.MlflowClient(store).get_experiment_by_name("hokusai").experiment_id}
