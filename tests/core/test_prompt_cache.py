from __future__ import annotations

import time

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.config import configure
from hokusai_nb.core import prompt_cache
from hokusai_nb.core.prompt_cache import CACHE, PromptCache, current_backend
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.schema.prompts import PromptVersion

DONE = {"author": "a", "purpose": "b", "tested_on": "c", "performance_metrics": {"ctr": 0.07}}


def test_the_store_in_force_is_noticed_whatever_sets_it(store, tmp_path, monkeypatch):
    assert current_backend() is Backend.at() is Backend.at(store)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    mlflow.set_tracking_uri(other)
    assert current_backend() is Backend.at(other)
    mlflow.set_registry_uri(store)
    assert current_backend().registry_uri == store
    mlflow.set_registry_uri(None)
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "1")
    assert current_backend().simulated
    monkeypatch.delenv("HOKUSAI_MOCK_MODE")
    assert not current_backend().simulated
    configure(mock_mode=True)
    try:
        assert current_backend().simulated
    finally:
        configure(mock_mode=None)
    mlflow.set_tracking_uri(None)
    assert current_backend() is Backend.at()
    monkeypatch.setenv("HOKUSAI_API_KEY", "k")
    assert current_backend().safe_uri == "https://registry.hokus.ai/api/mlflow"


def test_a_standing_is_believed_for_seconds_only(store, monkeypatch):
    monkeypatch.setattr(prompt_cache, "STANDING_SECONDS", 0.05)
    PromptModel("hook", "Hi {name}", "1.0.0", metadata=DONE).register().promote_to_staging()
    backend = Backend.at(store)
    known = CACHE.standing(backend, "hook")
    time.sleep(0.06)
    assert CACHE.standing(backend, "hook") is not known
    assert CACHE.standing(backend, "hook") == known


def test_the_oldest_versions_give_way(store, monkeypatch):
    monkeypatch.setattr(prompt_cache, "MOST", 3)
    cache, backend = PromptCache(), Backend.at(store)
    made = [PromptVersion(name="hook", version=f"1.0.{i}", template="x", mlflow_version=i + 1) for i in range(5)]
    cache.note(backend, made)
    assert [cache.known(backend, "hook", v.version) for v in made] == [None, None, *made[2:]]
    cache.clear()
    assert cache.known(backend, "hook", "1.0.4") is None


@pytest.mark.usefixtures("store")
def test_loading_what_is_known_is_far_quicker_than_mlflows_own_cache():
    PromptModel("hook", "Hi {a} {b} {c} {d} {e}", "1.0.0", metadata=DONE).register()

    def seconds(call, times):
        call()
        best = []
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(times):
                call()
            best.append((time.perf_counter() - began) / times)
        return min(best)

    ours = seconds(lambda: PromptModel.load_from_registry("hook", "1.0.0"), 500)
    theirs = seconds(lambda: mlflow.genai.load_prompt("hook", version=1), 50)
    assert ours < theirs / 5
