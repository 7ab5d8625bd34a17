from __future__ import annotations

import threading

import mlflow
import pytest

from hokusai_nb.core.prompt_setup import configure_mlflow_with_registry, get_mlflow_client
from hokusai_nb.core.prompts import PromptModel
from tests.conftest import both
from tests.processes import python
from tests.servers import scripted

AUTOLOGGED = """
import sys
import mlflow
from sklearn.linear_model import LinearRegression
from hokusai_nb import configure_mlflow_with_registry

configure_mlflow_with_registry(sys.argv[1])
with mlflow.start_run() as run:
    LinearRegression(fit_intercept=False).fit([[1.0], [2.0]], [1.0, 2.0])
print(mlflow.MlflowClient().get_run(run.info.run_id).data.params["fit_intercept"])
"""


def test_one_call_points_mlflow_at_the_store_and_hides_its_password(store, tmp_path):
    registry = f"sqlite:///{tmp_path / 'r.db'}"
    shown = configure_mlflow_with_registry("postgresql://me:secret@127.0.0.1:1/x", registry, autolog=False)
    assert shown == "postgresql://***@127.0.0.1:1/x"
    assert mlflow.get_tracking_uri() == "postgresql://me:secret@127.0.0.1:1/x"
    assert mlflow.get_registry_uri() == registry
    assert configure_mlflow_with_registry(store, store, autolog=False) == store
    assert PromptModel.list().entries == ()


@pytest.mark.slow
def test_it_switches_automatic_logging_on(store):
    assert python(AUTOLOGGED, store) == "False"


def test_there_is_one_client_for_all_threads(store):
    found = [get_mlflow_client()]
    threads = [threading.Thread(target=lambda: found.append(get_mlflow_client(store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in found}) == 1
    assert isinstance(found[0], mlflow.MlflowClient)
    assert found[0].search_experiments()


def test_threads_that_share_the_client_share_its_connections_too():
    ready = threading.Barrier(4)
    found = []

    def search(address):
        client = get_mlflow_client(address)
        ready.wait(60)
        found.extend(client.search_experiments() for _ in range(10))

    answer = 200, {"experiments": []}, {"Content-Type": "application/json"}
    with scripted(lambda *_: answer) as server:
        threads = [threading.Thread(target=search, args=(server.address,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [[]] * 40
        assert server.count("/experiments/search") == 40
        assert len(server.connections) < 20


@both
def test_threads_that_share_the_client_lose_nothing(sqlite_or_server, unique):
    client = get_mlflow_client(sqlite_or_server)
    run = client.create_run(client.create_experiment(unique("experiment"))).info.run_id
    threads = [threading.Thread(target=client.set_tag, args=(run, f"tag{i}", str(i))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tags = client.get_run(run).data.tags
    assert {key: tags[key] for key in tags if key.startswith("tag")} == {f"tag{i}": str(i) for i in range(8)}
