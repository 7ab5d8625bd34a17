"""A version that beats every earlier one is told to the token store: once, and never at the registration's cost."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from hokusai_nb.config import DatabaseConfig, configure
from hokusai_nb.core import improving
from hokusai_nb.core.improving import best_before, is_store_configured
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import DatabaseConnectionError
from hokusai_nb.schema.lifecycle import NewToken
from hokusai_nb.schema.verbs import Register
from hokusai_nb.site.opening import open_store
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.conftest import free_port, open_database


@pytest.fixture
def tokens(sqlite_database):
    made = SqlTokenStore(sqlite_database)
    made.create(NewToken(token_id="MSG-AI"), by="site")
    return made


@pytest.fixture
def register(store, tokens, trained):
    """Register values of a model for MSG-AI, or another token, one after the other; returns the last version."""

    def call(*values, registry=None, token="MSG-AI", metric="accuracy"):
        registry = registry or ModelRegistry(store, token_store=tokens)
        for value in values:
            verb = Register(model=trained().model_uri, name="m", token=token, metric=metric, value=value)
            made = registry.register(verb)
        improving._teller.join()
        return made

    return call


def told(tokens, token="MSG-AI"):
    return [
        (e.event.payload["version"], e.event.payload["previous_version"])
        for e in reversed(tokens.list_events(token).entries)
    ]


def test_only_what_beats_every_earlier_version_is_told(register, tokens):
    register("0.8", "0.9", "0.85", "0.9", "0.95")
    assert told(tokens) == [("2", "1"), ("5", "2")]
    (event, *_) = [e.event for e in tokens.list_events("MSG-AI").entries]
    assert event.event_type == "metric_improved"
    assert event.payload["metric_name"] == "accuracy"
    assert (event.payload["metric_value"], event.payload["previous_value"]) == (0.95, 0.9)


def test_less_is_better_where_the_metric_says_so_and_other_metrics_do_not_count(register, tokens):
    register("0.2", "0.1", metric="rmse")
    register("0.9")
    assert told(tokens) == [("2", "1")]


def test_registering_again_tells_nothing_twice_and_mends_what_was_interrupted(register, store, tokens, trained):
    made = trained()
    silent, telling = ModelRegistry(store), ModelRegistry(store, token_store=tokens)
    register("0.8", registry=silent)
    silent.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", "0.9")
    assert told(tokens) == []
    for _ in range(2):
        telling.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", "0.9")
    assert told(tokens) == [("2", "1")]


def test_a_token_that_the_store_does_not_know_is_not_told_of(register, tokens, caplog):
    caplog.set_level(logging.INFO, "hokusai_nb")
    register("0.8", "0.9", token="NO-SUCH")
    assert told(tokens) == told(tokens, "NO-SUCH") == []
    assert caplog.records == []


def test_a_dead_store_costs_a_warning_and_no_registration(register, store, caplog, capsys):
    config = DatabaseConfig(host="127.0.0.1", port=free_port(), database="x", username="u", password="s3cret")
    for database in open_database(config):
        registry = ModelRegistry(store, token_store=SqlTokenStore(database))
        assert register("0.8", "0.9", registry=registry).version == "2"
    record = caplog.records[-1]
    assert (record.levelname, "metric_improved could not be written" in record.getMessage()) == ("WARNING", True)
    assert "s3cret" not in caplog.text + "".join(capsys.readouterr())


class Stuck(SqlTokenStore):
    """A real store that takes its time for writing, as a network does."""

    def publish(self, event, *, key):
        time.sleep(1.5)
        return super().publish(event, key=key)


def test_a_slow_store_is_not_waited_for_and_gets_its_event_all_the_same(store, tokens, trained):
    registry = ModelRegistry(store, token_store=Stuck(tokens.database))
    models = [trained().model_uri for _ in range(4)]
    registry.register_tokenized_model(models[0], "m", "MSG-AI", "accuracy", "0.5")
    began = time.monotonic()
    for n, uri in enumerate(models[1:]):
        registry.register_tokenized_model(uri, "m", "MSG-AI", "accuracy", f"0.{6 + n}")
    assert time.monotonic() - began < 1.5
    assert [t.name for t in threading.enumerate()].count("hokusai-improvement") == 1
    improving._teller.join()
    assert sorted(told(tokens)) == [("2", "1"), ("3", "2"), ("4", "3")]


class Away(SqlTokenStore):
    """A real store until it is written to; then its network is down."""

    tries = 0

    def publish(self, event, *, key):
        self.tries += 1
        what = f"The event {event.event_id} under {key} finds no way."
        raise DatabaseConnectionError(what)


def test_of_versions_that_wait_together_only_the_first_waits_for_a_store_that_is_away(register, store, tokens, caplog):
    away, silent = Away(tokens.database), ModelRegistry(store)
    made = [register(value, registry=silent) for value in ("0.5", "0.6", "0.7", "0.8")]
    improving._tell(improving._Registered(silent.backend, version, lambda: away) for version in made)
    assert [r.getMessage().count("finds no way") for r in caplog.records if r.levelname == "WARNING"] == [1] * 3
    assert away.tries == 1


class Foreign:
    """No store of ours at all."""

    def get(self, token_id):
        raise ZeroDivisionError(token_id)


def test_a_store_of_somebody_else_may_fail_in_any_way(register, store, caplog):
    assert register("0.8", "0.9", registry=ModelRegistry(store, token_store=Foreign())).version == "2"
    assert "The event metric_improved could not be written." in [r.getMessage() for r in caplog.records]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's folder for data that does not exist yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def default_tokens(home):
    """The store of a user who set nothing and created a token: the file that is used by default."""
    made = open_store()
    made.create(NewToken(token_id="MSG-AI"), by="me")
    assert home.exists()
    yield made
    made.database.close()


def test_the_default_file_is_told_once_a_token_was_made_in_it(register, store, default_tokens):
    assert not is_store_configured()
    register("0.8", "0.9", registry=ModelRegistry(store))
    assert told(default_tokens) == [("2", "1")]


def test_who_never_made_a_token_has_nothing_asked_no_thread_begun_and_no_file_made(register, store, home):
    threads = set(threading.enumerate())
    assert not is_store_configured()
    assert register("0.8", "0.9", registry=ModelRegistry(store)).version == "2"
    assert set(threading.enumerate()) <= threads
    assert not home.exists()


def test_a_database_of_the_settings_is_told(register, store, tokens, monkeypatch):
    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", tokens.database.config.database)
    register("0.8", "0.9", registry=ModelRegistry(store))
    assert told(tokens) == [("2", "1")]


def test_half_a_description_of_a_database_is_told_of_and_harms_nothing(register, store, monkeypatch, caplog):
    monkeypatch.setenv("HOKUSAI_DB_HOST", "db.example.org")
    assert is_store_configured()
    assert register("0.8", "0.9", registry=ModelRegistry(store)).version == "2"
    assert "HOKUSAI_DB_NAME is not set" in caplog.text


def test_a_dry_run_tells_nothing(register, store, tokens, trained):
    register("0.8")
    verb = Register(model=trained().model_uri, name="m", token="MSG-AI", metric="accuracy", value="0.9", dry_run=True)
    ModelRegistry(store, token_store=tokens).register(verb)
    assert told(tokens) == []


def test_the_best_before_is_none_for_the_first_and_for_what_is_no_better(register, store):
    backend = ModelRegistry(store).backend
    assert best_before(backend, register("0.8")) is None
    assert best_before(backend, register("0.8")) is None
    better = register("0.81")
    assert best_before(backend, better).version == "1"


def test_an_api_key_is_a_store():
    configure(api_key="k")
    try:
        assert is_store_configured()
    finally:
        configure(api_key=None)
