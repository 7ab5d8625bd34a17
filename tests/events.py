"""Events in a database, written, claimed and read back for tests."""

from __future__ import annotations

import sqlalchemy as sa

from hokusai_nb.backends.sql import claims, outbox
from hokusai_nb.backends.sql.claims import Outcome
from hokusai_nb.backends.sql.tables import events
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import Event

CONSOLE = Destination(handler="console")
SITE = Destination(handler="webhook", target="https://site.example.org/s3cret")
OTHER = Destination(handler="webhook", target="https://other.example.org/")
POLLED = Destination(handler="database")


def event(token="XRAY", kind="model_deployed", **payload):
    return Event(event_type=kind, payload={**({"token_id": token} if token else {}), **payload})


def write(database, *told, to=(CONSOLE,), **given):
    """Write events in one transaction; return their ids."""
    with database.transaction() as connection:
        outbox.write(connection, told, to, **given)
    return [e.event_id for e in told]


def claim(database, worker="me", *, seconds=60.0, limit=100, **given):
    with database.transaction() as connection:
        return claims.claim(connection, worker, seconds=seconds, limit=limit, **given)


def record(database, claimed, state, worker="me", **given):
    """Write down the same outcome of several claims."""
    with database.transaction() as connection:
        claims.record(connection, worker, [Outcome(c, state, **given) for c in claimed])


def processed(database):
    """Which events are processed."""
    return {row["event_id"]: bool(row["processed"]) for row in rows(database, events)}


def rows(database, table):
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]
