from __future__ import annotations

import mlflow

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.config import configure
from hokusai_nb.core import prompt_cache
from hokusai_nb.core.prompt_cache import CACHE, PromptCache, current_backend
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.schema.prompts import PromptVersion
from tests.prompts import FULL


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
    PromptModel("hook", "Hi {name}", "1.0.0", metadata=FULL).register().promote_to_staging()
    backend = Backend.at(store)
    monkeypatch.setattr(prompt_cache, "STANDING_SECONDS", 3600)
    known = CACHE.standing(backend, "hook", refresh=True)
    assert CACHE.standing(backend, "hook") is known
    monkeypatch.setattr(prompt_cache, "STANDING_SECONDS", 0)
    known = CACHE.standing(backend, "hook", refresh=True)
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


def version(number, text="1.0.0", template="x"):
    return PromptVersion(name="hook", version=text, template=template, mlflow_version=number)


def test_what_is_known_of_a_version_is_replaced_only_where_the_store_was_asked_anew(store):
    cache, backend = PromptCache(), Backend.at(store)
    cache.note(backend, [version(2), version(3, "1.0.1")])
    cache.note(backend, [version(4), version(3, "1.0.1", "other")])
    assert [cache.known(backend, "hook", v).mlflow_version for v in ("1.0.0", "1.0.1")] == [2, 3]
    assert cache.known(backend, "hook", "1.0.1").template == "x"
    cache.note(backend, [version(2)], anew=True)
    assert cache.known(backend, "hook", "1.0.1").mlflow_version == 3
    cache.note(backend, [version(1, "1.0.1")], anew=True)  # deleted, and registered again
    assert cache.known(backend, "hook", "1.0.1").mlflow_version == 1
    assert cache.known(backend, "hook", "1.0.0") is None


def test_what_another_client_deleted_is_forgotten_when_the_store_is_asked_anew(store):
    for number, template in [("1.0.0", "Hi {name}"), ("1.0.1", "Hi {name}!")]:
        PromptModel("hook", template, number, metadata=FULL).register()
    backend = Backend.at(store)
    with backend.calling() as client:
        prompts.registry_of(client).delete_model_version("hook", "2")
    assert CACHE.version(backend, "hook", "1.0.1").template == "Hi {name}!"
    assert CACHE.version(backend, "hook", "1.0.1", refresh=True) is None
    assert CACHE.version(backend, "hook", "1.0.1") is CACHE.known(backend, "hook", "1.0.1") is None
    with backend.calling() as client:
        prompts.registry_of(client).delete_registered_model("hook")
    PromptModel("hook", "Ho {name}", "1.0.0", metadata=FULL).register()
    assert CACHE.numbered(backend, "hook", 1).template == "Ho {name}"
    assert PromptModel.load_from_registry("hook", "1.0.0").template == "Ho {name}"
