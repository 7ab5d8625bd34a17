from __future__ import annotations

from pathlib import Path

import pytest

from hokusai_nb.backends.sql import engines
from hokusai_nb.config import DatabaseConfig

SECRET = "p@ss:w/rd%41"


def test_a_password_of_any_characters_reaches_the_driver_as_it_is():
    config = DatabaseConfig(host="db", port=5433, database="site", username="m@e", password=SECRET)
    engine = engines.make_engine(config)
    (_, given) = engine.dialect.create_connect_args(engine.url)
    assert {key: given[key] for key in ("host", "port", "dbname", "user", "password")} == {
        "host": "db",
        "port": 5433,
        "dbname": "site",
        "user": "m@e",
        "password": SECRET,
    }
    assert SECRET not in repr(engine)
    assert engine.hide_parameters


def test_mysql_is_addressed_by_its_usual_driver(monkeypatch):
    import sys
    import types

    driver = types.ModuleType("pymysql")
    driver.paramstyle = "format"
    monkeypatch.setitem(sys.modules, "pymysql", driver)
    config = DatabaseConfig(db_type="mysql", host="db", database="site", username="me", password=SECRET)
    url = engines.make_engine(config).url
    assert (url.drivername, url.host, url.database, url.password) == ("mysql+pymysql", "db", "site", SECRET)


@pytest.mark.parametrize(
    ("config", "described"),
    [
        (
            DatabaseConfig(host="db", port=5433, database="site", username="me", password=SECRET),
            "postgresql://db:5433/site",
        ),
        (DatabaseConfig(db_type="mysql", database="site"), "mysql://localhost/site"),
        (DatabaseConfig(db_type="sqlite", database="/data/x.db"), "sqlite:////data/x.db"),
    ],
)
def test_a_database_is_described_without_user_and_password(config, described):
    assert engines.describe(config) == described


def test_a_home_folder_and_a_relative_path_are_resolved(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/x.db", "x.db", str(tmp_path / "x.db")):
        found = engines.resolved(DatabaseConfig(db_type="sqlite", database=path))
        assert Path(found.database) == tmp_path / "x.db"
    config = DatabaseConfig(database="site")
    assert engines.resolved(config) is config


def test_a_file_of_odd_characters_is_that_file(tmp_path):
    path = tmp_path / "a ?b#c%20.db"
    engine = engines.make_engine(DatabaseConfig(db_type="sqlite", database=str(path)))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE x (y)")
    engine.dispose()
    assert [p.name for p in tmp_path.iterdir()] == ["a ?b#c%20.db"]


def test_a_new_file_and_those_beside_it_are_for_their_owner_alone(tmp_path):
    engine = engines.make_engine(DatabaseConfig(db_type="sqlite", database=str(tmp_path / "x.db")))
    with engine.connect().execution_options(**engines.UNBOUND) as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("CREATE TABLE x (y)")
        rights = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    engine.dispose()
    assert rights == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
