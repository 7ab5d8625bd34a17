"""What loading a prompt asks of the registry, and what is known without asking."""

from __future__ import annotations

import shutil

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ConnectionFailedError, ModelNotFoundError
from hokusai_nb.schema.prompts import ModelStage
from tests.conftest import free_port
from tests.core.test_prompts import prompt, refused


@pytest.mark.usefixtures("store")
def test_a_version_is_asked_for_once_and_a_stage_once_in_a_while(statements):
    prompt().register().promote_to_staging()
    CACHE.clear()
    load = PromptModel.load_from_registry
    load("hook", "1.0.0")
    load("hook", stage="staging")
    asked = statements()
    for _ in range(5):
        assert load("hook", "1.0.0").render(name="Ada") == "Hi Ada"
        assert load("hook", 1).stage is ModelStage.STAGING
        assert load("hook", stage="staging").version == "1.0.0"
    assert asked == []
    load("hook", "1.0.0", refresh=True)
    assert asked


@pytest.mark.usefixtures("store")
def test_what_another_process_moved_is_seen_on_request():
    first = prompt().register().promote_to_staging()
    prompt(version="1.0.1", note="b").register()
    assert PromptModel.load_from_registry("hook", stage="staging").version == "1.0.0"
    mlflow.genai.set_prompt_alias("hook", "staging", 2)
    assert PromptModel.load_from_registry("hook", stage="staging").version == "1.0.0"
    assert PromptModel.load_from_registry("hook", stage="staging", refresh=True).version == "1.0.1"
    assert first.stage is ModelStage.DEV


def test_each_store_has_versions_of_its_own(store, tmp_path, migrated_database):
    prompt(note="first").register()
    shutil.copy(migrated_database, tmp_path / "other.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
    refused("no version 1.0.0", PromptModel.load_from_registry, "hook", "1.0.0", error=ModelNotFoundError)
    prompt(note="second").register()
    assert PromptModel.load_from_registry("hook", "1.0.0").metadata["note"] == "second"
    mlflow.set_tracking_uri(store)
    assert PromptModel.load_from_registry("hook", "1.0.0").metadata["note"] == "first"


@pytest.mark.usefixtures("store")
def test_mock_mode_leaves_the_users_store_alone(monkeypatch):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    assert prompt("mock-only").register().record.simulated
    monkeypatch.delenv("HOKUSAI_MOCK_MODE")
    assert list(PromptModel.list()) == []


@pytest.mark.usefixtures("store")
def test_loading_links_nothing_to_the_current_run():
    prompt().register()
    CACHE.clear()
    with mlflow.start_run() as run:
        PromptModel.load_from_registry("hook", "1.0.0")
    tags = mlflow.MlflowClient().get_run(run.info.run_id).data.tags
    assert not [key for key in tags if "prompt" in key.lower()]


@pytest.mark.usefixtures("store")
def test_a_dead_server_is_said_within_seconds():
    mlflow.set_tracking_uri(f"http://127.0.0.1:{free_port()}")
    refused("Failed to connect to MLflow", prompt().register, error=ConnectionFailedError)
    refused("Failed to connect", PromptModel.load_from_registry, "hook", "1.0.0", error=ConnectionFailedError)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_what_is_known_costs_no_request(proxy, unique):
    mlflow.set_tracking_uri(proxy.address)
    name = unique("hook")
    prompt(name).register().promote_to_staging()
    before = len(proxy.requests)
    loaded = [PromptModel.load_from_registry(name, "1.0.0") for _ in range(3)]
    assert [made.render(name="Ada") for made in loaded] == ["Hi Ada"] * 3
    assert PromptModel.load_from_registry(name, stage="staging").version == "1.0.0"
    assert len(proxy.requests) == before
    PromptModel.load_from_registry(name, "1.0.0", refresh=True)
    assert len(proxy.requests) > before
