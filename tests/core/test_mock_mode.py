"""Mock mode is the real code where nothing lasts and nothing of the user's is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from hokusai_nb.backends.mlflow.client import Backend, resolve_uri
from hokusai_nb.backends.mlflow.mock import private_uri
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.schema.receipt import Receipt
from tests.rows import row_counts

DEAD = "http://127.0.0.1:9"


@pytest.fixture
def mock_mode(monkeypatch, tmp_path):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "final_model.pkl").write_bytes(b"w")
    return tmp_path / "final_model.pkl"


@pytest.mark.usefixtures("mock_mode")
def test_every_address_leads_to_one_private_store(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    monkeypatch.setenv("HOKUSAI_API_KEY", "k")
    backends = [Backend.at(), Backend.at(DEAD), Backend.at("sqlite:///mlflow.db")]
    assert {b.uri for b in backends} == {b.registry_uri for b in backends} == {private_uri()}
    assert all(b.simulated and not b.is_server for b in backends)
    uri, why = resolve_uri(DEAD)
    assert uri == private_uri()
    assert "HOKUSAI_MOCK_MODE" in why


@pytest.mark.parametrize("word", ["false", "0", ""])
def test_other_words_mean_that_it_is_off(monkeypatch, word):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", word)
    assert resolve_uri(DEAD) == (DEAD, "given as an argument")
    assert not Backend.at(DEAD).simulated


@pytest.mark.usefixtures("mock_mode")
def test_a_file_is_registered_for_any_token_and_every_result_says_that_it_is_simulated(path, unique):
    token = unique("XRAY").replace("-", "").upper()
    registry = ModelRegistry(DEAD)
    made = registry.register_model(token, path, "auroc", metric_value=0.85, baseline_value=0.82)
    assert made.mlflow_run_id
    name = made.model_name
    model = registry.get_latest_model_version(name)
    answers = [
        made,
        registry.token_status(token),
        model,
        Receipt(model=model),
        registry.list_models(name),
        registry.get_model_lineage(name),
        registry.compare(name, 1, 1),
    ]
    for answer in answers:
        shown = answer._repr_mimebundle_()
        assert "Simulated: mock mode is on" in shown["text/plain"]
        assert "Simulated: mock mode is on" in shown["text/html"]
    assert made.simulated
    assert model.simulated
    assert registry.token_status(token).simulated


def test_a_result_that_is_real_says_nothing_of_it(registry, trained):
    made = registry.register_tokenized_model(trained().model_uri, "m", "MSG-AI", "accuracy", "0.9")
    assert not made.simulated
    assert "imulated" not in made._text_() + registry.list_models()._text_()


@pytest.mark.usefixtures("mock_mode")
def test_nothing_of_the_users_is_touched(store, path, tmp_path, unique, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    before, there = row_counts(store), sorted(tmp_path.iterdir())
    token = unique("MSG").upper()
    registry = ModelRegistry(store)
    registry.register_model(token, path, "auroc", 0.85, 0.82)
    client = registry.backend.client
    run = client.create_run(client.create_experiment(unique("e")))
    client.log_text(run.info.run_id, "hello", "hello.txt")
    assert row_counts(store) == before
    assert sorted(tmp_path.iterdir()) == there
    assert mlflow.get_tracking_uri() == store


SCRIPT = """
import json, os, sys
from hokusai_nb.backends.mlflow.mock import private_uri
from hokusai_nb.core.registry import ModelRegistry

made = ModelRegistry("http://127.0.0.1:9").register_model("XRAY", "m.bin", "auroc", 0.85, 0.82)
ours = private_uri()
reading, writing = os.pipe()
if not os.fork():
    os.write(writing, private_uri().encode())
    sys.exit(0)
os.wait()
print(json.dumps({"version": made.version, "ours": ours, "childs": os.read(reading, 1000).decode()}))
print(os.path.exists(ours.removeprefix("sqlite:///")))
"""


@pytest.mark.slow
def test_the_store_is_the_processes_own_and_is_removed_at_its_end(tmp_path):
    (tmp_path / "m.bin").write_bytes(b"w")
    (tmp_path / "temporary").mkdir()
    env = {**os.environ, "HOKUSAI_MOCK_MODE": "true", "TMPDIR": str(tmp_path / "temporary")}
    env |= {"MLFLOW_TRACKING_URI": DEAD, "HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    said, still_there = ended.stdout.splitlines()
    said = json.loads(said)
    assert said["version"] == "1"
    assert said["ours"] != said["childs"]
    assert still_there == "True"  # although the child has ended
    assert [p for p in (tmp_path / "temporary").iterdir() if p.name.startswith("hokusai")] == []
    assert {p.name for p in Path(tmp_path).iterdir()} == {"m.bin", "temporary"}
