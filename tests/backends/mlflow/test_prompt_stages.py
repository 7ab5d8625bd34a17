from __future__ import annotations

import datetime as dt

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.backends.mlflow import prompts, stages
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.backends.mlflow.prompt_stages import Move, change_stages, standing
from hokusai_nb.schema.prompts import ModelStage, PromptVersion, StageChange

HISTORY = "hokusai.prompt.history."
DEV, STAGING = ModelStage.DEV, ModelStage.STAGING


@pytest.fixture
def backend(store):
    made = Backend.at(store)
    for version in ("1.0.0", "1.0.1"):
        prompts.create(made, PromptVersion(name="hook", version=version, template=version), known=False)
    return made


def move(number=1, begin=DEV, end=STAGING):
    when = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    return Move(StageChange(version=f"1.0.{number - 1}", from_stage=begin, to_stage=end, who="ada", when=when), number)


NO_ENTRIES = [
    *("", "[", "{}", "null", "[1]", "[" * 4000, '[{"version": "1.0.0"}]', '[{"mlflow_version": "x"}]'),
    '[{"mlflow_version": Infinity, "version": "1", "from": "dev", "to": "dev", "who": "", "when": "2026-01-02"}]',
]


def set_tag(backend, key, value):
    with backend.calling() as client:
        prompts.registry_of(client).set_registered_model_tag("hook", key, value)


def test_a_change_is_written_in_history_and_aliases_and_leaves_no_claim(backend):
    found = change_stages(backend, "hook", lambda _: [move()])
    assert found == standing(backend, "hook")
    assert (found.stages, found.entries, found.claims) == ({1: (STAGING,)}, {1: (move(),)}, {})
    assert found.newest.version == "1.0.1"
    assert mlflow.genai.load_prompt("prompts:/hook@staging").version == 1
    found = change_stages(backend, "hook", lambda _: [move(2), move(1, STAGING, DEV)])
    assert (found.stages, found.last_entry) == ({2: (STAGING,)}, 2)
    found = change_stages(backend, "hook", lambda _: [move(2, STAGING, DEV)])
    assert (found.stages, found.stage_of(2)) == ({}, DEV)


def test_a_prompt_that_is_not_there_has_no_standing(backend):
    asked = []
    assert standing(backend, "other") is None
    assert change_stages(backend, "other", asked.append) is None
    assert asked == [None]


def test_nothing_to_move_writes_nothing(backend):
    before = standing(backend, "hook")
    assert change_stages(backend, "hook", lambda _: []) == before


@pytest.mark.parametrize("text", NO_ENTRIES)
def test_an_entry_that_another_client_wrote_is_passed_over(backend, text):
    set_tag(backend, f"{HISTORY}000001", text)
    set_tag(backend, f"{HISTORY}none", text)
    set_tag(backend, f"{HISTORY}{'9' * 50}", stages.written([move()]))
    found = standing(backend, "hook")
    assert found.entries == {}
    assert change_stages(backend, "hook", lambda _: [move()]).changes == (move().change,)


def test_entries_of_one_number_are_read_in_the_order_in_which_they_were_decided(backend):
    later = move(2)
    later = later._replace(change=later.change.model_copy(update={"when": later.change.when + dt.timedelta(seconds=1)}))
    set_tag(backend, f"{HISTORY}000001.a", stages.written([later]))
    set_tag(backend, f"{HISTORY}000001.b", stages.written([move()]))
    found = standing(backend, "hook")
    assert found.entries == {1: (move(), later)}
    assert (found.due(STAGING), found.due(ModelStage.PRODUCTION)) == (2, None)
