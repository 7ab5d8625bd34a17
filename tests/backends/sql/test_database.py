from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import threading
import time
import traceback
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql import engines
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.sql.tables import event_keys
from hokusai_nb.config import DatabaseConfig
from hokusai_nb.errors import DatabaseBusyError, DatabaseConnectionError, DatabaseError
from tests.conftest import free_port
from tests.processes import described, python
from tests.servers import black_hole

SECRET = "s3cr3t/p@ss:word"


def write(database, key):
    with database.transaction() as connection:
        connection.execute(sa.insert(event_keys).values(key=key, event_id="e"))


def keys(database):
    with database.reading() as connection:
        return sorted(connection.execute(sa.select(event_keys.c.key)).scalars())


def refusal(config):
    """Return what opening a database fails with, in less than five seconds, and check that it keeps the secret."""
    began = time.monotonic()
    with pytest.raises(DatabaseConnectionError) as caught, Database.at(config).transaction():
        pytest.fail("it was opened")
    assert time.monotonic() - began < 5
    Database.at(config).close()
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(config)
    assert SECRET not in told
    assert "s3cr3t" not in told
    assert caught.value.what.startswith("Database Connection Failed: ")
    assert caught.value.hint
    return caught.value


def test_a_transaction_is_kept_whole(database):
    write(database, "a")
    assert keys(database) == ["a"]


def test_a_transaction_that_fails_leaves_nothing(database):
    def fail():
        with database.transaction() as connection:
            connection.execute(sa.insert(event_keys).values(key="a", event_id="e"))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert keys(database) == []


def test_one_description_is_one_database(database_config):
    first = Database.at(database_config)
    assert Database.at(database_config.model_copy()) is first
    first.close()
    assert Database.at(database_config) is not first
    Database.at(database_config).close()


@contextmanager
def in_use(database, count):
    """Have so many connections open at once."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(database.reading())
        yield


def test_a_database_has_as_many_connections_as_it_is_to_have(database, monkeypatch):
    monkeypatch.setattr(engines, "WAIT_SECONDS", 1)
    database.allow(24)
    with in_use(database, 24), pytest.raises(DatabaseBusyError, match="every connection is in use"):
        keys(database)
    assert keys(database) == []


def test_a_database_that_has_more_connections_keeps_them(database):
    database.allow(22)
    database.allow(21)
    with in_use(database, 22):
        pass


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_kind_of_database_has_twenty_connections_unless_told_otherwise(kind):
    engine = engines.make_engine(DatabaseConfig(db_type=kind, database="/x"))
    assert engine.pool.size() + engine.pool._max_overflow == 20
    engine = engines.make_engine(DatabaseConfig(db_type=kind, database="/x"), 3)
    assert (engine.pool.size(), engine.pool._max_overflow) == (3, 0)


def test_connections_in_use_stay_so_while_more_are_allowed(database):
    with database.transaction() as connection:
        database.allow(30)
        connection.execute(sa.insert(event_keys).values(key="a", event_id="e"))
        opened = connection.connection.dbapi_connection
    with pytest.raises(Exception, match="closed"):  # given back to a pool that is there no more
        opened.cursor()
    assert keys(database) == ["a"]


def test_a_relative_path_is_the_file_of_this_folder_for_good(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = DatabaseConfig(db_type="sqlite", database="here.db")
    database = Database.at(config)
    write(database, "a")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert keys(database) == ["a"]
    assert Database.at(config) is not database
    assert database.description == f"sqlite:///{tmp_path / 'here.db'}"
    database.close()


def test_it_says_where_it_is_and_not_how_it_gets_in():
    config = DatabaseConfig(host="db.example.org", port=5433, database="site", username="me", password=SECRET)
    database = Database.at(config)
    assert repr(database) == "Database('postgresql://db.example.org:5433/site')"
    assert database.description == "postgresql://db.example.org:5433/site"
    for text in (repr(database), str(database), repr(vars(database)), repr(config), config.model_dump_json()):
        assert "s3cr3t" not in text
    database.close()


def test_what_a_statement_carried_is_in_no_error(database, caplog):
    caplog.set_level(logging.DEBUG)
    statement = sa.insert(event_keys).values(key="a", event_id=sa.literal(SECRET) + sa.column("no_such_column"))
    with pytest.raises(DatabaseError) as caught, database.transaction() as connection:
        connection.execute(statement)
    told = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "s3cr3t" not in told
    assert "no_such_column" in str(caught.value)
    assert type(caught.value) is DatabaseError


def test_a_host_that_refuses_is_told_at_once():
    config = DatabaseConfig(host="127.0.0.1", port=free_port(), database="x", username="me", password=SECRET)
    error = refusal(config)
    assert error.what.endswith(f"postgresql://127.0.0.1:{config.port}/x: nothing answers at this host and port.")
    assert "HOKUSAI_DB_" in error.hint


def test_a_host_that_never_answers_is_given_up_within_seconds():
    with black_hole() as place:
        host, port = place.split(":")
        error = refusal(DatabaseConfig(host=host, port=int(port), database="x", username="me", password=SECRET))
    assert "does not answer in time" in error.what


def test_a_host_that_does_not_exist_is_told():
    error = refusal(DatabaseConfig(host="no-such-host.invalid", database="x", username="me", password=SECRET))
    assert "the name of its host is not known" in error.what


@pytest.mark.slow
def test_a_wrong_password_is_told_without_it(postgres):
    error = refusal(postgres.config(password=SECRET))
    assert "the user name or the password is refused" in error.what
    assert "the user name or the password is refused" in refusal(postgres.config(username="nobody")).what


@pytest.mark.slow
def test_a_database_that_does_not_exist_is_told(postgres):
    assert "there is no database of this name" in refusal(postgres.config("nowhere")).what


@pytest.mark.slow
def test_a_user_who_may_not_write_is_told(postgres):
    postgres.run(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
    with postgres.database() as config:
        reader = config.model_copy(update={"username": "reader", "password": postgres.config(password=SECRET).password})
        assert "it may only be read, not written" in refusal(reader).what
    postgres.run("DROP ROLE reader")


@pytest.mark.parametrize(
    ("kind", "module", "hint"),
    [("postgresql", "psycopg", "pip install 'hokusai_nb[postgres]'"), ("mysql", "pymysql", "pip install 'pymysql'")],
)
def test_a_missing_driver_names_what_to_install(monkeypatch, kind, module, hint):
    monkeypatch.setitem(sys.modules, module, None)
    config = DatabaseConfig(db_type=kind, database="x", username="me", password=SECRET)
    with pytest.raises(DatabaseConnectionError) as caught:
        Database.at(config)
    assert (
        caught.value.what == f"Database Connection Failed: {kind}://localhost/x: its driver {module} is not installed."
    )
    assert caught.value.hint == hint


def test_a_file_that_is_no_database_is_told_and_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    error = refusal(DatabaseConfig(db_type="sqlite", database=str(path)))
    assert "the file is no SQLite database" in error.what
    assert path.read_text() == "not a database " * 100


def test_a_folder_and_a_missing_folder_are_told(tmp_path):
    assert "it is a folder" in refusal(DatabaseConfig(db_type="sqlite", database=str(tmp_path))).what
    missing = DatabaseConfig(db_type="sqlite", database=str(tmp_path / "missing" / "x.db"))
    assert "its folder does not exist" in refusal(missing).what
    assert not (tmp_path / "missing").exists()


AS_NOBODY = """
import os, sys
from hokusai_nb.backends.sql import migrating
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import DatabaseConfig
database = Database.at(DatabaseConfig(db_type="sqlite", database=sys.argv[1]))
if os.geteuid() == 0:
    os.setuid(65534)
try:
    with database.transaction():
        print("opened")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_a_file_that_may_only_be_read_is_told(sqlite_database, sqlite_config):
    write(sqlite_database, "a")
    sqlite_database.close()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        path = Path(folder, "hokusai.db")
        shutil.move(sqlite_config.database, path)
        path.chmod(0o444)
        path.parent.chmod(0o555)
        told = python(AS_NOBODY, path)
        path.parent.chmod(0o755)
    assert told.startswith("DatabaseAccessError Database Connection Failed: sqlite:///")
    assert "Check the rights of" in told


def test_writers_of_a_sqlite_file_wait_for_each_other_and_readers_do_not(sqlite_database):
    write(sqlite_database, "a")
    began, seen = threading.Event(), []

    def write_slowly():
        with sqlite_database.transaction() as connection:
            connection.execute(sa.insert(event_keys).values(key="b", event_id="e"))
            began.set()
            time.sleep(0.3)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    began.wait()
    seen.append(keys(sqlite_database))
    assert writer.is_alive()
    write(sqlite_database, "c")
    writer.join()
    assert seen == [["a"]]
    assert keys(sqlite_database) == ["a", "b", "c"]


def test_a_database_that_stays_locked_is_told_and_not_waited_for_for_ever(sqlite_database, sqlite_config):
    import sqlite3

    sqlite_database.ensure_ready()
    other = sqlite3.connect(sqlite_config.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with sqlite_database._engine.connect() as connection:  # the one connection of the pool waits less from now on
        connection.connection.dbapi_connection.execute("PRAGMA busy_timeout = 100")
    with pytest.raises(DatabaseError, match="another process keeps it locked") as caught:
        write(sqlite_database, "a")
    other.close()
    assert not isinstance(caught.value, DatabaseConnectionError)
    write(sqlite_database, "a")


def read_impatiently(database, statement):
    with database.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
        connection.execute(statement)


@pytest.mark.slow
def test_a_row_that_stays_locked_is_told(postgres_database):
    write(postgres_database, "a")
    row = sa.select(event_keys).with_for_update()
    with postgres_database.transaction() as first:
        first.execute(row)
        with pytest.raises(DatabaseError, match="another process keeps it locked"):
            read_impatiently(postgres_database, row)


def disconnect(postgres, database):
    """End every connection to a database, as a restart of the server does."""
    postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.config.database}'")


@pytest.mark.slow
def test_a_server_that_was_restarted_is_connected_to_again(postgres, postgres_database):
    write(postgres_database, "a")
    disconnect(postgres, postgres_database)
    write(postgres_database, "b")
    assert keys(postgres_database) == ["a", "b"]


@pytest.mark.slow
def test_a_connection_that_breaks_off_in_the_middle_is_told_and_nothing_is_kept(postgres, postgres_database):
    def write_through_a_break():
        with postgres_database.transaction() as connection:
            connection.execute(sa.insert(event_keys).values(key="a", event_id="e"))
            disconnect(postgres, postgres_database)
            connection.execute(sa.insert(event_keys).values(key="b", event_id="e"))

    with pytest.raises(DatabaseConnectionError, match="broke off"):
        write_through_a_break()
    assert keys(postgres_database) == []


@pytest.mark.slow
def test_moments_are_utc_whatever_the_servers_zone(postgres_database):
    with postgres_database.reading() as connection:
        assert connection.exec_driver_sql("SHOW timezone").scalar_one() == "UTC"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "5s"


FORKING = """
import os, sys
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import read_database_file
from tests.backends.sql.test_database import keys, write
database = Database.at(read_database_file(sys.argv[1]))
write(database, "parent")
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        write(database, f"child {number}")
        os._exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
write(database, "parent again")
print(*keys(database), sep=", ")
"""


@pytest.mark.slow
def test_a_forked_process_makes_connections_of_its_own(database_config, tmp_path):
    done = python(FORKING, described(database_config, tmp_path))
    assert done == "[0, 0, 0]\nchild 0, child 1, child 2, parent, parent again"
