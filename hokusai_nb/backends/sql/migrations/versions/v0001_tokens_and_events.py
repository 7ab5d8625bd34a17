"""Tokens, events, and what we keep beside them.

A database that the site made has ``tokens`` and ``events`` already: they are left as they are.
"""

from __future__ import annotations

from typing import TypeAlias

import sqlalchemy as sa
from alembic import op

from hokusai_nb.backends.sql.types import DecimalColumn, JsonColumn, Serial, UtcColumn

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None

Columns: TypeAlias = list[sa.schema.SchemaItem]
Tables: TypeAlias = list[tuple[str, Columns]]


def upgrade() -> None:
    """Create what is missing."""
    present = set(sa.inspect(op.get_bind()).get_table_names())
    made = [*_site(), *_tokens(), *_events(_id_of_events()), *_server()]
    for name, columns in made:
        if name not in present:
            op.create_table(name, *columns)
    for name, table, indexed in _INDEXES:
        if table not in present:
            op.create_index(name, table, list(indexed))


def _site() -> Tables:
    tokens: Columns = [
        sa.Column("token_id", sa.String(255), primary_key=True),
        sa.Column("model_status", sa.String(32), nullable=False),
        sa.Column("mlflow_run_id", sa.String(255)),
        sa.Column("metric_name", sa.String(255)),
        sa.Column("metric_value", DecimalColumn),
        sa.Column("baseline_value", DecimalColumn),
        sa.Column("created_at", UtcColumn, nullable=False),
        sa.Column("updated_at", UtcColumn, nullable=False),
        sa.Column("metadata", JsonColumn),
    ]
    events: Columns = [
        sa.Column("event_id", sa.String(36), primary_key=True),
        sa.Column("event_type", sa.String(64), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("timestamp", UtcColumn, nullable=False),
        sa.Column("payload", JsonColumn, nullable=False),
        sa.Column("processed", sa.Boolean, nullable=False, server_default=sa.false()),
    ]
    return [("tokens", tokens), ("events", events)]


def _tokens() -> Tables:
    leases: Columns = [
        sa.Column("token_id", sa.String(255), primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", UtcColumn, nullable=False),
    ]
    history: Columns = [
        sa.Column("id", Serial, primary_key=True),
        sa.Column("token_id", sa.String(255), nullable=False),
        sa.Column("before", sa.String(32)),
        sa.Column("after", sa.String(32), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", UtcColumn, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    ]
    return [("token_leases", leases), ("token_history", history)]


def _id_of_events() -> sa.types.TypeEngine[str]:
    """Return the type of an event's id: the site may have made it a ``uuid``, which compares with no text."""
    inspector = sa.inspect(op.get_bind())
    found = inspector.get_columns("events") if "events" in inspector.get_table_names() else []
    uuids = [c["type"] for c in found if c["name"] == "event_id" and isinstance(c["type"], sa.Uuid)]
    return uuids[0] if uuids else sa.String(36)


def _events(id_of_events: sa.types.TypeEngine[str]) -> Tables:
    order: Columns = [
        sa.Column("seq", Serial, primary_key=True),
        sa.Column("event_id", id_of_events, nullable=False, unique=True),
        sa.Column("token_id", sa.String(255)),
        sa.Column("site_body", JsonColumn),
    ]
    keys: Columns = [
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("event_id", id_of_events, nullable=False),
    ]
    deliveries: Columns = [
        sa.Column("event_id", id_of_events, primary_key=True),
        sa.Column("handler", sa.String(64), primary_key=True),
        sa.Column("target", sa.String(600), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", UtcColumn),
        sa.Column("claimed_by", sa.String(255)),
        sa.Column("claimed_until", UtcColumn),
        sa.Column("last_error", sa.Text),
        sa.Column("delivered_at", UtcColumn),
    ]
    return [("event_order", order), ("event_keys", keys), ("event_deliveries", deliveries)]


def _server() -> Tables:
    keys: Columns = [
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("created_at", UtcColumn, nullable=False),
        sa.Column("expires_at", UtcColumn),
        sa.Column("revoked_at", UtcColumn),
        sa.Column("last_used_at", UtcColumn),
    ]
    idempotency: Columns = [
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("body", sa.Text),
        sa.Column("created_at", UtcColumn, nullable=False),
    ]
    return [("api_keys", keys), ("idempotency_keys", idempotency)]


_INDEXES = (
    ("ix_tokens_model_status", "tokens", ("model_status", "token_id")),
    ("ix_events_processed", "events", ("processed",)),
    ("ix_token_history_token_id", "token_history", ("token_id",)),
    ("ix_event_order_token_id", "event_order", ("token_id",)),
    ("ix_event_deliveries_state", "event_deliveries", ("state", "next_attempt_at")),
    ("ix_idempotency_keys_created_at", "idempotency_keys", ("created_at",)),
)
