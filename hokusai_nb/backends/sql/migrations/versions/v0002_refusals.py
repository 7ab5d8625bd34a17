"""Refusals in a row of a delivery, counted beside its tries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["ADDED", "down_revision", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"
ADDED = {"event_deliveries": {"refusals"}}


def upgrade() -> None:
    """Add what is missing."""
    inspector = sa.inspect(op.get_bind())
    for table, names in ADDED.items():
        for name in sorted(names - {column["name"] for column in inspector.get_columns(table)}):
            op.add_column(table, sa.Column(name, sa.Integer, nullable=False, server_default="0"))
