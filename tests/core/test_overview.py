"""The overview and the settings say where tokens are kept, and why there, without a secret and without a look."""

from __future__ import annotations

import pytest

from hokusai_nb.core.overview import overview, settings_in_force


@pytest.fixture(autouse=True)
def home(store, tmp_path, monkeypatch):  # noqa: ARG001 - MLflow writes to a store of its own
    """A user's folder of data that does not exist yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def setting(name):
    return next(s.value for s in settings_in_force().settings if s.name == name)


def test_by_default_tokens_are_in_a_file_of_the_user_which_looking_does_not_make(home):
    assert overview().tokens == "a SQLite file of yours (by default)"
    assert setting("tokens") == f"sqlite:///{home / 'hokusai' / 'hokusai.db'}"
    assert "Tokens       a SQLite file of yours (by default)" in overview()._text_()
    assert not home.exists()


def test_a_database_is_named_with_what_names_it_and_without_its_password(monkeypatch):
    for name, value in {"TYPE": "postgresql", "HOST": "db", "NAME": "site", "USER": "me", "PASSWORD": "s3cret"}.items():
        monkeypatch.setenv(f"HOKUSAI_DB_{name}", value)
    assert overview().tokens == "postgresql://db/site (set by HOKUSAI_DB_…)"
    assert setting("tokens") == "postgresql://db/site"
    assert "s3cret" not in str(overview()._repr_mimebundle_()) + str(settings_in_force()._repr_mimebundle_())


def test_an_api_is_named_with_the_variable_of_its_key_and_a_database_comes_before_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOKUSAI_API_KEY", "hk_s3cret")
    monkeypatch.setenv("HOKUSAI_API_ENDPOINT", "https://tokens.example.org")
    assert overview().tokens == "the Hokusai API at https://tokens.example.org (set by HOKUSAI_API_KEY)"
    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", str(tmp_path / "tokens.db"))
    assert overview().tokens == f"sqlite:///{tmp_path / 'tokens.db'} (set by HOKUSAI_DB_…)"
    assert not (tmp_path / "tokens.db").exists()


def test_half_a_description_of_a_database_is_told_and_everything_else_is_shown(monkeypatch, store):
    monkeypatch.setenv("HOKUSAI_DB_HOST", "db")
    card = overview()
    assert card.tokens.startswith("not known: HOKUSAI_DB_NAME is not set.")
    assert card.store == store
    assert setting("tokens") == "HOKUSAI_DB_NAME is not set."


def test_in_mock_mode_tokens_are_simulated(monkeypatch):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    assert overview().tokens == "simulated (mock mode)"
    assert setting("mock mode") == "on"


def test_who_is_told_of_events_is_a_setting_and_its_secrets_are_not_shown(monkeypatch):
    assert (setting("event handlers"), setting("webhook"), setting("webhook secret")) == (
        "console, webhook",
        "not set",
        "not set",
    )
    assert setting("private webhooks") == "refused"
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", "[]")
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_URL", "https://hooks.example.org/s3cret")
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_SECRET", "whsec_s3cret")
    monkeypatch.setenv("HOKUSAI_WEBHOOK_ALLOW_PRIVATE", "true")
    assert (setting("event handlers"), setting("webhook"), setting("webhook secret")) == ("console", "set", "set")
    assert setting("private webhooks") == "allowed"
    assert "s3cret" not in str(settings_in_force()._repr_mimebundle_())
