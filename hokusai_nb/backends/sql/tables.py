"""The tables of tokens and events.

``tokens`` and ``events`` are read and written by other systems, too; their columns are fixed. All the
rest is ours, and lies beside them, because a database that the site made has those two already.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, String, Table, Text, false

from hokusai_nb.backends.sql.types import DecimalColumn, JsonColumn, Serial, UtcColumn, WordColumn

__all__ = [
    "REVISION",
    "VERSION_TABLE",
    "api_keys",
    "event_deliveries",
    "event_keys",
    "event_order",
    "events",
    "idempotency_keys",
    "metadata",
    "token_history",
    "token_leases",
    "tokens",
]

REVISION = "0002"
"""The migration that makes these tables; asking for it is quicker than loading Alembic."""
VERSION_TABLE = "hokusai_schema_version"
"""Where the database says which migration it has; ``alembic_version`` is MLflow's."""
NAME = 255
TARGET = 600
"""As much as MySQL can keep in a primary key beside an event's id and a handler's name."""

metadata = MetaData()

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String(NAME), primary_key=True),
    Column("model_status", WordColumn(32), nullable=False),
    Column("mlflow_run_id", String(NAME)),
    Column("metric_name", String(NAME)),
    Column("metric_value", DecimalColumn),
    Column("baseline_value", DecimalColumn),
    Column("created_at", UtcColumn, nullable=False),
    Column("updated_at", UtcColumn, nullable=False),
    Column("metadata", JsonColumn),
    Index("ix_tokens_model_status", "model_status", "token_id"),
)

events = Table(
    "events",
    metadata,
    Column("event_id", WordColumn(36), primary_key=True),
    Column("event_type", WordColumn(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("timestamp", UtcColumn, nullable=False),
    Column("payload", JsonColumn, nullable=False),
    Column("processed", Boolean, nullable=False, server_default=false()),
    Index("ix_events_processed", "processed"),
)

token_leases = Table(
    "token_leases",
    metadata,
    Column("token_id", String(NAME), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("lease_until", UtcColumn, nullable=False),
)

token_history = Table(
    "token_history",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("token_id", String(NAME), nullable=False, index=True),
    Column("before", String(32)),
    Column("after", String(32), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UtcColumn, nullable=False),
    Column("reason", Text, nullable=False),
)

event_order = Table(
    "event_order",
    metadata,
    Column("seq", Serial, primary_key=True),
    Column("event_id", WordColumn(36), nullable=False, unique=True),
    Column("token_id", String(NAME), index=True),
    Column("site_body", JsonColumn),
)
"""In which order events were written, which their timestamps do not say, and what the site is sent for them."""

event_keys = Table(
    "event_keys",
    metadata,
    Column("key", String(NAME), primary_key=True),
    Column("event_id", WordColumn(36), nullable=False),
)

event_deliveries = Table(
    "event_deliveries",
    metadata,
    Column("event_id", WordColumn(36), primary_key=True),
    Column("handler", String(64), primary_key=True),
    Column("target", String(TARGET), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", UtcColumn),
    Column("claimed_by", String(NAME)),
    Column("claimed_until", UtcColumn),
    Column("last_error", Text),
    Column("delivered_at", UtcColumn),
    Index("ix_event_deliveries_state", "state", "next_attempt_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("secret_hash", String(64), nullable=False),
    Column("name", String(NAME), nullable=False),
    Column("scopes", String(NAME), nullable=False),
    Column("created_at", UtcColumn, nullable=False),
    Column("expires_at", UtcColumn),
    Column("revoked_at", UtcColumn),
    Column("last_used_at", UtcColumn),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("status", Integer),
    Column("body", Text),
    Column("created_at", UtcColumn, nullable=False, index=True),
)
