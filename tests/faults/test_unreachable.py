"""A store that cannot be reached, read or written costs at most five seconds and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import contextmanager

import mlflow
import pytest

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import ConnectionFailedError, ReadOnlyError, RegistryError
from hokusai_nb.schema.verbs import Register
from tests.conftest import free_port, mlflow_server, train
from tests.rows import row_counts
from tests.servers import black_hole, scripted

RECORD = {"uri": "models:/m-1", "name": "m", "token_id": "MSG-AI", "metric": "accuracy", "value": "0.9"}
VERBS = {
    "register": lambda r: r.register(
        Register.parse({"model": "models:/m-1", "name": "m", "token": "T-1", "metric": "mse"})
    ),
    "register_tokenized_model": lambda r: r.register_tokenized_model("runs:/a/b", "m", "MSG-AI", "accuracy", "0.9"),
    "register_run_model": lambda r: r.register_run_model("a", "m", "MSG-AI", "accuracy"),
    "get_tokenized_model": lambda r: r.get_tokenized_model("m", 1),
    "get_latest_model_version": lambda r: r.get_latest_model_version("m"),
    "list_models": lambda r: r.list_models(),
    "list_models_by_token": lambda r: r.list_models_by_token("MSG-AI"),
    "get_model_lineage": lambda r: r.get_model_lineage("m"),
    "compare": lambda r: r.compare("m", 1, 2),
    "update_model_tags": lambda r: r.update_model_tags("m", 1, {"gpu_type": "A100"}),
    "delete_model_version": lambda r: r.delete_model_version("m", 1),
    "aget_model_lineage": lambda r: asyncio.run(r.aget_model_lineage("m")),
}


@contextmanager
def within_five_seconds():
    began = time.monotonic()
    yield
    assert time.monotonic() - began <= 5


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_reports_a_closed_server_in_the_same_words(name, capfd):
    address = f"http://127.0.0.1:{free_port()}"
    with within_five_seconds(), pytest.raises(ConnectionFailedError) as caught:
        VERBS[name](ModelRegistry(address))
    assert caught.value.what == f"Failed to connect to MLflow at {address}: the connection failed."
    assert "set_tracking_uri" in caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_a_server_that_takes_connections_and_never_answers_is_reported(capfd):
    with black_hole() as place, within_five_seconds(), pytest.raises(ConnectionFailedError, match="in time"):
        VERBS["register_tokenized_model"](ModelRegistry(f"http://{place}"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["register_tokenized_model", "list_models"])
def test_a_closed_database_is_reported_without_its_password(name):
    registry = ModelRegistry(f"postgresql://me:s3cret@127.0.0.1:{free_port()}/mlflow")
    with within_five_seconds(), pytest.raises(ConnectionFailedError, match="does not answer") as caught:
        VERBS[name](registry)
    assert "s3cret" not in str(caught.value) + repr(registry)


def test_many_registrations_on_a_closed_server_fail_together_and_not_one_after_the_other():
    with black_hole() as place, within_five_seconds():
        results = ModelRegistry(f"http://{place}").register_many([RECORD] * 12, max_workers=12, progress=False)
    assert {type(r.error) for r in results} == {ConnectionFailedError}


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_access_is_asked_once_and_says_what_to_check(status):
    def answer(_, path):
        return (200, "OK", {}) if path == "/health" else (status, {"error_code": "PERMISSION_DENIED"}, {})

    with scripted(answer) as server:
        registry = ModelRegistry(server.address)
        for name in ("register_tokenized_model", "list_models"):
            server.requests.clear()
            with pytest.raises(RegistryError, match="refused access") as caught:
                VERBS[name](registry)
            assert "HOKUSAI_API_KEY" in caught.value.hint
            assert len([path for _, path in server.requests if path != "/health"]) == 1


def test_a_database_that_cannot_be_written_is_read_and_refuses_to_register(store, trained, capfd):
    made = trained(accuracy=0.9)
    ModelRegistry(store).register_tokenized_model(made.model_uri, "old", "MSG-AI", "accuracy", "0.9")
    before = row_counts(store)
    registry = ModelRegistry(f"sqlite:///file:{store.removeprefix('sqlite:///')}?mode=ro&uri=true")
    assert [m.name for m in registry.list_models()] == ["old"]
    capfd.readouterr()
    for name in ("old", "new"):
        with within_five_seconds(), pytest.raises(ReadOnlyError, match="cannot be written"):
            registry.register_tokenized_model(made.model_uri, name, "MSG-AI", "accuracy", "0.8")
    with pytest.raises(ReadOnlyError):
        registry.update_model_tags("old", 1, {"gpu_type": "A100"})
    with pytest.raises(ReadOnlyError):
        registry.delete_model_version("old", 1)
    assert row_counts(store) == before
    assert capfd.readouterr() == ("", "")


def test_a_repetition_needs_no_right_to_write(store, trained):
    made = trained(accuracy=0.9)
    ModelRegistry(store).register_tokenized_model(made.model_uri, "old", "MSG-AI", "accuracy", "0.9")
    registry = ModelRegistry(f"sqlite:///file:{store.removeprefix('sqlite:///')}?mode=ro&uri=true")
    assert registry.register_tokenized_model(made.model_uri, "old", "MSG-AI", "accuracy", "0.9").created is False


@pytest.mark.slow
def test_a_server_may_freeze_die_and_come_back_under_one_registry(tmp_path, migrated_database):
    port = free_port()
    with mlflow_server(tmp_path, migrated_database, port) as (address, process):
        registry = ModelRegistry(address)
        made = train(address, accuracy=0.9)

        def register(value):
            return registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", value)

        assert register("0.5").version == "1"
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            for call in (lambda: register("0.6"), registry.list_models):
                with within_five_seconds(), pytest.raises(ConnectionFailedError, match="did not answer in time"):
                    call()
        finally:
            os.killpg(process.pid, signal.SIGCONT)
        time.sleep(1)  # for what was sent before to be carried out
        assert register("0.6").version == "2"
    with within_five_seconds(), pytest.raises(ConnectionFailedError, match="the connection failed"):
        register("0.7")
    with mlflow_server(tmp_path, migrated_database, port):
        assert register("0.7").version == "3"
        assert [m.benchmark_value for m in registry.list_models()] == ["0.5", "0.6", "0.7"]
    assert mlflow.active_run() is None
