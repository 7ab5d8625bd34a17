"""Bring a database up to date, whatever it holds already and whoever else is at it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from hokusai_nb.backends.sql.engines import BEGIN, UNBOUND
from hokusai_nb.backends.sql.tables import VERSION_TABLE, events, metadata, tokens
from hokusai_nb.backends.sql.types import DecimalColumn, JsonColumn, UtcColumn
from hokusai_nb.errors import DatabaseError
from hokusai_nb.schema.events import EventType
from hokusai_nb.schema.lifecycle import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Column, Connection, Engine
    from sqlalchemy.types import TypeEngine

__all__ = ["migrate", "scripts"]

_ADVISORY_LOCK = 0x686F6B75  # any number that no other program is likely to take
_PATIENCE = 60
"""Seconds to wait for another process that is migrating."""
_FITTING: tuple[tuple[type, tuple[type, ...]], ...] = (
    (DecimalColumn, (sqlalchemy.Numeric, sqlalchemy.Float, sqlalchemy.String)),
    (UtcColumn, (sqlalchemy.DateTime, sqlalchemy.String)),
    (JsonColumn, (sqlalchemy.JSON, sqlalchemy.String)),
    (sqlalchemy.Boolean, (sqlalchemy.Boolean,)),
)
"""Of a column of another program, by our own type of it: the types that PostgreSQL lets us write to; else text."""
_ANY_OF = {"model_status": frozenset(Status), "event_type": frozenset(EventType)}
"""What an enumeration of another program has to know."""


def scripts() -> ScriptDirectory:
    """Return the migrations that this version has."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def migrate(engine: Engine, where: str) -> None:
    """Run the migrations that a database lacks, in one transaction that others wait for.

    Args:
        engine: Its engine.
        where: What errors call it.

    Raises:
        DatabaseError: A newer version of this package has changed it, or a table of another program
            lacks a column or has one of a type that we cannot write; nothing is changed then.
        sqlalchemy.exc.SQLAlchemyError: It refuses.
    """
    if engine.dialect.name == "sqlite":
        _use_write_ahead_log(engine)
    script = scripts()
    with _alone(engine) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        current = context.get_current_revision()
        if current not in {None, *(known.revision for known in script.walk_revisions())}:
            what = f"The database {where} was made by a newer version of hokusai_nb: its schema is {current!r}."
            raise DatabaseError(what, "pip install --upgrade hokusai_nb")
        missing = list(reversed(list(script.iterate_revisions("head", current or "base"))))
        _require_columns(connection, where, [getattr(revision.module, "ADDED", {}) for revision in missing])
        if engine.dialect.name == "postgresql":
            _require_types(connection, where)
        with Operations.context(context):
            for revision in missing:
                revision.module.upgrade()
                context.stamp(script, revision.revision)


def _use_write_ahead_log(engine: Engine) -> None:
    """Let readers and a writer of a SQLite file work at the same time; the file remembers it.

    SQLite does not wait for this as it does for a lock, so we do.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with engine.connect().execution_options(**UNBOUND) as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except sqlalchemy.exc.OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """Yield a connection whose transaction no other process that migrates can have at the same time."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execution_options(**UNBOUND).exec_driver_sql(f"PRAGMA busy_timeout = {1000 * _PATIENCE}")
            connection.commit()
            connection.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}s'")
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{2 * _PATIENCE}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
            yield connection
        connection.invalidate()  # it waits longer than the pool's others


def _require_columns(connection: Connection, where: str, added: Sequence[Mapping[str, set[str]]]) -> None:
    """Refuse a table of another program that has our table's name and not its columns.

    Args:
        connection: To the database.
        where: What errors call it.
        added: Columns that the migrations to come add to tables of our own, which may lack them so far.
    """
    inspector = sqlalchemy.inspect(connection)
    present = set(inspector.get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in present:
            continue
        lacking = {c.name for c in table.columns} - {c["name"] for c in inspector.get_columns(table.name)}
        lacking -= {name for columns in added for name in columns.get(table.name, ())}
        if lacking:
            what = f"The table {table.name} of {where} lacks {', '.join(sorted(lacking))}."
            raise DatabaseError(what, "It belongs to another program, and is left as it is. Use another database.")


def _require_types(connection: Connection, where: str) -> None:
    """Refuse a table of another program with a column that takes no value of ours, or spoils it.

    Raises:
        DatabaseError: It names the column and its type.
    """
    inspector = sqlalchemy.inspect(connection)
    present = set(inspector.get_table_names())
    for table in (tokens, events):
        found = inspector.get_columns(table.name) if table.name in present else []
        types = {column["name"]: column["type"] for column in found}
        for column in table.columns if types else ():
            if why := _why_unfit(column, types[column.name]):
                what = f"The column {table.name}.{column.name} of {where} is {types[column.name]}, {why}."
                raise DatabaseError(what, "Change its type, or use another database.")


def _why_unfit(column: Column[object], kind: TypeEngine[object]) -> str | None:
    """Return why a column cannot be written, in a clause; None where it can be, or where nothing is known of it."""
    if isinstance(kind, sqlalchemy.types.NullType):
        return None
    if isinstance(kind, sqlalchemy.Enum):
        lacking = _ANY_OF.get(column.name, frozenset()) - set(kind.enums)
        if column.name in _ANY_OF:
            return f"which lacks {', '.join(sorted(lacking))}" if lacking else None
        return "an enumeration, and cannot be written"
    if column.name == "event_id" and isinstance(kind, sqlalchemy.Uuid):
        return None
    fitting = next((fit for own, fit in _FITTING if isinstance(column.type, own)), (sqlalchemy.String,))
    return None if isinstance(kind, fitting) else "and cannot be written"
