"""Changes of stages that meet others, that are refused, and that are broken off."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
import threading

import pytest

from hokusai_nb.backends.mlflow import prompts, stage_changes, stages
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.backends.mlflow.prompt_stages import Move, change_stages, standing
from hokusai_nb.backends.mlflow.stages import Subject
from hokusai_nb.errors import ConflictError, NotFoundError, RegistryAccessError, RegistryBusyError, RegistryError
from hokusai_nb.schema.prompts import ModelStage, PromptVersion, StageChange

HISTORY, CLAIM = "hokusai.prompt.history.", "hokusai.prompt.claim."
DEV, STAGING, PRODUCTION = ModelStage.DEV, ModelStage.STAGING, ModelStage.PRODUCTION


def filled(backend, name="hook"):
    for version in ("1.0.0", "1.0.1"):
        prompts.create(backend, PromptVersion(name=name, version=version, template=version), known=False)
    return backend


@pytest.fixture
def backend(store):
    return filled(Backend.at(store))


@pytest.fixture
def subject(backend):
    return Subject(backend, "hook", "hook", prompts.PREFIX, lambda: standing(backend, "hook"))


def move(number=1, begin=DEV, end=STAGING, who="ada"):
    when = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    return Move(StageChange(version=f"1.0.{number - 1}", from_stage=begin, to_stage=end, who=who, when=when), number)


def inner(backend):
    with backend.calling() as client:
        return prompts.registry_of(client)


def set_tag(backend, key, value):
    inner(backend).set_registered_model_tag("hook", key, value)


@contextlib.contextmanager
def refusing(store, event, table="registered_model_aliases", when="1", why="this stage is guarded"):
    """Have the database refuse what it is asked to write, for a ``with`` block."""
    with contextlib.closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database:
        database.execute(
            f"CREATE TRIGGER refuse BEFORE {event} ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, '{why}'); END"
        )
        yield
        database.execute("DROP TRIGGER refuse")


# Several at once


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


def test_who_comes_second_and_wanted_the_same_has_it(backend):
    turn = []

    def decide(found):
        if not turn:
            turn.append(1)
            change_stages(backend, "hook", lambda _: [move(2)])
        return [] if found.number_in(STAGING) == 2 else [move(2)]

    assert change_stages(backend, "hook", decide) == standing(backend, "hook")
    assert standing(backend, "hook").entries == {1: (move(2),)}


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
    looked = threading.Event()

    def look():
        found = standing(backend, "hook")
        looked.set()
        return found

    def finish():
        assert looked.wait(30)
        set_tag(backend, f"{HISTORY}000001", stages.written([move(2)]))
        inner(backend).delete_registered_model_tag("hook", f"{CLAIM}0")

    other = threading.Thread(target=finish)
    other.start()
    with pytest.raises(ConflictError, match="at the same time"):
        stage_changes.change_stages(Subject(backend, "hook", "hook", prompts.PREFIX, look), lambda _: [move()])
    other.join()
    assert standing(backend, "hook").stages == {}


# The claim


@pytest.fixture
def claims(subject):
    """Two claims that are set, the lower one first."""
    both = [stage_changes._Claim(subject) for _ in range(2)]
    for claim in both:
        claim.set(subject.look())
    return sorted(both, key=lambda claim: claim._key)


def test_of_two_claims_neither_holds_and_the_higher_one_is_taken_back(subject, claims):
    lower, higher = claims
    seen = subject.look()
    assert not lower.holds(seen)
    assert not higher.holds(seen)
    lower.give_way(seen)
    higher.give_way(seen)
    seen = subject.look()
    assert set(seen.claims) == {lower._key}
    assert lower.holds(seen)
    assert not higher.holds(seen)


def test_a_claim_that_was_taken_for_a_dead_ones_does_not_hold_and_is_set_anew(subject, claims):
    mine, other = claims
    other.drop()
    inner(subject.backend).delete_registered_model_tag("hook", mine._key)
    seen = subject.look()
    assert not mine.stands(seen)
    assert not mine.holds(seen)
    before = mine._key
    mine.set(seen)
    assert mine._key != before
    assert mine.holds(subject.look())


def test_a_claim_that_is_half_way_to_being_taken_for_dead_is_given_up(subject, claims):
    mine, other = claims
    other.drop()
    seen = subject.look()
    mine._set_at -= stage_changes.DEAD_SECONDS / 2 - 2
    assert mine.holds(seen)
    mine._set_at -= 3
    assert not mine.holds(seen)
    assert subject.look().claims == {}


# What others left


@pytest.mark.parametrize("wrote_history", [True, False])
def test_what_a_dead_process_left_is_completed_or_cleared_up(backend, monkeypatch, wrote_history):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    if wrote_history:
        set_tag(backend, f"{HISTORY}000001", stages.written([move(2)]))
    set_tag(backend, f"{CLAIM}dead", "1")
    found = change_stages(backend, "hook", lambda found: [] if found.stages else [move(1)])
    assert found.claims == {}
    assert found.last_entry == 1
    assert found.stages == ({2: (STAGING,)} if wrote_history else {1: (STAGING,)})


def test_what_a_dead_process_left_is_completed_before_it_is_said_that_there_is_nothing_to_do(backend, monkeypatch):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    change_stages(backend, "hook", lambda _: [move()])
    # Killed after the first of two aliases.
    set_tag(backend, f"{HISTORY}000002", stages.written([move(1, STAGING, PRODUCTION)]))
    inner(backend).set_registered_model_alias("hook", "production", "1")
    set_tag(backend, f"{CLAIM}dead", "2")
    found = change_stages(backend, "hook", lambda _: [])
    assert (found.stages, found.claims) == ({1: (PRODUCTION,)}, {})


def test_a_dead_claim_on_an_older_entry_moves_nothing(backend, monkeypatch):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    for moves in ([move(1)], [move(2), move(1, STAGING, DEV)]):
        change_stages(backend, "hook", lambda _, moves=moves: moves)
    # Another client has moved an alias since; that was none of the dead one's business.
    inner(backend).set_registered_model_alias("hook", "staging", "1")
    set_tag(backend, f"{CLAIM}dead", "1")
    found = change_stages(backend, "hook", lambda _: [])
    assert (found.stages, found.claims, found.last_entry) == ({1: (STAGING,)}, {}, 2)


def test_what_a_dead_process_left_and_cannot_be_completed_is_taken_back(backend, monkeypatch):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    change_stages(backend, "hook", lambda _: [move(1)])
    set_tag(backend, f"{HISTORY}000002", stages.written([move(2), move(1, STAGING, DEV)]))
    set_tag(backend, f"{CLAIM}dead", "2")
    inner(backend).delete_model_version("hook", "2")
    found = change_stages(backend, "hook", lambda _: [move(1, STAGING, PRODUCTION)])
    assert (found.stages, found.claims) == ({1: (PRODUCTION,)}, {})
    told = [(m.change.version, m.change.to_stage, m.undoes) for m in found.entries[3]]
    assert told == [("1.0.1", DEV, 2), ("1.0.0", STAGING, 2)]
    assert [m.number for entry in found.carried_out for m in entry] == [1, 1]


def test_a_hostile_claim_is_cleared_up_like_any_other(backend, monkeypatch):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    set_tag(backend, f"{CLAIM}{'x' * 200}", "9" * 4900)
    set_tag(backend, f"{CLAIM}y", "²")
    assert change_stages(backend, "hook", lambda _: [move()]).claims == {}


# What is refused


def test_a_change_that_is_refused_is_told_to_have_been_undone(backend, store):
    change_stages(backend, "hook", lambda _: [move(1)])
    with refusing(store, "UPDATE"), pytest.raises(RegistryError, match="guarded"):
        change_stages(backend, "hook", lambda _: [move(2), move(1, STAGING, DEV)])
    found = standing(backend, "hook")
    assert (found.stages, found.claims) == ({1: (STAGING,)}, {})
    assert found.due(STAGING) == 1
    told = [(m.change.version, m.change.from_stage, m.change.to_stage, m.undoes) for m in found.entries[3]]
    assert told == [("1.0.1", STAGING, DEV, 2), ("1.0.0", DEV, STAGING, 2)]
    assert {m.change.why for m in found.entries[3]} == {"undone: MLflow refused it"}
    assert found.carried_out == (found.entries[1],)
    assert change_stages(backend, "hook", lambda _: [move(2), move(1, STAGING, DEV)]).stages == {2: (STAGING,)}


def test_the_first_of_two_aliases_is_put_back_where_the_second_is_refused(backend, store):
    change_stages(backend, "hook", lambda _: [move(1)])
    change_stages(backend, "hook", lambda _: [move(1, STAGING, PRODUCTION)])
    change_stages(backend, "hook", lambda _: [move(2)])
    with refusing(store, "DELETE", when="OLD.alias = 'staging'"), pytest.raises(RegistryError, match="guarded"):
        change_stages(backend, "hook", lambda _: [move(2, STAGING, PRODUCTION), move(1, PRODUCTION, DEV)])
    found = standing(backend, "hook")
    assert (found.stages, found.claims) == ({1: (PRODUCTION,), 2: (STAGING,)}, {})
    assert [found.due(PRODUCTION), found.due(STAGING)] == [1, 2]


def test_a_history_that_is_refused_moves_nothing_and_leaves_no_claim(backend, store):
    guarded = refusing(store, "INSERT", "registered_model_tags", f"NEW.key LIKE '{HISTORY}%'")
    with guarded, pytest.raises(RegistryError, match="guarded"):
        change_stages(backend, "hook", lambda _: [move()])
    found = standing(backend, "hook")
    assert (found.stages, found.entries, found.claims) == ({}, {}, {})


def test_a_change_is_done_also_where_its_claim_cannot_be_taken_back(backend, store, monkeypatch):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    guarded = refusing(store, "DELETE", "registered_model_tags", f"OLD.key LIKE '{CLAIM}%'")
    with guarded:
        assert change_stages(backend, "hook", lambda _: [move()]).stages == {1: (STAGING,)}
    assert len(standing(backend, "hook").claims) == 1
    assert change_stages(backend, "hook", lambda _: []) == standing(backend, "hook")
    assert standing(backend, "hook").claims == {}


def test_a_change_ends_where_the_name_is_deleted_meanwhile(backend):
    asked = []

    def decide(found):
        asked.append(found)
        if found:
            inner(backend).delete_registered_model("hook")
        return [move()]

    with pytest.raises(NotFoundError, match="hook"):
        change_stages(backend, "hook", decide)
    assert change_stages(backend, "hook", asked.append) is None
    assert asked[-1] is None


def test_a_change_that_breaks_off_keeps_its_claim_and_the_next_one_completes_it(backend, store, monkeypatch):
    change_stages(backend, "hook", lambda _: [move()])
    with refusing(store, "UPDATE", why="database is locked"), pytest.raises(RegistryBusyError):
        change_stages(backend, "hook", lambda _: [move(2), move(1, STAGING, DEV)])
    found = standing(backend, "hook")
    assert (found.stages, found.last_entry, len(found.claims)) == ({1: (STAGING,)}, 2, 1)
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    found = change_stages(backend, "hook", lambda _: [])
    assert (found.stages, found.last_entry, found.claims) == ({2: (STAGING,)}, 2, {})


# What is lost on the way


@pytest.fixture
def through(proxy, unique):
    """A prompt of its own on the shared server, reached through a proxy: the backend, its name, the proxy."""
    name = unique("hook")
    return filled(Backend.at(proxy.address), name), name, proxy


def aliases_of(method, path):
    return path.endswith("registered-models/alias") and method != "GET"


@pytest.mark.slow
def test_an_alias_that_is_refused_once_is_set_all_the_same(through):
    backend, name, proxy = through
    answers = iter(["refuse"])
    proxy.spoil = lambda method, path: next(answers, None) if aliases_of(method, path) else None
    found = change_stages(backend, name, lambda _: [move()])
    assert next(answers, None) is None
    assert (found.stages, found.entries, found.claims) == ({1: (STAGING,)}, {1: (move(),)}, {})


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["drop", "drop first"])
def test_an_entry_whose_answer_is_lost_is_written_once(through, lost):
    backend, name, proxy = through
    seen = []

    def spoil(method, path):
        if method == "POST" and path.endswith("registered-models/set-tag"):
            seen.append(path)
            return lost if len(seen) == 2 else None
        return None

    proxy.spoil = spoil
    found = change_stages(backend, name, lambda _: [move()])
    assert len(seen) > 2
    assert (found.stages, found.entries, found.claims) == ({1: (STAGING,)}, {1: (move(),)}, {})


@pytest.mark.slow
def test_a_change_for_which_the_rights_are_missing_is_told_to_have_been_undone(through):
    backend, name, proxy = through
    proxy.spoil = lambda method, path: "refuse" if aliases_of(method, path) else None
    with pytest.raises(RegistryAccessError):
        change_stages(backend, name, lambda _: [move()])
    found = standing(backend, name)
    assert (found.stages, found.claims, found.carried_out) == ({}, {}, ())
    assert [c.to_stage for c in found.changes] == [STAGING, DEV]
