"""A database's errors in our words; nothing that a statement carried is repeated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy

from hokusai_nb.errors import (
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseConnectionError,
    DatabaseError,
    HokusaiError,
)
from hokusai_nb.log import redact

if TYPE_CHECKING:
    from hokusai_nb.config import DatabaseConfig

__all__ = ["driver_missing", "translate", "unreachable"]

_LONGEST = 200
_PACKAGES = {"psycopg": "hokusai_nb[postgres]"}
_CHECK = "Check the file that describes the database, or the HOKUSAI_DB_ variables."
_BUSY_STATES = {"55P03", "57014", "40P01", "40001"}  # lock not available, cancelled, deadlock, serialization failure

_REFUSED = "the user name or the password is refused", _CHECK
_READ_ONLY = "it may only be read, not written", "Check the rights of its file and folder, or of its user."
_BROKEN = "the connection broke off", "Try again once it is up."
_REASONS = {
    r"password authentication|no password supplied|access denied for|no pg_hba\.conf entry": _REFUSED,
    r"role .* (does not exist|is not permitted to log in)": _REFUSED,
    r"database .* does not exist|unknown database": ("there is no database of this name", _CHECK),
    r"resolve host|name or service not known|getaddrinfo": ("the name of its host is not known", _CHECK),
    r"connection refused": ("nothing answers at this host and port", f"Check that it is running. {_CHECK}"),
    r"timeout expired|timed? ?out": ("its host does not answer in time", f"Check that it is running. {_CHECK}"),
    r"too many (clients|connections)|connection slots": ("it has no connection left", "Try again later."),
    r"file is not a database|file is encrypted": ("the file is no SQLite database", f"Name another file. {_CHECK}"),
    r"readonly|read-only|permission denied for |command denied": _READ_ONLY,
    r"server closed the connection|terminating connection|connection (was )?(lost|closed|reset)": _BROKEN,
    r"starting up|shutting down|gone away|lost connection": _BROKEN,
    r"can't connect|no route to host|network is unreachable": ("its host cannot be reached", _CHECK),
    r"connection .*failed": ("it refuses the connection", _CHECK),
}
"""What the drivers say, in this order, with the reason in one clause and what to try."""
_BUSY = re.compile(r"database is locked|database table is locked|lock wait timeout", re.IGNORECASE)
_NO_FILE = re.compile(r"unable to open database", re.IGNORECASE)


def unreachable(
    where: str, reason: str, hint: str, kind: type[DatabaseConnectionError] = DatabaseConnectionError
) -> DatabaseConnectionError:
    """Return the error for a database that cannot be reached, or refuses access.

    Args:
        where: The database, without credentials.
        reason: What was observed, one clause.
        hint: What to try.
        kind: Its class.
    """
    return kind(f"Database Connection Failed: {where}: {reason}.", hint)


def driver_missing(where: str, error: ImportError) -> DatabaseConnectionError:
    """Return the error for a kind of database whose driver is not installed."""
    package = _PACKAGES.get(str(error.name), str(error.name))
    return unreachable(where, f"its driver {error.name} is not installed", f"pip install '{package}'")


def translate(error: Exception, where: str, config: DatabaseConfig) -> HokusaiError:
    """Return our error for one of SQLAlchemy's.

    Args:
        error: What SQLAlchemy raised.
        where: The database, without credentials.
        config: Its description, to say what is wrong with a file.
    """
    orig = getattr(error, "orig", None)
    text = str(error if orig is None else orig)
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return DatabaseBusyError(f"Database Error: {where}: every connection is in use.", "Try again.")
    if _BUSY.search(text) or getattr(orig, "sqlstate", None) in _BUSY_STATES:
        return DatabaseBusyError(f"Database Error: {where}: another process keeps it locked.", "Try again.")
    if _NO_FILE.search(text):
        return unreachable(where, *_why_no_file(Path(config.database)))
    for pattern, (reason, hint) in _REASONS.items():
        if re.search(pattern, text, re.IGNORECASE):
            kind = DatabaseAccessError if (reason, hint) in (_REFUSED, _READ_ONLY) else DatabaseConnectionError
            return unreachable(where, reason, hint, kind)
    if getattr(error, "connection_invalidated", False):
        return unreachable(where, "the connection broke off", "Try again once it is up.")
    first = redact(text.strip().splitlines()[0] if text.strip() else type(orig or error).__name__)
    hint = "Its tables may have been changed by another program." if "column" in text or "table" in text else ""
    return DatabaseError(f"Database Error: {where}: {first[:_LONGEST]}", hint)


def _why_no_file(path: Path) -> tuple[str, str]:
    if path.is_dir():
        return "it is a folder", "Name a file in it."
    if not path.parent.is_dir():
        return "its folder does not exist", "Make the folder, or name another file."
    return "the file cannot be opened", "Check the rights of the file and its folder."
