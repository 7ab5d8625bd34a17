from __future__ import annotations

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql import claims, outbox
from hokusai_nb.backends.sql.claims import Outcome
from hokusai_nb.backends.sql.event_list import list_events
from hokusai_nb.backends.sql.tables import event_deliveries, events
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import DeliveryState, Event

SITE = Destination(handler="webhook", target="https://site.example.org/s3cret")
CONSOLE = Destination(handler="console")


@pytest.fixture
def told(database):
    made = [Event(event_type="model_deployed", payload={"token_id": f"T-{n % 2}", "n": n}) for n in range(7)]
    with database.transaction() as connection:
        outbox.write(connection, made, (SITE, CONSOLE))
    return made


def listed(database, token_id=None, *, state=None, cursor=None, limit=100):
    with database.reading() as connection:
        return list_events(connection, token_id, state=state, cursor=cursor, limit=limit)


def test_events_are_listed_newest_first_with_their_deliveries(database, told):
    page = listed(database)
    assert [record.event for record in page.entries] == told[::-1]
    assert page.next_cursor is None
    first = page.entries[0]
    assert not first.processed
    assert [(d.handler, d.state, d.attempts) for d in first.deliveries] == [
        ("console", "pending", 0),
        ("webhook https://site.example.org", "pending", 0),
    ]
    assert "s3cret" not in page.model_dump_json()


def test_pages_follow_one_another_without_gap_or_repeat_while_events_are_added(database, told):
    seen, cursor = [], None
    while True:
        page = listed(database, cursor=cursor, limit=3)
        seen += [record.event for record in page.entries]
        with database.transaction() as connection:
            outbox.write(connection, [Event(event_type="model_deployed", payload={})], ())
        if (cursor := page.next_cursor) is None:
            break
    assert seen == told[::-1]


def test_the_events_of_a_token_are_found_in_either_case(database, told):
    assert [r.event for r in listed(database, "t-1").entries] == [e for e in told[::-1] if e.token_id == "T-1"]
    assert listed(database, "T-3").entries == ()


def test_events_with_a_delivery_in_a_state_are_found(database, told):
    with database.transaction() as connection:
        first, *_ = claims.claim(connection, "me", seconds=60, limit=1)
        claims.record(connection, "me", [Outcome(first, DeliveryState.DEAD, "no answer")])
    (record,) = listed(database, state="dead").entries
    assert record.event == told[0]
    assert ("dead", "no answer") in [(d.state, d.last_error) for d in record.deliveries]
    assert len(listed(database, state="pending").entries) == len(told)
    assert listed(database, state="delivered").entries == ()


def test_a_state_or_a_cursor_that_does_not_exist_is_refused(database):
    with pytest.raises(ValidationError, match="never in the state 'lost'"):
        listed(database, state="lost")
    with pytest.raises(ValidationError, match="does not belong to this list"):
        listed(database, cursor="nonsense")


def test_a_row_that_another_program_spoilt_is_left_out(database, told):
    with database.transaction() as connection:
        spoilt = events.c.event_id == told[3].event_id
        connection.execute(sa.update(events).where(spoilt).values(event_type="odd"))
        connection.execute(sa.delete(event_deliveries).where(event_deliveries.c.event_id == told[4].event_id))
    page = listed(database)
    assert [record.event for record in page.entries] == [e for e in told[::-1] if e != told[3]]
    assert [record.deliveries for record in page.entries if record.event == told[4]] == [()]
