from __future__ import annotations

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql.failures import translate
from hokusai_nb.config import DatabaseConfig
from hokusai_nb.errors import DatabaseAccessError, DatabaseBusyError, DatabaseConnectionError, DatabaseError

REFUSED = ("the user name or the password is refused", "it may only be read, not written")
WHERE = "postgresql://db.example.org/site"
CONFIG = DatabaseConfig(host="db.example.org", database="site")


class DriverError(Exception):
    """What a driver raises, as far as it matters here."""

    def __init__(self, text, sqlstate=None):
        super().__init__(text)
        self.sqlstate = sqlstate


def translated(text, sqlstate=None, **given):
    error = sa.exc.OperationalError(
        "INSERT INTO tokens VALUES (:secret)", {"secret": "s3cret"}, DriverError(text, sqlstate), **given
    )
    return translate(error, WHERE, CONFIG)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('FATAL: password authentication failed for user "me"', "the user name or the password is refused"),
        ('FATAL: no pg_hba.conf entry for host "10.0.0.1"', "the user name or the password is refused"),
        ('FATAL: role "me" is not permitted to log in', "the user name or the password is refused"),
        ("(1045, \"Access denied for user 'me'@'localhost'\")", "the user name or the password is refused"),
        ('FATAL: database "site" does not exist', "there is no database of this name"),
        ("(1049, \"Unknown database 'site'\")", "there is no database of this name"),
        ("[Errno -2] Name or service not known", "the name of its host is not known"),
        ("connection failed: Connection refused", "nothing answers at this host and port"),
        ("connection timeout expired", "its host does not answer in time"),
        ("FATAL: sorry, too many clients already", "it has no connection left"),
        ("FATAL: remaining connection slots are reserved", "it has no connection left"),
        ("FATAL: the database system is starting up", "the connection broke off"),
        ("FATAL: terminating connection due to administrator command", "the connection broke off"),
        ("consuming input failed: server closed the connection unexpectedly", "the connection broke off"),
        ("Lost connection to MySQL server during query", "the connection broke off"),
        ('connection failed: FATAL: database "site" is not currently accepting', "it refuses the connection"),
        ("connection failed: No route to host", "its host cannot be reached"),
        ("cannot execute INSERT in a read-only transaction", "it may only be read, not written"),
        ("permission denied for table tokens", "it may only be read, not written"),
        ("attempt to write a readonly database", "it may only be read, not written"),
        ("file is not a database", "the file is no SQLite database"),
    ],
)
def test_a_failure_to_get_in_says_why_and_what_to_try(text, reason):
    error = translated(text)
    assert isinstance(error, DatabaseConnectionError)
    assert isinstance(error, DatabaseAccessError) == (reason in REFUSED)
    assert error.what == f"Database Connection Failed: {WHERE}: {reason}."
    assert error.hint


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("database is locked", None),
        ("canceling statement due to lock timeout", "55P03"),
        ("canceling statement due to statement timeout", "57014"),
        ("deadlock detected", "40P01"),
        ("Lock wait timeout exceeded; try restarting transaction", None),
    ],
)
def test_a_database_that_is_busy_is_no_failure_to_get_in(text, sqlstate):
    error = translated(text, sqlstate)
    assert type(error) is DatabaseBusyError
    assert error.what == f"Database Error: {WHERE}: another process keeps it locked."
    assert error.hint == "Try again."


def test_a_pool_that_is_used_up_says_so():
    error = translate(sa.exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached"), WHERE, CONFIG)
    assert (type(error), error.what) == (DatabaseBusyError, f"Database Error: {WHERE}: every connection is in use.")


def test_a_connection_that_was_lost_for_an_unknown_reason_is_a_failure_to_get_in():
    assert type(translated("something new", connection_invalidated=True)) is DatabaseConnectionError


def test_any_other_refusal_is_told_by_its_first_line_without_secrets():
    error = translated("value too long for postgresql://me:s3cret@db/x\nDETAIL: Key (name)=(s3cret) is wrong.")
    assert type(error) is DatabaseError
    assert "s3cret" not in str(error)
    assert error.what == f"Database Error: {WHERE}: value too long for postgresql://***@db/x"
    assert len(translated("x" * 5000).what) < 300
    assert translated("").what == f"Database Error: {WHERE}: DriverError"


@pytest.mark.parametrize(
    "text", ['column "metadata" does not exist', "no such column: metadata", "no such table: tokens"]
)
def test_a_table_that_was_changed_is_hinted_at(text):
    assert translated(text).hint == "Its tables may have been changed by another program."
