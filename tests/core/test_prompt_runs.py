"""Runs that used a version of a prompt: tagged by us, linked by MLflow, found for the plot."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ModelValidationError, NoCurrentRunError, RunNotFoundError
from tests.conftest import both
from tests.prompts import FULL

pytestmark = pytest.mark.usefixtures("store")


def registered(name="persona/hook", version="1.0.0", template="Hi {name}"):
    return PromptModel(name, template, version, metadata=FULL).register()


def tags(run_id):
    return mlflow.get_run(run_id).data.tags


def found(prompt):
    return [(r.version, dict(r.metrics)) for r in prompt.get_lineage()._find_runs()]


@both
def test_a_tagged_run_is_found_with_what_it_measured_and_linked_in_mlflow(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    mlflow.set_experiment(unique("experiment"))
    prompt = registered(unique("persona/hook"))
    with mlflow.start_run() as run:
        mlflow.log_metric("reply_rate", 0.041)
        assert prompt.tag_run() == run.info.run_id
    assert tags(run.info.run_id)["hokusai.prompt"] == f"{prompt.name}@1.0.0"
    assert json.loads(tags(run.info.run_id)["mlflow.linkedPrompts"]) == [
        {"name": prompt.name.replace("/", "."), "version": "1"}
    ]
    assert found(prompt) == [("1.0.0", {"reply_rate": 0.041})]


def test_a_run_tagged_by_hand_is_found():
    prompt = registered()
    with mlflow.start_run():
        mlflow.set_tag("hokusai.prompt", "persona/hook@1.0.0")
    assert found(prompt) == [("1.0.0", {})]


def test_a_run_that_loaded_the_prompt_through_mlflow_is_found():
    prompt = registered()
    registered(version="1.0.1", template="Hey {name}")
    with mlflow.start_run():
        mlflow.genai.load_prompt("persona.hook", version=2)
    assert found(prompt) == [("1.0.1", {})]


def test_a_run_linked_to_several_versions_belongs_to_the_one_that_it_is_tagged_with_or_to_none():
    prompt = registered()
    later = registered(version="1.0.1", template="Hey {name}")
    with mlflow.start_run():
        mlflow.genai.load_prompt("persona.hook", version=1)
        mlflow.genai.load_prompt("persona.hook", version=2)
        assert found(prompt) == []
        prompt.tag_run()
        assert found(prompt) == [("1.0.0", {})]
        later.tag_run()
        assert found(prompt) == [("1.0.1", {})]


def test_a_run_may_use_several_prompts():
    hook, other = registered(), registered("persona/hook-b", "2.0.0")
    with mlflow.start_run() as run:
        hook.tag_run()
        other.tag_run()
        hook.tag_run()
    assert tags(run.info.run_id)["hokusai.prompt"] == "persona/hook-b@2.0.0 persona/hook@1.0.0"
    assert len(json.loads(tags(run.info.run_id)["mlflow.linkedPrompts"])) == 2
    assert (found(hook), found(other)) == ([("1.0.0", {})], [("2.0.0", {})])


def test_names_that_resemble_each_other_are_kept_apart():
    names = ("a_b", "aXb", "x/a_b", "A_b")
    prompts = [registered(name) for name in names]
    for number, prompt in enumerate(prompts):
        with mlflow.start_run():
            mlflow.log_metric("number", number)
            prompt.tag_run()
    assert [found(prompt) for prompt in prompts] == [[("1.0.0", {"number": i})] for i in range(4)]


@pytest.mark.parametrize(
    "text", ["", "@", "persona/hook", "persona/hook@9.9.9", "persona/hook@1.0.0 persona/hook@2.0.0"]
)
def test_a_tag_that_names_no_version_is_passed_over(text):
    prompt = registered()
    with mlflow.start_run():
        mlflow.set_tag("hokusai.prompt", text)
    assert found(prompt) == []


@pytest.mark.parametrize("text", ['{"persona.hook"', '"persona.hook"', '[{"name": "persona.hook"}]', "[" * 4000])
def test_links_that_cannot_be_read_are_another_clients_and_stay(text):
    prompt = registered()
    with mlflow.start_run() as run:
        mlflow.set_tag("mlflow.linkedPrompts", text)
        assert found(prompt) == []
        prompt.tag_run()
    assert tags(run.info.run_id)["mlflow.linkedPrompts"] == text
    assert found(prompt) == [("1.0.0", {})]


def test_threads_that_tag_one_run_lose_nothing():
    prompts = [registered(f"p{i}") for i in range(6)]
    with mlflow.start_run() as run:
        threads = [threading.Thread(target=prompt.tag_run, args=(run.info.run_id,)) for prompt in prompts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(tags(run.info.run_id)["hokusai.prompt"].split()) == 6
    assert len(json.loads(tags(run.info.run_id)["mlflow.linkedPrompts"])) == 6


def test_what_is_not_there_cannot_be_tagged():
    fresh = PromptModel("persona/hook", "Hi {name}", "1.0.0", metadata=FULL)
    with pytest.raises(ModelValidationError, match="Model must be registered before a run is tagged with it"):
        fresh.tag_run()
    prompt = fresh.register()
    with pytest.raises(NoCurrentRunError):
        prompt.tag_run()
    with pytest.raises(RunNotFoundError):
        prompt.tag_run("0" * 32)


def test_the_same_version_made_anew_can_tag():
    registered()
    with mlflow.start_run():
        PromptModel("persona/hook", "Hi {name}", "1.0.0").tag_run()
    assert found(registered()) == [("1.0.0", {})]


def test_the_twin_tags_the_callers_run():
    prompt = registered()
    with mlflow.start_run() as run:
        assert asyncio.run(prompt.atag_run()) == run.info.run_id


def test_a_run_of_no_time_that_a_calendar_holds_is_drawn_all_the_same():
    prompt = registered()
    client = mlflow.MlflowClient()
    for start in (10**17, -(10**17)):
        run = client.create_run("0", start_time=start)
        client.log_metric(run.info.run_id, "reply_rate", 0.04)
        prompt.tag_run(run.info.run_id)
    assert [run.started for run in prompt.get_lineage()._find_runs()] == [None, None]
    assert "in 2 runs of 1 version" in prompt.get_lineage().plot().text


def test_a_deleted_run_is_not_found():
    prompt = registered()
    with mlflow.start_run() as run:
        prompt.tag_run()
    mlflow.delete_run(run.info.run_id)
    assert found(prompt) == []


def test_a_lineage_carries_the_transitions_and_survives_pickling():
    prompt = registered().promote_to_staging("first")
    with mlflow.start_run():
        mlflow.log_metric("reply_rate", 0.04)
        prompt.tag_run()
    lineage = pickle.loads(pickle.dumps(prompt.get_lineage()))
    assert [change.why for change in lineage.versions[0].history] == ["first"]
    assert lineage._find_runs()[0].metrics == {"reply_rate": 0.04}
    assert "Below: reply_rate" in lineage.plot().text
