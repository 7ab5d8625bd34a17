"""Claims: who tries which delivery, and what came of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hokusai_nb.backends.sql import clock
from hokusai_nb.backends.sql.outbox import EVENT, event_of
from hokusai_nb.backends.sql.tables import event_deliveries, event_order, events
from hokusai_nb.schema.deliveries import DATABASE
from hokusai_nb.schema.events import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from hokusai_nb.schema.events import Event

__all__ = ["Claim", "Outcome", "claim", "is_due", "record"]

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
    refusals: int = 0
    """The last tries of which each was refused, and not only failed for a reason that may pass."""

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
    pause: float = 0.0
    """Seconds until it is tried again, where it is."""
    refused: bool = False
    """Whether the receiver will not take the event, so that one more refusal counts."""


def _due(connection: Connection, token_id: str | None, without: Collection[str]) -> sa.Select[Any]:
    """Select the keys of deliveries to try now, oldest first, in each line only the first.

    The events of one token to one destination are a line: a later one waits until the earlier one is
    delivered or given up. An event without a token waits for nothing.
    """
    line = (d.handler, d.target, sa.func.coalesce(o.token_id, sa.cast(o.event_id, sa.String(36))))
    place = sa.func.row_number().over(partition_by=line, order_by=o.seq).label("place")
    # One pass over what is pending: a join with each line's first would be planned by guesses about its size.
    waiting = (
        sa.select(d.event_id, d.handler, d.target, d.next_attempt_at, d.claimed_until, o.seq, place)
        .join_from(event_deliveries, event_order, o.event_id == d.event_id)
        .where(d.state == DeliveryState.PENDING.value, d.target.not_in(list(without)))
    )
    if token_id is not None:
        waiting = waiting.where(o.token_id == token_id)
    w = waiting.subquery("waiting").c
    return (
        sa.select(w.event_id, w.handler, w.target)
        .where(w.place == 1, *_may_be_tried(w, clock.now(connection)))
        .order_by(w.seq, w.handler, w.target)
    )


def _may_be_tried(row: sa.ColumnCollection[str, sa.ColumnElement[Any]], now: dt.datetime) -> tuple[Any, Any]:
    return row.next_attempt_at <= now, sa.or_(row.claimed_until.is_(None), row.claimed_until <= now)


def is_due(connection: Connection, *, token_id: str | None = None, without: Collection[str] = ()) -> bool:
    """Whether `claim` would find something; a read, which keeps no writer of SQLite waiting."""
    return connection.execute(_due(connection, token_id, without).limit(1)).first() is not None


def claim(
    connection: Connection,
    worker: str,
    *,
    seconds: float,
    limit: int,
    token_id: str | None = None,
    without: Collection[str] = (),
) -> list[Claim]:
    """Take deliveries that are due, so that no other worker tries them at the same time.

    PostgreSQL and MySQL skip rows that another worker is taking; SQLite admits one writer at a time.

    Args:
        connection: In a transaction that is not left open while they are tried.
        worker: Who takes them.
        seconds: After how long the claim lapses, should the worker die.
        limit: How many at most; another worker at the same moment may leave fewer.
        token_id: Only events of this token.
        without: Targets to leave alone.
    """
    keys = [tuple(key) for key in connection.execute(_due(connection, token_id, without).limit(limit))]
    if not keys:
        return []
    found = connection.execute(
        sa.select(*EVENT, d.handler, d.target, d.attempts, d.refusals, o.site_body)
        .join_from(event_deliveries, event_order, o.event_id == d.event_id)
        .join(events, e.event_id == d.event_id)
        # Once more, because another worker may have been quicker since.
        .where(sa.tuple_(d.event_id, d.handler, d.target).in_(keys), d.state == DeliveryState.PENDING.value)
        .where(*_may_be_tried(d, now := clock.now(connection)))
        .order_by(o.seq, d.handler, d.target)
        .with_for_update(skip_locked=True, of=event_deliveries)
    ).mappings()
    taken = [
        Claim(
            row["event_id"],
            row["handler"],
            row["target"],
            row["attempts"],
            event_of(row),
            row["site_body"],
            row["refusals"],
        )
        for row in map(dict, found)
    ]
    if taken:
        values = {"claimed_by": worker, "claimed_until": now + dt.timedelta(seconds=seconds)}
        connection.execute(_one_delivery().values(values), [_bound(each) for each in taken])
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
    now = clock.now(connection)
    mine = _one_delivery().where(d.claimed_by == worker, d.state == DeliveryState.PENDING.value)
    free = {"claimed_by": None, "claimed_until": None}
    for outcome in outcomes:
        if outcome.state is DeliveryState.DELIVERED:
            values = {"state": outcome.state.value, "delivered_at": now, "last_error": None, "next_attempt_at": None}
            statement = _one_delivery().values(attempts=d.attempts + 1, **values, **free)
        elif outcome.state is None:
            statement = mine.values(**free)
        else:
            due = now + dt.timedelta(seconds=outcome.pause) if outcome.state is DeliveryState.PENDING else None
            refusals = d.refusals + 1 if outcome.refused else 0
            values = {"last_error": outcome.error, "next_attempt_at": due, "refusals": refusals}
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
