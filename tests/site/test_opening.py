from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from hokusai_nb import config
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import DatabaseConfig, configure, default_database
from hokusai_nb.errors import DatabaseConnectionError, HokusaiError, TokenNotFoundError, ValidationError
from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange
from hokusai_nb.site.http_store import HttpTokenStore
from hokusai_nb.site.opening import describe_store, open_database, open_store, outbox_of
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.processes import python

KEY = "hk_0123456789ab_s3cret"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user's folder for data of this test's own, and settings as they were."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield tmp_path / "data"
    configure(**dict.fromkeys(config.Settings.model_fields))
    for database in list(Database._shared.values()):
        database.close()


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A database that the environment names."""
    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", str(tmp_path / "named.db"))
    return tmp_path / "named.db"


def test_without_anything_it_is_a_file_in_the_users_folder_for_data(home):
    store = open_store()
    assert store.description == describe_store() == f"sqlite:///{home / 'hokusai' / 'hokusai.db'}"
    with pytest.raises(TokenNotFoundError):
        store.get("MSG-AI")
    store.create(NewToken(token_id="MSG-AI"), by="me")
    assert open_store().get("MSG-AI").model_status == "draft"
    assert stat.S_IMODE((home / "hokusai").stat().st_mode) == 0o700
    assert not store.simulated


def test_to_describe_the_store_makes_nothing(home):
    describe_store()
    assert not home.exists()


def test_a_folder_for_data_that_cannot_be_made_is_told(home):
    home.write_text("a file")
    with pytest.raises(DatabaseConnectionError, match=r"Database Connection Failed: .*its folder does not exist"):
        open_store().get("MSG-AI")


def test_the_argument_comes_before_everything_else(named, tmp_path):
    configure(api_key=KEY)
    store = open_store(database=DatabaseConfig(db_type="sqlite", database=str(tmp_path / "given.db")))
    assert store.description == f"sqlite:///{tmp_path / 'given.db'}"
    assert not named.exists()


def test_an_api_that_is_named_comes_before_a_database_of_the_settings(named):
    configure(api_key=KEY)
    store = open_store(endpoint="https://hokusai.example.org")
    assert isinstance(store, HttpTokenStore)
    assert store.description == "the Hokusai API at https://hokusai.example.org"
    assert KEY not in repr(store)
    assert not named.exists()


def test_a_database_of_the_settings_comes_before_the_api(named):
    configure(api_key=KEY)
    assert open_store().description == describe_store() == f"sqlite:///{named}"


def test_with_a_key_and_no_database_it_is_the_api():
    configure(api_key=KEY)
    store = open_store()
    assert store.description == describe_store() == "the Hokusai API at https://registry.hokus.ai"
    assert open_store() is store
    assert outbox_of(store) is None
    configure(api_key="hk_ba9876543210_other")
    assert open_store() is not store


def test_a_database_and_an_api_at_once_are_refused(tmp_path):
    database = DatabaseConfig(db_type="sqlite", database=str(tmp_path / "x.db"))
    with pytest.raises(ValidationError, match="a database or an API, not both"):
        open_store(database=database, endpoint="https://hokusai.example.org")


def test_the_api_takes_no_webhook():
    configure(api_key=KEY)
    with pytest.raises(ValidationError, match="The Hokusai API sends webhooks itself") as caught:
        open_store(webhook_url="https://hooks.example.org/T0/s3cret")
    assert caught.value.problems[0].field == "webhook_url"
    assert "s3cret" not in str(caught.value)


def test_the_destinations_are_those_of_the_settings_and_the_argument(monkeypatch):
    monkeypatch.setenv("HOKUSAI_WEBHOOK_ALLOW_PRIVATE", "true")
    store = open_store(webhook_url="http://127.0.0.1:9/T0/s3cret")
    assert [d.shown for d in store.destinations] == ["console", "webhook http://127.0.0.1:9"]
    assert "s3cret" not in repr(vars(store))
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["database"]')
    assert [d.shown for d in open_store().destinations] == ["console", "database"]


def test_settings_that_name_half_a_database_are_told(monkeypatch):
    monkeypatch.setenv("HOKUSAI_DB_HOST", "db.example.org")
    with pytest.raises(HokusaiError, match="HOKUSAI_DB_NAME is not set"):
        open_store()
    assert describe_store() == "HOKUSAI_DB_NAME is not set."


def test_the_server_keeps_its_own_in_a_database_whatever_key_is_set(named, tmp_path):
    configure(api_key=KEY)
    assert open_database().description == f"sqlite:///{named}"
    given = DatabaseConfig(db_type="sqlite", database=str(tmp_path / "given.db"))
    assert open_database(given) is Database.at(given)


@pytest.mark.usefixtures("named")
def test_a_database_is_opened_for_as_many_threads_as_are_to_work_with_it(monkeypatch):
    for mock in ("false", "true"):
        monkeypatch.setenv("HOKUSAI_MOCK_MODE", mock)
        found = open_database(connections=33)
        assert open_database(connections=2) is found
        with ExitStack() as stack:
            for _ in range(33):
                stack.enter_context(found.reading())


def test_the_servers_default_is_the_users_file(home):
    configure(api_key=KEY)
    open_database().ensure_ready()
    assert Path(default_database().database).is_file()
    assert home in Path(default_database().database).parents


def test_the_outbox_of_a_database_delivers_its_events(home):
    store = open_store()
    store.create(NewToken(token_id="MSG-AI"), by="me")
    store.change("MSG-AI", TokenChange(to=Status.REGISTERING, by="me", owner="one", lease_seconds=60))
    store.change("MSG-AI", TokenChange(to=Status.FAILED, by="me", owner="one", reason="It broke."))
    outbox = outbox_of(store)
    assert outbox is not None
    assert outbox.deliver().delivered == 1
    assert home.exists()


# Mock mode


def test_mock_mode_comes_before_everything_and_touches_nothing(named, home, tmp_path, monkeypatch):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_URL", "https://hooks.example.org/T0/s3cret")
    configure(api_key=KEY)
    given = DatabaseConfig(db_type="sqlite", database=str(tmp_path / "given.db"))
    for store in (open_store(), open_store(database=given), open_store(endpoint="https://hokusai.example.org")):
        assert isinstance(store, SqlTokenStore)
        assert store.simulated
        assert store.get("XRAY").simulated
        assert [d.shown for d in store.destinations] == ["console"]
    assert describe_store() == "simulated (mock mode)"
    assert open_database(given) is store.database
    assert [named.exists(), home.exists(), (tmp_path / "given.db").exists()] == [False] * 3


def test_in_mock_mode_the_console_alone_is_told(monkeypatch):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["webhook", "database"]')
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_URL", "https://site.example.org")
    assert [d.shown for d in open_store().destinations] == ["console"]


SIMULATING = """
import os, sys
from hokusai_nb.site.opening import open_store
store = open_store()
store.get("XRAY")
child = os.fork()
if child == 0:
    import atexit
    other = open_store()
    other.get("MSG-AI")
    print(other.description != store.description, len(other.list_tokens().entries), flush=True)
    atexit._run_exitfuncs()
    os._exit(0)
os.waitpid(child, 0)
print(len(store.list_tokens().entries), store.description.removeprefix("sqlite:///"), flush=True)
"""


@pytest.mark.slow
def test_mock_modes_file_is_each_processes_own_and_is_removed_at_its_end(monkeypatch, tmp_path):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    child, parent = python(SIMULATING).splitlines()
    assert child == "True 1"
    count, path = parent.split()
    assert count == "1"
    assert os.path.dirname(os.path.dirname(path)) == str(tmp_path)  # noqa: PTH120 - it is gone
    assert list(tmp_path.iterdir()) == []
