"""What both clients do on a network that fails: servers that drop, stall, refuse, redirect and talk nonsense."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import logging
import socket
import ssl
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from hokusai_nb.backends.http import AsyncHokusaiClient, HokusaiClient, transport
from hokusai_nb.backends.http import async_client as async_module
from hokusai_nb.backends.http import client as client_module
from hokusai_nb.config import configure
from hokusai_nb.errors import (
    AccessError,
    DatabaseConnectionError,
    RateLimitError,
    ServiceConnectionError,
    ServiceError,
    TokenNotFoundError,
)
from hokusai_nb.log import logger
from hokusai_nb.schema.lifecycle import NewToken
from tests.conftest import free_port
from tests.servers import black_hole, scripted

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_as_it_was")]
KEY = "hk-live-0123456789"
NOW = "2026-01-02T03:04:05Z"
HEALTH = "/api/v1/health"
ALIVE = (200, {"status": "ok"}, {})


def token(token_id="XRAY"):
    return {"token_id": token_id, "model_status": "draft", "created_at": NOW, "updated_at": NOW, "metadata": {}}


def refusal(status, error, headers=None, **more):
    body = {"status": status, "what": "It failed.", "hint": "Try again.", "error": error, **more}
    return status, body, {"Content-Type": "application/problem+json", **(headers or {})}


def in_turn(*answers):
    """Answers one after the other, the last of them for ever; questions after the server's health apart."""
    left = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))

    def answer(_, path):
        return ALIVE if path == HEALTH else next(left)

    return answer


@contextmanager
def takes(least, most):
    """Claim how many seconds it takes, with some more for a machine that is busy with other tests."""
    began = time.monotonic()
    yield
    assert least <= time.monotonic() - began <= most + 8


GOOD = (200, token(), {})


@pytest.fixture
def _sooner(monkeypatch):
    """Everything that is waited for, in a fifth of the time."""
    for module in (transport, client_module, async_module):
        for name in ("SILENT_SECONDS", "PROBE_SECONDS", "PATIENCE_SECONDS"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name) / 5)


sooner = pytest.mark.usefixtures("_sooner")


def test_a_record_comes_back_and_the_connection_is_used_again(client_of):
    with scripted(in_turn(GOOD)) as server:
        client = client_of(server.address)
        for _ in range(5):
            found = client.token("XRAY")
        assert (found.token_id, found.model_status) == ("XRAY", "draft")
        assert server.requests == [("GET", "/api/v1/tokens/XRAY")] * 5
        assert len(server.connections) == 1


def test_a_path_below_the_endpoint_is_kept(client_of):
    with scripted(in_turn(GOOD)) as server:
        client_of(f"{server.address}/hokusai/").token("XRAY")
        assert server.requests == [("GET", "/hokusai/api/v1/tokens/XRAY")]


def test_the_key_goes_along_and_a_query_says_what_was_given(client_of):
    with scripted(in_turn((200, {"entries": []}, {}))) as server:
        assert list(client_of(server.address, KEY).models("a&b=c #", token="MSG-AI", page_size=7)) == []
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
        assert server.headers[0]["User-Agent"].startswith("hokusai_nb/")
        assert server.targets == ["/api/v1/models?prefix=a%26b%3Dc+%23&token=MSG-AI&limit=7"]


def test_a_list_is_read_page_by_page_and_no_page_too_many(client_of):
    pages = [
        (200, {"entries": [token("A-1"), token("A-2")], "next_cursor": "c/1"}, {}),
        (200, {"entries": [token("A-3")], "next_cursor": "c2"}, {}),
        (200, {"entries": []}, {}),
    ]
    with scripted(in_turn(*pages)) as server:
        found = client_of(server.address).tokens(page_size=2)
        assert server.requests == []
        assert [next(found).token_id for _ in range(2)] == ["A-1", "A-2"]
        assert server.targets == ["/api/v1/tokens?limit=2"]
        assert [t.token_id for t in found] == ["A-3"]
        assert server.targets[1:] == ["/api/v1/tokens?limit=2&cursor=c%2F1", "/api/v1/tokens?limit=2&cursor=c2"]


def test_a_list_that_goes_round_in_a_circle_ends_in_an_error(client_of):
    with scripted(in_turn((200, {"entries": [token()], "next_cursor": "c"}, {}))) as server:
        with pytest.raises(ServiceError, match="round in a circle"):
            list(client_of(server.address).tokens())
        assert len(server.requests) == 2


def test_what_is_posted_has_a_key_by_which_a_repetition_is_known(client_of):
    with scripted(in_turn(None, refusal(503, "DatabaseConnectionError"), GOOD)) as server:
        client = client_of(server.address)
        client.create_token(NewToken(token_id="XRAY"))
        client.create_token(NewToken(token_id="XRAY"))
        *same, other = [h["Idempotency-Key"] for h in server.headers]
        assert len(set(same)) == 1
        assert other != same[0]
        assert {uuid.UUID(k).version for k in (*same, other)} == {4}
        assert {json.loads(body)["token_id"] for body in server.bodies} == {"XRAY"}
        client.token("XRAY")
        assert "Idempotency-Key" not in server.headers[-1]


@pytest.mark.parametrize("bad", [None, (502, "", {}), (503, "busy", {}), (504, "", {}), (429, "", {})])
def test_what_may_pass_is_asked_again(client_of, bad):
    with scripted(in_turn(bad, bad, GOOD)) as server:
        assert client_of(server.address).token("XRAY").token_id == "XRAY"
        assert server.count("/XRAY") == 3


def test_an_answer_that_breaks_off_is_asked_for_again(client_of):
    with scripted(in_turn((200, "{", {"Content-Length": "100", "Connection": "close"}), GOOD)) as server:
        assert client_of(server.address).token("XRAY").token_id == "XRAY"
        assert server.count("/XRAY") == 2


@sooner
def test_a_server_that_stays_away_is_given_up_in_its_own_words(client_of):
    with scripted(in_turn(refusal(503, "DatabaseConnectionError"))) as server:
        with takes(0.2, 2), pytest.raises(DatabaseConnectionError, match="It failed"):
            client_of(server.address).token("XRAY")
        assert server.count("/XRAY") >= 3


def test_the_time_that_a_busy_server_asks_for_is_waited(client_of):
    with scripted(in_turn(refusal(429, "RateLimitError", retry_after=0.7), GOOD)) as server, takes(0.7, 2):
        assert client_of(server.address).token("XRAY").token_id == "XRAY"
        assert server.count("/XRAY") == 2


@pytest.mark.parametrize("headers", [{"Retry-After": "60"}, {"Retry-After": "1000000000"}])
def test_a_server_that_is_busy_for_long_is_not_waited_for(client_of, headers):
    with scripted(in_turn(refusal(429, "RateLimitError", headers))) as server:
        with takes(0, 1), pytest.raises(RateLimitError) as caught:
            client_of(server.address).token("XRAY")
        assert caught.value.retry_after == float(headers["Retry-After"])
        assert server.count("/XRAY") == 1


def test_what_will_not_pass_is_asked_once(client_of):
    answers = [
        (refusal(404, "TokenNotFoundError"), TokenNotFoundError),
        (refusal(401, "AccessError"), AccessError),
        (refusal(502, "RegistryError"), Exception),
        ((500, "oops", {}), ServiceError),
        ((200, "<html>", {"Content-Type": "text/html"}), ServiceError),
    ]
    for answer, kind in answers:
        with scripted(in_turn(answer)) as server:
            with pytest.raises(kind):
                client_of(server.address).token("XRAY")
            assert server.count("/XRAY") == 1


@pytest.mark.parametrize("question", ["health", "ready"])
def test_how_the_server_is_now_is_asked_once(client_of, question):
    with scripted(lambda *_: refusal(503, "DatabaseConnectionError", {"Retry-After": "1"})) as server:
        client = client_of(server.address)
        with takes(0, 0.9), pytest.raises(DatabaseConnectionError):
            getattr(client, question)()
        assert server.requests == [("GET", f"/api/v1/{question}")]


@pytest.mark.parametrize("lost", [None, (502, "", {}), (504, "", {})])
def test_a_deletion_whose_answer_was_lost_is_done(client_of, lost):
    with scripted(in_turn(lost, refusal(404, "ModelNotFoundError"))) as server:
        assert client_of(server.address).delete_version("churn", 1) is None
        assert server.requests == [("DELETE", "/api/v1/models/churn/versions/1")] * 2


# A server that is not there


@sooner
def test_a_closed_port_is_tried_again_and_reported(client_of):
    address = f"http://127.0.0.1:{free_port()}"
    with takes(0.2, 2), pytest.raises(ServiceConnectionError, match=f"{address}: the connection failed") as caught:
        client_of(address).token("XRAY")
    assert "HOKUSAI_API_ENDPOINT" in caught.value.hint


def test_a_server_that_never_answers_is_reported_within_five_seconds(client_of):
    with black_hole() as place, takes(3, 5), pytest.raises(ServiceConnectionError, match="did not answer in time"):
        client_of(f"http://{place}").token("XRAY")


def test_a_host_that_takes_no_connection_is_reported_as_soon_as_that_is_known(client_of):
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        place = listener.getsockname()
        # One waits already, and there is room for no other: the system drops it.
        waiting = socket.create_connection(place)
        with closing(waiting), takes(1, 3), pytest.raises(ServiceConnectionError, match="did not answer in time"):
            client_of(f"http://127.0.0.1:{place[1]}").token("XRAY")


@sooner
def test_an_answer_that_comes_before_the_sign_of_life_is_taken(client_of):
    def answer(_, path):
        time.sleep(3 if path == HEALTH else 0.6)
        return ALIVE if path == HEALTH else GOOD

    with scripted(answer) as server, takes(0.5, 2):
        assert client_of(server.address).token("XRAY").token_id == "XRAY"
        assert server.count(HEALTH) == 1


@sooner
def test_a_server_that_freezes_in_the_middle_is_reported(client_of):
    thaw, frozen = threading.Event(), []

    def answer(*_):
        if frozen:
            thaw.wait(20)
        return GOOD

    with scripted(answer) as server:
        client = client_of(server.address)
        client.token("XRAY")
        frozen.append(True)
        with takes(0.5, 2), pytest.raises(ServiceConnectionError, match="did not answer in time"):
            client.create_token(NewToken(token_id="XRAY"))
        thaw.set()
        frozen.clear()
        assert client.token("XRAY").token_id == "XRAY"


@sooner
def test_a_server_that_is_slow_and_alive_is_waited_for(client_of):
    def answer(_, path):
        if path == HEALTH:
            return 503, "<html>", {}
        time.sleep(1)
        return GOOD

    with scripted(answer) as server:
        assert client_of(server.address).token("XRAY").token_id == "XRAY"
        assert server.count("/XRAY") == 1
        assert 1 <= server.count(HEALTH) <= 3
        assert "Authorization" not in next(
            h for h, r in zip(server.headers, server.requests, strict=True) if r[1] == HEALTH
        )


@sooner
def test_many_that_wait_ask_together_for_a_sign_of_life(client_of):
    def answer(_, path):
        time.sleep(0.25 if path == HEALTH else 0.9)
        return ALIVE if path == HEALTH else GOOD

    with scripted(answer) as server, ThreadPoolExecutor(20) as pool:
        client = client_of(server.address)
        assert {t.token_id for t in pool.map(lambda _: client.token("XRAY"), range(20))} == {"XRAY"}
        assert 1 <= server.count(HEALTH) < 10


@sooner
def test_a_sign_of_life_that_failed_is_asked_for_anew(client_of):
    late = [1.5]

    def answer(_, path):
        time.sleep(late.pop() if path == HEALTH and late else 0 if path == HEALTH else 1)
        return ALIVE if path == HEALTH else GOOD

    with scripted(answer) as server:
        client = client_of(server.address)
        with takes(0.5, 1), pytest.raises(ServiceConnectionError, match="did not answer in time"):
            client.token("XRAY")
        assert client.token("XRAY").token_id == "XRAY"


@sooner
def test_a_server_that_answers_others_is_asked_for_no_sign_of_life(client_of):
    def answer(_, path):
        time.sleep(0.9 if path.endswith("/SLOW") else 0.01)
        return ALIVE if path == HEALTH else (200, token("SLOW"), {})

    with scripted(answer) as server, ThreadPoolExecutor(1) as pool:
        client = client_of(server.address)
        waiting = pool.submit(client.token, "SLOW")
        while not waiting.done():
            client.token("XRAY")
        assert waiting.result().token_id == "SLOW"
        assert server.count(HEALTH) == 0


def test_an_answer_is_waited_for_as_long_as_was_said(client_of):
    def answer(_, path):
        time.sleep(1)
        return ALIVE if path == HEALTH else GOOD

    with scripted(answer) as server:
        with takes(0.3, 1.5), pytest.raises(ServiceConnectionError, match="did not answer in time"):
            client_of(server.address, timeout=0.3).token("XRAY")
        configure(http_timeout=0.3)
        with takes(0.3, 1.5), pytest.raises(ServiceConnectionError, match="did not answer in time"):
            client_of(server.address).token("XRAY")
        assert server.count("/XRAY") == 2


def test_an_answer_that_drips_has_to_end_in_time(client_of):
    def drops():
        while True:
            yield b" "
            time.sleep(0.1)

    with scripted(lambda *_: (200, drops(), {})) as server:
        client = client_of(server.address, timeout=0.6)
        with takes(0.5, 2), pytest.raises(ServiceConnectionError, match="did not answer in time"):
            client.token("XRAY")


def test_a_host_without_a_name_is_reported_at_once(client_of):
    with takes(0, 5), pytest.raises(ServiceConnectionError, match="its name is not known"):
        client_of("https://no-such-host.invalid").token("XRAY")


def test_a_server_without_tls_is_reported_at_once(client_of):
    with scripted(in_turn(GOOD)) as server:
        client = client_of(server.address.replace("http:", "https:"))
        with takes(0, 2), pytest.raises(ServiceConnectionError, match="does not speak TLS"):
            client.token("XRAY")


def test_a_server_with_a_certificate_of_its_own_is_reported_at_once(client_of, tmp_path):
    certify = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-keyout", "key.pem", "-out", "cert.pem", "-days", "1", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*certify, *names], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with scripted(in_turn(GOOD)) as server:
        server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
        client = client_of(server.address.replace("http:", "https:"))
        with takes(0, 2), pytest.raises(ServiceConnectionError, match="its certificate is not accepted"):
            client.token("XRAY")
        assert server.requests == []


# A server that means no good


def test_the_key_is_sent_to_no_other_host(client_of):
    with scripted(in_turn(GOOD)) as elsewhere:
        location = {"Location": f"{elsewhere.address}/api/v1/tokens/XRAY"}
        for status in (301, 302, 307, 308):
            with scripted(in_turn((status, "", location))) as server:
                with pytest.raises(ServiceError, match="answered 30") as caught:
                    client_of(server.address, KEY).token("XRAY")
                assert "not followed" in caught.value.hint
        assert elsewhere.requests == []


def test_a_key_that_is_repeated_by_the_server_is_not_shown(client_of):
    answer = refusal(401, "AccessError")
    answer[1]["what"] = f"Bearer {KEY} is wrong."
    with scripted(in_turn(answer)) as server:
        with pytest.raises(AccessError) as caught:
            client_of(server.address, KEY).token("XRAY")
        assert caught.value.what == "Bearer *** is wrong."


def test_an_answer_has_a_largest_size_packed_or_not(client_of, monkeypatch):
    monkeypatch.setattr(transport, "MAX_ANSWER", 2**20)

    def packed():
        yield gzip.compress(b" " * 50_000_000)

    def endless():
        while True:
            yield b" " * 65_536

    for body, headers in ((packed, {"Content-Encoding": "gzip"}), (endless, {})):
        with scripted(lambda *_, body=body, headers=headers: (200, body(), headers)) as server:
            with takes(0, 2), pytest.raises(ServiceError, match="more than 1 MiB"):
                client_of(server.address).token("XRAY")
            assert server.count("/XRAY") == 1


def test_an_answer_that_cannot_be_unpacked_is_damaged(client_of):
    with scripted(in_turn((200, "no gzip", {"Content-Encoding": "gzip"}))) as server:
        client = client_of(server.address)
        with pytest.raises(ServiceError, match="is damaged"):
            client.token("XRAY")


def test_the_log_names_each_request_without_key_and_query(client_of, caplog):
    with scripted(in_turn((503, "", {}), (200, {"entries": []}, {}))) as server:
        configure(log_level="DEBUG")
        client = client_of(server.address, KEY)
        logger.addHandler(caplog.handler)
        try:
            with caplog.at_level(logging.DEBUG):
                list(client.events("XRAY"))
        finally:
            logger.removeHandler(caplog.handler)
        ours = [r.getMessage() for r in caplog.records if r.name == logger.name]
        assert any("GET" in line and "/api/v1/events: 200 after" in line for line in ours)
        assert any("Asking again" in line for line in ours)
        assert not any(KEY in line or "token_id" in line for line in ours)


# Many at once


def test_a_client_is_shared_by_threads_or_tasks(client_of):
    def answer(_, path):
        return 200, token(path.rpartition("/")[2]), {}

    with scripted(answer) as server, ThreadPoolExecutor(16) as pool:
        client = client_of(server.address)
        names = [f"TOKEN-{n}" for n in range(200)]
        assert [t.token_id for t in pool.map(client.token, names)] == names
        assert len(server.connections) <= 40


def test_requests_wait_for_their_turn(client_of, monkeypatch):
    monkeypatch.setattr(client_module, "CONNECTIONS", 2)
    monkeypatch.setattr(async_module, "CONNECTIONS", 2)
    now, most = [], []

    def answer(*_):
        now.append(1)
        most.append(len(now))
        time.sleep(0.05)
        now.pop()
        return GOOD

    with scripted(answer) as server, ThreadPoolExecutor(8) as pool:
        client = client_of(server.address)
        list(pool.map(lambda _: client.token("XRAY"), range(8)))
        assert max(most) == 2


def test_a_closed_client_cannot_be_used():
    client = HokusaiClient("http://127.0.0.1:9", "k")
    with client as same:
        assert same is client
    with pytest.raises(RuntimeError, match="closed"):
        client.token("XRAY")


@sooner
def test_a_closed_client_leaves_no_request_under_way():
    async def leave(place):
        async with AsyncHokusaiClient(f"http://{place}", "k") as client:
            with pytest.raises(ServiceConnectionError):
                await client.token("XRAY")
            assert len(asyncio.all_tasks()) > 1  # what was given up is still giving back its connection
        return asyncio.all_tasks() - {asyncio.current_task()}

    with black_hole() as place:
        assert asyncio.run(leave(place)) == set()


def test_a_task_that_is_cancelled_ends_its_request():
    async def leave(address):
        async with AsyncHokusaiClient(address, "k") as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.token("XRAY"), 0.3)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.wait(others, timeout=0.5) if others else None
            return [t for t in others if not t.done()]

    def answer(*_):
        time.sleep(3)
        return GOOD

    with scripted(answer) as server, takes(0.3, 2.5):
        assert asyncio.run(leave(server.address)) == []
