from __future__ import annotations

import pickle
import threading

import pytest

from hokusai_nb import config
from hokusai_nb.config import configure, session_notebook, settings
from hokusai_nb.errors import HokusaiError

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
    with pytest.raises(HokusaiError) as caught:
        settings()
    assert variable in str(caught.value)
    assert value not in str(caught.value).replace("greater than 0", "")
    assert "unset the environment variable" in caught.value.hint


@pytest.mark.parametrize("change", [{"http_timeout": -1}, {"no_such_setting": "x"}, {"contributor": ["unhashable"]}])
def test_a_change_that_is_refused_changes_nothing(change):
    configure(contributor="0xab")
    with pytest.raises(HokusaiError) as caught:
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
