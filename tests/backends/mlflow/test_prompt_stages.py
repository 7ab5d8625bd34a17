from __future__ import annotations

import datetime as dt
import threading
import time

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.backends.mlflow import prompts, stages
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.backends.mlflow.prompt_stages import Move, change_stages, standing
from hokusai_nb.errors import ConflictError
from hokusai_nb.schema.prompts import ModelStage, PromptVersion, StageChange

HISTORY, CLAIM = "hokusai.prompt.history.", "hokusai.prompt.claim."
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


def test_who_comes_second_is_told_what_the_first_changed(backend):
    turn = []

    def decide(_):
        if not turn:
            turn.append(1)
            change_stages(backend, "hook", lambda _: [move(2)])
        return [move(1)]

    with pytest.raises(ConflictError, match=r"1\.0\.1 from dev to staging by ada"):
        change_stages(backend, "hook", decide)
    found = standing(backend, "hook")
    assert (found.stages, found.last_entry, found.claims) == ({2: (STAGING,)}, 1, {})


def test_of_many_threads_at_once_one_wins(backend):
    meeting = threading.Barrier(4, timeout=30)
    won, lost = [], []

    def one(number):
        meeting.wait()
        try:
            won.append(change_stages(backend, "hook", lambda _: [move(1 + number % 2)]))
        except ConflictError as error:
            lost.append(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = standing(backend, "hook")
    # Whoever only began after the first was done is no loser; entries and winners are as many.
    assert len(won) == found.last_entry >= 1
    assert len(lost) == 4 - len(won)
    assert found.claims == {}
    assert found.stages == {found.entries[found.last_entry][0].number: (STAGING,)}


def test_a_claim_is_waited_for_and_the_winner_heard(backend):
    set_tag(backend, f"{CLAIM}0", "1")

    def finish():
        time.sleep(0.3)
        set_tag(backend, f"{HISTORY}000001", stages.written([move(2)]))
        with backend.calling() as client:
            prompts.registry_of(client).delete_registered_model_tag("hook", f"{CLAIM}0")

    other = threading.Thread(target=finish)
    other.start()
    with pytest.raises(ConflictError, match="at the same time"):
        change_stages(backend, "hook", lambda _: [move()])
    other.join()
    assert standing(backend, "hook").stages == {}


@pytest.mark.parametrize("wrote_history", [True, False])
def test_what_a_dead_process_left_is_completed_or_cleared_up(backend, monkeypatch, wrote_history):
    monkeypatch.setattr(stages, "DEAD_SECONDS", 0.4)
    if wrote_history:
        set_tag(backend, f"{HISTORY}000001", stages.written([move(2)]))
    set_tag(backend, f"{CLAIM}dead", "1")
    seen = []

    def decide(found):
        seen.append(found.stages)
        return [] if found.stages else [move(1)]

    found = change_stages(backend, "hook", decide)
    assert found.claims == {}
    assert found.last_entry == 1
    assert found.stages == ({2: (STAGING,)} if wrote_history else {1: (STAGING,)})


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"version": "1.0.0"}]', '[{"mlflow_version": "x"}]', "null", "[1]"])
def test_an_entry_that_another_client_wrote_is_passed_over(backend, text):
    set_tag(backend, f"{HISTORY}000001", text)
    set_tag(backend, f"{HISTORY}none", text)
    found = standing(backend, "hook")
    assert found.entries == {}
    assert change_stages(backend, "hook", lambda _: [move()]).changes == (move().change,)
