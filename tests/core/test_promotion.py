"""Stages of models, by the rules that prompts have, and of whatever a name stands for."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.backends.mlflow import model_stages
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.core import promotion, stage_moving
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import ConflictError, ModelNotFoundError, ModelValidationError, RegistryError
from hokusai_nb.schema.prompts import ModelStage
from tests.conftest import both, train
from tests.prompts import FULL
from tests.racing import race


@pytest.fixture
def churn(registry):
    """Three versions of a model, without a token: stages are for any model."""
    client = mlflow.MlflowClient()
    client.create_registered_model("churn")
    for _ in range(3):
        client.create_model_version("churn", "models/churn")
    return registry


def aliases(name="churn"):
    return mlflow.MlflowClient().get_registered_model(name).aliases


def told(registry, name="churn"):
    return [(c.version, c.from_stage.value, c.to_stage.value, c.why) for c in registry.get_history(name)]


def test_a_model_goes_from_dev_to_staging_to_production(churn):
    first = churn.promote("churn", 1, why="try it")
    assert (first.kind, first.version, first.stage) == ("model", "1", ModelStage.STAGING)
    second = churn.promote("churn", to="production", why="it's “good”")
    assert (second.version, second.stage) == ("1", ModelStage.PRODUCTION)
    assert aliases() == {"production": 1}
    assert told(churn) == [("1", "dev", "staging", "try it"), ("1", "staging", "production", "it's “good”")]
    assert mlflow.MlflowClient().get_model_version_by_alias("churn", "production").version == 1


def test_a_name_alone_means_the_newest_for_staging_and_the_one_in_staging_for_production(churn):
    assert churn.promote("churn", 1).version == "1"
    assert churn.promote("churn", to="production").version == "1"
    assert churn.promote("churn").version == "3"
    churn.promote("churn", to="production")
    churn.promote("churn", 2, "staging")
    with pytest.raises(ModelValidationError, match="Cannot promote churn 2: production has 3, which is later"):
        churn.promote("churn", to="production")


@pytest.mark.parametrize("to", [None, "staging"])
def test_the_same_call_again_changes_nothing_and_reaches_production_never(churn, to):
    churn.promote("churn", to=to)
    again = churn.promote("churn", to=to)
    assert (again.changes, again.version, again.stage) == ((), "3", ModelStage.STAGING)
    churn.promote("churn", to="production")
    for version in (None, 3):
        still = churn.promote("churn", version, to)
        assert (still.changes, still.version, still.stage) == ((), "3", ModelStage.PRODUCTION)
    assert churn.promote("churn", to="production").changes == ()
    assert len(churn.get_history("churn")) == 2


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"name": "churn", "to": "production"}, ModelValidationError, "Cannot promote directly from dev to production"),
        ({"name": "churn", "to": "dev"}, ModelValidationError, "comes to dev by being registered"),
        ({"name": "churn", "to": "prod"}, ModelValidationError, "There is no stage 'prod'"),
        ({"name": "churn", "version": 9}, ModelNotFoundError, "no version '9'"),
        ({"name": "churn", "version": "1; --"}, ModelNotFoundError, "no version"),
        ({"name": "nope"}, ModelNotFoundError, "no model and no prompt 'nope'"),
        ({"name": "a/b' OR 1=1"}, ModelNotFoundError, "no model and no prompt"),
        ({"name": ""}, ModelValidationError, "cannot be empty"),
        ({"name": "churn", "why": "x" * 1001}, ModelValidationError, "reason has 1,001"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_moved(churn, asked, error, words):
    with pytest.raises(error, match=words):
        churn.promote(**asked)
    assert aliases() == {}
    assert told(churn) == []


def test_each_stage_has_one_version_and_they_only_go_up(churn):
    churn.promote("churn", 2)
    with pytest.raises(ModelValidationError, match="staging has 2, which is later"):
        churn.promote("churn", 1, "staging")
    churn.promote("churn", 3)
    assert aliases() == {"staging": 3}
    assert told(churn)[-1] == ("2", "staging", "dev", "replaced by 3")


def test_going_back_puts_the_version_before_it_back(churn):
    for version in (1, 2, 3):
        churn.promote("churn", version)
        churn.promote("churn", version, to="production")
    back = churn.rollback("churn", why="worse")
    assert (back.version, back.rollback, aliases()) == ("2", True, {"production": 2})
    with pytest.raises(ModelValidationError, match="it was not in production before"):
        churn.rollback("churn", to=3)
    assert churn.rollback("churn", to=1).version == "1"
    with pytest.raises(ConflictError, match="production had no version before it"):
        churn.rollback("churn")


def test_going_back_in_staging_may_leave_it_empty(churn):
    with pytest.raises(ModelValidationError, match="Nothing to roll back: model churn has no version in staging or"):
        churn.rollback("churn")
    churn.promote("churn", 1)
    assert churn.rollback("churn", stage="staging").version is None
    assert aliases() == {}
    assert told(churn)[-1][:3] == ("1", "staging", "dev")


def test_a_version_that_was_deleted_is_not_gone_back_to(churn):
    for version in (1, 2, 3):
        churn.promote("churn", version)
        churn.promote("churn", version, to="production")
    churn.delete_model_version("churn", 2)
    assert churn.rollback("churn").version == "1"


def test_what_was_taken_out_of_staging_is_not_gone_back_to(churn):
    churn.promote("churn", 1)
    churn.rollback("churn")
    churn.promote("churn", 2)
    assert churn.rollback("churn").version is None
    assert aliases() == {}


def test_a_version_that_is_deleted_while_it_is_promoted_is_refused_before_anything_is_written(churn):
    shelf = promotion._Models(churn.backend, "churn")
    found = shelf.find("2")
    churn.delete_model_version("churn", 2)
    with pytest.raises(ModelValidationError, match="must be registered before promotion: churn 2"):
        stage_moving.promote(shelf, found, ModelStage.STAGING, "")
    assert mlflow.MlflowClient().get_registered_model("churn").tags == {}


def test_a_promotion_that_was_refused_is_as_if_it_had_not_been_to_a_rollback(churn, store):
    for version, to in ((1, "staging"), (1, "production"), (2, "staging"), (3, "staging")):
        churn.promote("churn", version, to)
    with contextlib.closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database:
        refuse = "BEFORE UPDATE ON registered_model_aliases BEGIN SELECT RAISE(ABORT, 'guarded'); END"
        database.execute(f"CREATE TRIGGER guard {refuse}")
        with pytest.raises(RegistryError, match="guarded"):
            churn.promote("churn", 3, "production")
        database.execute("DROP TRIGGER guard")
    assert told(churn)[-2:] == [
        ("3", "production", "staging", "undone: MLflow refused it"),
        ("1", "dev", "production", "undone: MLflow refused it"),
    ]
    assert aliases() == {"production": 1, "staging": 3}
    with pytest.raises(ConflictError, match="production had no version before it"):
        churn.rollback("churn")
    assert churn.rollback("churn", stage="staging").version == "2"


def test_a_stage_that_mlflow_itself_gave_is_named_where_it_is_in_the_way(registry):
    mlflow.genai.register_prompt("hook", "made by MLflow")
    mlflow.genai.set_prompt_alias("hook", "production", 1)
    with pytest.raises(ModelValidationError, match="production has MLflow's version 1, which has no semantic version"):
        registry.rollback("hook")
    PromptModel("hook", "Hi {name}", "1.0.0", metadata=FULL).register()
    registry.promote("hook")
    with pytest.raises(ModelValidationError, match="production has MLflow's version 1, which has no semantic version"):
        registry.promote("hook", to="production")
    assert [c.to_stage.value for c in registry.get_history("hook")] == ["staging"]


def test_promotion_leaves_the_tags_of_versions_alone_and_registration_goes_on(registry, trained):
    run = trained(accuracy=0.9)
    asked = (run.run_id, "scored", "MSG-AI", "accuracy")
    made = registry.register_run_model(*asked)
    registry.promote("scored")
    registry.promote("scored", to="production")
    after = registry.get_tokenized_model("scored", 1)
    assert after.tags == made.tags
    assert after.aliases == ("production",)
    assert registry.validate_hokusai_tags(after.tags)
    again = registry.register_run_model(*asked)
    assert (again.version, again.created) == ("1", False)
    assert registry.register_run_model(trained(accuracy=0.95).run_id, *asked[1:]).version == "2"
    registry.update_model_tags("scored", 1, {"gpu_type": "A100"})
    assert [m.version for m in registry.list_models("scored")] == ["1", "2"]


def test_one_call_serves_prompts_and_models_of_one_list(churn):
    PromptModel("persona/hook", "Hi {name}", "1.0.0", metadata=FULL).register()
    moved = churn.promote("persona/hook")
    assert (moved.kind, moved.name, moved.version, moved.uri) == (
        "prompt", "persona/hook", "1.0.0", "prompts:/persona.hook@staging",
    )  # fmt: skip
    assert churn.promote("persona.hook", to="production").name == "persona/hook"
    assert PromptModel.load_from_registry("persona/hook").stage is ModelStage.PRODUCTION
    PromptModel("persona/hook", "Hello {name}", "1.0.1", metadata=FULL).register()
    churn.promote("persona/hook")
    churn.promote("persona/hook", to="production")
    assert churn.rollback("persona/hook").version == "1.0.0"
    assert told(churn, "persona/hook") == [
        (c.version, c.from_stage.value, c.to_stage.value, c.why)
        for c in PromptModel.load_from_registry("persona/hook").get_history()
    ]


def test_a_models_name_may_hold_anything(registry):
    client = mlflow.MlflowClient()
    name = """it's <b>"a.b" \\ 100%"""
    client.create_registered_model(name)
    client.create_model_version(name, "models/odd")
    moved = registry.promote(name)
    assert aliases(name) == {"staging": 1}
    bundle = moved._repr_mimebundle_()
    assert "<b>" not in bundle["text/html"]
    assert moved.version == "1"


def test_what_was_promoted_is_shown_with_its_reason_escaped(churn):
    bundle = churn.promote("churn", 1, why="<script>\x1b[31m")._repr_mimebundle_()
    assert bundle["text/plain"].startswith("Model churn 1 promoted to staging\n")
    assert "\x1b" not in bundle["text/plain"]
    assert "<script>" not in bundle["text/html"]
    assert "models:/churn@staging" in bundle["text/plain"]


@pytest.mark.usefixtures("churn")
def test_twins_do_the_same(store):
    async def go():
        registry = ModelRegistry(store)
        await registry.apromote("churn", 1)
        await registry.arollback("churn")
        return await registry.aget_history("churn")

    assert [c.to_stage.value for c in asyncio.run(go())] == ["staging", "dev"]


RACE = """
from hokusai_nb.core.registry import ModelRegistry
registry = ModelRegistry(store)
registry.get_history(name)
meet()
print(json.dumps(attempt(lambda: registry.promote(name, 1 + int(me), "staging", me).version)))
"""


@pytest.mark.slow
@both
def test_of_processes_that_promote_a_model_at_once_no_two_win_the_same_turn(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    name = unique("churn")
    for value in (0.8, 0.9):
        run = train(sqlite_or_server, accuracy=value)
        ModelRegistry(sqlite_or_server).register_run_model(run.run_id, name, "MSG-AI", "accuracy")
    told = race(RACE, sqlite_or_server, name)
    kinds = [kind for kind, _ in told]
    assert "ok" in kinds, told
    assert set(kinds) <= {"ok", "ConflictError", "ModelValidationError"}, told
    found = model_stages.standing(Backend.at(sqlite_or_server), name)
    assert found.last_entry == kinds.count("ok")
    assert found.claims == {}
    entered = [c.version for c in found.changes if c.to_stage is ModelStage.STAGING]
    assert found.stages == {int(entered[-1]): (ModelStage.STAGING,)}
