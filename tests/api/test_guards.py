import asyncio
import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from hokusai_nb.api import guards
from hokusai_nb.api.guards import BoundedBodies, KnownHosts, ProtectingHeaders


def raw(api, method, path, *, headers=None, body=None, encode_chunked=False):
    """Send a request as it is, also with a body in chunks or a length that is not its own."""
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=30)
    sent = {"Authorization": f"Bearer {api.keys['admin']}", "Content-Type": "application/json", **(headers or {})}
    connection.request(method, path, body, sent, encode_chunked=encode_chunked)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read() or b"null")
    connection.close()
    return found


def serve(app, **scope):
    """Return the answer of an ASGI application: its status, headers and body."""
    sent = []
    host = FastAPI()
    host.state.hidden = {}
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": "http",
        "headers": [],
        "app": host,
        "state": {"request_id": "r"},
        **scope,
    }

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


async def hello(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"server", b"hello/1.0")]})
    await send({"type": "http.response.body", "body": b"hello"})


def test_a_body_over_the_limit_is_refused_before_it_is_read(start):
    api = start(body_limit=1000)
    answer = api.ask("POST", "/api/v1/tokens", {"token_id": "MSG-AI", "metadata": {"a": "x" * 1000}})
    assert answer.status == 413
    assert "1,000 bytes" in answer.json()["what"]
    for more in ({}, {"Expect": "100-continue"}):
        headers = {"Content-Length": "10000000000", **more}
        status, document = raw(api, "POST", "/api/v1/tokens", headers=headers, body=b"")
        assert (status, document["title"]) == (413, "Request Entity Too Large")


def test_a_body_without_a_length_is_cut_off_at_the_limit(start):
    api = start(body_limit=1000)
    chunks = (b'{"token_id": "MSG-AI", "metadata": {"a": "' if n == 0 else b"x" * 100 for n in range(1000))
    status, document = raw(
        api, "POST", "/api/v1/tokens", headers={"Transfer-Encoding": "chunked"}, body=chunks, encode_chunked=True
    )
    assert (status, document["error"]) == (413, "ValidationError")
    assert api.ask("GET", "/api/v1/tokens/MSG-AI").status == 404
    assert api.ask("POST", "/api/v1/tokens", {"token_id": "MSG-AI"}).status == 201


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 30])
def test_a_length_that_is_no_number_of_bytes_is_refused(length):
    async def read(scope, receive, send):
        await receive()
        await hello(scope, receive, send)

    app = BoundedBodies(read, limit=lambda _method, _path: 1000)
    assert serve(app, headers=[(b"content-length", length.encode())])[0] == 413


def test_an_answer_that_has_begun_is_broken_off_when_the_body_is_too_large():
    async def talk_first(_scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()

    async def app(scope, _receive, send):
        async def endless():
            return {"type": "http.request", "body": b"x" * 100, "more_body": True}

        await BoundedBodies(talk_first, limit=lambda _method, _path: 10)(scope, endless, send)

    with pytest.raises(guards._TooLargeError):
        serve(app)


@pytest.mark.slow
def test_an_uploaded_artifact_has_a_limit_of_its_own(api):
    content = b"x" * (3 << 20)
    path = "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/0/big.bin"
    assert api.ask("PUT", path, content=content).status == 200
    for path, size in (("/api/v1/tokens", len(content)), ("/api/mlflow/api/2.0/mlflow/runs/create", 12 * len(content))):
        # Only announced: a server that refuses a body does not read it, and the sender's connection would break.
        with socket.create_connection((urlsplit(api.url).hostname, urlsplit(api.url).port), timeout=30) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.keys['admin']}\r\n"
            connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("prefix", ["/api/2.0", "/ajax-api/2.0"])
def test_only_what_mlflow_writes_as_it_comes_may_be_large(start, prefix):
    api = start(mlflow_body_limit=1000, upload_limit=5000)
    path = f"/api/mlflow{prefix}/mlflow-artifacts/artifacts/0/big.bin"
    statuses = {
        method: raw(api, method, path, body=b"x" * 2000)[0] for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    }
    assert statuses.pop("PUT") == 502  # passed on, to where nothing listens
    assert set(statuses.values()) == {413}
    assert raw(api, "PUT", path, body=b"x" * 6000)[0] == 413


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/tokens", "/nothing", "/openapi.json"])
@pytest.mark.parametrize("key", [None, "read"])
def test_every_answer_carries_headers_that_protect(tokens_api, path, key):
    headers = tokens_api.ask("GET", path, key=key).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers
    assert "strict-transport-security" not in headers
    assert "access-control-allow-origin" not in headers


def test_https_is_remembered_and_no_server_names_itself():
    headers = serve(ProtectingHeaders(hello), scheme="https")[1]
    assert headers["strict-transport-security"].startswith("max-age=")
    assert "server" not in headers


def test_a_host_that_is_not_ours_is_refused(start):
    api = start(allowed_hosts=["api.example.org", "*.below.example.org", "127.0.0.1"])
    for host, status in {
        "api.example.org": 200,
        "API.example.org:8000": 200,
        "x.below.example.org": 200,
        "127.0.0.1": 200,
        "below.example.org": 421,
        "evil.example": 421,
        "api.example.org.evil.example": 421,
    }.items():
        assert api.ask("GET", "/api/v1/health", key=None, headers={"Host": host}).status == status, host


def test_an_address_of_ipv6_is_a_host_too():
    app = KnownHosts(hello, hosts=["[::1]"])
    assert serve(app, headers=[(b"host", b"[::1]:8000")])[0] == 200
    assert serve(app, headers=[(b"host", b"[::2]:8000")])[0] == 421


def test_any_host_is_answered_where_none_is_named():
    assert serve(KnownHosts(hello, hosts=()), headers=[(b"host", b"evil.example")])[0] == 200
