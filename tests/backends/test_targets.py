from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai_nb.backends.targets import check_target, is_public, resolve
from hokusai_nb.errors import UnsafeTargetError, ValidationError

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::8.8.8.8",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.32.0.1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_open_internet_is_refused(address):
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(UnsafeTargetError, match="this machine or a private network"):
        check_target(f"https://{host}/hook")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_taken(address):
    assert is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert check_target(f"https://{host}:8443/hook").host == address


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_gets_through_in_the_clothes_of_ipv6(address):
    for prefix in ("::ffff:", "64:ff9b::", "::"):
        assert not is_public(ipaddress.ip_address(f"{prefix}{address}"))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.org/s3cret", "is not encrypted"),
        ("ftp://example.org/s3cret", "cannot go to ftp://example.org"),
        ("file:///s3cret", "names no host"),
        ("s3cret", "names no host"),
        ("", "names no host"),
        ("https:///s3cret", "names no host"),
        ("https://me:s3cret@example.org/", "has a user or a password"),
        ("https://s3cret@example.org/", "has a user or a password"),
        ("https://example.org\\@other.example/s3cret", "has a user or a password"),
        ("https://localhost/s3cret", "private network"),
        ("https://LOCALHOST./s3cret", "private network"),
        ("https://api.localhost/s3cret", "private network"),
        ("https://example.org:0/s3cret", "cannot go to"),
        ("https://example.org:70000/s3cret", "cannot go to"),
        ("https://example.org:port/s3cret", "cannot be read"),
        ("https://example.org/s3cret\x00", "cannot be read"),
        ("https://exa\nmple.org/s3cret", "cannot be read"),
        ("https://[::1/s3cret", "cannot be read"),
        ("https://0177.0.0.1/s3cret", "cannot be read"),
        ("https://example.org/" + "s3cret" * 100, "is too long"),
    ],
)
def test_an_address_that_we_do_not_send_to_is_refused_without_repeating_its_secret(url, reason):
    with pytest.raises(UnsafeTargetError) as caught:
        check_target(url)
    assert reason in caught.value.what
    assert caught.value.hint
    assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value, ValidationError)
    assert caught.value.problems[0].field == "webhook_url"


@given(st.text() | st.from_regex(r"https?://[^\s]{1,30}", fullmatch=True))
def test_any_text_is_taken_or_refused_in_our_words(url):
    try:
        target = check_target(url)
    except UnsafeTargetError:
        return
    assert target.url.scheme == "https"
    assert target.host


def test_a_targets_repr_holds_no_secret():
    target = check_target("https://example.org/s3cret?key=s3cret")
    assert "s3cret" not in repr(target)
    assert target.place == "https://example.org"
    assert target.endpoint == ("https", "example.org", 443)


def test_a_private_address_is_taken_where_that_is_allowed_also_without_tls():
    for url in ("http://127.0.0.1:8000/", "http://[::1]/", "https://10.0.0.1/", "http://localhost/"):
        assert check_target(url, allow_private=True)
    with pytest.raises(UnsafeTargetError, match="not encrypted, and not on a private network"):
        check_target("http://8.8.8.8/", allow_private=True)


def found(monkeypatch, addresses, url="https://hooks.example.org/", **given):
    """What a target's host resolves to where the name server knows these addresses."""
    asked = []

    def answer(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    target = check_target(url, **given)
    return asyncio.run(resolve(target, **given)), asked


def test_a_name_becomes_the_addresses_that_it_stands_for(monkeypatch):
    addresses, asked = found(monkeypatch, ["8.8.8.8", "1.1.1.1", "8.8.8.8"])
    assert addresses == ["8.8.8.8", "1.1.1.1"]
    assert asked == ["hooks.example.org"]


def test_nobody_is_asked_for_an_address_that_is_one_already(monkeypatch):
    assert found(monkeypatch, ["1.1.1.1"], "https://8.8.8.8/") == (["8.8.8.8"], [])


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "169.254.169.254"], ["fe80::1%eth0"]])
def test_a_name_that_stands_for_a_private_address_among_others_is_refused(monkeypatch, addresses):
    with pytest.raises(UnsafeTargetError, match=r"https://hooks\.example\.org is on this machine or a private network"):
        found(monkeypatch, addresses)


def test_without_tls_a_name_may_stand_for_private_addresses_only(monkeypatch):
    url = "http://hooks.example.org/"
    assert found(monkeypatch, ["10.0.0.1"], url, allow_private=True)[0] == ["10.0.0.1"]
    with pytest.raises(UnsafeTargetError, match="not encrypted"):
        found(monkeypatch, ["10.0.0.1", "8.8.8.8"], url, allow_private=True)


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1"])
def test_another_spelling_of_a_private_address_is_refused_when_it_is_resolved(host):
    with pytest.raises(UnsafeTargetError, match="private network"):
        asyncio.run(resolve(check_target(f"https://{host}/")))


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".example.org"])
def test_a_name_that_stands_for_nothing_is_an_error_of_the_network(host):
    with pytest.raises(OSError, match=r".+"):
        asyncio.run(resolve(check_target(f"https://{host}/")))
