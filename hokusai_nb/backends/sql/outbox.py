"""The outbox's queries: events and their deliveries, as rows.

Everything here works in a transaction of the caller's, so that an event is written with the change
that it tells of, or not at all.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydantic
import sqlalchemy as sa

from hokusai_nb.backends.sql.tables import event_deliveries, event_keys, event_order, events
from hokusai_nb.errors import ConflictError, EventNotFoundError
from hokusai_nb.log import logger
from hokusai_nb.schema.deliveries import DATABASE, Backlog
from hokusai_nb.schema.events import DeliveryState, Event, EventType, iso, site_body
from hokusai_nb.schema.lifecycle import utc_now
from hokusai_nb.schema.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from hokusai_nb.schema.deliveries import Destination
    from hokusai_nb.schema.lifecycle import RegistrationFacts

__all__ = [
    "Claim",
    "Outcome",
    "backlog",
    "claim",
    "event_of",
    "is_due",
    "publish",
    "record",
    "retry",
    "write",
]

d, o, e = event_deliveries.c, event_order.c, events.c


@dataclass(frozen=True)
class Claim:
    """A delivery that this worker, and no other, may try until its claim lapses."""

    event_id: str
    handler: str
    target: str
    attempts: int
    """Tries before this one."""
    event: Event | None
    """None where another program has made the row unreadable."""
    site_body: Mapping[str, Any] | None
    """What the site's webhook is sent in place of the envelope; None where that is the envelope."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the delivery."""
        return self.event_id, self.handler, self.target


@dataclass(frozen=True)
class Outcome:
    """What a try came to."""

    claim: Claim
    state: DeliveryState | None
    """``pending`` where it is to be tried again; None where nothing was tried and the claim is given back."""
    error: str = ""
    """Without secrets."""
    next_attempt_at: dt.datetime | None = None


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
    now = utc_now()
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

    Raises:
        ConflictError: An event of the same id was written under another key.
    """
    known = sa.select(event_keys.c.event_id).where(event_keys.c.key == key)
    if connection.execute(known).first():
        return False
    if connection.execute(sa.select(e.event_id).where(e.event_id == event.event_id)).first():
        what = f"There is another event of the id {event.event_id}."
        raise ConflictError(what, "Give each event an id of its own.")
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(event_keys), {"key": key, "event_id": event.event_id})
    except sa.exc.IntegrityError:
        if connection.execute(known).first():
            return False  # another process was quicker
        raise
    write(connection, [event], destinations, facts=facts)
    return True


def event_of(row: Mapping[str, Any]) -> Event | None:
    """Return the event of a row; None, and a line in the log, where another program made it unreadable."""
    try:
        return Event.model_validate(
            {key: row[key] for key in ("event_id", "event_type", "source", "payload")}
            | {"timestamp": iso(row["timestamp"])}
        )
    except (pydantic.ValidationError, AttributeError):
        logger.warning("The event %s in the database cannot be read.", row["event_id"])
        return None


def _due(now: dt.datetime, token_id: str | None, without: Collection[str]) -> sa.Select[Any]:
    """Select deliveries to try now, oldest first, in each line only the first.

    The events of one token to one destination are a line: a later one waits until the earlier one is
    delivered or given up. An event without a token waits for nothing.
    """
    line = sa.func.coalesce(o.token_id, o.event_id)
    waiting = (
        sa.select(d.handler, d.target, sa.func.min(o.seq).label("seq"))
        .join_from(event_deliveries, event_order, o.event_id == d.event_id)
        .where(d.state == DeliveryState.PENDING.value)
        .group_by(d.handler, d.target, line)
    )
    if token_id is not None:
        waiting = waiting.where(o.token_id == token_id)
    first = waiting.subquery("first")
    return (
        sa.select(*events.c, d.handler, d.target, d.attempts, o.site_body)
        .join_from(event_deliveries, event_order, o.event_id == d.event_id)
        .join(first, sa.and_(first.c.seq == o.seq, first.c.handler == d.handler, first.c.target == d.target))
        .join(events, e.event_id == d.event_id)
        .where(
            d.state == DeliveryState.PENDING.value,
            d.next_attempt_at <= now,
            sa.or_(d.claimed_until.is_(None), d.claimed_until <= now),
            d.target.not_in(list(without)),
        )
        .order_by(o.seq, d.handler, d.target)
    )


def is_due(connection: Connection, *, token_id: str | None = None, without: Collection[str] = ()) -> bool:
    """Whether `claim` would find something; a read, which keeps no writer of SQLite waiting."""
    return connection.execute(_due(utc_now(), token_id, without).limit(1)).first() is not None


def claim(
    connection: Connection,
    worker: str,
    *,
    until: dt.datetime,
    limit: int,
    token_id: str | None = None,
    without: Collection[str] = (),
) -> list[Claim]:
    """Take deliveries that are due, so that no other worker tries them at the same time.

    PostgreSQL and MySQL skip rows that another worker is taking; SQLite admits one writer at a time.

    Args:
        connection: In a transaction that is not left open while they are tried.
        worker: Who takes them.
        until: When the claim lapses, should the worker die.
        limit: How many at most.
        token_id: Only events of this token.
        without: Targets to leave alone.
    """
    rows = connection.execute(
        _due(utc_now(), token_id, without).limit(limit).with_for_update(skip_locked=True, of=event_deliveries)
    ).mappings()
    taken = [
        Claim(row["event_id"], row["handler"], row["target"], row["attempts"], event_of(row), row["site_body"])
        for row in map(dict, rows)
    ]
    if taken:
        values = {"claimed_by": worker, "claimed_until": until}
        connection.execute(_one_delivery().values(values), [_bound(found) for found in taken])
    return taken


def _one_delivery() -> sa.Update:
    """Return an update of the delivery that the parameters of `_bound` name."""
    named = (d.event_id == sa.bindparam("b_event"), d.handler == sa.bindparam("b_handler"))
    return sa.update(event_deliveries).where(*named, d.target == sa.bindparam("b_target"))


def _bound(found: Claim) -> dict[str, Any]:
    return dict(zip(("b_event", "b_handler", "b_target"), found.key, strict=True))


def record(connection: Connection, worker: str, outcomes: Sequence[Outcome]) -> None:
    """Write down what became of claimed deliveries, and which events every handler has now.

    A success counts whoever has the claim by now; a failure only if this worker still has it.
    """
    now = utc_now()
    mine = _one_delivery().where(d.claimed_by == worker, d.state == DeliveryState.PENDING.value)
    free = {"claimed_by": None, "claimed_until": None}
    for outcome in outcomes:
        if outcome.state is DeliveryState.DELIVERED:
            values = {"state": outcome.state.value, "delivered_at": now, "last_error": None, "next_attempt_at": None}
            statement = _one_delivery().values(attempts=d.attempts + 1, **values, **free)
        elif outcome.state is None:
            statement = mine.values(**free)
        else:
            values = {"last_error": outcome.error, "next_attempt_at": outcome.next_attempt_at}
            statement = mine.values(attempts=d.attempts + 1, state=outcome.state.value, **values, **free)
        connection.execute(statement, _bound(outcome.claim))
    done = (outcome.claim.event_id for outcome in outcomes if outcome.state is DeliveryState.DELIVERED)
    _mark_processed(connection, set(done))


def _mark_processed(connection: Connection, event_ids: Collection[str]) -> None:
    """Set ``processed`` where every handler has the event, unless it belongs to systems that poll."""
    if not event_ids:
        return
    wanted = e.event_id.in_(sorted(event_ids))
    # Of two workers that deliver the last two at once, the second has to see what the first wrote.
    connection.execute(sa.select(e.event_id).where(wanted).order_by(e.event_id).with_for_update())
    unfinished = sa.or_(d.state != DeliveryState.DELIVERED.value, d.handler == DATABASE)
    rest = sa.select(d.event_id).where(d.event_id == e.event_id, unfinished)
    connection.execute(sa.update(events).where(wanted, ~sa.exists(rest)).values(processed=True))


def retry(connection: Connection, event_id: str | None = None) -> int:
    """Begin anew what was given up, of one event or of all; return how many deliveries.

    Raises:
        EventNotFoundError: There is no such event.
    """
    given_up = d.state == DeliveryState.DEAD.value
    if event_id is not None:
        if not connection.execute(sa.select(e.event_id).where(e.event_id == event_id)).first():
            what = f"There is no event {quoted(event_id)}."
            raise EventNotFoundError(what, "hokusai events list shows the events.")
        given_up = sa.and_(given_up, d.event_id == event_id)
    values = {"state": DeliveryState.PENDING.value, "attempts": 0, "next_attempt_at": utc_now()}
    return connection.execute(sa.update(event_deliveries).where(given_up).values(values)).rowcount


def backlog(connection: Connection, *, token_id: str | None = None) -> Backlog:
    """Count what is not delivered."""
    states = (DeliveryState.PENDING.value, DeliveryState.DEAD.value)
    counting = (
        sa.select(d.state, sa.func.count(), sa.func.min(e.timestamp))
        .join_from(event_deliveries, events, e.event_id == d.event_id)
        .where(d.state.in_(states))
        .group_by(d.state)
    )
    if token_id is not None:
        counting = counting.join(event_order, o.event_id == d.event_id).where(o.token_id == token_id)
    found = {state: (count, oldest) for state, count, oldest in connection.execute(counting)}
    pending, oldest = found.get(states[0], (0, None))
    return Backlog(pending=pending, dead=found.get(states[1], (0, None))[0], oldest=oldest)
