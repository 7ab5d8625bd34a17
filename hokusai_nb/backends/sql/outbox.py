"""Events and their deliveries as rows: written, counted, begun anew.

Everything here works in a transaction of the caller's, so that an event is written with the change
that it tells of, or not at all.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hokusai_nb.backends.sql import clock
from hokusai_nb.backends.sql.tables import event_deliveries, event_keys, event_order, events
from hokusai_nb.errors import ConflictError, EventNotFoundError
from hokusai_nb.log import logger
from hokusai_nb.schema.deliveries import DATABASE, Backlog
from hokusai_nb.schema.events import DeliveryState, Event, EventType, iso, registration_key, site_body
from hokusai_nb.schema.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from hokusai_nb.schema.deliveries import Destination
    from hokusai_nb.schema.lifecycle import RegistrationFacts

__all__ = ["EVENT", "backlog", "event_of", "id_of_event", "no_such_event", "publish", "retry", "write"]

d, o, e = event_deliveries.c, event_order.c, events.c
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AS_IT_IS = sa.String()
EVENT = (
    e.event_id,
    e.event_type,
    e.source,
    sa.type_coerce(e.timestamp, _AS_IT_IS).label("timestamp"),
    sa.type_coerce(e.payload, _AS_IT_IS).label("payload"),
)
"""The columns of an event, unread: what another program wrote must not keep the rest from being read."""


def write(
    connection: Connection,
    told: Iterable[Event],
    destinations: Sequence[Destination],
    *,
    facts: RegistrationFacts | None = None,
) -> None:
    """Write events, in order, with a delivery for each destination that takes them.

    Args:
        connection: In the transaction of the change that the events tell of.
        told: The events.
        destinations: Who is to be told; later settings do not change it.
        facts: What was registered: the site's webhook is sent it in a shape of its own, which the
            payload of ``model_registered`` does not hold.
    """
    now = clock.now(connection)
    for event in told:
        takers = [place for place in dict.fromkeys(destinations) if place.takes(event)]
        row = event.model_dump(mode="json") | {
            "timestamp": dt.datetime.fromisoformat(event.timestamp),
            "processed": not takers,
        }
        connection.execute(sa.insert(events), row)
        registered = event.event_type is EventType.MODEL_REGISTERED and event.token_id is not None
        body = site_body(event.token_id or "", facts, event.timestamp) if registered and facts else None
        order = {"event_id": event.event_id, "token_id": event.token_id, "site_body": body}
        connection.execute(sa.insert(event_order), order)
        if takers:
            connection.execute(sa.insert(event_deliveries), [_delivery(event, place, now) for place in takers])


def _delivery(event: Event, place: Destination, now: dt.datetime) -> dict[str, Any]:
    # Systems that poll have the event once it is written.
    polled = place.handler == DATABASE
    return {
        "event_id": event.event_id,
        "handler": place.handler,
        "target": place.target,
        "state": (DeliveryState.DELIVERED if polled else DeliveryState.PENDING).value,
        "attempts": 0,
        "next_attempt_at": None if polled else now,
        "delivered_at": now if polled else None,
    }


def publish(
    connection: Connection,
    event: Event,
    destinations: Sequence[Destination],
    *,
    key: str,
    facts: RegistrationFacts | None = None,
) -> bool:
    """Write an event unless one was written under this key before; return whether it was written now.

    Args:
        connection: In a transaction.
        event: The event.
        destinations: Who is to be told.
        key: Any text; what is told of a registration has `told_under`.
        facts: What was registered, where the event tells of that.

    Raises:
        ConflictError: An event of the same id was written under another key.
    """
    known = sa.select(event_keys.c.event_id).where(event_keys.c.key == key)
    taken = sa.select(e.event_id).where(e.event_id == event.event_id)
    if connection.execute(known).first():
        return False
    if (earlier := _told_before(connection, event, facts)) is not None:
        with suppress(sa.exc.IntegrityError), connection.begin_nested():  # another process may be quicker
            connection.execute(sa.insert(event_keys), {"key": key, "event_id": earlier})
        return False
    another = ConflictError(f"There is another event of the id {event.event_id}.", "Give each event an id of its own.")
    if connection.execute(taken).first():
        raise another
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(event_keys), {"key": key, "event_id": event.event_id})
            write(connection, [event], destinations, facts=facts)
    except sa.exc.IntegrityError:
        # Another process was quicker: with the same key, or with the same id under another one.
        if connection.execute(known).first():
            return False
        if connection.execute(taken).first():
            raise another from None
        raise
    return True


def _told_before(connection: Connection, event: Event, facts: RegistrationFacts | None) -> str | None:
    """Return the event of the same registration under the key that is sent: once, that was the key here, too.

    It stood for every model of the run, so that the one that the event tells of is looked at.
    """
    if facts is None or event.token_id is None:
        return None
    sent = registration_key(event.token_id.lower(), event.token_id, facts.mlflow_run_id, facts.version)
    found = connection.execute(
        sa.select(o.event_id, o.site_body)
        .join_from(event_keys, event_order, o.event_id == event_keys.c.event_id)
        .where(event_keys.c.key == sent)
    ).first()
    told: str | None = None
    if found is not None and found.site_body is not None and found.site_body["model"]["name"] == facts.model_name:
        told = found.event_id
    return told


def event_of(row: Mapping[str, Any]) -> Event | None:
    """Return the event of a row of `EVENT`; None, and a line in the log, where another program made it unreadable."""
    payload = row["payload"]
    try:
        return Event(
            event_id=row["event_id"],
            event_type=row["event_type"],
            source=row["source"],
            timestamp=iso(_moment(row["timestamp"])),
            payload=json.loads(payload) if isinstance(payload, str) else payload,
        )
    except (ValueError, AttributeError, OverflowError):  # pydantic's is a ValueError
        logger.warning("The event %s in the database cannot be read.", row["event_id"])
        return None


def id_of_event(text: str) -> str:
    """Return the id of an event that a user names, as it is stored.

    Raises:
        EventNotFoundError: No event can have it. A column that the site has made a ``uuid`` is not even asked for it.
    """
    if not _ID.fullmatch(text.lower()):
        raise no_such_event(text)
    return text.lower()


def no_such_event(event_id: str) -> EventNotFoundError:
    """Return the error for an event that is not there."""
    return EventNotFoundError(f"There is no event {quoted(event_id)}.", "hokusai events list shows the events.")


def _moment(value: Any) -> dt.datetime:
    moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment


def retry(connection: Connection, event_id: str | None = None) -> int:
    """Begin anew what was given up, of one event or of all; return how many deliveries.

    Raises:
        EventNotFoundError: There is no such event.
    """
    given_up = d.state == DeliveryState.DEAD.value
    if event_id is not None:
        wanted = id_of_event(event_id)
        if not connection.execute(sa.select(e.event_id).where(e.event_id == wanted)).first():
            raise no_such_event(event_id)
        given_up = sa.and_(given_up, d.event_id == wanted)
    anew = {"state": DeliveryState.PENDING.value, "attempts": 0, "refusals": 0}
    values = {**anew, "next_attempt_at": clock.now(connection)}
    return connection.execute(sa.update(event_deliveries).where(given_up).values(values)).rowcount


def backlog(connection: Connection, *, token_id: str | None = None) -> Backlog:
    """Count what is not delivered."""
    pending, dead = DeliveryState.PENDING.value, DeliveryState.DEAD.value
    counting = (
        sa.select(d.state, sa.func.count(), sa.func.min(o.seq))
        .join_from(event_deliveries, event_order, o.event_id == d.event_id)
        .where(d.state.in_((pending, dead)))
        .group_by(d.state)
    )
    if token_id is not None:
        counting = counting.where(o.token_id == token_id)
    found = {state: (count, seq) for state, count, seq in connection.execute(counting)}
    waiting, oldest = found.get(pending, (0, None))
    return Backlog(pending=waiting, dead=found.get(dead, (0, None))[0], oldest=_made_at(connection, oldest))


def _made_at(connection: Connection, seq: int | None) -> dt.datetime | None:
    """Return when an event was made; None where there is none, or another program spoilt its row."""
    if seq is None:
        return None
    of_seq = sa.select(*EVENT).join_from(event_order, events, e.event_id == o.event_id).where(o.seq == seq)
    row = connection.execute(of_seq).mappings().first()
    event = event_of(dict(row)) if row else None
    return dt.datetime.fromisoformat(event.timestamp) if event else None
