"""What time it is, by one clock for all that use a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from hokusai_nb.backends.sql.types import UtcColumn
from hokusai_nb.schema.lifecycle import utc_now

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import Connection

__all__ = ["now"]

# Not when the transaction began, which may have waited for another since.
_ASKED = {"postgresql": "clock_timestamp()", "mysql": "UTC_TIMESTAMP(6)"}


def now(connection: Connection) -> dt.datetime:
    """Return the time by the database's clock, for what machines agree on; SQLite has this machine's."""
    asked = _ASKED.get(connection.dialect.name)
    if asked is None:
        return utc_now()
    return connection.execute(sa.select(sa.literal_column(asked, UtcColumn()))).scalar_one()
