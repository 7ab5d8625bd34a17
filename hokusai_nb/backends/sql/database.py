"""One database of tokens and events, shared by threads: its connections, transactions and errors."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy
from sqlalchemy import Connection

from hokusai_nb.backends.sql import engines
from hokusai_nb.backends.sql.failures import driver_missing, translate
from hokusai_nb.backends.sql.tables import REVISION, VERSION_TABLE
from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hokusai_nb.config import DatabaseConfig

__all__ = ["Connection", "Database"]

_VERSION = sqlalchemy.text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a name of our own


class Database:
    """A database and its pool of connections.

    Nothing is contacted before the first transaction, which also brings the tables up to date. A
    process that was forked makes connections of its own.

    Attributes:
        description: Where it is, without credentials.
        config: How it is reached; holds the password, which its ``repr`` hides.
    """

    _shared: dict[DatabaseConfig, Database] = {}  # noqa: RUF012 - the pool itself
    _lock = threading.Lock()

    def __init__(self, config: DatabaseConfig) -> None:
        self.config = config
        self.description = engines.describe(config)
        self._opening = threading.Lock()
        self._ready = False
        self._connections = engines.CONNECTIONS
        try:
            self._engine = engines.make_engine(config)
        except ImportError as error:
            raise driver_missing(self.description, error) from error

    @classmethod
    def at(cls, config: DatabaseConfig) -> Database:
        """Return the shared database of a description.

        Raises:
            DatabaseConnectionError: Its driver is not installed.
        """
        config = engines.resolved(config)
        with cls._lock:
            if config not in cls._shared:
                cls._shared[config] = cls(config)
            return cls._shared[config]

    def __repr__(self) -> str:
        return f"Database({self.description!r})"

    @property
    def dialect(self) -> str:
        """Its kind: ``sqlite``, ``postgresql`` or ``mysql``."""
        return self._engine.dialect.name

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection; what is written is kept whole at the end, or not at all after an exception.

        SQLite is locked for other writers from the beginning, so keep it short.

        Raises:
            DatabaseConnectionError: It cannot be reached, or refuses access; known within seconds.
            DatabaseBusyError: It stays locked, or every connection stays in use, for as long.
            DatabaseError: Any other refusal.
        """
        self.ensure_ready()
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection for reads only; in SQLite others can write meanwhile.

        Raises:
            DatabaseConnectionError: As for `transaction`.
            DatabaseBusyError: As for `transaction`.
            DatabaseError: As for `transaction`.
        """
        self.ensure_ready()
        with self._translated(), self._engine.execution_options(**engines.READING).begin() as connection:
            yield connection

    def ensure_ready(self) -> None:
        """Bring the tables up to date, once in a process.

        Raises:
            DatabaseConnectionError: It cannot be reached, or refuses access.
            DatabaseError: A newer version of this package has changed it, or a table of another
                program lacks a column.
        """
        if self._ready:
            return
        with self._opening:
            if not self._ready:
                with self._translated():
                    if self._version() != REVISION:
                        self._migrate()
                self._ready = True

    def allow(self, connections: int) -> None:
        """Have at least so many connections at a time; one that is in use stays so until it is given back."""
        with self._opening:
            if connections > self._connections:
                before, self._connections = self._engine, connections
                self._engine = engines.make_engine(self.config, connections)
                # Its pool is forgotten, and would leave open what is given back to it.
                sqlalchemy.event.listen(before.pool, "checkin", lambda _, record: record.invalidate())
                before.dispose()

    def close(self) -> None:
        """Close its connections and forget it; the next `at` opens it anew."""
        with self._lock:
            for config in [c for c, database in self._shared.items() if database is self]:
                del self._shared[config]
        self._engine.dispose()
        self._ready = False

    def _version(self) -> str | None:
        """Return which migration it has; None where it has none, or does not say."""
        with self._engine.execution_options(**engines.READING).connect() as connection:
            try:
                return connection.execute(_VERSION).scalar()
            except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.ProgrammingError) as error:
                # No such table; anything else comes up again in the migration, where it is told.
                logger.debug("No schema version at %s: %s", self.description, type(error.orig).__name__)
                return None

    def _migrate(self) -> None:
        # Alembic takes longer to load than a whole command that finds its tables current.
        from hokusai_nb.backends.sql.migrating import migrate  # noqa: PLC0415

        migrate(self._engine, self.description)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except HokusaiError:
            raise
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise translate(error, self.description, self.config) from error

    @classmethod
    def _after_fork(cls) -> None:
        """Leave the parent's connections to the parent, and its locks, which nobody here would release."""
        cls._lock = threading.Lock()
        for database in cls._shared.values():
            database._opening = threading.Lock()  # noqa: SLF001 - its own
            database._engine.dispose(close=False)  # noqa: SLF001 - its own


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=Database._after_fork)  # noqa: SLF001 - its own
