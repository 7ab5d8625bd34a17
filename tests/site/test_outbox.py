"""The outbox, end to end: a real database, real receivers, handlers that are installed for real."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import sys
import threading
import time
import uuid

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook

from hokusai_nb.backends.answers import Answer, Verdict
from hokusai_nb.backends.sql import claims
from hokusai_nb.backends.sql.claims import Claim
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.sql.event_list import list_events
from hokusai_nb.backends.sql.tables import events
from hokusai_nb.backends.webhooks import Sender
from hokusai_nb.config import DatabaseConfig
from hokusai_nb.errors import DatabaseConnectionError, EventNotFoundError
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import registration_key, site_body
from hokusai_nb.schema.lifecycle import utc_now
from hokusai_nb.site.outbox import Outbox, message_of
from hokusai_nb.site.signing import compact, deltaone_headers
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.events import CONSOLE, event, write
from tests.recorders import recording
from tests.servers import black_hole
from tests.tokens import FACTS

SECRET = "whsec_c2l4dGVlbiBieXRlcyEh"


@pytest.fixture(autouse=True)
def _signed(monkeypatch):
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_SECRET", SECRET)


@pytest.fixture
def receiver():
    with recording() as made:
        yield made


def site(receiver, path="/hook"):
    return Destination(handler="webhook", target=f"{receiver.address}{path}")


def outbox(database, **given):
    """An outbox that soon tries again, and has patience with a busy machine."""
    patient = Sender(allow_private=True, connect_seconds=10, read_seconds=10, total_seconds=20, rest_seconds=0.2)
    return Outbox(database, **{"sender": patient, "first_pause": 0.01, "longest_pause": 0.05, **given})


def states(database):
    """What became of each delivery, oldest event first."""
    with database.reading() as connection:
        page = list_events(connection, cursor=None, limit=1000)
    return [(d.state, d.attempts, d.last_error) for record in page.entries[::-1] for d in record.deliveries]


def deliver_until_idle(made, seconds=10):
    deadline = time.monotonic() + seconds
    while made.pending().pending:
        assert time.monotonic() < deadline
        made.deliver()
        time.sleep(0.02)


# What is delivered


def test_an_event_reaches_every_destination_and_is_processed(database, receiver, capsys):
    told = event()
    write(database, told, to=(CONSOLE, site(receiver)))
    report = outbox(database).deliver()
    assert (report.delivered, report.failed, report.dead, report.left) == (2, 0, 0, 0)
    assert report.sentence == "Delivered 2; 0 pending."
    assert capsys.readouterr().err.startswith(f"{told.timestamp} model_deployed XRAY")
    assert json.loads(receiver.seen[0].body) == told.model_dump(mode="json")
    with database.reading() as connection:
        assert list_events(connection, cursor=None, limit=1).entries[0].processed
    assert outbox(database).deliver().delivered == 0


def test_a_receiver_verifies_a_post_by_any_of_its_signatures(database, receiver):
    told = event()
    write(database, told, to=(site(receiver),))
    outbox(database).deliver()
    (seen,) = receiver.seen
    assert Webhook(SECRET).verify(seen.body, seen.headers) == told.model_dump(mode="json")
    assert seen.body == compact(told.model_dump(mode="json"))
    digest = hmac.new(SECRET.encode(), seen.body, hashlib.sha256).hexdigest()
    assert seen.headers["x-hokusai-signature"] == f"sha256={digest}"
    assert seen.headers["webhook-id"] == told.event_id
    assert seen.headers["x-hokusai-idempotency-key"] == str(uuid.uuid5(uuid.NAMESPACE_DNS, told.event_id))


def test_the_site_gets_a_registration_in_its_own_shape_and_under_its_own_key(database, receiver):
    registered, ready = event(kind="model_registered"), event(kind="token_ready_for_deploy")
    write(database, registered, ready, to=(site(receiver),), facts=FACTS)
    outbox(database).deliver()
    first, second = receiver.seen
    assert json.loads(first.body) == site_body("XRAY", FACTS, registered.timestamp)
    assert first.headers["x-hokusai-idempotency-key"] == registration_key("xray", "XRAY", "run-1", "3")
    assert Webhook(SECRET).verify(first.body, first.headers)
    assert json.loads(second.body) == ready.model_dump(mode="json")


def test_a_registration_of_which_nothing_more_is_known_goes_as_it_is(database, receiver):
    registered = event(kind="model_registered")
    write(database, registered, to=(site(receiver),))
    outbox(database).deliver()
    assert json.loads(receiver.seen[0].body) == registered.model_dump(mode="json")


def test_a_deltaone_endpoint_gets_the_payload_with_its_own_signature(database, receiver):
    told = event(None, "deltaone_achieved", model_name="churn", delta_value=1.2)
    write(database, told, event(), to=(Destination(handler="deltaone", target=receiver.address),))
    outbox(database).deliver()
    (seen,) = receiver.seen
    assert seen.body == b'{"delta_value":1.2,"model_name":"churn"}'
    timestamp, nonce = int(seen.headers["x-hokusai-timestamp"]), seen.headers["x-hokusai-nonce"]
    assert abs(timestamp - time.time()) < 60
    expected = deltaone_headers(seen.body, SECRET, timestamp=timestamp, nonce=nonce)
    assert seen.headers["x-hokusai-signature"] == expected["X-Hokusai-Signature"]
    assert Webhook(SECRET).verify(seen.body, seen.headers)


def test_no_two_posts_have_the_same_nonce():
    told = event(None, "deltaone_achieved")
    claim = Claim(told.event_id, "deltaone", "https://example.org", 0, told, None)
    nonces = {message_of(claim, told, SECRET, utc_now()).headers["X-Hokusai-Nonce"] for _ in range(20)}
    assert len(nonces) == 20


def test_without_a_secret_posts_are_unsigned_and_that_is_said_once(database, receiver, monkeypatch, caplog):
    monkeypatch.delenv("HOKUSAI_SITE_WEBHOOK_SECRET")
    caplog.set_level(logging.WARNING)
    write(database, event(), event(), to=(site(receiver), Destination(handler="deltaone", target=receiver.address)))
    outbox(database).deliver()
    assert len(receiver.seen) == 2
    assert not {"x-hokusai-signature", "webhook-signature"} & receiver.seen[0].headers.keys()
    assert receiver.seen[0].headers["webhook-id"]
    assert caplog.text.count("without a signature: HOKUSAI_SITE_WEBHOOK_SECRET is not set") == 1


def test_the_events_of_a_token_arrive_in_order_although_some_tries_fail(database, receiver):
    fate = iter([500, 200, 503, 429, 200, 408] + [200] * 100)
    receiver.answers["/hook"] = lambda _: (next(fate), {}, {})
    told = [event(f"T-{n % 2}", n=n) for n in range(10)]
    write(database, *told, to=(site(receiver),))
    deliver_until_idle(outbox(database))
    numbers = [json.loads(seen.body)["payload"]["n"] for seen in receiver.seen]
    for parity in (0, 1):
        mine = [n for n in numbers if n % 2 == parity]
        assert mine == sorted(mine)
        assert set(mine) == set(range(parity, 10, 2))


# What fails


def test_what_fails_is_tried_again_and_given_up_after_the_last_try(database, receiver):
    receiver.answers["/hook"] = (500, {}, {})
    write(database, event(), to=(site(receiver),))
    made = outbox(database, tries=3)
    first = made.deliver()
    assert (first.delivered, first.failed + first.dead > 0) == (0, True)
    deliver_until_idle(made)
    assert states(database) == [("dead", 3, f"{receiver.address} answered 500.")]
    assert len(receiver.seen) == 3
    assert len({seen.headers["webhook-id"] for seen in receiver.seen}) == 1


@pytest.mark.parametrize(("status", "tries"), [(404, 3), (302, 3), (410, 1), (500, 5), (429, 5)])
def test_a_receiver_that_will_not_take_an_event_is_asked_less_often(sqlite_database, receiver, status, tries):
    receiver.answers["/hook"] = (status, {}, {})
    write(sqlite_database, event(), to=(site(receiver),))
    deliver_until_idle(outbox(sqlite_database, tries=5))
    assert [s[:2] for s in states(sqlite_database)] == [("dead", tries)]
    assert len(receiver.seen) == tries


def test_a_refusal_between_failures_that_pass_does_not_end_a_delivery(database, receiver):
    fate = [503, 500, 404, 503, 404, 404, 429, 302, 200]
    answers = iter(fate)
    receiver.answers["/hook"] = lambda _: (next(answers), {}, {})
    write(database, event(), to=(site(receiver),))
    deliver_until_idle(outbox(database))
    assert states(database) == [("delivered", len(fate), "")]


def test_refusals_in_a_row_end_a_delivery_that_failed_before(sqlite_database, receiver):
    fate = [503, 404, 500, 404, 404, 404]
    answers = iter(fate)
    receiver.answers["/hook"] = lambda _: (next(answers), {}, {})
    write(sqlite_database, event(), to=(site(receiver),))
    deliver_until_idle(outbox(sqlite_database))
    assert [s[:2] for s in states(sqlite_database)] == [("dead", len(fate))]


def test_what_is_refused_and_fails_by_turns_is_given_up_after_the_last_try(sqlite_database, receiver):
    receiver.answers["/hook"] = lambda _: ((404, 503)[len(receiver.seen) % 2], {}, {})
    write(sqlite_database, event(), to=(site(receiver),))
    deliver_until_idle(outbox(sqlite_database, tries=6))
    assert [s[:2] for s in states(sqlite_database)] == [("dead", 6)]


def test_an_address_that_is_not_allowed_any_more_is_given_up(sqlite_database, receiver):
    write(sqlite_database, event(), to=(site(receiver),))
    deliver_until_idle(outbox(sqlite_database, sender=Sender(allow_private=False)))
    ((state, attempts, error),) = states(sqlite_database)
    assert (state, attempts, receiver.seen) == ("dead", 3, [])
    assert "not encrypted" in error


def test_the_pause_before_the_next_try_grows_up_to_a_bound_and_is_random(sqlite_database):
    made = Outbox(sqlite_database, first_pause=10.0, longest_pause=100.0)

    def pauses(tried):
        claim = Claim("e", "console", "", tried - 1, event(), None)
        return [made._outcome(claim, _later()).pause for _ in range(40)]

    for tried, bound in [(1, 10), (2, 20), (4, 80), (5, 100), (11, 100)]:
        assert bound / 2 < max(pauses(tried)) <= bound
        assert -1 < min(pauses(tried)) < bound / 2
        assert len({round(p, 4) for p in pauses(tried)}) > 30


def _later(retry_after=None):
    return Answer(Verdict.LATER, "no", retry_after)


@pytest.mark.parametrize(("asked", "least", "most"), [(60.0, 59, 60), (1e9, 99, 100), (0.0, -1, 10)])
def test_a_receiver_that_asks_for_time_gets_it_within_bounds(sqlite_database, asked, least, most):
    made = Outbox(sqlite_database, first_pause=10.0, longest_pause=100.0)
    assert least < made._outcome(Claim("e", "console", "", 0, event(), None), _later(asked)).pause <= most


def test_twelve_tries_take_a_day_at_most(sqlite_database):
    made = Outbox(sqlite_database)
    longest = sum(min(60 * 2**n, 8 * 3600) for n in range(11))
    assert 24 <= longest / 3600 < 25
    outcomes = [made._outcome(Claim("e", "console", "", n, event(), None), _later()) for n in range(12)]
    assert [o.state for o in outcomes] == ["pending"] * 11 + ["dead"]
    assert all(o.pause <= 8 * 3600 for o in outcomes[:11])


def test_what_was_given_up_is_delivered_after_it_is_asked_for(database, receiver):
    receiver.answers["/hook"] = (410, {}, {})
    one, two = event("T-1"), event("T-2")
    write(database, one, two, to=(site(receiver),))
    made = outbox(database)
    assert made.deliver().dead == 2
    assert (made.pending().pending, made.pending().dead) == (0, 2)
    receiver.answers.clear()
    assert SqlTokenStore(database).retry(one.event_id) == 1
    assert made.deliver().delivered == 1
    assert SqlTokenStore(database).retry() == 1
    assert made.deliver().delivered == 1
    with pytest.raises(EventNotFoundError):
        SqlTokenStore(database).retry(str(uuid.uuid4()))


def test_no_error_that_is_kept_holds_the_secret_of_an_address(sqlite_database, receiver):
    receiver.answers["/s3cret"] = (500, {}, {})
    write(sqlite_database, event(), to=(site(receiver, "/s3cret"),))
    write(sqlite_database, event("T-2"), to=(Destination(handler="webhook", target="http://127.0.0.1:1/s3cret"),))
    outbox(sqlite_database, tries=1).deliver()
    assert [s[0] for s in states(sqlite_database)] == ["dead", "dead"]
    assert "s3cret" not in repr(states(sqlite_database))


def test_one_dead_endpoint_does_not_hold_up_the_others(sqlite_database, receiver):
    with black_hole() as host:
        dead = Destination(handler="webhook", target=f"http://{host}/")
        write(sqlite_database, *(event(f"T-{n}") for n in range(60)), to=(dead, site(receiver)))
        began = time.monotonic()
        sender = Sender(allow_private=True, connect_seconds=2, read_seconds=2, total_seconds=2)
        report = outbox(sqlite_database, sender=sender).deliver(within=30)
        assert time.monotonic() - began < 12  # 60 posts of 2 seconds, 8 at once, would take longer
    assert len(receiver.seen) == 60
    assert report.delivered == 60
    assert report.failed < 30  # the rest of its deliveries were not even tried


def test_a_slow_endpoint_does_not_hold_up_a_quick_one(sqlite_database, receiver):
    stop = threading.Event()
    with recording() as slow:
        slow.answers["/hook"] = lambda _: (stop.wait(0.5), {})[1]
        write(sqlite_database, *(event(f"T-{n}") for n in range(100)), to=(site(slow),))
        write(sqlite_database, *(event(f"U-{n}") for n in range(100)), to=(site(receiver),))
        worker = threading.Thread(target=outbox(sqlite_database).watch, args=(stop, 0.02))
        worker.start()
        deadline = time.monotonic() + 20
        while len(receiver.seen) < 100 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(slow.seen) < 60
        stop.set()
        worker.join(10)
    assert (len(receiver.seen), worker.is_alive()) == (100, False)


def test_an_endpoint_that_is_back_gets_everything(sqlite_database, receiver):
    receiver.answers["/hook"] = (503, {}, {})
    write(sqlite_database, *(event(f"T-{n}") for n in range(20)), to=(site(receiver),))
    made = outbox(sqlite_database, tries=50)
    made.deliver()
    assert len(receiver.seen) < 20
    receiver.answers.clear()
    deliver_until_idle(made)
    assert {s[0] for s in states(sqlite_database)} == {"delivered"}


# Handlers of one's own


@pytest.fixture
def handlers(tmp_path, monkeypatch):
    """A package with an event handler, on the path as an installed one is; yields the module."""
    (tmp_path / "more_handlers.py").write_text(
        "seen, fail = [], []\n\n"
        "def keep(event):\n"
        "    if fail:\n"
        "        raise ValueError(fail.pop())\n"
        "    seen.append(event)\n"
    )
    info = tmp_path / "more_handlers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more-handlers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hokusai_nb.event_handlers]\nkeeper = more_handlers:keep\n")
    monkeypatch.syspath_prepend(tmp_path)
    import more_handlers

    yield more_handlers
    del sys.modules["more_handlers"]


def test_a_handler_that_raises_is_called_again(database, handlers):
    handlers.fail[:] = ["at postgresql://me:s3cret@db/x", "no"]
    told = event()
    write(database, told, to=(Destination(handler="keeper"),))
    made = outbox(database)
    made.deliver()
    assert handlers.seen == [] or len(handlers.fail) == 0
    deliver_until_idle(made)
    assert handlers.seen == [told]
    assert states(database) == [("delivered", 3, "")]


def test_why_a_handler_failed_is_kept_without_secrets(sqlite_database, handlers):
    handlers.fail[:] = ["at postgresql://me:s3cret@db/x\n" + "x" * 1000]
    write(sqlite_database, event(), to=(Destination(handler="keeper"),))
    outbox(sqlite_database, tries=1).deliver()
    ((state, _, error),) = states(sqlite_database)
    assert (state, error[:44]) == ("dead", "ValueError: at postgresql://***@db/x\\nxxxxxx")
    assert len(error) < 400


def test_an_event_waits_for_a_handler_that_is_not_installed_here(sqlite_database):
    write(sqlite_database, event(), to=(Destination(handler="keeper"),))
    report = outbox(sqlite_database).deliver(limit=1)  # the second try may be due at once
    assert (report.failed, report.left) == (1, 1)
    assert "'keeper' is not installed here" in states(sqlite_database)[0][2]


def test_an_event_that_another_program_spoilt_is_given_up(sqlite_database, receiver):
    def spoil(event_type):
        with sqlite_database.transaction() as connection:
            connection.execute(sa.update(events).values(event_type=event_type))

    write(sqlite_database, event(), to=(site(receiver), CONSOLE))
    spoil("odd")
    assert outbox(sqlite_database).deliver().dead == 2
    spoil("model_deployed")
    assert {s[2] for s in states(sqlite_database)} == {"The event in the database cannot be read."}
    assert receiver.seen == []


# How long, how much, and together with others


def test_whoever_waits_for_a_delivery_waits_for_seconds_only(sqlite_database):
    with black_hole() as host:
        slow = Sender(allow_private=True, read_seconds=30, total_seconds=30)
        write(sqlite_database, event(), to=(CONSOLE, Destination(handler="webhook", target=f"http://{host}/")))
        began = time.monotonic()
        report = outbox(sqlite_database, sender=slow).deliver(within=1.0)
        assert time.monotonic() - began < 8
    assert (report.delivered, report.failed, report.left) == (1, 1, 1)


def test_a_delivery_can_be_confined_to_a_token_or_a_number(sqlite_database, receiver):
    write(sqlite_database, *(event(f"T-{n}") for n in range(4)), to=(site(receiver),))
    made = outbox(sqlite_database)
    report = made.deliver(token_id="T-2")
    assert (report.delivered, report.left) == (1, 0)
    assert [json.loads(s.body)["payload"]["token_id"] for s in receiver.seen] == ["T-2"]
    assert made.deliver(limit=2).left == 1
    assert len(receiver.seen) == 3


def test_workers_side_by_side_send_everything_once(database, receiver):
    write(database, *(event(f"T-{n % 20}", n=n) for n in range(80)), to=(site(receiver),))
    workers = [outbox(database) for _ in range(3)]
    stop = threading.Event()
    threads = [threading.Thread(target=worker.watch, args=(stop, 0.01)) for worker in workers]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while workers[0].pending().pending and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    numbers = [json.loads(seen.body)["payload"]["n"] for seen in receiver.seen]
    assert sorted(numbers) == list(range(80))
    for token in range(20):
        mine = [n for n in numbers if n % 20 == token]
        assert mine == sorted(mine)


def test_what_a_worker_that_died_had_claimed_is_delivered_once_its_claim_lapses(database, receiver):
    write(database, event(), to=(site(receiver),))
    with database.transaction() as connection:
        assert claims.claim(connection, "dead", seconds=2, limit=10)
    made = outbox(database)
    assert made.deliver().left == 1
    time.sleep(2)
    assert made.deliver().delivered == 1


def test_watching_delivers_what_is_written_later(sqlite_database, receiver):
    stop = threading.Event()
    thread = threading.Thread(target=outbox(sqlite_database).watch, args=(stop, 0.02))
    thread.start()
    for n in range(3):
        write(sqlite_database, event(n=n), to=(site(receiver),))
        deadline = time.monotonic() + 5
        while len(receiver.seen) <= n and time.monotonic() < deadline:
            time.sleep(0.01)
    stop.set()
    thread.join(5)
    assert (thread.is_alive(), len(receiver.seen)) == (False, 3)


def test_watching_outlives_a_database_that_is_away_and_says_so_once(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    database = Database.at(DatabaseConfig(db_type="sqlite", database=str(tmp_path / "later" / "hokusai.db")))
    stop = threading.Event()
    thread = threading.Thread(target=outbox(database).watch, args=(stop, 0.02))
    thread.start()
    try:
        time.sleep(0.3)
        assert thread.is_alive()
        (tmp_path / "later").mkdir()
        deadline = time.monotonic() + 10
        while not (tmp_path / "later" / "hokusai.db").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / "later" / "hokusai.db").exists()
    finally:
        stop.set()
        thread.join(10)
        database.close()
    assert caplog.text.count("Events wait to be delivered: Database Connection Failed") == 1


def test_a_database_that_is_away_is_an_error_to_whoever_asks(tmp_path):
    database = Database.at(DatabaseConfig(db_type="sqlite", database=str(tmp_path / "no" / "hokusai.db")))
    for ask in (outbox(database).deliver, SqlTokenStore(database).retry, outbox(database).pending):
        with pytest.raises(DatabaseConnectionError):
            ask()
    database.close()


def test_an_outboxs_repr_names_its_database(sqlite_database):
    assert repr(outbox(sqlite_database)) == f"Outbox({sqlite_database.description!r})"


class Stumbling(Sender):
    """A sender with a fault that shows once."""

    stumbled = False

    @property
    def resting(self):
        if not self.stumbled:
            self.stumbled = True
            msg = "unforeseen"
            raise RuntimeError(msg)
        return super().resting


def test_watching_outlives_what_nobody_foresaw(sqlite_database, receiver, caplog):
    stop, made = threading.Event(), outbox(sqlite_database, sender=Stumbling(allow_private=True))
    write(sqlite_database, event(), to=(site(receiver),))
    thread = threading.Thread(target=made.watch, args=(stop, 0.02))
    thread.start()
    deadline = time.monotonic() + 5
    while not receiver.seen and time.monotonic() < deadline:
        time.sleep(0.01)
    assert thread.is_alive()
    stop.set()
    thread.join(5)
    assert (len(receiver.seen), thread.is_alive()) == (1, False)
    assert "Events wait to be delivered: RuntimeError" in caplog.text


def test_a_handler_that_hangs_gives_up_its_turn_and_is_not_called_again_meanwhile(
    sqlite_database, handlers, monkeypatch
):
    go, called = threading.Event(), []
    monkeypatch.setattr(handlers, "keep", lambda event: called.append(event) or go.wait(20))
    write(sqlite_database, event("A-1"), event("B-1"), to=(Destination(handler="keeper"),))
    write(sqlite_database, event("C-1"), to=(CONSOLE,))
    made = outbox(sqlite_database, handler_seconds=0.2)
    began = time.monotonic()
    made.deliver(limit=3)
    assert time.monotonic() - began < 5
    assert len(called) == 1
    said = [(state, error) for state, _, error in states(sqlite_database)]
    assert said == [
        ("pending", "The handler keeper did not return within 0 seconds."),
        ("pending", "The handler keeper has not returned from an earlier call."),
        ("delivered", ""),
    ]
    go.set()
    deliver_until_idle(made)
    assert {s for s, *_ in states(sqlite_database)} == {"delivered"}


def test_a_handler_that_ends_the_program_only_fails(sqlite_database, handlers, monkeypatch):
    monkeypatch.setattr(handlers, "keep", lambda _: sys.exit("enough"))
    write(sqlite_database, event(), to=(Destination(handler="keeper"),))
    outbox(sqlite_database, tries=1).deliver()
    assert states(sqlite_database) == [("dead", 1, "SystemExit: enough")]
