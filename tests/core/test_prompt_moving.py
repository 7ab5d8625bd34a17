from __future__ import annotations

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.backends.mlflow import prompt_stages, prompts
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.core import stage_moving
from hokusai_nb.core.prompt_moving import PromptShelf
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.core.stage_rules import Candidate
from hokusai_nb.errors import ConflictError, ModelValidationError
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.schema.versioning import parse_version
from tests.conftest import both
from tests.forked import Forked
from tests.processes import finish
from tests.prompts import FULL
from tests.racing import race


def registered(*versions, name="hook"):
    return [PromptModel(name, f"Hi {{name}} {v}", v, metadata=FULL).register() for v in versions]


def stages(name="hook"):
    found = PromptModel.list(name)
    return {v.version: v.stage.value for v in found if v.stage is not ModelStage.DEV}


@pytest.mark.usefixtures("store")
def test_nothing_is_promoted_that_is_not_registered():
    made = PromptModel("hook", "Hi {name}", "1.0.0", metadata=FULL)
    for move in (made.promote_to_staging, made.promote_to_production, made.rollback):
        with pytest.raises(ModelValidationError, match="Model must be registered before promotion"):
            move()
    made.register()
    other = PromptModel("hook", "Hello {name}", "1.0.0", metadata=FULL)
    with pytest.raises(ModelValidationError, match=r"must be registered before promotion: .* with other content"):
        other.promote_to_staging()
    same = PromptModel("hook", "Hi {name}", "1.0.0", metadata=FULL)
    assert same.promote_to_staging().stage is made.stage is ModelStage.STAGING


@pytest.mark.usefixtures("store")
def test_no_stage_is_skipped_nor_gone_back_by_promotion():
    (made,) = registered("1.0.0")
    with pytest.raises(ModelValidationError, match="Cannot promote directly from dev to production"):
        made.promote_to_production()
    made.promote_to_staging().promote_to_production()
    with pytest.raises(ModelValidationError, match="from production to staging"):
        made.promote_to_staging()
    assert made.promote_to_production().stage is ModelStage.PRODUCTION
    assert len(made.get_history()) == 2


@pytest.mark.usefixtures("store")
def test_each_stage_has_one_version_and_they_only_go_up():
    first, second, third = registered("1.0.0", "1.0.1", "1.0.2")
    first.promote_to_staging().promote_to_production()
    third.promote_to_staging()
    with pytest.raises(ModelValidationError, match=r"staging has 1\.0\.2, which is later"):
        second.promote_to_staging()
    third.promote_to_production()
    assert stages() == {"1.0.2": "production"}
    second.promote_to_staging()
    with pytest.raises(ModelValidationError, match=r"production has 1\.0\.2, which is later"):
        second.promote_to_production()
    assert stages() == {"1.0.1": "staging", "1.0.2": "production"}


@both
def test_every_transition_can_be_read_back(sqlite_or_server, unique, monkeypatch):
    mlflow.set_tracking_uri(sqlite_or_server)
    monkeypatch.setenv("LOGNAME", "ada")
    name = unique("hook")
    first, second = registered("1.0.0", "1.0.1", name=name)
    first.promote_to_staging("try it").promote_to_production("it's “good”")
    second.promote_to_staging().promote_to_production("better")
    second.rollback(why="worse")
    told = [(c.version, c.from_stage.value, c.to_stage.value, c.why) for c in first.get_history()]
    assert told == [
        ("1.0.0", "dev", "staging", "try it"),
        ("1.0.0", "staging", "production", "it's “good”"),
        ("1.0.1", "dev", "staging", ""),
        ("1.0.1", "staging", "production", "better"),
        ("1.0.0", "production", "dev", "replaced by 1.0.1"),
        ("1.0.0", "dev", "production", "worse"),
        ("1.0.1", "production", "dev", "replaced by 1.0.0"),
    ]
    whens = [c.when for c in first.get_history()]
    assert whens == sorted(whens)
    assert {c.who for c in first.get_history()} == {"ada"}
    assert [c.why for c in second.record.history] == ["", "better", "replaced by 1.0.0"]


@pytest.mark.usefixtures("store")
def test_a_reason_that_cannot_be_stored_moves_nothing():
    (made,) = registered("1.0.0")
    for why in ("x" * 1001, "a\0b", None):
        with pytest.raises(ModelValidationError, match="reason"):
            made.promote_to_staging(why)
    made.promote_to_staging("🔥" * 1000)
    assert len(made.get_history()) == 1


@pytest.mark.usefixtures("store")
def test_a_reason_that_the_history_could_not_hold_moves_nothing(monkeypatch):
    monkeypatch.setenv("LOGNAME", "\udcff\x01" * 50 + "a" * 500)
    first, second = registered("1.0.0", "1.0.1")
    for why, words in (("\ud800", "must be text"), ("\x01" * 400, "2,400 characters as it is stored")):
        with pytest.raises(ModelValidationError, match=words):
            first.promote_to_staging(why)
    first.promote_to_staging("\x01" * 333)
    second.promote_to_staging("\n" * 1000)
    assert [c.why for c in first.get_history()][:2] == ["\x01" * 333, "\n" * 1000]
    assert {c.who for c in first.get_history()} == {"a" * 100}
    texts = [text for key, text in tags("hook").items() if ".history." in key]
    assert max(len(text) for text in texts) < 5000  # what MLflow's tables hold in PostgreSQL


def tags(name):
    with Backend.at().calling() as client:
        return prompts.registry_of(client).get_registered_model(name).tags


# What the registry says counts, not what was known


def delete(name, number=None):
    with Backend.at().calling() as client:
        inner = prompts.registry_of(client)
        inner.delete_model_version(name, str(number)) if number else inner.delete_registered_model(name)


@both
def test_a_version_that_another_client_deleted_is_refused_before_anything_is_written(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    name = unique("hook")
    first, second = registered("1.0.0", "1.0.1", name=name)
    first.promote_to_staging()
    before = tags(name)
    delete(name, 2)
    with pytest.raises(ModelValidationError, match=r"must be registered before promotion: .* 1\.0\.1"):
        second.promote_to_staging()
    assert tags(name) == before
    assert stages(name) == {"1.0.0": "staging"}


@pytest.mark.usefixtures("store")
def test_a_number_that_is_not_that_versions_is_refused_before_anything_is_written():
    registered("1.0.0", "1.0.1")
    shelf = PromptShelf(Backend.at(), "hook")
    before = tags("hook")
    for number in (1, 3):
        with pytest.raises(ModelValidationError, match=r"must be registered before promotion: hook 1\.0\.1"):
            stage_moving.promote(
                shelf, Candidate("hook", "1.0.1", number, parse_version("1.0.1")), ModelStage.STAGING, ""
            )
    assert tags("hook") == before


ELSEWHERE = """
import sys, warnings
import mlflow
from hokusai_nb.core.prompts import PromptModel
from tests.prompts import FULL
warnings.simplefilter("ignore")
store, *versions = sys.argv[1:]
mlflow.set_tracking_uri(store)
for version in versions:
    PromptModel("hook", f"Hi {{name}} {version}", version, metadata=FULL).register()
"""


def test_a_prompt_that_was_deleted_and_made_again_is_promoted_by_its_new_numbers(store):
    second = registered("1.0.0", "1.1.0")[1]
    delete("hook")
    finish(Forked(ELSEWHERE, store, "1.1.0", "1.2.0"))
    assert second.promote_to_staging().version == "1.1.0"
    assert mlflow.genai.load_prompt("prompts:/hook@staging").template == "Hi {name} 1.1.0"
    assert [c.version for c in second.get_history()] == ["1.1.0"]


def test_what_holds_a_stage_is_asked_anew_too(store):
    first = registered("1.0.0", "1.1.0")[0]
    delete("hook")
    finish(Forked(ELSEWHERE, store, "1.0.0", "2.0.0"))
    with Backend.at().calling() as client:
        prompts.registry_of(client).set_registered_model_alias("hook", "staging", "2")
    # By the number it would be 1.1.0, which this process knows.
    with pytest.raises(ModelValidationError, match=r"staging has 2\.0\.0, which is later"):
        first.promote_to_staging()


# What MLflow itself put into a stage


@pytest.mark.usefixtures("store")
def test_a_version_without_a_semantic_one_is_not_displaced_unseen():
    mlflow.genai.register_prompt("hook", "made by MLflow")
    mlflow.genai.set_prompt_alias("hook", "staging", 1)
    (made,) = registered("1.0.0")
    with pytest.raises(ModelValidationError, match="staging has MLflow's version 1, which has no semantic") as caught:
        made.promote_to_staging()
    assert not any(".history." in key or ".claim." in key for key in tags("hook"))
    assert made.get_history().entries == ()
    call = "mlflow.genai.delete_prompt_alias('hook', 'staging')"
    assert call in caught.value.hint
    exec(call, {"mlflow": mlflow})  # what the hint says is all that has to be done
    assert made.promote_to_staging().stage is ModelStage.STAGING


# Going back


@pytest.mark.usefixtures("store")
def test_going_back_goes_one_version_further_each_time():
    made = registered("1.0.0", "1.0.1", "1.0.2", "1.0.3")
    for one in made:
        one.promote_to_staging().promote_to_production()
    second = made[3].rollback().rollback()
    assert (second.version, stages()) == ("1.0.1", {"1.0.1": "production"})
    made[2].promote_to_staging().promote_to_production()
    assert PromptModel.load_from_registry("hook", stage="production").rollback().version == "1.0.1"
    first = second.rollback()
    assert first.version == "1.0.0"
    with pytest.raises(ConflictError, match="production had no version before it"):
        first.rollback()
    with pytest.raises(ModelValidationError, match="it is in dev"):
        made[3].rollback()


@pytest.mark.usefixtures("store")
def test_one_can_go_back_to_a_given_version_that_was_there():
    made = registered("1.0.0", "1.0.1", "1.0.2", "1.0.3")
    for one in made[:3]:
        one.promote_to_staging().promote_to_production()
    with pytest.raises(ModelValidationError, match="it was not in production before") as caught:
        made[2].rollback(to="1.0.3")
    assert "1.0.0, 1.0.1" in caught.value.hint
    assert made[2].rollback(to="1.0.0").stage is ModelStage.PRODUCTION
    assert mlflow.genai.load_prompt("prompts:/hook@production").version == 1


@pytest.mark.usefixtures("store")
def test_staging_goes_back_to_what_was_replaced_there_or_is_emptied():
    first, second, third = registered("1.0.0", "1.0.1", "1.0.2")
    first.promote_to_staging()
    second.promote_to_staging()
    assert second.rollback().version == "1.0.0"
    second.promote_to_staging().promote_to_production()
    third.promote_to_staging()
    assert third.rollback().version == "1.0.2"
    assert stages() == {"1.0.1": "production"}


@pytest.mark.usefixtures("store")
def test_a_version_that_was_deleted_is_not_gone_back_to():
    made = registered("1.0.0", "1.0.1", "1.0.2")
    for one in made:
        one.promote_to_staging().promote_to_production()
    backend = Backend.at()
    with backend.calling() as client:
        prompts.registry_of(client).delete_model_version("hook", "2")
    assert made[2].rollback().version == "1.0.0"


# Two at once

RACE = """
from hokusai_nb.core.prompts import PromptModel
PromptModel.load_from_registry(name)
told = {"differ": [], "same": [], "staging": []}
for turn in range(3):
    one = PromptModel(name, f"Hi {{name}} {turn} by {me}", f"1.{turn}.1")
    meet()
    told["differ"].append(attempt(lambda: one.register().mlflow_version))
    two = PromptModel(name, f"Hi {{name}} {turn}", f"1.{turn}.2", metadata={"author": "all"})
    meet()
    told["same"].append(attempt(lambda: two.register().mlflow_version))
    three = PromptModel.load_from_registry(name, f"1.{turn}.{1 + int(me) % 2}", refresh=True)
    meet()
    told["staging"].append(attempt(lambda: three.promote_to_staging(me).version))
print(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.parametrize("sqlite_or_server", ["sqlite", "server", "postgres_store"], indirect=True)
def test_of_processes_that_register_and_promote_at_once_one_wins(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    name = unique("hook")
    PromptModel(name, "Hi {name}", "1.0.0", metadata=FULL).register()
    told = race(RACE, sqlite_or_server, name, turns=3 * 3)
    for turn in range(3):
        differ = [one["differ"][turn] for one in told]
        assert [kind for kind, _ in differ].count("ok") == 1, differ
        assert {kind for kind, _ in differ} <= {"ok", "ConflictError", "ModelValidationError"}, differ
        assert len({tuple(one["same"][turn]) for one in told}) == 1, told
        assert told[0]["same"][turn][0] == "ok", told
        staging = [one["staging"][turn] for one in told]
        assert "ok" in [kind for kind, _ in staging], staging
        assert {kind for kind, _ in staging} <= {"ok", "ConflictError", "ModelValidationError"}, staging
    assert [v.version for v in PromptModel.list(name)] == [
        "1.0.0", *(f"1.{turn}.{part}" for turn in range(3) for part in (1, 2))
    ]  # fmt: skip
    found = prompt_stages.standing(Backend.at(), name)
    (number,) = found.stages
    entered = [move for entry in found.entries.values() for move in entry if move.change.to_stage == "staging"]
    assert number == entered[-1].number
    assert [m.number for m in entered] == sorted({m.number for m in entered})
    # Each version left staging when the next one came in: no change was decided on what was no longer so.
    left = [move.number for entry in found.entries.values() for move in entry if move.change.to_stage == "dev"]
    assert left == [m.number for m in entered[:-1]]
    assert found.claims == {}
