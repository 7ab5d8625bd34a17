"""How each kind of database is connected to: address, timeouts, transactions."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import event

if TYPE_CHECKING:
    from hokusai_nb.config import DatabaseConfig

__all__ = ["BEGIN", "CONNECTIONS", "READING", "UNBOUND", "describe", "make_engine", "resolved"]

CONNECT_SECONDS = 2
"""For each address of the host; ``localhost`` has two."""
WAIT_SECONDS = 5
"""For a lock that another process holds, and for a connection of the pool."""
STATEMENT_SECONDS = 30
CONNECTIONS = 20
"""That one process has open at a time, unless it says how many it needs."""
_KEPT = 5
"""Of those, how many stay open."""
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
BEGIN = "hokusai_begin"
"""The execution option that says how a transaction of SQLite begins."""
READING = {BEGIN: "BEGIN"}
"""For a transaction that writes nothing, so that others can write meanwhile."""
UNBOUND = {BEGIN: ""}
"""For what SQLite does outside of transactions only."""


def resolved(config: DatabaseConfig) -> DatabaseConfig:
    """Return the same database, the path of a file made absolute."""
    if config.db_type != "sqlite":
        return config
    return config.model_copy(update={"database": str(Path(config.database).expanduser().absolute())})


def describe(config: DatabaseConfig) -> str:
    """Return where the database is, without user and password."""
    if config.db_type == "sqlite":
        return f"sqlite:///{config.database}"
    port = f":{config.port}" if config.port else ""
    return f"{config.db_type}://{config.host}{port}/{config.database}"


def make_engine(config: DatabaseConfig, connections: int = CONNECTIONS) -> sqlalchemy.Engine:
    """Return the engine of a database; nothing is contacted.

    Args:
        config: How it is reached.
        connections: How many are open at a time; some are closed again where they are not needed for long.

    Raises:
        ImportError: The driver is not installed.
    """
    shared: dict[str, Any] = {
        "hide_parameters": True,
        "json_serializer": partial(json.dumps, allow_nan=False),
        "pool_timeout": WAIT_SECONDS,
        "pool_size": (kept := min(connections, _KEPT)),
        "max_overflow": connections - kept,
    }
    if config.db_type == "sqlite":
        url = sqlalchemy.URL.create("sqlite", database=config.database)
        engine = sqlalchemy.create_engine(url, connect_args={"timeout": WAIT_SECONDS}, **shared)
        event.listen(engine, "do_connect", partial(_make_private, config.database))
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    url = sqlalchemy.URL.create(
        _DRIVERS[config.db_type],
        username=config.username,
        password=config.password.get_secret_value() if config.password else None,
        host=config.host,
        port=config.port,
        database=config.database,
    )
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if config.db_type == "postgresql":
        # A host that dies while a connection is open is noticed as soon, too.
        arguments |= {"application_name": "hokusai", "tcp_user_timeout": 1000 * WAIT_SECONDS}
    engine = sqlalchemy.create_engine(url, connect_args=arguments, pool_pre_ping=True, **shared)
    if config.db_type == "postgresql":
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _make_private(path: str, *_: object) -> None:
    """Create the file with rights for its owner alone; SQLite gives those beside it the same."""
    with suppress(OSError):  # it is there, or opening it says why it cannot be
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin transactions by its own rules, and too late
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sqlalchemy.Connection) -> None:
    """Take the lock at once: two that read first and write then would end in a deadlock."""
    if statement := connection.get_execution_options().get(BEGIN, "BEGIN IMMEDIATE"):
        connection.exec_driver_sql(statement)


def _prepare_postgresql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET TIME ZONE 'UTC'; SET lock_timeout = '{WAIT_SECONDS}s'; SET statement_timeout = '{STATEMENT_SECONDS}s'"
        )
    connection.commit()
