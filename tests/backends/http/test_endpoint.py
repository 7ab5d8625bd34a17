from __future__ import annotations

import warnings

import pytest
from pydantic import SecretStr

from hokusai_nb import HokusaiClient
from hokusai_nb.backends.http import endpoint as module
from hokusai_nb.backends.http.endpoint import Endpoint
from hokusai_nb.errors import AccessError, HokusaiWarning, ServiceError

KEY = "hk-live-0123456789"


@pytest.fixture(autouse=True)
def _nobody_warned(monkeypatch):
    monkeypatch.setattr(module, "_warned", set())


def test_endpoint_and_key_are_the_settings_if_left_out(monkeypatch):
    monkeypatch.setenv("HOKUSAI_API_KEY", KEY)
    monkeypatch.setenv("HOKUSAI_API_ENDPOINT", "https://registry.example.org/hokusai/")
    found = Endpoint()
    assert found.address == "https://registry.example.org/hokusai"
    assert found.key.get_secret_value() == KEY
    given = Endpoint("http://127.0.0.1:8000", "other")
    assert (given.address, given.key.get_secret_value()) == ("http://127.0.0.1:8000", "other")


@pytest.mark.parametrize("key", [None, "", "  ", SecretStr("")])
def test_without_a_key_it_is_said_what_to_set(key):
    with pytest.raises(AccessError, match="There is no key") as caught:
        HokusaiClient("http://127.0.0.1:8000", key)
    assert "HOKUSAI_API_KEY" in caught.value.hint


def test_white_space_around_a_key_is_no_part_of_it():
    assert Endpoint("https://h", SecretStr(f" {KEY}\n")).key.get_secret_value() == KEY


@pytest.mark.parametrize("key", ["hk live", "hk\r\nX-Admin: 1", "schlüssel", "hk\0"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_repeated(key):
    with pytest.raises(AccessError, match="holds a character") as caught:
        Endpoint("https://h", key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "registry.example.org",
        "ftp://registry.example.org",
        "https://",
        "https:///api",
        "https://host:port",
        "https://host:99999",
        "https://host:0",
        "https://me:s3cret@host",
        "https://host?key=s3cret",
        "https://host#x",
        "https://ho st",
        "https://host\n",
        "https://höst",
        "https:\\\\host",
        "",
    ],
)
def test_what_is_no_plain_address_is_refused_without_its_secrets(address):
    with pytest.raises(ServiceError, match="no address of the Hokusai API") as caught:
        Endpoint(address, KEY)
    assert "s3cret" not in str(caught.value)
    assert "https://registry.example.org" in caught.value.hint


def test_a_key_that_travels_as_plain_text_is_warned_of_once():
    with pytest.warns(HokusaiWarning, match="goes to http://registry.example.org as plain text") as caught:
        HokusaiClient("http://registry.example.org", KEY).close()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HokusaiClient("http://registry.example.org", KEY).close()


@pytest.mark.parametrize(
    "address",
    ["https://registry.example.org", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "http://a.localhost"],
)
def test_a_key_that_others_cannot_read_is_not_warned_of(address):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Endpoint(address, KEY)


def test_a_key_is_shown_nowhere():
    client = HokusaiClient("https://registry.example.org", KEY)
    shown = f"{client!r} {client} {client.__dict__} {client._endpoint.__dict__} {client._http.__dict__}"
    client.close()
    assert repr(client) == "HokusaiClient('https://registry.example.org')"
    assert KEY not in shown
