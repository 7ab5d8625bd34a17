from __future__ import annotations

import asyncio
import json
import warnings

import mlflow
import mlflow.genai
import numpy as np
import pytest

from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompts import PromptModel, load_prompt_template
from hokusai_nb.errors import (
    ConflictError,
    HokusaiWarning,
    ModelNotFoundError,
    ModelValidationError,
)
from hokusai_nb.schema.prompts import ModelStage
from tests.conftest import both, free_port
from tests.prompts import FULL


def prompt(name="hook", version="1.0.0", template="Hi {name}", **more):
    return PromptModel(name, template, version, metadata={**FULL, **more})


def refused(words, call, *args, error=ModelValidationError, **kwargs):
    with pytest.raises(error) as caught:
        call(*args, **kwargs)
    assert words in str(caught.value)
    return caught.value


# Making one


def test_making_one_checks_it_and_contacts_nothing():
    mlflow.set_tracking_uri(f"http://127.0.0.1:{free_port()}")
    try:
        made = prompt()
        assert made.render(name="Ada") == "Hi Ada"
        assert (made.stage, made.registered, made.mlflow_version) == (ModelStage.DEV, False, None)
    finally:
        mlflow.set_tracking_uri(None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "Model name cannot be empty"),
        ({"name": "a.b"}, "Model name invalid"),
        ({"template": ""}, "Template cannot be empty"),
        ({"template": "Hello {name"}, "Invalid template format"),
        ({"version": "1.0"}, "Invalid version format"),
        ({"version": "01.0.0"}, "Invalid version format"),
        ({"version": None}, "Invalid version format"),
        ({"stage": "live"}, "There is no stage 'live'"),
        ({"metadata": {"mlflow.prompt.text": "x"}}, "mlflow.prompt.text cannot be set"),
        ({"metadata": {"hokusai.prompt.version": "9.9.9"}}, "cannot be set"),
        ({"metadata": {"x": object()}}, "cannot be stored"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_made(changes, words):
    refused(words, PromptModel, **{"name": "hook", "template": "{x}", "version": "1.0.0", **changes})


def test_all_that_is_wrong_is_said_at_once():
    error = refused("Model name cannot be empty", PromptModel, "", "{", "1")
    assert [p.field for p in error.problems] == ["name", "template", "version"]


def test_validate_returns_what_is_only_recommended():
    assert prompt().validate() == []
    assert [p.field for p in PromptModel("hook", "{x}", "1.0.0").validate()] == [f"metadata.{key}" for key in FULL]


def test_its_variables_are_listed_as_they_first_appear():
    made = prompt(template="{b} {a.x} {{c}} {b!r} {d[key]:{width}}")
    assert made.get_template_variables() == ["b", "a", "d", "width"]
    made.get_template_variables().append("x")
    assert made.get_template_variables() == ["b", "a", "d", "width"]
    assert prompt(template="none").get_template_variables() == []


def test_metadata_is_what_json_holds_before_it_is_registered_too():
    given = {"count": np.int64(3), "rate": np.float64(0.5), "yes": np.True_, "pair": (1, [2]), "deep": {"t": ("a",)}}
    made = prompt(**given)
    plain = {"count": 3, "rate": 0.5, "yes": True, "pair": [1, [2]], "deep": {"t": ["a"]}}
    assert json.loads(json.dumps(made.to_dict()))["metadata"] == {**FULL, **plain}
    assert {key: type(made.metadata[key]) for key in ("count", "rate", "yes")} == {
        "count": int, "rate": float, "yes": bool,
    }  # fmt: skip
    inner = [2]
    held = prompt(pair=(1, inner))
    inner.append(3)
    assert held.metadata["pair"] == [1, [2]]


def test_a_missing_value_is_refused_with_its_name():
    refused("Missing required variables: name", prompt().render)


# Registering and loading


@both
def test_a_registered_version_comes_back_as_it_was(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    name = f"persona/{unique('hook')}"
    metadata = {"target": 0.06, "count": 3, "tested": True, "none": None, "ticket": "17", "tags": ["a", {"b": [1.5]}]}
    made = prompt(name, template="🔥 {x} {{y}}\n", **metadata).register()
    CACHE.clear()
    found = PromptModel.load_from_registry(name, "1.0.0")
    assert (found.name, found.version, found.template) == (name, "1.0.0", "🔥 {x} {{y}}\n")
    assert found.metadata == {**FULL, **metadata}
    assert {key: type(value) for key, value in found.metadata.items() if key in metadata} == {
        "target": float, "count": int, "tested": bool, "none": type(None), "ticket": str,
        "tags": type(found.metadata["tags"]),
    }  # fmt: skip
    assert (found.author, found.mlflow_version, found.stage) == ("ada", 1, ModelStage.DEV)
    assert found.created_at == made.created_at
    assert json.loads(json.dumps(found.to_dict()))["variables"] == ["x"]


@both
def test_mlflow_itself_shows_and_loads_it(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    stem = unique("hook")
    prompt(f"a/{stem}").register().promote_to_staging()
    prompt(f"a/{stem}", "1.1.0", "Hi {name} {greeting}").register()
    assert mlflow.genai.load_prompt(f"a.{stem}", version=1).template == "Hi {name}"
    assert mlflow.genai.load_prompt(f"prompts:/a.{stem}@staging").version == 1
    assert mlflow.genai.load_prompt(f"a.{stem}").template == "Hi {name} {greeting}"
    assert [p.name for p in mlflow.genai.search_prompts(f"name = 'a.{stem}'")] == [f"a.{stem}"]
    assert not mlflow.MlflowClient().search_registered_models(f"name = 'a.{stem}'")


@pytest.mark.usefixtures("store")
def test_a_version_is_found_by_number_by_stage_and_as_the_newest():
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        prompt(version=version, note=version).register()
    PromptModel.load_from_registry("hook", "1.0.1").promote_to_staging()
    load = PromptModel.load_from_registry
    assert load("hook").version == "1.0.2"
    assert [load("hook", 1).version, load("hook", "2").version] == ["1.0.0", "1.0.1"]
    assert load("hook", stage="staging").version == "1.0.1"
    assert load("hook", stage=ModelStage.DEV).version == "1.0.2"
    load("hook").promote_to_staging()
    assert load("hook", stage="dev").version == "1.0.1"
    assert load_prompt_template("hook", stage="staging") == "Hi {name}"


@pytest.mark.usefixtures("store")
def test_a_service_gets_the_text_in_production_unless_it_asks_for_another_stage():
    prompt().register().promote_to_staging().promote_to_production()
    prompt(version="1.0.1", template="Hi {name}!").register().promote_to_staging()
    prompt(version="1.0.2", template="Hi {name}?").register()
    assert load_prompt_template("hook") == "Hi {name}"
    assert [load_prompt_template("hook", s) for s in ("production", "staging", ModelStage.DEV)] == [
        "Hi {name}",
        "Hi {name}!",
        "Hi {name}?",
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"version": "9.0.0"}, "Prompt 'hook' has no version 9.0.0"),
        ({"version": 9}, "no semantic version that MLflow counts as 9"),
        ({"stage": "production"}, "Prompt 'hook' has no version in production"),
        ({"name": "other"}, "There is no prompt 'other'"),
        ({"name": "other", "version": "1.0.0"}, "Prompt 'other' has no version 1.0.0"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_is_not_there_is_not_found(asked, words):
    prompt().register()
    refused(words, PromptModel.load_from_registry, **{"name": "hook", **asked}, error=ModelNotFoundError)
    refused("no version in production", load_prompt_template, "hook", error=ModelNotFoundError)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"version": "1.0"}, "Invalid version format"),
        ({"version": True}, "Invalid version format"),
        ({"version": 10**30}, "Invalid version format"),
        ({"version": "1.0.0", "stage": "dev"}, "a version or a stage, not both"),
        ({"stage": "latest"}, "There is no stage 'latest'"),
        ({"name": "it's \" % _"}, "Model name invalid"),
        ({"name": None}, "Model name cannot be empty"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_cannot_be_asked_for_is_refused_before_the_registry_sees_it(asked, words):
    refused(words, PromptModel.load_from_registry, **{"name": "hook", **asked})


@pytest.mark.usefixtures("store")
def test_a_prompt_of_another_client_is_left_alone():
    mlflow.genai.register_prompt("theirs", "Hi {{name}}")
    refused("was not registered with hokusai_nb", PromptModel.load_from_registry, "theirs", error=ModelNotFoundError)
    refused("no semantic version", PromptModel.load_from_registry, "theirs", 1, error=ModelNotFoundError)
    assert list(PromptModel.list()) == []
    assert prompt("theirs").register().mlflow_version == 2
    mlflow.genai.register_prompt("theirs", "Hi {{name}} again")
    assert PromptModel.load_from_registry("theirs").version == "1.0.0"
    assert prompt("theirs", "1.0.1").register().mlflow_version == 4


@pytest.mark.usefixtures("store")
def test_the_name_of_a_model_is_refused():
    mlflow.MlflowClient().create_registered_model("churn")
    refused("'churn' is the name of a model", prompt("churn").register)


@pytest.mark.usefixtures("store")
def test_recommended_metadata_that_is_missing_is_a_warning_in_the_callers_line():
    with pytest.warns(HokusaiWarning, match="missing: author, purpose, tested_on, performance_metrics") as caught:
        PromptModel("hook", "{x}", "1.0.0").register()
    assert {w.filename for w in caught} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prompt("other").register()


@pytest.mark.usefixtures("store")
def test_the_author_is_who_works_here_where_the_metadata_names_none(monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    with pytest.warns(HokusaiWarning):
        assert PromptModel("hook", "{x}", "1.0.0").register().author == "ada"


@pytest.mark.usefixtures("store")
def test_a_stage_asked_for_at_once_is_reached_step_by_step():
    assert PromptModel("hook", "{x}", "1.0.0", "staging", FULL).register().stage is ModelStage.STAGING
    late = PromptModel("hook", "{x}!", "1.0.1", ModelStage.PRODUCTION, FULL)
    refused("Cannot promote directly from dev to production", late.register)


@pytest.mark.usefixtures("store")
def test_a_list_has_every_version_and_its_stage_and_can_be_narrowed():
    for name in ("persona/a", "persona/b", "person", "system/x"):
        for version in ("1.0.0", "1.0.1"):
            prompt(name, version, note=version).register()
    PromptModel.load_from_registry("persona/b", "1.0.0").promote_to_staging()
    assert [(v.name, v.version, v.stage.value) for v in PromptModel.list("persona/")] == [
        ("persona/a", "1.0.0", "dev"),
        ("persona/a", "1.0.1", "dev"),
        ("persona/b", "1.0.0", "staging"),
        ("persona/b", "1.0.1", "dev"),
    ]
    assert len(PromptModel.list()) == 8
    assert len(PromptModel.list("perso_a")) == 0


# Looking back


@pytest.mark.usefixtures("store")
def test_the_lineage_has_every_version_with_where_it_came_from():
    made = [prompt(version=v, template=f"Hi {{name}} {v}").register() for v in ("1.0.0", "1.0.1", "1.1.0")]
    made[0].promote_to_staging()
    entries = list(made[1].get_lineage())
    assert [(e["version"], e["parent_version"], e["stage"], e["mlflow_version"]) for e in entries] == [
        ("1.0.0", None, "staging", 1),
        ("1.0.1", "1.0.0", "dev", 2),
        ("1.1.0", "1.0.1", "dev", 3),
    ]
    assert all(e["created_at"] and e["author"] == "ada" for e in entries)
    assert made[2].get_parent_version().version == "1.0.1"
    assert made[0].get_parent_version() is None
    assert list(prompt("unknown").get_lineage()) == []


def test_comparing_needs_no_registry_and_one_name():
    old, new = prompt(template="{a} {b}"), prompt(version="2.0.0", template="{b} {c}")
    assert old.compare_with(new)["template_diff"]["variables_added"] == ["c"]
    assert old.compare_with(new)["template_diff"]["variables_removed"] == ["a"]
    assert old.compare_with(new)["version_step"] == "major"
    refused("Cannot compare models with different names", old.compare_with, prompt("other"))


# How it shows


@pytest.mark.usefixtures("store")
def test_it_shows_itself_escaped_and_without_asking(statements):
    made = prompt(template="<script>{name}</script>").register()
    asked = statements()
    shown = made._repr_mimebundle_()
    assert "<script>" not in shown["text/html"]
    assert "&lt;script&gt;" in shown["text/html"]
    assert "Prompt hook 1.0.0 (registered)" in shown["text/plain"]
    assert repr(made) == "PromptModel('hook', version='1.0.0', stage='dev')"
    assert asked == []


# In an event loop


@pytest.mark.usefixtures("store")
def test_twins_do_what_the_verbs_do():
    async def life():
        made = await (await PromptModel.apropose("hook", "Hi {name}", metadata=FULL)).aregister()
        await made.apromote_to_staging()
        await made.apromote_to_production("for all")
        second = await (await PromptModel.apropose("hook", "Hi {name}!", "minor", FULL)).aregister()
        await (await second.apromote_to_staging()).apromote_to_production()
        back = await second.arollback()
        loaded, lineage, history, parent, known = await asyncio.gather(
            PromptModel.aload_from_registry("hook", stage="production"),
            back.aget_lineage(),
            back.aget_history(),
            second.aget_parent_version(),
            PromptModel.alist(),
        )
        assert (back.version, loaded.version, parent.version) == ("1.0.0", "1.0.0", "1.0.0")
        assert ([e["version"] for e in lineage], len(history), len(known)) == (["1.0.0", "1.1.0"], 7, 2)

    asyncio.run(life())


@pytest.mark.usefixtures("store")
def test_an_interrupted_or_refused_change_leaves_no_claim():
    made = prompt().register()
    refused("Cannot promote directly", made.promote_to_production)
    made.promote_to_staging()
    refused("had no version before", made.promote_to_production().rollback, error=ConflictError)
    (found,) = mlflow.MlflowClient().search_registered_models("tags.`mlflow.prompt.is_prompt` = 'true'")
    assert not [key for key in found.tags if "claim" in key]
