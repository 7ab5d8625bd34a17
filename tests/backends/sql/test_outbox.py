from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hokusai_nb.backends.sql import outbox
from hokusai_nb.backends.sql.tables import event_deliveries, event_keys, event_order, events
from hokusai_nb.errors import ConflictError, DatabaseError, EventNotFoundError, HokusaiError
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import DeliveryState, site_body
from tests.events import CONSOLE, OTHER, SITE, claim, event, processed, record, rows, write
from tests.tokens import FACTS

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


def test_an_event_that_two_write_at_once_under_different_keys_is_a_conflict_for_the_second(database):
    database.ensure_ready()
    told, failed = event(), []

    def publish_too():
        try:
            with database.transaction() as connection:
                outbox.publish(connection, told, (CONSOLE,), key="second")
        except HokusaiError as error:
            failed.append(error)

    other = threading.Thread(target=publish_too)
    with database.transaction() as connection:
        assert outbox.publish(connection, told, (CONSOLE,), key="first")
        other.start()
        other.join(0.5)  # as far as it comes before the first one is done
    other.join(10)
    assert [(type(error), error.what) for error in failed] == [
        (ConflictError, f"There is another event of the id {told.event_id}.")
    ]
    assert [row["key"] for row in rows(database, event_keys)] == ["first"]
    assert len(rows(database, events)) == len(rows(database, event_deliveries)) == 1


def test_an_event_that_is_there_already_is_refused(database):
    told = event()
    write(database, told)
    with pytest.raises(DatabaseError):
        write(database, told)


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
