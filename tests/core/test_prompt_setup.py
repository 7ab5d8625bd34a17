from __future__ import annotations

import threading

import mlflow
import pytest

from hokusai_nb.core.prompt_setup import configure_mlflow_with_registry, get_mlflow_client
from hokusai_nb.core.prompts import PromptModel
from tests.processes import python

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
