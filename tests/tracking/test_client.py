"""The handle of MLflow says where it leads, whether that answers, and does what MLflow's own client does."""

from __future__ import annotations

import copy
import time

import mlflow
import pytest

from hokusai_nb.errors import ConnectionFailedError
from hokusai_nb.tracking import MLflowClient
from tests.conftest import both, free_port


def test_it_leads_where_mlflow_is_set_to_and_says_why(store):
    client = MLflowClient()
    assert (client.uri, client.chosen_because, client.simulated) == (store, "set in MLflow", False)
    assert repr(client) == f"MLflowClient({store!r})"


def test_an_argument_comes_first_and_its_password_is_never_shown():
    client = MLflowClient("http://me:s3cret@registry.example.org")
    assert client.uri == "http://***@registry.example.org"
    assert "s3cret" not in repr(client) + repr(vars(client))


@both
def test_a_store_that_answers_is_checked_without_a_word(sqlite_or_server, capfd):
    assert MLflowClient(sqlite_or_server).check() is None
    assert capfd.readouterr() == ("", "")


def test_a_server_that_does_not_answer_is_known_within_five_seconds():
    began = time.monotonic()
    with pytest.raises(ConnectionFailedError, match="Failed to connect to MLflow at http://127"):
        MLflowClient(f"http://127.0.0.1:{free_port()}").check()
    assert time.monotonic() - began < 5


def test_it_has_every_public_method_of_mlflows_client_and_they_work(store):
    client = MLflowClient(store)
    public = {name for name in dir(mlflow.MlflowClient) if not name.startswith("_")}
    assert public <= set(dir(client))
    experiment = client.create_experiment("mine")
    run = client.create_run(experiment)
    assert mlflow.MlflowClient(store).get_run(run.info.run_id).info.experiment_id == experiment


def test_looking_at_it_contacts_nothing():
    client = MLflowClient(f"http://127.0.0.1:{free_port()}")
    assert "search_runs" in dir(client)
    assert copy.copy(client).uri == client.uri
    with pytest.raises(AttributeError):
        client._repr_html_  # noqa: B018 - as a notebook asks for it


def test_in_mock_mode_it_leads_to_the_private_store(monkeypatch):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    client = MLflowClient("http://127.0.0.1:9")
    assert client.simulated
    assert client.uri.startswith("sqlite:///")
    client.check()
