from __future__ import annotations

import signal
import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from hokusai_nb.backends.sql import migrating
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.sql.event_list import find_event
from hokusai_nb.backends.sql.tables import REVISION, VERSION_TABLE, metadata
from hokusai_nb.config import DatabaseConfig
from hokusai_nb.errors import DatabaseError, EventNotFoundError
from hokusai_nb.schema.events import DeliveryState
from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange
from hokusai_nb.site.outbox import Outbox
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.apis import api_thread
from tests.events import CONSOLE, claim, event, record, write
from tests.processes import described, finish, python, release, start
from tests.tokens import FACTS


def tables_of(database):
    with database._engine.connect() as connection:
        return set(sa.inspect(connection).get_table_names())


def columns_of(database, *names):
    """Return what the database says of the columns of some tables."""
    with database._engine.connect() as connection:
        inspector = sa.inspect(connection)
        return {
            name: [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(name)]
            for name in names
        }


def test_the_newest_migration_is_the_one_that_is_asked_for():
    assert migrating.scripts().get_heads() == [REVISION]


def test_a_migrated_database_has_exactly_the_tables_that_are_described(database):
    database.ensure_ready()
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == REVISION
    assert tables_of(database) == {*metadata.tables, VERSION_TABLE}


def test_a_current_database_is_recognised_by_one_statement(database):
    database.ensure_ready()
    database.close()
    again = Database.at(database.config)
    said = []
    sa.event.listen(again._engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    again.ensure_ready()
    again.ensure_ready()
    again.close()
    assert [text for text in said if not text.startswith("BEGIN")] == [f"SELECT version_num FROM {VERSION_TABLE}"]


WITHOUT_ALEMBIC = """
import sys
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import read_database_file
Database.at(read_database_file(sys.argv[1])).ensure_ready()
print("alembic" in sys.modules)
"""


@pytest.mark.slow
def test_alembic_is_loaded_for_a_migration_only(sqlite_config, tmp_path):
    path = described(sqlite_config, tmp_path)
    assert [python(WITHOUT_ALEMBIC, path), python(WITHOUT_ALEMBIC, path)] == ["True", "False"]


AT_ONCE = """
import sys, time
from hokusai_nb.backends.sql.database import Database, engines
from hokusai_nb.backends.sql import migrating
from hokusai_nb.config import read_database_file
database = Database.at(read_database_file(sys.argv[1]))
print("ready", flush=True)
time.sleep(max(0, float(input()) - time.time()))
database.ensure_ready()
with database.transaction() as connection:
    connection.exec_driver_sql(f"INSERT INTO event_keys (key, event_id) VALUES ('{sys.argv[2]}', 'e')")
"""


@pytest.mark.slow
def test_processes_that_open_a_fresh_database_at_once_all_succeed(database_config, tmp_path):
    path = described(database_config, tmp_path)
    several = [start(AT_ONCE, path, number) for number in range(3)]
    release(*several)
    for process in several:
        finish(process)
    database = Database.at(database_config)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event_keys").scalar_one() == 3
        assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalars().all() == [REVISION]
    database.close()


def test_threads_that_open_a_fresh_database_at_once_all_succeed(database_config):
    several = [Database(database_config) for _ in range(4)]
    gate, failed = threading.Barrier(8, timeout=30), []

    def open_it(database):
        try:
            gate.wait()
            database.ensure_ready()
        except Exception as error:  # noqa: BLE001 - a thread's error is told by the test
            failed.append(error)

    threads = [threading.Thread(target=open_it, args=(database,)) for database in several * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert tables_of(several[0]) == {*metadata.tables, VERSION_TABLE}
    for database in several:
        database.close()


KILLED = """
import os, signal, sys
import sqlalchemy as sa
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import read_database_file
database = Database.at(read_database_file(sys.argv[1]))
left = [int(sys.argv[2])]
def count(connection, cursor, statement, *rest):
    left[0] -= statement.lstrip().startswith("CREATE")
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
sa.event.listen(database._engine, "after_cursor_execute", count)
database.ensure_ready()
"""


@pytest.mark.slow
def test_a_migration_that_is_killed_leaves_nothing_and_is_done_by_the_next(database_config, tmp_path):
    killed = start(KILLED, described(database_config, tmp_path), 5)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    database = Database.at(database_config)
    assert tables_of(database) == set()
    database.ensure_ready()
    assert tables_of(database) == {*metadata.tables, VERSION_TABLE}
    database.close()


SITE = (
    """CREATE TABLE tokens (
        token_id VARCHAR(100) PRIMARY KEY, model_status VARCHAR(50) DEFAULT 'draft', mlflow_run_id VARCHAR(255),
        metric_name VARCHAR(100), metric_value FLOAT, baseline_value FLOAT,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP, metadata TEXT,
        owner_wallet VARCHAR(42))""",
    """CREATE TABLE events (
        event_id VARCHAR(36) PRIMARY KEY, event_type VARCHAR(100), source VARCHAR(100), timestamp TIMESTAMP,
        payload TEXT, processed BOOLEAN DEFAULT FALSE)""",
    "INSERT INTO tokens (token_id, model_status, owner_wallet) VALUES ('XRAY', 'draft', '0xab')",
)


@pytest.fixture
def site(database_config):
    """A database in which the site has made its own two tables."""
    database = Database.at(database_config)
    with database._engine.begin() as connection:
        for statement in SITE:
            connection.exec_driver_sql(statement)
    yield database
    database.close()


def test_tables_that_the_site_made_are_left_as_they_are(site):
    before = columns_of(site, "tokens", "events")
    site.ensure_ready()
    assert columns_of(site, "tokens", "events") == before
    assert tables_of(site) == {*metadata.tables, VERSION_TABLE}
    with site.reading() as connection:
        assert sa.inspect(connection).get_indexes("tokens") == []
        row = connection.exec_driver_sql("SELECT token_id, model_status, owner_wallet FROM tokens").one()
    assert tuple(row) == ("XRAY", "draft", "0xab")


def test_a_table_that_lacks_a_column_is_told_and_nothing_is_made(database_config):
    database = Database.at(database_config)
    with database._engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE events (id INTEGER, source TEXT, payload TEXT)")
    with pytest.raises(DatabaseError) as caught:
        database.ensure_ready()
    assert "The table events of " in caught.value.what
    assert caught.value.what.endswith("lacks event_id, event_type, processed, timestamp.")
    assert tables_of(database) == {"events"}
    database.close()


def as_it_was_first(database):
    """Take back what later migrations did to a database that is up to date, and close it."""
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE event_deliveries DROP COLUMN refusals")
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")
    database.close()


def test_a_database_of_the_first_version_gets_what_it_lacks_and_keeps_its_deliveries(database):
    (event_id,) = write(database, event())
    record(database, claim(database), DeliveryState.PENDING, error="no")
    as_it_was_first(database)
    (again,) = claim(database)
    assert (again.event_id, again.attempts, again.refusals) == (event_id, 1, 0)
    with database.reading() as connection:
        assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one() == REVISION
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_a_migration_that_was_broken_off_is_done_to_its_end(database):
    """Where a database cannot take its tables back, as MySQL cannot."""
    database.ensure_ready()
    as_it_was_first(database)
    with database._engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
        connection.exec_driver_sql("DROP TABLE token_leases")
    database.ensure_ready()
    assert tables_of(database) == {*metadata.tables, VERSION_TABLE}
    assert "refusals" in {name for name, *_ in columns_of(database, "event_deliveries")["event_deliveries"]}


def test_a_column_of_our_own_that_was_dropped_is_told_also_where_migrations_are_to_come(database):
    database.ensure_ready()
    as_it_was_first(database)
    with database._engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE event_deliveries DROP COLUMN attempts")
    with pytest.raises(DatabaseError, match=r"The table event_deliveries of .* lacks attempts\."):
        database.ensure_ready()


def test_a_database_of_a_newer_version_is_told_and_left_as_it_is(database):
    database.ensure_ready()
    database.close()
    with database._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        connection.exec_driver_sql("DROP TABLE token_leases")
    for attempt in (database.transaction, database.reading):
        with (
            pytest.raises(DatabaseError, match="made by a newer version of hokusai_nb: its schema is '9999'"),
            attempt(),
        ):
            pytest.fail("it was opened")
    assert "token_leases" not in tables_of(database)


def test_mlflows_own_tables_and_version_stay_beside_ours(migrated_database, tmp_path):
    import shutil

    shutil.copy(migrated_database, tmp_path / "mlflow.db")
    database = Database.at(DatabaseConfig(db_type="sqlite", database=str(tmp_path / "mlflow.db")))
    theirs = tables_of(database)
    with database._engine.connect() as connection:
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    database.ensure_ready()
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == version
    assert tables_of(database) == theirs | {*metadata.tables, VERSION_TABLE}
    assert not theirs & set(metadata.tables)
    database.close()


def test_a_sqlite_file_is_in_write_ahead_mode_for_good(sqlite_database, sqlite_config):
    import sqlite3

    sqlite_database.ensure_ready()
    sqlite_database.close()
    with sqlite3.connect(sqlite_config.database) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


TOKENS = """CREATE TABLE tokens (token_id text PRIMARY KEY, model_status {status}, mlflow_run_id text, metric_name text,
    metric_value {number}, baseline_value numeric, created_at timestamp, updated_at timestamptz, metadata jsonb)"""
EVENTS = """CREATE TABLE events (event_id {id} PRIMARY KEY, event_type text, source text, timestamp timestamptz,
    payload json, processed {flag})"""
FITTING = {"status": "text", "number": "double precision", "id": "uuid", "flag": "boolean"}


@pytest.fixture
def made_with(postgres_config):
    """Make the site's two tables with columns of the given types."""
    database = Database.at(postgres_config)

    def make(**types):
        with database._engine.begin() as connection:
            words = ", ".join(f"'{s.value}'" for s in Status)
            connection.exec_driver_sql(f"CREATE TYPE standing AS ENUM ({words})")
            connection.exec_driver_sql("CREATE TYPE brief AS ENUM ('draft', 'registered', 'deployed')")
            for statement in (TOKENS, EVENTS):
                connection.exec_driver_sql(statement.format(**FITTING | types))
        return database

    yield make
    database.close()


@pytest.mark.slow
@pytest.mark.parametrize("types", [{}, {"status": "standing"}, {"id": "varchar(36)"}], ids=["uuid", "enum", "text"])
def test_tables_of_other_types_that_fit_are_written_and_delivered_from(made_with, types):
    store = SqlTokenStore(made_with(**types), (CONSOLE,))
    store.create(NewToken(token_id="XRAY"), by="me")
    store.change("XRAY", TokenChange(to=Status.REGISTERING, by="me", owner="o", lease_seconds=60))
    assert (
        store.change("XRAY", TokenChange(to=Status.REGISTERED, by="me", owner="o", facts=FACTS)).metric_value == "0.85"
    )
    assert [t.token_id for t in store.list_tokens(Status.REGISTERED).entries] == ["XRAY"]
    assert store.publish(told := event(), key="k")
    assert not store.publish(told, key="k")
    assert Outbox(store.database).deliver().delivered == 3
    (newest, *rest) = store.list_events("XRAY").entries
    assert (newest.event, newest.processed, len(rest)) == (told, True, 2)
    assert store.retry(told.event_id) == 0


@pytest.mark.slow
@pytest.mark.parametrize("id_of_events", ["uuid", "varchar(36)"])
def test_an_event_that_is_not_there_is_not_found_whatever_is_asked_for(made_with, id_of_events):
    database = made_with(id=id_of_events)
    store = SqlTokenStore(database, (CONSOLE,))
    store.publish(told := event(), key="k")
    for text in ("abc", "NOT-A-UUID", "\x00", "", f"{{{told.event_id}}}", "8ddc0a29-00fc-47dc-ae2e-b106005d385f"):
        with pytest.raises(EventNotFoundError, match="There is no event"):
            store.retry(text)
        with pytest.raises(EventNotFoundError, match="There is no event"), database.reading() as connection:
            find_event(connection, text)
    assert store.retry(told.event_id.upper()) == 0
    with api_thread(database.config) as api:
        answers = [api.ask("POST", f"/api/v1/events/{text}/retry") for text in ("abc", told.event_id)]
    assert [(a.status, a.json().get("error")) for a in answers] == [(404, "EventNotFoundError"), (200, None)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("types", "said"),
    [
        ({"flag": "integer"}, "events.processed of .* is INTEGER, and cannot be written"),
        ({"number": "integer"}, "tokens.metric_value of .* is INTEGER, and cannot be written"),
        ({"status": "brief"}, "tokens.model_status of .*, which lacks archived, failed, registering"),
        ({"id": "bigint"}, "events.event_id of .* is BIGINT, and cannot be written"),
    ],
    ids=["flag", "number", "status", "id"],
)
def test_a_column_that_cannot_be_written_is_named_and_nothing_is_made(made_with, types, said):
    database = made_with(**types)
    with pytest.raises(DatabaseError, match=said):
        database.ensure_ready()
    assert tables_of(database) == {"tokens", "events"}
