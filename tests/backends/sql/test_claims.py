from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql import claims, outbox
from hokusai_nb.backends.sql.claims import Outcome
from hokusai_nb.backends.sql.event_list import list_events
from hokusai_nb.backends.sql.tables import event_deliveries, events
from hokusai_nb.schema.events import DeliveryState
from tests.events import CONSOLE, OTHER, POLLED, SITE, claim, event, processed, record, rows, write


def is_due(database, **given):
    with database.reading() as connection:
        return claims.is_due(connection, **given)


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
    record(database, claim(database), DeliveryState.PENDING, error="no", pause=3600)
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
    spoilt, _ = write(database, event("T-1"), event("T-2"))
    with database.transaction() as connection:
        connection.execute(sa.update(events).where(events.c.event_id == spoilt).values(**change))
    assert [c.event is None for c in claim(database)] == [True, False]


@pytest.mark.parametrize("change", ["timestamp = 'yesterday'", "payload = '{'", "payload = NULL", "timestamp = NULL"])
def test_no_text_in_a_sqlite_file_keeps_other_events_from_being_claimed(sqlite_database, change):
    spoilt, whole = write(sqlite_database, event("T-1"), event("T-2"))
    with sqlite_database.transaction() as connection:
        if change.endswith("NULL"):  # what another program has made without our constraints
            connection.exec_driver_sql("CREATE TABLE made AS SELECT * FROM events")
            connection.exec_driver_sql("DROP TABLE events")
            connection.exec_driver_sql("ALTER TABLE made RENAME TO events")
        connection.exec_driver_sql(f"UPDATE events SET {change} WHERE event_id = ?", (spoilt,))
    assert [c.event is None for c in claim(sqlite_database)] == [True, False]
    with sqlite_database.reading() as connection:
        assert outbox.backlog(connection).oldest is None
        assert [r.event.event_id for r in list_events(connection, cursor=None, limit=9).entries] == [whole]


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
        claims.record(connection, "me", [Outcome(console, DeliveryState.DELIVERED)])
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
    record(database, claim(database), DeliveryState.PENDING, error="no answer")
    (row,) = rows(database, event_deliveries)
    assert (row["state"], row["attempts"], row["last_error"], row["claimed_by"]) == ("pending", 1, "no answer", None)
    (again,) = claim(database)
    assert again.attempts == 1


def test_refusals_are_counted_in_a_row_and_begin_anew_with_any_other_failure(database):
    write(database, event())
    counted = []
    for refused in (True, True, None, False, True):
        (found,) = claim(database)
        counted.append(found.refusals)
        if refused is None:  # nothing was tried
            record(database, [found], None)
        else:
            record(database, [found], DeliveryState.PENDING, error="no", refused=refused)
    assert counted == [0, 1, 2, 2, 0]
    record(database, claim(database), DeliveryState.DEAD, error="no", refused=True)
    with database.transaction() as connection:
        assert outbox.retry(connection) == 1
    assert [(c.attempts, c.refusals) for c in claim(database)] == [(0, 0)]


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
    record(database, lost, DeliveryState.PENDING, worker="heir", error="no")
    (row,) = rows(database, event_deliveries)
    assert (row["state"], row["last_error"]) == ("delivered", None)
    assert row["delivered_at"] is not None
