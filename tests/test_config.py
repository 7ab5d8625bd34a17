from __future__ import annotations

import json
import pickle
import threading
import traceback
from pathlib import Path

import pytest

from hokusai_nb import config
from hokusai_nb.config import (
    DatabaseConfig,
    acting_user,
    configure,
    default_database,
    read_database_file,
    session_notebook,
    settings,
)
from hokusai_nb.errors import HokusaiError, SettingsError, ValidationError

KEY = "hk-live-0123456789"


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    configure(**dict.fromkeys(config.Settings.model_fields))


def test_without_any_variable_the_defaults_hold():
    now = settings()
    assert (now.api_key, now.api_endpoint, now.http_timeout) == (None, "https://registry.hokus.ai", 30.0)
    assert (now.contributor, now.notebook_provenance, now.log_level) == (None, True, "WARNING")


def test_each_field_is_read_from_its_variable_and_anew_when_it_changes(monkeypatch):
    monkeypatch.setenv("HOKUSAI_HTTP_TIMEOUT", "2.5")
    monkeypatch.setenv("hokusai_contributor", "0xab")
    monkeypatch.setenv("HOKUSAI_NOTEBOOK_PROVENANCE", "off")
    assert (settings().http_timeout, settings().contributor, settings().notebook_provenance) == (2.5, "0xab", False)
    monkeypatch.setenv("HOKUSAI_HTTP_TIMEOUT", "3")
    assert settings().http_timeout == 3


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("HOKUSAI_API_KEY", "")
    assert settings().api_key is None


def test_configure_overrides_the_environment_and_none_goes_back_to_it(monkeypatch):
    monkeypatch.setenv("HOKUSAI_HTTP_TIMEOUT", "2")
    assert configure(http_timeout=7).http_timeout == 7
    assert settings().http_timeout == 7
    assert configure(http_timeout=None).http_timeout == 2


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOKUSAI_HTTP_TIMEOUT", "soon"),
        ("HOKUSAI_HTTP_TIMEOUT", "0"),
        ("HOKUSAI_HTTP_TIMEOUT", "nan"),
        ("HOKUSAI_LOG_LEVEL", "chatty-secret"),
        ("HOKUSAI_NOTEBOOK_PROVENANCE", "perhaps-secret"),
    ],
)
def test_a_bad_value_names_the_variable_and_not_the_value(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        settings()
    assert variable in str(caught.value)
    assert value not in str(caught.value).replace("greater than 0", "")
    assert "unset the environment variable" in caught.value.hint


@pytest.mark.parametrize("change", [{"http_timeout": -1}, {"no_such_setting": "x"}, {"contributor": ["unhashable"]}])
def test_a_change_that_is_refused_changes_nothing(change):
    configure(contributor="0xab")
    with pytest.raises(SettingsError) as caught:
        configure(**change, notebook_provenance=False)
    assert f"HOKUSAI_{next(iter(change)).upper()}" in str(caught.value)
    assert (settings().contributor, settings().http_timeout, settings().notebook_provenance) == ("0xab", 30.0, True)


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        settings().http_timeout = 1


def test_the_api_key_shows_in_no_representation():
    now = configure(api_key=KEY)
    assert now.api_key.get_secret_value() == KEY
    for text in (repr(now), str(now), repr(now.model_dump()), now.model_dump_json()):
        assert KEY not in text
    assert KEY not in repr(pickle.loads(pickle.dumps(now)))


@pytest.mark.parametrize(
    "uri",
    [
        "https://registry.hokus.ai/api/mlflow",
        "https://registry.hokus.ai/api/mlflow/",
        "https://registry.hokus.ai:443/api/mlflow",
        "HTTPS://Registry.Hokus.AI/api/mlflow",
        "https://registry.hokus.ai/api/mlflow/api/2.0",
    ],
)
def test_the_key_goes_to_the_registry(uri):
    assert configure(api_key=KEY).key_for(uri).get_secret_value() == KEY


@pytest.mark.parametrize(
    "uri",
    [
        "http://registry.hokus.ai/api/mlflow",
        "https://registry.hokus.ai:8443/api/mlflow",
        "https://registry.hokus.ai.evil/api/mlflow",
        "https://registry.hokus.ai@evil/api/mlflow",
        "https://registry.hokus.ai:443@evil/api/mlflow",
        "https://me@registry.hokus.ai/api/mlflow",
        "https://evil/https://registry.hokus.ai/api/mlflow",
        "https://registry.hokus.ai\\@evil/api/mlflow",
        "https://registry.hokus.ai/api/mlflow-evil",
        "https://registry.hokus.ai/api",
        "https://registry.hokus.ai/api/mlflow/../../evil",
        "https://registry.hokus.ai/api/mlflow/%2e%2e/evil",
        "https://registry.hokus.ai:port/api/mlflow",
        "https://[registry.hokus.ai/api/mlflow",
        "//registry.hokus.ai/api/mlflow",
        "sqlite:///registry.hokus.ai/api/mlflow",
        "",
    ],
)
def test_the_key_goes_nowhere_else(uri):
    assert configure(api_key=KEY).key_for(uri) is None


def test_the_key_follows_the_endpoint_that_is_configured():
    now = configure(api_key=KEY, api_endpoint="http://127.0.0.1:5000/")
    assert now.proxy_uri == "http://127.0.0.1:5000/api/mlflow"
    assert now.key_for("http://127.0.0.1:5000/api/mlflow").get_secret_value() == KEY
    assert now.key_for("http://127.0.0.1:5001/api/mlflow") is None
    assert now.key_for("https://registry.hokus.ai/api/mlflow") is None


def test_without_a_key_there_is_none_to_send():
    assert settings().key_for(settings().proxy_uri) is None


def test_threads_that_change_settings_lose_no_change_of_another():
    def change(name, value):
        for _ in range(50):
            configure(**{name: value})

    threads = [
        threading.Thread(target=change, args=pair)
        for pair in (("http_timeout", 5), ("contributor", "0xab"), ("log_level", "INFO"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (settings().http_timeout, settings().contributor, settings().log_level) == (5, "0xab", "INFO")


def test_the_notebook_is_what_jupyter_says_it_is(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert session_notebook() is None
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/churn.ipynb")
    assert session_notebook() == "/home/me/churn.ipynb"


# The database

PASSWORD = "s3cr3t: {p@ss}/word"


def test_without_any_variable_there_is_no_database():
    assert settings().database is None


def test_a_database_is_named_by_its_variables(monkeypatch):
    for name, value in {"NAME": "site", "HOST": "db", "PORT": "5433", "USER": "me", "PASSWORD": PASSWORD}.items():
        monkeypatch.setenv(f"HOKUSAI_DB_{name}", value)
    found = settings().database
    assert (found.db_type, found.host, found.port, found.database, found.username) == (
        "postgresql",
        "db",
        5433,
        "site",
        "me",
    )
    assert found.password.get_secret_value() == PASSWORD
    for text in (repr(found), repr(settings()), settings().model_dump_json(), found.model_dump_json()):
        assert "s3cr3t" not in text


def test_a_sqlite_file_needs_its_path_alone(monkeypatch):
    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", "/data/x.db")
    assert settings().database == DatabaseConfig(db_type="sqlite", database="/data/x.db")


@pytest.mark.parametrize("variable", ["HOST", "PORT", "USER", "PASSWORD", "TYPE"])
def test_half_a_database_is_told_and_its_password_is_not(monkeypatch, variable):
    value = {"PORT": "5433", "TYPE": "mysql"}.get(variable, PASSWORD)
    monkeypatch.setenv(f"HOKUSAI_DB_{variable}", value)
    with pytest.raises(SettingsError, match="HOKUSAI_DB_NAME is not set") as caught:
        _ = settings().database
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(("variable", "value"), [("TYPE", "oracle"), ("PORT", "0"), ("PORT", "s3cr3t")])
def test_a_variable_of_the_database_that_is_wrong_is_named(monkeypatch, variable, value):
    monkeypatch.setenv("HOKUSAI_DB_NAME", "site")
    monkeypatch.setenv(f"HOKUSAI_DB_{variable}", value)
    with pytest.raises(SettingsError, match=f"HOKUSAI_DB_{variable}") as caught:
        _ = settings().database
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("path", [":memory:", "sqlite:///x.db"])
def test_what_is_no_file_is_no_sqlite_database(monkeypatch, path):
    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", path)
    with pytest.raises(SettingsError, match=r"describe no database: it: .*database is the path of a file"):
        _ = settings().database


WRITTEN = {
    "json": json.dumps({"host": "db", "port": 5433, "database": "site", "username": "me", "password": PASSWORD}),
    "tabs": json.dumps(
        {"host": "db", "port": 5433, "database": "site", "username": "me", "password": PASSWORD}, indent="\t"
    ),
    "yaml": "db_type: postgresql\n"
    f"# ours\nhost: db\nport: 5433\ndatabase: site\nusername: me\npassword: '{PASSWORD}'\n",
    "byte order mark": f"\ufeffhost: db\nport: 5433\ndatabase: site\nusername: me\npassword: '{PASSWORD}'\n",
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_database_is_described_by_a_file(tmp_path, text):
    (tmp_path / "db").write_text(text, encoding="utf-8")
    expected = DatabaseConfig(host="db", port=5433, database="site", username="me", password=PASSWORD)
    assert read_database_file(tmp_path / "db") == read_database_file(str(tmp_path / "db")) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not valid: it:"),
        ("just words", "is not valid: it:"),
        ("[1, 2]", "is not valid: it:"),
        ("{", "is neither JSON nor YAML"),
        ("a: b: c: s3cr3t", "is neither JSON nor YAML"),
        ("database: 2026-13-01 00:00:00", "is neither JSON nor YAML"),
        ("!!python/object/apply:os.system ['touch owned']", "is neither JSON nor YAML"),
        ("password: s3cr3t", "is not valid: database: "),
        ("{database: x, port: s3cr3t}", "is not valid: port: "),
        ("{database: x, db_type: s3cr3t}", "is not valid: db_type: "),
        ("{database: x, pasword: s3cr3t}", "is not valid: pasword: "),
        ("{database: x, password: [s3cr3t]}", "is not valid: password: "),
        ("{database: x, port: 70000}", "is not valid: port: "),
        ("{database: ''}", "is not valid: database: "),
    ],
)
def test_a_file_that_describes_no_database_is_told_without_what_it_holds(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "db.yaml").write_text(text)
    with pytest.raises(HokusaiError) as caught:
        read_database_file("db.yaml")
    assert caught.value.what.startswith("The database configuration 'db.yaml' ")
    assert said in caught.value.what
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
    assert "db_type (postgresql, mysql or sqlite)" in caught.value.hint
    assert not (tmp_path / "owned").exists()


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for path, why in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "bytes", "it is no text"),
    ):
        with pytest.raises(ValidationError, match=f"cannot be read: {why}"):
            read_database_file(path)


def test_a_password_of_the_wrong_type_is_not_repeated():
    with pytest.raises(ValueError, match="password") as caught:
        DatabaseConfig(database="x", password=987654321)
    assert "987654321" not in str(caught.value)


def test_without_a_name_it_is_a_file_in_the_users_folder_for_data(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/data/me")
    found = default_database()
    assert (found.db_type, Path(found.database).name) == ("sqlite", "hokusai.db")


def test_the_tests_have_a_folder_for_data_of_their_own():
    assert Path.home() not in Path(default_database().database).parents


# Webhooks


def test_webhooks_are_read_from_our_variables_and_from_those_of_older_systems(monkeypatch):
    monkeypatch.setenv("WEBHOOK_URL", "https://old.example.org/hook")
    monkeypatch.setenv("WEBHOOK_SECRET", "old")
    assert settings().site_webhook_url.get_secret_value() == "https://old.example.org/hook"
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_URL", "https://new.example.org/hook")
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_SECRET", "new")
    monkeypatch.setenv("DELTAONE_WEBHOOK_ENDPOINTS", '["https://a.example.org/T0", "https://b.example.org"]')
    now = settings()
    assert now.site_webhook_url.get_secret_value() == "https://new.example.org/hook"
    assert now.site_webhook_secret.get_secret_value() == "new"
    assert [url.get_secret_value() for url in now.deltaone_webhook_endpoints] == [
        "https://a.example.org/T0",
        "https://b.example.org",
    ]
    assert "example.org/" not in repr(now)


@pytest.mark.parametrize("text", ["false", "0", "", "off", "no"])
def test_mock_mode_is_off_by_any_word_for_it(monkeypatch, text):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", text)
    assert settings().mock_mode is False


@pytest.mark.parametrize("text", ["true", "1", "on", "TRUE"])
def test_mock_mode_is_on_by_any_word_for_it(monkeypatch, text):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", text)
    assert settings().mock_mode is True


def test_histories_name_the_user(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ada")
    assert acting_user() == "ada"
