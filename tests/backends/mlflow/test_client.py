from __future__ import annotations

import logging
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest

from hokusai_nb.backends.mlflow.client import Backend, quiet, resolve_uri, use_store
from hokusai_nb.config import Settings, configure
from hokusai_nb.errors import ConnectionFailedError, HokusaiError, ModelNotFoundError, ReadOnlyError, RegistryError
from tests.conftest import free_port
from tests.servers import black_hole


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    configure(**dict.fromkeys(Settings.model_fields))


@pytest.fixture
def unset(store):
    """MLflow as in a new process, in an empty folder."""
    mlflow.set_tracking_uri(None)
    return Path(store.removeprefix("sqlite:///")).parent


def experiments(uri):
    with Backend.at(uri).calling() as client:
        return client.search_experiments()


@pytest.mark.usefixtures("store")
def test_an_argument_comes_before_everything():
    assert resolve_uri("http://elsewhere") == ("http://elsewhere", "given as an argument")


def test_what_is_set_in_mlflow_comes_before_the_hokusai_registry(store):
    configure(api_key="hk")
    assert resolve_uri() == (store, "set in MLflow")
    assert resolve_uri("") == (store, "set in MLflow")


@pytest.mark.usefixtures("unset")
def test_the_variable_of_mlflow_counts_as_set(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    configure(api_key="hk")
    assert resolve_uri() == ("http://elsewhere", "set in MLflow")


@pytest.mark.usefixtures("unset")
def test_with_a_key_and_no_store_set_it_is_the_hokusai_registry():
    configure(api_key="hk")
    assert resolve_uri() == ("https://registry.hokus.ai/api/mlflow", "HOKUSAI_API_KEY is set")


def test_with_nothing_set_it_is_mlflows_own_default_and_nothing_is_made(unset):
    before = sorted(unset.iterdir())
    uri, because = resolve_uri()
    assert uri.startswith("sqlite:///")
    assert because == "MLflow's local default"
    assert Backend.at().uri == uri
    assert sorted(unset.iterdir()) == before


@pytest.mark.usefixtures("unset")
def test_use_store_is_where_mlflow_and_we_write_from_then_on():
    use_store("http://elsewhere")
    assert mlflow.get_tracking_uri() == Backend.at().uri == "http://elsewhere"
    assert Backend.at().is_default


def test_there_is_one_backend_and_one_client_for_a_store(store):
    with ThreadPoolExecutor(8) as pool:
        backends = list(pool.map(lambda _: Backend.at(store), range(16)))
        clients = list(pool.map(lambda b: b.client, backends))
    assert len(set(map(id, backends))) == len(set(map(id, clients))) == 1
    assert Backend.at() is backends[0]


def test_a_registry_of_its_own_belongs_to_mlflows_tracking_store_alone(store, tmp_path):
    registry = f"sqlite:///{tmp_path / 'registry.db'}"
    assert Backend.at().registry_uri == store
    mlflow.set_registry_uri(registry)
    assert (Backend.at().uri, Backend.at().registry_uri) == (store, registry)
    assert Backend.at("http://elsewhere").registry_uri == "http://elsewhere"


def test_neither_text_nor_page_shows_credentials():
    backend = Backend("https://me:s3cret@host:5000/base/", "https://me:s3cret@host:5000/base/")
    assert backend.address("models/churn/versions/1") == "https://host:5000/base/#/models/churn/versions/1"
    assert "s3cret" not in repr(backend) + backend.safe_uri


def test_only_a_server_has_pages(store):
    assert Backend.at(store).address("models/churn") is None
    assert Backend(store, "http://host").address("models/churn") == "http://host/#/models/churn"


def test_a_fresh_file_is_made_and_migrated_by_one_of_many_threads_and_in_silence(tmp_path, capfd):
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: len(experiments(uri)), range(4)))
    assert found == [1] * 4
    assert capfd.readouterr() == ("", "")


def test_mlflows_log_is_silent_in_our_thread_and_in_no_other(capfd):
    log = logging.getLogger("mlflow.test")

    def elsewhere():
        log.warning("theirs")

    with quiet():
        log.warning("ours")
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    log.warning("after")
    lines = capfd.readouterr().err.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["theirs", "after"]


def test_mlflow_speaks_again_after_a_call_of_ours_failed(store, capfd):
    with pytest.raises(HokusaiError), Backend.at(store).calling() as client:
        client.get_run("no-such-run")
    logging.getLogger("mlflow.test").warning("audible")
    assert capfd.readouterr().err.rstrip().endswith("audible")


def refused_fast(uri, kind, words):
    began = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        experiments(uri)
    assert time.monotonic() - began < 5
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(Backend.at(uri))


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "mysql", "mssql+pyodbc"])
def test_a_database_whose_port_is_closed_is_reported_at_once(scheme):
    refused_fast(
        f"{scheme}://me:s3cret@127.0.0.1:{free_port()}/mlflow", ConnectionFailedError, "the database does not answer"
    )


def test_a_database_that_never_answers_is_reported_within_five_seconds():
    with black_hole() as place:
        refused_fast(f"postgresql://me:s3cret@{place}/mlflow", ConnectionFailedError, "the database cannot be opened")


def test_a_driver_that_is_missing_is_named():
    with black_hole() as place:
        refused_fast(f"mysql://me:s3cret@{place}/mlflow", RegistryError, "pip install 'mysqlclient'")


def test_a_file_that_is_no_database_is_reported_at_once(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be looked at " * 100)
    refused_fast(f"sqlite:///{tmp_path / 'mlflow.db'}", ConnectionFailedError, "the database cannot be opened")


def test_a_folder_in_place_of_a_database_is_reported_at_once(tmp_path):
    refused_fast(f"sqlite:///{tmp_path}", ConnectionFailedError, "the database cannot be opened")


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").touch()
    refused_fast(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", HokusaiError, "file")


def test_a_read_only_database_can_be_read_and_refuses_to_be_written(store):
    path = store.removeprefix("sqlite:///")
    uri = f"sqlite:///file:{path}?mode=ro&uri=true"
    assert len(experiments(uri)) == 2
    with pytest.raises(ReadOnlyError, match="cannot be written"), Backend.at(uri).calling() as client:
        client.create_registered_model("churn")


def test_a_locked_database_is_named_as_such(store):
    other = sqlite3.connect(store.removeprefix("sqlite:///"))
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(RegistryError, match="is locked"):
            experiments(f"{store}?timeout=0.1")
    finally:
        other.rollback()
        other.close()


@pytest.mark.parametrize("uri", ["./mlruns", "foo://bar", "databricks-uc://nobody"])
def test_a_store_that_mlflow_cannot_open_is_an_error_of_ours(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HokusaiError):
        experiments(uri)


def test_an_error_of_ours_goes_through_as_it_is(store):
    with pytest.raises(ModelNotFoundError, match="mine"), Backend.at(store).calling():
        raise ModelNotFoundError("mine")  # noqa: EM101 - any error of ours


def test_what_is_no_error_of_a_store_goes_through_as_it_is(store):
    with pytest.raises(ZeroDivisionError), Backend.at(store).calling():
        1 / 0  # noqa: B018 - any error that is not MLflow's


def test_the_log_level_of_the_settings_holds_from_the_first_use_on(store):
    from hokusai_nb.log import logger, set_level

    configure(log_level="DEBUG")
    Backend.at(store)
    assert logger.level == logging.DEBUG
    set_level("WARNING")
