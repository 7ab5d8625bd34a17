"""Prompts through the API server: MLflow below it, in process and passed on to a stock server; real keys."""

from __future__ import annotations

import json

import mlflow
import pytest

from hokusai_nb.core.prompt_batches import promote_prompts, register_prompts
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompts import PromptModel, load_prompt_template
from hokusai_nb.errors import ModelValidationError, RegistryAccessError
from tests.apis import api_server
from tests.prompts import FULL

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def passing_on(tmp_path_factory, server):
    with api_server(tmp_path_factory.mktemp("passing-on"), mlflow_uri=server) as running:
        yield running


@pytest.fixture(params=["api", "passing_on"])
def site(request, monkeypatch, tmp_path):
    """A server that all a user knows of is its address and a key: MLflow is set to nothing."""
    running = request.getfixturevalue(request.param)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOKUSAI_API_ENDPOINT", running.url)
    monkeypatch.setenv("HOKUSAI_API_KEY", running.keys["register"])
    return running


def prompt(name, version="1.0.0", template="Hi {name}"):
    return PromptModel(name, template, version, metadata=FULL)


@pytest.mark.usefixtures("site")
def test_a_prompt_lives_as_it_does_in_a_store_of_ones_own(unique):
    name = f"persona/{unique('hook')}"
    first = prompt(name).register()
    second = PromptModel.propose(name, "Hi {name}, {greeting} 🔥", metadata=FULL).register()
    assert (second.version, second.mlflow_version, second.parent_version) == ("1.1.0", 2, "1.0.0")
    with pytest.raises(ModelValidationError, match="callers have to pass who"):
        prompt(name, "1.1.1", "Hi {name}, {greeting} {who}").register()
    first.promote_to_staging("first").promote_to_production("for all")
    second.promote_to_staging().promote_to_production("better")
    CACHE.clear()
    assert load_prompt_template(name) == "Hi {name}, {greeting} 🔥"
    back = second.rollback(why="worse after all")
    assert (back.version, back.stage, load_prompt_template(name)) == ("1.0.0", "production", "Hi {name}")
    CACHE.clear()
    loaded = PromptModel.load_from_registry(name, 2)
    assert (loaded.version, loaded.metadata, loaded.get_parent_version().version) == ("1.1.0", FULL, "1.0.0")
    assert [(e["version"], e["stage"]) for e in loaded.get_lineage()] == [("1.0.0", "production"), ("1.1.0", "dev")]
    whys = [change.why for change in loaded.get_history()]
    assert [why for why in whys if why and not why.startswith("replaced by")] == [
        "first",
        "for all",
        "better",
        "worse after all",
    ]
    assert [v.version for v in PromptModel.list(name)] == ["1.0.0", "1.1.0"]


@pytest.mark.usefixtures("site")
def test_a_batch_is_registered_and_promoted_side_by_side(unique):
    names = [unique(f"p{i}") for i in range(6)]
    items = [{"name": n, "template": f"Hi {{name}} {v}", "version": v, "metadata": FULL}
             for n in names for v in ("1.0.0", "1.0.1")]  # fmt: skip
    assert [r.error for r in register_prompts(items, progress=False)] == [None] * 12
    moved = promote_prompts(names, require=["ctr > 0.06"], progress=False)
    assert [(r.error, r.prompt.version, r.prompt.stage) for r in moved] == [(None, "1.0.1", "staging")] * 6


def test_a_run_that_used_a_prompt_is_found(site, unique):
    made = prompt(unique("hook")).register()
    client = mlflow.MlflowClient(site.mlflow)
    run = client.create_run(client.create_experiment(unique("experiment"))).info.run_id
    client.log_metric(run, "reply_rate", 0.041)
    assert made.tag_run(run) == run
    assert json.loads(client.get_run(run).data.tags["mlflow.linkedPrompts"]) == [{"name": made.name, "version": "1"}]
    assert [dict(r.metrics) for r in made.get_lineage()._find_runs()] == [{"reply_rate": 0.041}]


def test_a_key_that_reads_loads_and_renders_and_changes_nothing(site, monkeypatch, unique):
    name = unique("hook")
    made = prompt(name).register()
    monkeypatch.setenv("HOKUSAI_API_KEY", site.keys["read"])
    CACHE.clear()
    assert PromptModel.load_from_registry(name, "1.0.0").render(name="Ada") == "Hi Ada"
    assert [v.version for v in PromptModel.list(name)] == ["1.0.0"]
    for change in (prompt(name, "1.0.1", "Hi {name}!").register, made.promote_to_staging):
        with pytest.raises(RegistryAccessError):
            change()
    assert [e["stage"] for e in made.get_lineage()] == ["dev"]
    assert len(made.get_history()) == 0
