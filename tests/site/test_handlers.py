from __future__ import annotations

import sys

import pytest

from hokusai_nb.config import configure
from hokusai_nb.errors import HokusaiError, UnsafeTargetError
from hokusai_nb.schema.events import Event
from hokusai_nb.site.handlers import Destination, configured_destinations, find_handler, print_event

SITE = "https://hooks.example.org/s3cret"


@pytest.fixture(autouse=True)
def _settings(monkeypatch):
    for name in ("HOKUSAI_SITE_WEBHOOK_URL", "WEBHOOK_URL", "DELTAONE_WEBHOOK_ENDPOINTS", "HOKUSAI_EVENT_HANDLERS"):
        monkeypatch.delenv(name, raising=False)
    configure(webhook_allow_private=None)


def names(webhook_url=None):
    return [(d.handler, d.target) for d in configured_destinations(webhook_url)]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package, on the path as an installed one is, with event handlers of its own."""
    (tmp_path / "some_handlers.py").write_text("seen = []\n\ndef keep(event):\n    seen.append(event)\n")
    info = tmp_path / "some_handlers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-handlers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hokusai_nb.event_handlers]\n"
        "keeper = some_handlers:keep\n"
        "broken = some_handlers:missing\n"
        "deltaone = some_handlers:keep\n"
        f"{'x' * 65} = some_handlers:keep\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("some_handlers", None)


def test_without_settings_only_the_console_is_told():
    assert names() == [("console", "")]


def test_the_sites_webhook_is_told_under_either_of_its_variables(monkeypatch):
    monkeypatch.setenv("WEBHOOK_URL", SITE)
    assert names() == [("console", ""), ("webhook", SITE)]
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_URL", "https://site.example.org")
    assert names() == [("console", ""), ("webhook", "https://site.example.org")]


def test_an_address_that_is_given_takes_the_settings_place(monkeypatch):
    monkeypatch.setenv("WEBHOOK_URL", SITE)
    assert names("https://given.example.org") == [("console", ""), ("webhook", "https://given.example.org")]
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["database"]')
    assert names("https://given.example.org") == [
        ("console", ""),
        ("database", ""),
        ("webhook", "https://given.example.org"),
    ]
    assert names() == [("console", ""), ("database", "")]


def test_deltaone_endpoints_are_told_too(monkeypatch):
    monkeypatch.setenv("DELTAONE_WEBHOOK_ENDPOINTS", '["https://a.example.org", "https://b.example.org"]')
    assert names() == [("console", ""), ("deltaone", "https://a.example.org"), ("deltaone", "https://b.example.org")]


def test_the_console_is_told_whatever_the_settings_say(monkeypatch):
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", "[]")
    assert names() == [("console", "")]


def test_nobody_is_told_twice(monkeypatch):
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["console", "console"]')
    assert names() == [("console", "")]


@pytest.mark.usefixtures("installed")
def test_a_handler_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["consoel"]')
    with pytest.raises(HokusaiError) as caught:
        configured_destinations()
    assert caught.value.what == "There is no event handler 'consoel'."
    assert caught.value.hint.endswith("can name: broken, console, database, keeper, webhook.")


@pytest.mark.usefixtures("installed")
def test_a_handler_cannot_take_the_name_of_one_of_ours(monkeypatch):
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["deltaone"]')
    with pytest.raises(HokusaiError, match="no event handler 'deltaone'"):
        configured_destinations()


@pytest.mark.usefixtures("installed")
def test_an_installed_handler_is_told_and_called(monkeypatch):
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["keeper"]')
    assert configured_destinations() == (Destination(handler="console"), Destination(handler="keeper"))
    event = Event(event_type="model_deployed", payload={})
    find_handler("keeper")(event)
    assert sys.modules["some_handlers"].seen == [event]


@pytest.mark.usefixtures("installed")
def test_a_handler_that_cannot_be_loaded_says_why():
    with pytest.raises(HokusaiError, match=r"'broken' cannot be loaded: AttributeError: .*missing"):
        find_handler("broken")
    with pytest.raises(HokusaiError, match="'gone' is not installed here"):
        find_handler("gone")


@pytest.mark.parametrize("url", ["http://example.org", "https://127.0.0.1/s3cret", "https://me:s3cret@example.org"])
def test_an_address_that_we_do_not_send_to_is_refused_before_anything_is_written(monkeypatch, url):
    with pytest.raises(UnsafeTargetError) as caught:
        configured_destinations(url)
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("WEBHOOK_URL", url)
    with pytest.raises(UnsafeTargetError):
        configured_destinations()


def test_a_private_address_is_told_where_that_is_allowed(monkeypatch):
    monkeypatch.setenv("HOKUSAI_WEBHOOK_ALLOW_PRIVATE", "true")
    assert names("http://127.0.0.1:8000/hook")[-1] == ("webhook", "http://127.0.0.1:8000/hook")


def test_the_console_gets_one_line_without_secrets(capsys):
    at = "2026-01-02T03:04:05Z"
    payload = {"token_id": "XRAY", "by": "me\n\x1b[31m", "uri": "postgresql://me:s3cret@db/x", "timestamp": at}
    print_event(Event(event_type="model_deployed", payload=payload, timestamp=at))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f'{at} model_deployed XRAY {{"by": "me\\n\\u001b[31m", "uri": "postgresql://***@db/x"}}\n'


def test_a_long_payload_stays_one_readable_line(capsys):
    print_event(Event(event_type="deltaone_achieved", payload={"a": "x" * 100_000}))
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert len(err) < 1200
