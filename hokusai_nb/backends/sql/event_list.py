"""The list of events with what became of each, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hokusai_nb.backends.sql.outbox import EVENT, event_of, id_of_event, no_such_event
from hokusai_nb.backends.sql.paging import decode_cursor, encode_cursor
from hokusai_nb.backends.sql.tables import event_deliveries, event_keys, event_order, events
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import DeliveryState, EventDelivery, EventPage, EventRecord
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.tokens import fold_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, RowMapping

__all__ = ["event_under", "find_event", "list_events"]

_LIST = "events"


def list_events(
    connection: Connection, token_id: str | None = None, *, state: str | None = None, cursor: str | None, limit: int
) -> EventPage:
    """Return events, newest first, from where the cursor says.

    Args:
        connection: In a transaction; reads only.
        token_id: Only events of this token.
        state: Only events with a delivery in this state.
        cursor: The ``next_cursor`` of the page before.
        limit: Entries at most. A row that another program made unreadable is left out.

    Raises:
        ValidationError: The cursor is none of this list's, or there is no such state.
    """
    statement = (
        sa.select(event_order.c.seq, *EVENT, events.c.processed)
        .join_from(event_order, events, events.c.event_id == event_order.c.event_id)
        .order_by(event_order.c.seq.desc())
        .limit(limit + 1)
    )
    if token_id is not None:
        statement = statement.where(event_order.c.token_id.in_({token_id, fold_token(token_id)}))
    if state is not None:
        mine = event_deliveries.c.event_id == event_order.c.event_id
        in_state = event_deliveries.c.state == _known(state).value
        statement = statement.where(sa.exists(sa.select(event_deliveries.c.event_id).where(mine, in_state)))
    if cursor is not None:
        statement = statement.where(event_order.c.seq < decode_cursor(_LIST, cursor, int))
    rows = connection.execute(statement).mappings().all()
    further = encode_cursor(_LIST, rows[limit - 1]["seq"]) if len(rows) > limit else None
    return EventPage(entries=tuple(_records(connection, rows[:limit])), next_cursor=further)


def find_event(connection: Connection, event_id: str) -> EventRecord:
    """Return one event.

    Raises:
        EventNotFoundError: There is no such event, or another program made its row unreadable.
    """
    wanted = id_of_event(event_id)
    rows = connection.execute(sa.select(*events.c).where(events.c.event_id == wanted)).mappings().all()
    for found in _records(connection, rows):
        return found
    raise no_such_event(event_id)


def event_under(connection: Connection, key: str) -> str:
    """Return the id of the event that was published under a key."""
    found: str = connection.execute(sa.select(event_keys.c.event_id).where(event_keys.c.key == key)).scalar_one()
    return found


def _known(state: str) -> DeliveryState:
    try:
        return DeliveryState(state)
    except ValueError:
        what = f"A delivery is never in the state {quoted(state)}."
        problem = Problem(field="state", what=what, hint=f"Use one of: {', '.join(s.value for s in DeliveryState)}.")
        raise ValidationError([problem]) from None


def _records(connection: Connection, rows: Sequence[RowMapping]) -> list[EventRecord]:
    if not rows:
        return []
    found: dict[str, list[EventDelivery]] = {row["event_id"]: [] for row in rows}
    table = event_deliveries.c
    statement = sa.select(event_deliveries).where(table.event_id.in_(found)).order_by(table.handler, table.target)
    for row in connection.execute(statement).mappings():
        found[row["event_id"]].append(_delivery(dict(row)))
    events_read = [(event_of(dict(row)), row) for row in rows]
    return [
        EventRecord(event=event, processed=row["processed"], deliveries=tuple(found[event.event_id]))
        for event, row in events_read
        if event is not None
    ]


def _delivery(row: dict[str, Any]) -> EventDelivery:
    return EventDelivery(
        handler=Destination(handler=row["handler"], target=row["target"]).shown,
        state=row["state"],
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"],
        last_error=row["last_error"] or "",
    )
