from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql import outbox
from hokusai_nb.backends.sql.outbox import Outcome
from hokusai_nb.backends.sql.tables import event_deliveries, event_order, events
from hokusai_nb.errors import DatabaseError, EventNotFoundError
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import DeliveryState, Event, site_body
from hokusai_nb.schema.lifecycle import RegistrationFacts, utc_now

CONSOLE = Destination(handler="console")
SITE = Destination(handler="webhook", target="https://site.example.org/s3cret")
OTHER = Destination(handler="webhook", target="https://other.example.org/")
POLLED = Destination(handler="database")
FACTS = RegistrationFacts(
    mlflow_run_id="run-1",
    model_name="hokusai-xray",
    version="3",
    metric_name="auroc",
    metric_value="0.85",
    baseline_value="0.82",
    improvement="0.03",
)


def event(token="XRAY", kind="model_deployed", **payload):
    return Event(event_type=kind, payload={**({"token_id": token} if token else {}), **payload})


def write(database, *told, to=(CONSOLE,), **given):
    with database.transaction() as connection:
        outbox.write(connection, told, to, **given)
    return [e.event_id for e in told]


def claim(database, worker="me", *, seconds=60.0, limit=100, **given):
    until = utc_now() + dt.timedelta(seconds=seconds)
    with database.transaction() as connection:
        return outbox.claim(connection, worker, until=until, limit=limit, **given)


def record(database, claims, state, worker="me", **given):
    with database.transaction() as connection:
        outbox.record(connection, worker, [Outcome(c, state, **given) for c in claims])


def rows(database, table):
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def processed(database):
    return {row["event_id"]: bool(row["processed"]) for row in rows(database, events)}


def is_due(database, **given):
    with database.reading() as connection:
        return outbox.is_due(connection, **given)


# Writing


def test_an_event_is_written_with_a_delivery_for_each_destination(database):
    told = event()
    write(database, told, to=(CONSOLE, SITE, CONSOLE))
    (row,) = rows(database, events)
    assert (row["event_id"], row["event_type"], row["processed"]) == (told.event_id, "model_deployed", False)
    assert row["payload"] == {"token_id": "XRAY"}
    assert row["timestamp"] == dt.datetime.fromisoformat(told.timestamp)
    deliveries = rows(database, event_deliveries)
    assert {(d["handler"], d["target"], d["state"], d["attempts"]) for d in deliveries} == {
        ("console", "", "pending", 0),
        ("webhook", SITE.target, "pending", 0),
    }


def test_an_event_lives_and_dies_with_the_transaction_that_it_tells_of(database):
    def fail():
        with database.transaction() as connection:
            outbox.write(connection, [event()], (CONSOLE,))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert rows(database, events) == rows(database, event_order) == rows(database, event_deliveries) == []


def test_an_event_that_nobody_is_told_of_is_processed_at_once(database):
    told = event()
    write(database, told, to=())
    assert processed(database) == {told.event_id: True}


def test_only_destinations_that_take_an_event_are_told_of_it(database):
    endpoint = Destination(handler="deltaone", target="https://example.org")
    told = event()
    write(database, told, event(None, "deltaone_achieved"), to=(endpoint,))
    assert [d["handler"] for d in rows(database, event_deliveries)] == ["deltaone"]
    assert processed(database)[told.event_id]


def test_what_the_site_is_sent_is_kept_beside_a_registration_and_nothing_else(database):
    registered, ready = event(kind="model_registered"), event(kind="token_ready_for_deploy")
    write(database, registered, ready, to=(SITE, OTHER), facts=FACTS)
    bodies = {row["event_id"]: row["site_body"] for row in rows(database, event_order)}
    assert bodies == {registered.event_id: site_body("XRAY", FACTS, registered.timestamp), ready.event_id: None}
    assert [c.site_body["model"]["name"] for c in claim(database)] == ["hokusai-xray"] * 2


def test_an_event_comes_back_as_it_was_written(database):
    told = event(kind="model_registered", metric_value=0.1, nested={"ü": [None, True, "\u2028"]})
    write(database, told)
    assert claim(database)[0].event == told


def test_an_event_is_published_once_under_a_key(database):
    def publish(key, told):
        with database.transaction() as connection:
            return outbox.publish(connection, told, (CONSOLE,), key=key)

    assert publish("k", event())
    assert not publish("k", event())
    assert publish("l", event())
    assert len(rows(database, events)) == 2


def test_of_many_that_publish_under_one_key_at_once_exactly_one_does(database):
    database.ensure_ready()
    gate = threading.Barrier(6)

    def publish(_):
        gate.wait()
        with database.transaction() as connection:
            return outbox.publish(connection, event(), (CONSOLE,), key="k")

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(publish, range(6))) == [False] * 5 + [True]
    assert len(rows(database, events)) == len(rows(database, event_deliveries)) == 1


def test_an_event_that_is_there_already_is_refused(database):
    told = event()
    write(database, told)
    with pytest.raises(DatabaseError):
        write(database, told)


# Claiming


def test_what_is_claimed_is_claimed_by_nobody_else(database):
    ids = write(database, *(event(f"T-{n}") for n in range(5)))
    first = claim(database, "a", limit=3)
    second = claim(database, "b")
    assert [c.event_id for c in first] == ids[:3]
    assert [c.event_id for c in second] == ids[3:]
    assert claim(database, "a") == []
    assert not is_due(database)


def test_workers_that_claim_at_once_share_the_work(database):
    ids = write(database, *(event(f"T-{n}") for n in range(40)))
    gate = threading.Barrier(4)

    def work(worker):
        gate.wait()
        found = []
        while taken := claim(database, worker, limit=3):
            found += [c.event_id for c in taken]
        return found

    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(work, "abcd"))
    everything = [event_id for share in shares for event_id in share]
    assert len(everything) == len(set(everything))
    # A worker may find only rows that another is taking, and end; what that one leaves is still there.
    assert {*everything, *(c.event_id for c in claim(database))} == set(ids)


def test_a_claim_of_a_worker_that_died_lapses(database):
    write(database, event())
    (lost,) = claim(database, "dead", seconds=-1)
    assert is_due(database)
    (taken,) = claim(database, "heir")
    assert taken.key == lost.key
    assert claim(database, "third") == []


@pytest.mark.parametrize("end", [DeliveryState.DELIVERED, DeliveryState.DEAD])
def test_a_later_event_of_a_token_waits_until_the_earlier_one_is_delivered_or_given_up(database, end):
    ids = write(database, event(), event(), event("T-2"), to=(SITE,))
    claims = claim(database)
    assert [c.event_id for c in claims] == [ids[0], ids[2]]
    assert not is_due(database)
    record(database, claims, end)
    assert [c.event_id for c in claim(database)] == [ids[1]]


def test_a_later_event_of_a_token_waits_while_the_earlier_one_is_to_be_tried_again(database):
    write(database, event(), event(), to=(SITE,))
    later = utc_now() + dt.timedelta(hours=1)
    record(database, claim(database), DeliveryState.PENDING, error="no", next_attempt_at=later)
    assert claim(database) == []
    assert not is_due(database)


def test_one_destination_does_not_hold_up_another(database):
    ids = write(database, event(), event(), to=(SITE, OTHER))
    both = claim(database)
    record(database, [c for c in both if c.target == OTHER.target], DeliveryState.DELIVERED)
    assert [(c.event_id, c.target) for c in claim(database)] == [(ids[1], OTHER.target)]


def test_events_without_a_token_wait_for_nothing(database):
    ids = write(database, *(event(None, "deltaone_achieved") for _ in range(3)))
    assert [c.event_id for c in claim(database)] == ids


def test_a_claim_can_be_confined_to_a_token_or_spare_a_target(database):
    ids = write(database, event("T-1"), event("T-2"), to=(SITE, CONSOLE))
    assert not is_due(database, token_id="T-3")
    assert [c.handler for c in claim(database, token_id="T-2", without=[SITE.target])] == ["console"]
    assert [(c.event_id, c.handler) for c in claim(database, token_id="T-2")] == [(ids[1], "webhook")]
    assert is_due(database, without=[SITE.target])
    assert [c.event_id for c in claim(database)] == [ids[0], ids[0]]


@pytest.mark.parametrize("change", [{"event_type": "odd"}, {"payload": [1]}, {"source": "a b"}])
def test_an_event_that_another_program_spoilt_is_claimed_without_it(database, change):
    write(database, event("T-1"), event("T-2"))
    with database.transaction() as connection:
        first = sa.select(sa.func.min(event_order.c.seq)).scalar_subquery()
        spoilt = sa.select(event_order.c.event_id).where(event_order.c.seq == first).scalar_subquery()
        connection.execute(sa.update(events).where(events.c.event_id == spoilt).values(**change))
    assert [c.event is None for c in claim(database)] == [True, False]


# Recording


def test_an_event_is_processed_once_every_handler_has_taken_it(database):
    (event_id,) = write(database, event(), to=(CONSOLE, SITE))
    console, site = claim(database)
    record(database, [console], DeliveryState.DELIVERED)
    assert processed(database) == {event_id: False}
    record(database, [site], DeliveryState.DEAD, error="gone")
    assert processed(database) == {event_id: False}
    with database.transaction() as connection:
        assert outbox.retry(connection) == 1
    record(database, claim(database), DeliveryState.DELIVERED)
    assert processed(database) == {event_id: True}


def test_an_event_is_processed_also_when_two_workers_deliver_its_last_two_at_once(database):
    (event_id,) = write(database, event(), to=(CONSOLE, SITE))
    console, site = claim(database)
    other = threading.Thread(target=record, args=(database, [site], DeliveryState.DELIVERED))
    with database.transaction() as connection:
        outbox.record(connection, "me", [Outcome(console, DeliveryState.DELIVERED)])
        other.start()
        other.join(0.5)  # as far as it comes before the first one is done
    other.join(10)
    assert processed(database) == {event_id: True}


def test_where_systems_poll_the_table_processed_is_theirs(database):
    (event_id,) = write(database, event(), to=(CONSOLE, POLLED))
    states = {d["handler"]: d["state"] for d in rows(database, event_deliveries)}
    assert states == {"console": "pending", "database": "delivered"}
    record(database, claim(database), DeliveryState.DELIVERED)
    assert processed(database) == {event_id: False}


def test_a_failure_is_written_down_and_tried_again_when_it_is_due(database):
    write(database, event())
    record(database, claim(database), DeliveryState.PENDING, error="no answer", next_attempt_at=utc_now())
    (row,) = rows(database, event_deliveries)
    assert (row["state"], row["attempts"], row["last_error"], row["claimed_by"]) == ("pending", 1, "no answer", None)
    (again,) = claim(database)
    assert again.attempts == 1


def test_a_claim_that_is_given_back_counts_as_no_try(database):
    write(database, event())
    record(database, claim(database), None)
    (row,) = rows(database, event_deliveries)
    assert (row["state"], row["attempts"], row["claimed_until"]) == ("pending", 0, None)
    assert len(claim(database)) == 1


def test_who_lost_a_claim_can_report_a_success_and_no_failure(database):
    write(database, event())
    lost = claim(database, "slow", seconds=-1)
    claim(database, "heir")
    record(database, lost, DeliveryState.DEAD, worker="slow", error="no")
    record(database, lost, None, worker="slow")
    (row,) = rows(database, event_deliveries)
    assert (row["state"], row["claimed_by"]) == ("pending", "heir")
    record(database, lost, DeliveryState.DELIVERED, worker="slow")
    record(database, lost, DeliveryState.PENDING, worker="heir", error="no", next_attempt_at=utc_now())
    (row,) = rows(database, event_deliveries)
    assert (row["state"], row["last_error"]) == ("delivered", None)
    assert row["delivered_at"] is not None


# Trying again, counting


def test_what_was_given_up_begins_anew_when_it_is_asked_for(database):
    ids = write(database, event("T-1"), event("T-2"), event("T-3"))
    record(database, claim(database, limit=2), DeliveryState.DEAD, error="no")
    with database.transaction() as connection:
        assert outbox.retry(connection, ids[2]) == 0
        assert outbox.retry(connection, ids[0]) == 1
        assert outbox.retry(connection) == 1
        assert outbox.retry(connection) == 0
    assert [(c.event_id, c.attempts) for c in claim(database)] == [(event_id, 0) for event_id in ids]


@pytest.mark.parametrize("event_id", ["no-such", "'; DROP TABLE events; --"])
def test_an_event_that_does_not_exist_cannot_be_tried_again(database, event_id):
    with pytest.raises(EventNotFoundError, match="There is no event"), database.transaction() as connection:
        outbox.retry(connection, event_id)


def test_a_backlog_counts_what_is_not_delivered(database):
    def counted(**given):
        with database.reading() as connection:
            found = outbox.backlog(connection, **given)
        return found.pending, found.dead, found.oldest

    assert counted() == (0, 0, None)
    told = [event("T-1"), event("T-2"), event("T-2"), event("T-3")]
    write(database, *told)
    one, two, three = claim(database)
    record(database, [one], DeliveryState.DELIVERED)
    record(database, [three], DeliveryState.DEAD, error="no")
    oldest = dt.datetime.fromisoformat(told[1].timestamp)
    assert counted() == (2, 1, oldest)
    assert counted(token_id="T-2") == (2, 0, oldest)
    assert counted(token_id="T-3") == (0, 1, None)
    assert two.event == told[1]
