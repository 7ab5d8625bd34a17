from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import signal
import threading
import time
import uuid

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql import outbox
from hokusai_nb.backends.sql.event_list import event_under
from hokusai_nb.backends.sql.tables import event_keys, token_leases, tokens
from hokusai_nb.errors import (
    DatabaseError,
    TokenBusyError,
    TokenExistsError,
    TokenNotFoundError,
    TokenStatusError,
    ValidationError,
)
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import Event, EventType, metric_improved, registration_key, told_under
from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.processes import described, finish, release, start
from tests.tokens import FACTS

HOSTILE = [
    "'; DROP TABLE tokens; --",
    "\x00",
    "a\x00b",
    "\ud800",
    "<script>alert(1)</script>",
    "%s %(x)s :x ?",
    "ö\u202e",
    "",
]
CONSOLE = Destination(handler="console")


@pytest.fixture
def store(database):
    return SqlTokenStore(database, [CONSOLE])


@pytest.fixture
def msg_ai(store):
    return store.create(NewToken(token_id="MSG-AI"), by="me")


def registering(owner="one", seconds=60.0):
    return TokenChange(to=Status.REGISTERING, by="me", owner=owner, lease_seconds=seconds)


def registered(owner="one", facts=FACTS):
    return TokenChange(to=Status.REGISTERED, by="me", owner=owner, facts=facts)


def failed(owner="one", reason="The upload failed."):
    return TokenChange(to=Status.FAILED, by="me", owner=owner, reason=reason)


def events_in(store, token_id="MSG-AI"):
    return [entry.event.event_type.value for entry in reversed(store.list_events(token_id).entries)]


# One token


def test_a_token_is_created_in_draft(store):
    made = store.create(NewToken(token_id="msg-ai", metadata={"name": "Messages", "tags": [1, None]}), by="me")
    assert (made.token_id, made.model_status, made.metadata) == (
        "MSG-AI",
        "draft",
        {"name": "Messages", "tags": [1, None]},
    )
    assert made.created_at == made.updated_at
    assert abs(made.created_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert not made.simulated
    assert store.get("MSG-AI") == store.get("msg-ai") == made
    (step,) = store.history("msg-ai")
    assert (step.token_id, step.before, step.after, step.by, step.at) == (
        "MSG-AI",
        None,
        "draft",
        "me",
        made.created_at,
    )
    assert events_in(store) == []


def test_a_token_is_created_once(store, msg_ai):
    with pytest.raises(TokenExistsError, match="Token MSG-AI exists already"):
        store.create(NewToken(token_id="msg-ai"), by="you")
    assert store.get("MSG-AI") == msg_ai
    assert len(store.history("MSG-AI")) == 1


def test_metadata_that_json_lacks_is_refused(store):
    for value in (float("nan"), object(), {1, 2}):
        with pytest.raises(ValidationError, match="cannot be kept as JSON"):
            store.create(NewToken(token_id="MSG-AI", metadata={"x": value}), by="me")
    with pytest.raises(TokenNotFoundError):
        store.get("MSG-AI")


def test_a_token_that_is_not_there_is_not_found(store, msg_ai):
    calls = [
        store.get,
        store.history,
        lambda token_id: store.change(token_id, registering()),
        lambda token_id: store.renew(token_id, owner="one", lease_seconds=60),
    ]
    for call, token_id in itertools.product(calls, [*HOSTILE, "NO-SUCH", "x" * 10_000, "MSG_AI"]):
        with pytest.raises(TokenNotFoundError, match="Token not found: "):
            call(token_id)
    assert store.get("MSG-AI") == msg_ai


def test_hostile_text_is_kept_as_text(store):
    for number, text in enumerate(HOSTILE):
        kept, token_id = text.replace("\x00", "�").replace("\ud800", "�"), f"MSG-{number}"
        store.create(NewToken(token_id=token_id, metadata={"a": text, text: 1}), by=text)
        assert store.get(token_id).metadata == {"a": text, text: 1}
        store.change(token_id, TokenChange(to=Status.REGISTERING, by=text, owner=text, lease_seconds=60, reason=text))
        assert store.get(token_id).owner == kept
        store.renew(token_id, owner=text, lease_seconds=60)
        store.change(token_id, TokenChange(to=Status.FAILED, by=text, owner=text, reason=text))
        assert [(step.by, step.reason) for step in store.history(token_id)][1:] == [(kept, kept)] * 2
    assert len(store.list_tokens().entries) == len(HOSTILE)


# Its life


def test_a_life_from_draft_to_archive(store, msg_ai):
    held = store.change("MSG-AI", registering())
    assert (held.model_status, held.owner, held.created_at) == ("registering", "one", msg_ai.created_at)
    assert held.lease_until is not None
    assert abs(held.lease_until - held.updated_at - dt.timedelta(seconds=60)) < dt.timedelta(seconds=1)
    facts = FACTS.model_copy(update={"metric_value": "0.850"})
    done = store.change("MSG-AI", registered(facts=facts))
    assert (done.model_status, done.owner, done.lease_until) == ("registered", None, None)
    reached = (done.mlflow_run_id, done.metric_name, done.metric_value, done.baseline_value)
    assert reached == (facts.mlflow_run_id, "auroc", "0.850", "0.82"), "with the digits that were given"
    store.change("MSG-AI", TokenChange(to=Status.DEPLOYED, by="you"))
    last = store.change("MSG-AI", TokenChange(to=Status.ARCHIVED, by="they", reason="Out of use."))
    assert (last.model_status, last.metric_value) == ("archived", "0.850")
    steps = [(s.before, s.after, s.by, s.reason) for s in store.history("MSG-AI")]
    assert steps == [
        (None, "draft", "me", ""),
        ("draft", "registering", "me", ""),
        ("registering", "registered", "me", ""),
        ("registered", "deployed", "you", ""),
        ("deployed", "archived", "they", "Out of use."),
    ]
    assert events_in(store) == ["model_registered", "token_ready_for_deploy", "model_deployed"]


def test_a_step_that_the_table_lacks_is_refused_and_leaves_nothing(store, msg_ai):
    refused = [
        (TokenChange(to=Status.DEPLOYED, by="me"), "is draft and cannot become deployed"),
        (registered(), "is draft and cannot become registered"),
        (TokenChange(to=Status.DRAFT, by="me"), "is draft and cannot become draft"),
    ]
    for change, words in refused:
        with pytest.raises(TokenStatusError, match=words):
            store.change("MSG-AI", change)
    assert store.get("MSG-AI") == msg_ai
    assert len(store.history("MSG-AI")) == 1
    assert events_in(store) == []


def test_only_a_token_in_draft_or_failed_is_registered(store, msg_ai):
    del msg_ai
    store.change("MSG-AI", registering())
    store.change("MSG-AI", failed())
    assert store.change("MSG-AI", registering("two")).owner == "two"
    store.change("MSG-AI", registered("two"))
    with pytest.raises(TokenStatusError, match="Token is not in Draft status: MSG-AI is registered") as caught:
        store.change("MSG-AI", registering("three"))
    assert not isinstance(caught.value, TokenBusyError)
    assert events_in(store) == ["model_validation_failed", "model_registered", "token_ready_for_deploy"]


def test_a_change_that_lacks_what_its_step_needs_is_refused(store, msg_ai):
    with pytest.raises(ValidationError) as caught:
        store.change("MSG-AI", TokenChange(to=Status.REGISTERING, by="me"))
    assert [p.field for p in caught.value.problems] == ["owner", "lease_seconds"]
    with pytest.raises(ValidationError, match="facts is missing"):
        store.change("MSG-AI", TokenChange(to=Status.REGISTERED, by="me", owner="one"))
    assert store.get("MSG-AI") == msg_ai


def test_the_same_owner_asks_twice_and_it_is_done_once(store, msg_ai):
    del msg_ai
    first = store.change("MSG-AI", registering())
    assert store.change("MSG-AI", registering()) == first
    done = store.change("MSG-AI", registered())
    assert store.change("MSG-AI", registered()) == done
    assert len(store.history("MSG-AI")) == 3
    assert events_in(store) == ["model_registered", "token_ready_for_deploy"]
    with pytest.raises(TokenStatusError):
        store.change("MSG-AI", registered("two"))


def test_the_same_owner_may_try_again_after_a_failure(store, msg_ai):
    del msg_ai
    store.change("MSG-AI", registering())
    once = store.change("MSG-AI", failed())
    assert store.change("MSG-AI", failed()) == once
    assert store.change("MSG-AI", registering()).model_status == "registering"
    assert len(store.history("MSG-AI")) == 4


# Leases


def lapse(store):
    """Have the lease of the one token that is held be over."""
    with store.database.transaction() as connection:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        connection.execute(sa.update(token_leases).values(lease_until=past))


def test_a_token_that_is_held_is_busy_until_its_lease_lapses(store, msg_ai):
    del msg_ai
    held = store.change("MSG-AI", registering("one"))
    with pytest.raises(TokenBusyError, match="Token is not in Draft status: MSG-AI is being registered") as caught:
        store.change("MSG-AI", registering("two"))
    assert f"{held.lease_until:%H:%M:%S} UTC" in caught.value.hint
    lapse(store)
    assert store.change("MSG-AI", registering("two")).owner == "two"
    with pytest.raises(TokenStatusError):
        store.change("MSG-AI", registered("one"))
    with pytest.raises(TokenStatusError):
        store.renew("MSG-AI", owner="one", lease_seconds=60)
    assert store.change("MSG-AI", registered("two")).model_status == "registered"
    steps = [(s.before, s.after) for s in store.history("MSG-AI")]
    assert steps[1:3] == [("draft", "registering"), ("registering", "registering")]


def test_an_owner_whose_lease_lapsed_takes_its_token_again_or_ends_its_work(store, msg_ai):
    del msg_ai
    first = store.change("MSG-AI", registering())
    lapse(store)
    again = store.change("MSG-AI", registering())
    assert again.lease_until is not None
    assert first.lease_until is not None
    assert again.lease_until > first.lease_until - dt.timedelta(seconds=1)
    lapse(store)
    assert store.change("MSG-AI", registered()).model_status == "registered"


def test_a_lease_is_renewed_by_its_owner_alone(store, msg_ai):
    del msg_ai
    held = store.change("MSG-AI", registering(seconds=5))
    store.renew("msg-ai", owner="one", lease_seconds=500)
    longer = store.get("MSG-AI").lease_until
    assert longer is not None
    assert held.lease_until is not None
    assert longer > held.lease_until + dt.timedelta(seconds=400)
    with pytest.raises(TokenStatusError, match="does not hold it any more"):
        store.renew("MSG-AI", owner="two", lease_seconds=60)
    assert store.get("MSG-AI").lease_until == longer
    store.change("MSG-AI", failed())
    with pytest.raises(TokenStatusError, match="does not hold it any more"):
        store.renew("MSG-AI", owner="one", lease_seconds=60)
    assert len(store.history("MSG-AI")) == 3


def test_a_token_is_held_for_a_sensible_time(store, msg_ai):
    del msg_ai
    store.change("MSG-AI", registering())
    for seconds in (0, -1, float("nan"), float("inf"), 86_401):
        with pytest.raises(ValidationError, match="cannot be held for"):
            store.renew("MSG-AI", owner="one", lease_seconds=seconds)


# At the same time


def test_of_two_threads_that_register_at_once_exactly_one_wins(store):
    rounds = 20
    for number in range(rounds):
        store.create(NewToken(token_id=f"MSG-{number}"), by="me")
    gate, won, lost = threading.Barrier(2, timeout=30), [], []

    def register(owner):
        for number in range(rounds):
            gate.wait()
            try:
                won.append(store.change(f"MSG-{number}", registering(owner)).owner)
            except TokenBusyError as error:
                lost.append(error)

    threads = [threading.Thread(target=register, args=(owner,)) for owner in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (rounds, rounds)
    for number in range(rounds):
        assert [s.after for s in store.history(f"MSG-{number}")] == ["draft", "registering"]


REGISTER_ALL = """
import sys, time
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import read_database_file
from hokusai_nb.errors import TokenBusyError
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.site.test_sql_store import failed, registered, registering
store = SqlTokenStore(Database.at(read_database_file(sys.argv[1])))
owner, count = sys.argv[2], int(sys.argv[3])
store.get("MSG-0")
print("ready", flush=True)
moment = float(input())
for number in range(count):
    time.sleep(max(0, moment + 0.05 * number - time.time()))
    try:
        store.change(f"MSG-{number}", registering(owner))
        print("won", end=" ")
    except TokenBusyError:
        print("lost", end=" ")
"""


@pytest.mark.slow
def test_of_two_processes_that_register_at_once_exactly_one_wins(store, database_config, tmp_path):
    count = 20
    for number in range(count):
        store.create(NewToken(token_id=f"MSG-{number}"), by="me")
    path = described(database_config, tmp_path)
    both = [start(REGISTER_ALL, path, owner, count) for owner in ("one", "two")]
    release(*both)
    first, second = (finish(process).split() for process in both)
    assert all({a, b} == {"won", "lost"} for a, b in zip(first, second, strict=True))
    assert len(first) == count


def test_threads_that_create_one_token_at_once_make_one(store):
    gate, made, refused = threading.Barrier(4, timeout=30), [], []

    def create():
        gate.wait()
        try:
            made.append(store.create(NewToken(token_id="MSG-AI"), by="me"))
        except TokenExistsError as error:
            refused.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 3)
    assert len(store.history("MSG-AI")) == 1


IN_THE_MIDDLE = """
import os, signal, sys
import sqlalchemy as sa
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import read_database_file
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.site.test_sql_store import registered
def register(writes):
    database = Database.at(read_database_file(sys.argv[1]))
    store = SqlTokenStore(database, [Destination(handler="console")])
    left = [writes]
    def count(connection, cursor, statement, *rest):
        left[0] -= statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    sa.event.listen(database._engine, "after_cursor_execute", count)
    store.change("MSG-AI", registered())
for line in sys.stdin:
    if not os.fork():
        register(int(line))
        break
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_in_the_middle_leaves_nothing_half_written(store, msg_ai, database_config, tmp_path):
    del msg_ai
    held = store.change("MSG-AI", registering())
    killed, writes, code = start(IN_THE_MIDDLE, described(database_config, tmp_path)), 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        assert store.get("MSG-AI") == held
        assert len(store.history("MSG-AI")) == 2
        assert events_in(store) == []
        writes += 1
        killed.stdin.write(f"{writes}\n")
        killed.stdin.flush()
        code = int(killed.stdout.readline())
    assert (finish(killed), code) == ("", 0)
    assert writes > 9
    assert events_in(store) == ["model_registered", "token_ready_for_deploy"]


FOR_EVER = """
import sys, uuid
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import read_database_file
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.site.test_sql_store import failed, registering
store = SqlTokenStore(Database.at(read_database_file(sys.argv[1])), [Destination(handler="console")])
while True:
    owner = uuid.uuid4().hex
    store.change("MSG-AI", registering(owner, seconds=0.001))
    store.change("MSG-AI", failed(owner))
"""


@pytest.mark.slow
def test_whenever_a_process_is_killed_status_history_and_events_agree(store, msg_ai, database_config, tmp_path):
    del msg_ai
    path, taken = described(database_config, tmp_path), 1
    for _ in range(2):
        working = start(FOR_EVER, path)
        while len(store.history("MSG-AI")) < taken + 6:
            assert working.poll() is None, working.communicate()
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.1))
        working.kill()
        working.communicate(timeout=60)
        steps = store.history("MSG-AI")
        taken = len(steps)
        assert steps[-1].after == store.get("MSG-AI").model_status
        assert all(a.after == b.before for a, b in itertools.pairwise(steps))
        failures = store.list_events("MSG-AI", limit=1000).entries
        assert len(failures) == sum(step.after == "failed" for step in steps)
        assert all(len(entry.deliveries) == 1 for entry in failures)


# Lists


def test_ten_thousand_tokens_are_paged_through_once_each(database):
    store, now = SqlTokenStore(database), dt.datetime.now(dt.UTC)
    names = [f"MSG-{number}" for number in range(10_000)]
    rows = [{"token_id": n, "model_status": "draft", "created_at": now, "updated_at": now} for n in names]
    random.Random(7).shuffle(rows)
    with database.transaction() as connection:
        connection.execute(sa.insert(tokens), rows)
    began, seen, cursor = time.monotonic(), [], None
    while True:
        page = store.list_tokens(cursor=cursor, limit=1000)
        seen += [token.token_id for token in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(names)
    assert time.monotonic() - began < 10


def test_pages_stay_what_they_are_while_tokens_are_created(store):
    for name in ("B-1", "D-1", "F-1", "H-1"):
        store.create(NewToken(token_id=name), by="me")
    first = store.list_tokens(limit=2)
    store.create(NewToken(token_id="A-1"), by="me")
    store.create(NewToken(token_id="E-1"), by="me")
    second = store.list_tokens(cursor=first.next_cursor, limit=2)
    third = store.list_tokens(cursor=second.next_cursor, limit=2)
    assert [[t.token_id for t in page.entries] for page in (first, second, third)] == [
        ["B-1", "D-1"],
        ["E-1", "F-1"],
        ["H-1"],
    ]
    assert third.next_cursor is None


def test_a_last_page_that_is_full_is_the_last(store):
    for name in ("B-1", "D-1"):
        store.create(NewToken(token_id=name), by="me")
    assert store.list_tokens(limit=2).next_cursor is None
    assert store.list_tokens(limit=1).next_cursor is not None


def test_tokens_are_listed_by_status(store, msg_ai):
    store.create(NewToken(token_id="XRAY"), by="me")
    held = store.change("XRAY", registering())
    assert store.list_tokens(Status.REGISTERING).entries == (held,)
    assert store.list_tokens(Status.DRAFT).entries == (msg_ai,)
    assert store.list_tokens(Status.ARCHIVED).entries == ()


def test_a_cursor_or_a_size_of_a_page_that_is_none_is_refused(store, msg_ai):
    del msg_ai
    made_up = ["WyJ0b2tlbnMiLCAxXQ", "WyJldmVudHMiLCAiTVNHIl0", "bnVsbA", "e30", "W1tdLCBbXV0", "abc", *HOSTILE]
    for listed in (store.list_tokens, store.list_events):
        for cursor in made_up:
            with pytest.raises(ValidationError, match="does not belong to this list"):
                listed(cursor=cursor)
        for limit in (0, -1, 1001):
            with pytest.raises(ValidationError, match="A page cannot have"):
                listed(limit=limit)


# Events


def test_the_events_of_a_change_are_written_with_a_delivery_for_each_destination(database, msg_ai):
    del msg_ai
    hook = Destination(handler="webhook", target="https://hooks.example.org/T0/s3cret?key=s3cret")
    store = SqlTokenStore(database, [CONSOLE, hook])
    store.change("MSG-AI", registering())
    done = store.change(
        "MSG-AI", registered(facts=FACTS.model_copy(update={"previous_value": "0.84", "previous_version": "0"}))
    )
    entries = store.list_events("msg-ai").entries
    kinds = [EventType.METRIC_IMPROVED, EventType.TOKEN_READY_FOR_DEPLOY, EventType.MODEL_REGISTERED]
    assert [e.event.event_type for e in entries] == kinds
    for entry in entries:
        assert [(d.handler, d.state.value) for d in entry.deliveries] == [
            ("console", "pending"),
            ("webhook https://hooks.example.org", "pending"),
        ]
        assert dt.datetime.fromisoformat(entry.event.timestamp) == done.updated_at
        assert not entry.processed
    assert entries[2].event.payload["metric_value"] == 0.85
    assert "s3cret" not in repr(entries)


def test_an_event_is_published_once_for_its_key(store):
    event = metric_improved("MSG-AI", FACTS, dt.datetime.now(dt.UTC))
    assert store.publish(event, key="k-1") is True
    assert store.publish(metric_improved("MSG-AI", FACTS, dt.datetime.now(dt.UTC)), key="k-1") is False
    assert [e.event for e in store.list_events("MSG-AI").entries] == [event]
    assert store.publish(metric_improved("MSG-AI", FACTS, dt.datetime.now(dt.UTC)), key="k-2") is True


def test_the_key_of_an_event_has_a_sensible_length(store):
    for key in ("", "x" * 256):
        with pytest.raises(ValidationError, match="The key of an event"):
            store.publish(Event(event_type=EventType.DELTAONE_ACHIEVED, payload={}), key=key)


# Tables that the site made


def test_a_token_that_the_site_made_is_found_and_changed_where_it_is(database):
    with database._engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE tokens (token_id VARCHAR(100) PRIMARY KEY, model_status VARCHAR(50), "
            "mlflow_run_id VARCHAR(255), metric_name VARCHAR(100), metric_value FLOAT, "
            "baseline_value FLOAT, created_at TIMESTAMP, updated_at TIMESTAMP, metadata TEXT)"
        )
        connection.exec_driver_sql(
            "INSERT INTO tokens (token_id, model_status, baseline_value) VALUES ('msg-ai', 'draft', 0.1)"
        )
    store = SqlTokenStore(database)
    found = store.get("MSG-AI")
    assert (found.token_id, found.baseline_value, found.metadata) == ("MSG-AI", "0.1", {})
    assert found.created_at == found.updated_at == dt.datetime.fromtimestamp(0, tz=dt.UTC)
    assert store.history("MSG-AI") == ()
    with pytest.raises(TokenExistsError):
        store.create(NewToken(token_id="MSG-AI"), by="me")
    store.change("MSG-AI", registering())
    done = store.change("MSG-AI", registered())
    assert (done.metric_value, done.baseline_value) == ("0.85", "0.82")
    with database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT token_id, model_status FROM tokens").all()
    assert [tuple(row) for row in rows] == [("msg-ai", "registered")]
    assert [t.token_id for t in store.list_tokens().entries] == ["MSG-AI"]
    assert [s.token_id for s in store.history("MSG-AI")] == ["MSG-AI"] * 2


@pytest.mark.parametrize(("column", "value"), [("model_status", "minting"), ("metadata", [1, 2])])
def test_a_row_that_cannot_be_understood_is_named(store, database, msg_ai, column, value):
    del msg_ai
    with database.transaction() as connection:
        connection.execute(sa.update(tokens).values({column: value}))
    for call in (lambda: store.get("MSG-AI"), store.list_tokens):
        with pytest.raises(DatabaseError, match=f"the row of token 'MSG-AI' cannot be read: {column}"):
            call()


@pytest.mark.parametrize("assignment", ["created_at = 'yesterday'", "metadata = '{half'"])
def test_a_row_whose_text_is_no_time_or_no_json_is_told(sqlite_database, assignment):
    store = SqlTokenStore(sqlite_database)
    store.create(NewToken(token_id="MSG-AI"), by="me")
    with sqlite_database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE tokens SET {assignment}")
    with pytest.raises(DatabaseError, match="a row that another program wrote cannot be read"):
        store.get("MSG-AI")


# Mock mode


def test_in_mock_mode_any_well_formed_token_is_there_in_draft(sqlite_database):
    store = SqlTokenStore(sqlite_database, simulated=True, confirms_any=True)
    found = store.get("xray")
    assert (found.token_id, found.model_status, found.simulated) == ("XRAY", "draft", True)
    assert store.get("XRAY") == found
    assert store.change("NEW-ONE", registering()).simulated
    assert [t.simulated for t in store.list_tokens().entries] == [True, True]
    assert store.create(NewToken(token_id="MSG-AI"), by="me").simulated
    for token_id in ("MSG_AI", "a b", "", *HOSTILE):
        with pytest.raises(TokenNotFoundError):
            store.get(token_id)


def test_it_says_where_it_is_and_not_how_it_gets_in(postgres_free_config):
    from hokusai_nb.backends.sql.database import Database

    store = SqlTokenStore(Database.at(postgres_free_config))
    assert store.description == "postgresql://db.example.org/site"
    assert repr(store) == "SqlTokenStore('postgresql://db.example.org/site')"
    assert "s3cret" not in json.dumps(repr(vars(store)))
    store.database.close()


@pytest.fixture
def postgres_free_config():
    from hokusai_nb.config import DatabaseConfig

    return DatabaseConfig(host="db.example.org", database="site", username="me", password="s3cret")


@pytest.mark.usefixtures("msg_ai")
def test_a_registration_is_known_by_the_key_of_its_report(store):
    store.change("MSG-AI", registering())
    store.change("MSG-AI", registered())
    key = told_under(FACTS.model_name, "MSG-AI", FACTS.mlflow_run_id, FACTS.version)
    told = next(e.event for e in store.list_events().entries if e.event.event_type is EventType.MODEL_REGISTERED)
    with store.database.reading() as connection:
        assert event_under(connection, key) == told.event_id
    assert not store.publish(told.model_copy(update={"event_id": str(uuid.uuid4())}), key=key)
    assert [e.event.event_type for e in store.list_events().entries].count(EventType.MODEL_REGISTERED) == 1


@pytest.mark.usefixtures("msg_ai")
def test_a_registration_that_was_reported_first_is_told_once(store):
    key = told_under(FACTS.model_name, "MSG-AI", FACTS.mlflow_run_id, FACTS.version)
    assert store.publish(Event(event_type="model_registered", payload={"token_id": "MSG-AI"}), key=key)
    store.change("MSG-AI", registering())
    store.change("MSG-AI", registered())
    kinds = sorted(e.event.event_type.value for e in store.list_events().entries)
    assert kinds == ["model_registered", "token_ready_for_deploy"]


def told_by_an_earlier_version(store, facts):
    """Write the event of a registration under the key of the time when it lacked the model's name."""
    key = registration_key("msg-ai", "MSG-AI", facts.mlflow_run_id, facts.version)
    told = Event(event_type="model_registered", payload={"token_id": "MSG-AI"})
    with store.database.transaction() as connection:
        outbox.write(connection, [told], (CONSOLE,), facts=facts)
        connection.execute(sa.insert(event_keys), {"key": key, "event_id": told.event_id})
    return told.event_id


@pytest.mark.usefixtures("msg_ai")
def test_what_an_earlier_version_told_is_not_told_again(store):
    earlier = told_by_an_earlier_version(store, FACTS)
    store.change("MSG-AI", registering())
    store.change("MSG-AI", registered())
    kinds = sorted(e.event.event_type.value for e in store.list_events().entries)
    assert kinds == ["model_registered", "token_ready_for_deploy"]
    key = told_under(FACTS.model_name, "MSG-AI", FACTS.mlflow_run_id, FACTS.version)
    with store.database.reading() as connection:
        assert event_under(connection, key) == earlier


@pytest.mark.usefixtures("msg_ai")
def test_what_an_earlier_version_told_of_another_model_of_the_run_keeps_nothing_from_being_told(store):
    told_by_an_earlier_version(store, FACTS.model_copy(update={"model_name": "another"}))
    store.change("MSG-AI", registering())
    store.change("MSG-AI", registered())
    assert [e.event.event_type for e in store.list_events().entries].count(EventType.MODEL_REGISTERED) == 2
