"""Posting to real receivers on loopback: good ones, bad ones, and those that are not what they seem."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hokusai_nb.backends.answers import Verdict
from hokusai_nb.backends.webhooks import LONGEST_ANSWER, Post, Sender, Sending
from tests.conftest import free_port
from tests.processes import python
from tests.recorders import recording
from tests.servers import black_hole, scripted

BODY = b'{"a":1}'


def sender(**given):
    """A sender that has patience with a busy machine."""
    return Sender(**{"allow_private": True, "connect_seconds": 10, "read_seconds": 10, "total_seconds": 20, **given})


def hasty(**given):
    """A sender that is quick to give up."""
    return sender(**{"connect_seconds": 1, "read_seconds": 0.3, "total_seconds": 1, **given})


def post(url, **headers):
    return Post(url, BODY, headers)


def answers(made, *urls, stop=None, **given):
    """What becomes of posts, in their order."""
    found = {}
    with Sending(made, stop) as sending:
        for position, url in enumerate(urls):
            sending.begin(position, post(url), **given)
        while sending.under_way:
            found |= sending.answers(10)
    return [found[position] for position in range(len(urls))]


def answer(made, url):
    return answers(made, url)[0]


@pytest.fixture
def known(monkeypatch):
    """Have the name server know ``hooks.example.org`` by these addresses; returns what it was asked."""
    asked = []
    truly = socket.getaddrinfo

    def know(*addresses):
        def look_up(host, port, *rest, **given):
            if host != "hooks.example.org":
                return truly(host, port, *rest, **given)
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return know


# What is sent, and where


def test_a_post_carries_the_body_and_the_headers_as_they_are():
    with recording() as receiver:
        url = f"{receiver.address}/hook?key=s3cret"
        with Sending(sender()) as sending:
            sending.begin("key", Post(url, BODY, {"webhook-id": "1"}))
            ((key, found),) = sending.answers(10)
        (seen,) = receiver.seen
    assert (key, found.verdict) == ("key", Verdict.DELIVERED)
    assert (seen.method, seen.target, seen.body) == ("POST", "/hook?key=s3cret", BODY)
    assert (seen.headers["webhook-id"], seen.headers["content-type"]) == ("1", "application/json")
    assert seen.headers["host"] == receiver.address.removeprefix("http://")
    assert "authorization" not in seen.headers


def test_nothing_to_send_is_no_answer_at_once_and_no_thread():
    before = threading.active_count()
    with Sending(sender()) as sending:
        assert sending.answers(60) == []
        assert threading.active_count() == before


def test_whoever_waits_for_an_answer_waits_as_long_as_they_say():
    with black_hole() as host, Sending(hasty()) as sending:
        sending.begin(1, post(f"http://{host}/"))
        assert sending.answers(0.05) == []
        assert sending.under_way == 1
        assert [key for key, _ in sending.answers(10)] == [1]
        assert sending.under_way == 0


def test_a_post_goes_to_the_address_that_was_checked_under_the_hosts_name(known):
    asked = known("127.0.0.1")
    with recording() as receiver:
        port = receiver.server.server_port
        assert answer(sender(), f"http://hooks.example.org:{port}/").verdict is Verdict.DELIVERED
        assert receiver.seen[0].headers["host"] == f"hooks.example.org:{port}"
    assert asked == ["hooks.example.org"]  # once: asked again, the name might stand for something else


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"]])
def test_nothing_is_sent_to_a_name_that_stands_for_a_private_address(known, addresses):
    known(*addresses)
    with recording() as receiver:
        found = answer(sender(allow_private=False), f"https://hooks.example.org:{receiver.server.server_port}/s3cret")
        assert receiver.seen == []
    assert found.verdict is Verdict.REFUSED
    assert "private network" in found.error
    assert "s3cret" not in found.error


def test_nothing_is_sent_without_tls_to_a_public_address(known):
    known("8.8.8.8")
    found = answer(sender(), "http://hooks.example.org/")
    assert (found.verdict, "not encrypted" in found.error) == (Verdict.REFUSED, True)
    assert answer(sender(), "ftp://example.org/").verdict is Verdict.REFUSED


def test_the_next_address_of_a_host_is_tried_where_the_first_does_not_answer(known):
    with recording() as receiver:
        known("127.0.0.2", "127.0.0.1")
        url = f"http://hooks.example.org:{receiver.server.server_port}/"
        assert answer(sender(), url).verdict is Verdict.DELIVERED
        assert len(receiver.seen) == 1


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    with recording() as proxy, recording() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        assert answer(sender(), receiver.address).verdict is Verdict.DELIVERED
        assert (len(proxy.seen), len(receiver.seen)) == (0, 1)


def test_a_redirect_is_not_followed():
    with recording() as other, recording() as receiver:
        receiver.answers["/"] = (307, b"", {"Location": other.address})
        found = answer(sender(), f"{receiver.address}/")
        assert other.seen == []
    assert (found.verdict, "redirects" in found.error) == (Verdict.REFUSED, True)


def test_the_log_holds_no_address_of_a_webhook(caplog):
    caplog.set_level(logging.DEBUG)
    with recording() as receiver:
        answer(sender(), f"{receiver.address}/s3cret?key=s3cret")
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(post(f"{receiver.address}/s3cret", key="s3cret"))


def test_a_connection_is_used_again_and_no_more_than_so_many_at_once():
    together, most, lock = 0, [0], threading.Lock()

    def busy(*_):
        nonlocal together
        with lock:
            together += 1
            most[0] = max(most[0], together)
        time.sleep(0.02)
        with lock:
            together -= 1
        return 200, "", {}

    with scripted(busy) as receiver:
        found = answers(sender(at_once=3), *[receiver.address] * 12)
        assert {a.verdict for a in found} == {Verdict.DELIVERED}
        assert most[0] == 3
        assert len(receiver.connections) == 3


# Answers that are none


def test_a_server_that_is_not_there_is_tried_later():
    found = answer(hasty(), f"http://127.0.0.1:{free_port()}/s3cret")
    assert found.verdict is Verdict.LATER
    assert found.error.startswith("http://127.0.0.1:")
    assert "s3cret" not in found.error


def test_a_name_that_is_not_known_is_tried_later():
    found = answer(hasty(), "https://nowhere.invalid/s3cret")
    assert (found.verdict, "s3cret" in found.error) == (Verdict.LATER, False)
    assert found.error.startswith("https://nowhere.invalid: ")


def test_a_server_that_does_not_answer_is_left_in_time():
    with black_hole() as host:
        began = time.monotonic()
        found = answer(hasty(), f"http://{host}/")
        assert time.monotonic() - began < 5
    assert (found.verdict, found.error) == (Verdict.LATER, f"http://{host}: no answer in time")


def test_a_server_that_answers_byte_by_byte_is_left_in_time():
    def drip():
        for _ in range(100):
            yield b"x"
            time.sleep(0.1)

    with scripted(lambda *_: (200, drip(), {"Content-Length": "100"})) as receiver:
        began = time.monotonic()
        found = answer(hasty(), receiver.address)
        assert time.monotonic() - began < 6
    assert (found.verdict, "no answer in time" in found.error) == (Verdict.LATER, True)


def test_an_answer_that_breaks_off_is_no_delivery():
    with recording() as receiver:
        receiver.answers["/half"] = (200, b"half of it", {"Content-Length": "100"})
        found = answer(sender(), f"{receiver.address}/half")
    assert (found.verdict, "broke off" in found.error) == (Verdict.LATER, True)
    with scripted(lambda *_: None) as receiver:
        assert answer(sender(), receiver.address).verdict is Verdict.LATER


def test_of_an_endless_answer_only_the_beginning_is_read():
    sent = []

    def flood():
        while sum(sent) < 1000 * LONGEST_ANSWER:
            sent.append(65_536)
            yield b"x" * 65_536

    with scripted(lambda *_: (200, flood(), {})) as receiver:
        found = answer(sender(), receiver.address)
    assert found.verdict is Verdict.DELIVERED
    assert sum(sent) < 500 * LONGEST_ANSWER  # what fits into the sockets' buffers


def test_a_name_server_that_does_not_answer_keeps_no_process_from_ending():
    code = """
import socket, time
from hokusai_nb.backends.webhooks import Post, Sender, Sending

socket.getaddrinfo = lambda *_, **__: time.sleep(60)
began = time.monotonic()
with Sending(Sender(total_seconds=0.5)) as sending:
    sending.begin(0, Post("https://hooks.example.org/", b"", {}))
    [(_, answer)] = sending.answers(60)
assert time.monotonic() - began < 5
print(answer.error)
"""
    began = time.monotonic()
    assert python(code) == "https://hooks.example.org: no answer in time"
    assert time.monotonic() - began < 30


# Endpoints that fail


def test_an_endpoint_that_keeps_failing_is_left_alone_for_a_while_and_then_probed():
    up = threading.Event()
    with scripted(lambda *_: (200 if up.is_set() else 500, "", {})) as receiver:
        made = sender(at_once=1, failures=3, rest_seconds=0.3)
        verdicts = [a.verdict for a in answers(made, *[f"{receiver.address}/a"] * 10)]
        assert sorted(verdicts) == [Verdict.LATER] * 3 + [Verdict.UNTRIED] * 7
        assert made.resting == [f"{receiver.address}/a"]
        assert answer(made, f"{receiver.address}/b").verdict is Verdict.UNTRIED
        assert len(receiver.requests) == 3
        time.sleep(0.3)
        assert made.resting == []
        assert [a.verdict for a in answers(made, *[receiver.address] * 4)].count(Verdict.UNTRIED) == 3
        time.sleep(0.3)
        up.set()
        assert {a.verdict for a in answers(made, *[receiver.address] * 4)} == {Verdict.DELIVERED}


def test_an_answer_that_refuses_one_event_says_nothing_against_the_endpoint():
    with scripted(lambda *_: (422, "", {})) as receiver:
        found = answers(sender(at_once=1, failures=2), *[receiver.address] * 6)
    assert {a.verdict for a in found} == {Verdict.REFUSED}


def test_an_endpoint_that_stalls_does_not_hold_up_another():
    with black_hole() as host, recording() as receiver:
        began = time.monotonic()
        with Sending(sender(read_seconds=20, total_seconds=20)) as sending:
            for url in [f"http://{host}/"] * 20 + [receiver.address] * 4:
                sending.begin(url, post(url))
            order = []
            while len(order) < 4:
                order += [url for url, _ in sending.answers(10)]
        assert time.monotonic() - began < 15
    assert set(order) == {receiver.address}


def test_what_is_not_begun_in_time_is_not_tried_and_what_is_under_way_is_not_cut_short():
    with scripted(lambda *_: (time.sleep(0.6), (200, "", {}))[1]) as receiver:
        found = answers(sender(at_once=2), *[receiver.address] * 6, latest=time.monotonic() + 0.5)
    assert [a.verdict for a in found] == [Verdict.DELIVERED] * 2 + [Verdict.UNTRIED] * 4


def test_what_is_under_way_at_the_end_of_somebodys_patience_is_late():
    with black_hole() as host:
        began = time.monotonic()
        found = answers(sender(at_once=2), *[f"http://{host}/"] * 6, ends=began + 1.0)
        assert time.monotonic() - began < 8
    assert [a.verdict for a in found] == [Verdict.LATER] * 2 + [Verdict.UNTRIED] * 4


def test_nothing_more_is_begun_once_it_is_told_to_stop():
    stop = threading.Event()
    with scripted(lambda *_: (stop.set(), (200, "", {}))[1]) as receiver:
        found = answers(sender(at_once=1), *[receiver.address] * 5, stop=stop)
        assert len(receiver.requests) == 1
    assert [a.verdict for a in found] == [Verdict.DELIVERED] + [Verdict.UNTRIED] * 4


def test_what_is_under_way_is_broken_off_at_the_end():
    with scripted(lambda *_: (time.sleep(0.05), (200, "", {}))[1]) as receiver, black_hole() as host:
        made = sender(at_once=1)
        began = time.monotonic()
        with Sending(made) as sending:
            sending.begin(0, post(f"http://{host}/"))
            for n in range(20):
                sending.begin(n, post(receiver.address))
            sending.answers(10)
        assert time.monotonic() - began < 8
        time.sleep(0.2)
        assert 1 <= len(receiver.requests) < 4
    assert not any(thread.name == "hokusai-webhooks" for thread in threading.enumerate())


def test_what_was_broken_off_says_nothing_against_the_endpoint():
    with black_hole() as host:
        made = sender(failures=1)
        for _ in range(2):
            with Sending(made) as sending:
                sending.begin(0, post(f"http://{host}/"))
                assert sending.answers(0.1) == []
        assert made.resting == []


def test_threads_can_share_a_sender():
    def several(_):
        return {(a.verdict, a.error) for a in answers(made, *[receiver.address] * 10)}

    with recording() as receiver, ThreadPoolExecutor(4) as pool:
        made = sender()
        assert list(pool.map(several, range(4))) == [{(Verdict.DELIVERED, "")}] * 4
        assert len(receiver.seen) == 40


# TLS


def certificate(name, issuer=None):
    """A certificate for a host and its key, made by a new authority or by that of another."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    by, by_key = issuer or (subject, key)
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        alternatives = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
        made = made.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    signed = made.sign(by_key, hashes.SHA256())
    return signed, key, subject


@contextmanager
def encrypted(folder, name):
    """A receiver with a certificate for a host; yields it, the names that clients asked for, and its authority."""
    authority, authority_key, subject = certificate("An authority")
    made, key, _ = certificate(name, (subject, authority_key))
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(key.private_bytes(pem, *plain) + made.public_bytes(pem))
    asked = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    context.sni_callback = lambda _socket, server_name, _context: asked.append(server_name)
    with recording() as receiver:
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        trusting = ssl.create_default_context(cadata=authority.public_bytes(pem).decode())
        yield receiver, asked, trusting


def test_over_tls_the_hosts_name_is_asked_for_and_its_certificate_checked(tmp_path, known):
    known("127.0.0.1")
    with encrypted(tmp_path, "hooks.example.org") as (receiver, asked, trusting):
        url = f"https://hooks.example.org:{receiver.server.server_port}/"
        assert answer(sender(tls=trusting), url).verdict is Verdict.DELIVERED
        assert receiver.seen[0].headers["host"] == url.removeprefix("https://").rstrip("/")
    assert asked == ["hooks.example.org"]


def test_a_certificate_for_another_host_is_not_taken(tmp_path, known):
    known("127.0.0.1")
    with encrypted(tmp_path, "other.example.org") as (receiver, _, trusting):
        found = answer(sender(tls=trusting), f"https://hooks.example.org:{receiver.server.server_port}/")
        assert receiver.seen == []
    assert (found.verdict, "certificate" in found.error.lower()) == (Verdict.LATER, True)


def test_a_certificate_of_an_unknown_authority_is_not_taken(tmp_path, known):
    known("127.0.0.1")
    with encrypted(tmp_path, "hooks.example.org") as (receiver, _, _trusting):
        found = answer(sender(), f"https://hooks.example.org:{receiver.server.server_port}/")
        assert receiver.seen == []
    assert (found.verdict, "certificate" in found.error.lower()) == (Verdict.LATER, True)
