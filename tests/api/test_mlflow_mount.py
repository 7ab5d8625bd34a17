from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import mlflow
import pytest
import uvicorn
from google.protobuf.json_format import Parse
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from hokusai_nb.api.mlflow_mount import Guard, below, proxied
from hokusai_nb.api.mlflow_refusals import for_mlflow
from hokusai_nb.api.problems import Refusal, problem_response
from hokusai_nb.errors import HokusaiError, ValidationError
from hokusai_nb.schema.problems import Problem
from tests.api.mlflow_host import application
from tests.api.mlflow_routes import endpoints
from tests.conftest import free_port, stop
from tests.recorders import recording
from tests.servers import black_hole

VALID = {"hokusai_token_id": "MSG-AI", "benchmark_metric": "reply_rate", "benchmark_value": "0.1342"}
BROKEN = {**VALID, "benchmark_value": "13.42"}
ROOT = Path(__file__).parents[2]


@contextmanager
def host(folder, *arguments):
    """A real server with MLflow below ``/api/mlflow``, in a process of its own; yields MLflow's address."""
    port = free_port()
    command = [sys.executable, "-m", "tests.api.mlflow_host", str(port), *arguments]
    with (folder / "host.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None, (folder / "host.log").read_text()[-2000:]
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/api/mlflow"
    finally:
        stop(process)


@pytest.fixture(scope="module")
def in_process(tmp_path_factory, migrated_database):
    folder = tmp_path_factory.mktemp("mounted")
    (folder / "mlflow.db").write_bytes(migrated_database.read_bytes())
    with host(folder, "mounted", f"sqlite:///{folder / 'mlflow.db'}", str(folder / "files")) as address:
        yield address


@pytest.fixture(scope="module")
def passed_on(server):
    with running(application("proxied", server)) as address:
        yield address


@pytest.fixture(params=["in_process", "passed_on"])
def address(request, monkeypatch):
    """MLflow below ``/api/mlflow``, in process and passed on to a stock server; the key may register."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "register")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return request.getfixturevalue(request.param)


def ask(method, address, path="", body=None, **headers):
    """Send one request as it stands, and return status, headers and body."""
    place, _, mount = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(place, timeout=60)
    connection.putrequest(method, f"/{mount}{path}", skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    if body is not None and "Transfer_Encoding" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    try:
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def create(client, name, tags=None, run=None):
    run = run or client.create_run("0").info.run_id
    return client.create_model_version(name, f"runs:/{run}/model", run_id=run, tags=tags, await_creation_for=0)


@contextmanager
def refused(*words, code="INVALID_PARAMETER_VALUE"):
    with pytest.raises(MlflowException) as caught:
        yield
    assert caught.value.error_code == code
    for word in words:
        assert word in str(caught.value)


@pytest.mark.slow
def test_a_stock_client_logs_a_run_uploads_an_artifact_and_registers(address, tmp_path, unique):
    client = mlflow.MlflowClient(address)
    experiment = client.create_experiment(unique("experiment"))
    run = client.create_run(experiment)
    client.log_batch(run.info.run_id, metrics=[Metric("reply_rate", 0.1342, 0, 0)])
    content = bytes(range(256)) * 20_000
    odd = tmp_path / "wéights a+b c%,1.bin"
    odd.write_bytes(content)
    client.log_artifact(run.info.run_id, str(odd), "model dir")
    assert [f.path for f in client.list_artifacts(run.info.run_id, "model dir")] == [f"model dir/{odd.name}"]
    fetched = client.download_artifacts(run.info.run_id, f"model dir/{odd.name}", str(tmp_path))
    assert Path(fetched).read_bytes() == content
    name = client.create_registered_model(unique("model")).name
    source = f"{run.info.artifact_uri}/model dir"
    made = client.create_model_version(name, source, run.info.run_id, tags=VALID, await_creation_for=0)
    client.set_model_version_tag(name, made.version, "note", "x")
    client.delete_model_version_tag(name, made.version, "note")
    client.set_registered_model_alias(name, "production", made.version)
    assert client.get_model_version_by_alias(name, "production").tags == VALID
    assert client.get_run(run.info.run_id).data.metrics == {"reply_rate": 0.1342}


@pytest.mark.slow
def test_a_stock_client_needs_no_more_than_the_key_of_the_registry(in_process, monkeypatch, tmp_path, unique):
    monkeypatch.setenv("HOKUSAI_API_ENDPOINT", in_process.removesuffix("/api/mlflow"))
    monkeypatch.setenv("HOKUSAI_API_KEY", "register")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    client = mlflow.MlflowClient(in_process)
    run = client.create_run(client.create_experiment(unique("experiment")))
    client.log_text(run.info.run_id, "hello", "a.txt")
    fetched = client.download_artifacts(run.info.run_id, "a.txt", str(tmp_path))
    assert Path(fetched).read_text() == "hello"
    monkeypatch.delenv("HOKUSAI_API_KEY")
    with refused("There is no such key.", code="UNAUTHENTICATED"):
        client.get_run(run.info.run_id)


@pytest.mark.slow
def test_tags_that_break_the_schema_are_refused_whatever_client_sent_them(address, unique):
    client = mlflow.MlflowClient(address)
    name = client.create_registered_model(unique("model")).name
    with refused("reply_rate must be", "Did you mean 0.1342?"):
        create(client, name, BROKEN)
    made = create(client, name, VALID)
    with refused("Token ID format invalid: 'msg_ai'"):
        client.set_model_version_tag(name, made.version, "hokusai_token_id", "msg_ai")
    with refused("Tag benchmark_metric is missing."):
        client.delete_model_version_tag(name, made.version, "benchmark_metric")
    body = json.dumps({"name": name, "version": made.version, "key": "benchmark_value", "value": "9"}).encode()
    for prefix in ("/api/2.0", "/ajax-api/2.0"):
        path = f"{prefix}/mlflow/model-versions/set-tag"
        headers = {"Content_Type": "application/json", "Authorization": "Bearer admin"}
        status, _, answer = ask("POST", address, path, body, **headers)
        assert (status, json.loads(answer)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert [v.tags for v in client.search_model_versions(f"name='{name}'")] == [VALID]
    plain = create(client, name)
    client.set_model_version_tag(name, plain.version, "note", "x")
    client.register_prompt(unique("prompt"), "Hello {{name}}")


@pytest.mark.slow
def test_a_ticker_is_taken_where_the_token_store_has_it(address, unique):
    client = mlflow.MlflowClient(address)
    name = client.create_registered_model(unique("model")).name
    assert create(client, name, {**VALID, "hokusai_token_id": "XRAY"}).version
    with refused("only where a token store confirms it"):
        create(client, name, {**VALID, "hokusai_token_id": "ABSENT"})


@pytest.mark.slow
def test_without_a_key_no_route_of_mlflow_answers(address):
    place, _, mount = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(place, timeout=60)
    asked = {(e.method, e.filled().replace(" ", "%20")) for e in endpoints()}
    odd = ("", "/", "//", "/..", "/../..", "/%2e%2e/health", "//health", "/./health", "/health/", "/health%2f", "/%00")
    odd += (
        "/static-files/../x",
        "/a%5c..%5cb",
        "/%252e%252e/x",
        "/api/mlflow/health",
        "/docs",
        "/openapi.json",
        "/nope",
    )
    asked |= {
        (method, path) for path in odd for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE", "TRACE", "BREW")
    }
    for method, path in sorted(asked):
        connection.request(method, f"/{mount}{path}", headers={"Content-Length": "0"})
        answer = connection.getresponse()
        answer.read()
        # The router before the guard sends the mount's bare path to the one with a slash.
        assert answer.status == (307 if path == "" else 401), (method, path, answer.status)
    connection.close()


@pytest.mark.slow
def test_without_a_key_no_websocket_opens(address):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    status, _, _ = ask("GET", address, "/graphql", Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", **headers)
    assert status in (401, 403)


@pytest.mark.slow
def test_a_key_reaches_what_its_scope_covers(address, unique, monkeypatch):
    client = mlflow.MlflowClient(address)
    name = client.create_registered_model(unique("model")).name
    with refused("The key has no scope admin.", code="PERMISSION_DENIED"):
        client.delete_registered_model(name)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "read")
    assert client.get_registered_model(name).name == name
    with refused("The key has no scope register.", code="PERMISSION_DENIED"):
        create(client, name)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "admin")
    client.delete_registered_model(name)
    with refused(code="RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(name)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "none")
    with refused("There is no such key.", code="UNAUTHENTICATED"):
        client.get_registered_model(name)


@pytest.mark.slow
def test_the_assistant_is_served_to_nobody(address):
    for path in ("/providers", "/config", ""):
        for method in ("GET", "POST", "PUT"):
            where = f"/ajax-api/3.0/mlflow/assistant{path}"
            status, headers, answer = ask(method, address, where, b"{}", Authorization="Bearer admin")
            assert (status, headers["content-type"]) == (404, "application/problem+json")
            assert json.loads(answer)["error_code"] == "ENDPOINT_NOT_FOUND"


@pytest.mark.slow
def test_the_pages_of_mlflow_are_served_below_the_mount(address):
    status, _, page = ask("GET", address, "/", Authorization="Bearer read")
    assert status == 200
    assert b"MLflow" in page
    assert ask("GET", address, "/version", Authorization="Bearer read")[2] == mlflow.__version__.encode()


@pytest.mark.slow
def test_artifacts_can_be_read_in_the_process_that_serves_them(in_process, monkeypatch, unique):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "register")
    client = mlflow.MlflowClient(in_process)
    run = client.create_run(client.create_experiment(unique("experiment")))
    client.log_text(run.info.run_id, "hello", "model/MLmodel")
    place = in_process.removesuffix("/api/mlflow")
    with urllib.request.urlopen(f"{place}/files?run={run.info.run_id}", timeout=60) as answer:
        assert json.load(answer) == ["model"]


# --- the guard by itself


async def call(app, scope, *messages):
    """Call an application as a server would, and return what it sends."""
    sent, left = [], list(messages)

    async def receive():
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def answers(scope, receive, send):
    await PlainTextResponse(f"{scope['root_path']}|{below(scope)}")(scope, receive, send)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_guard_asks_for_each_scope_and_shuts_when_it_is_refused(kind):
    asked = []

    async def never(scope):
        asked.append(scope["type"])
        return PlainTextResponse("no", 401)

    denial = {"extensions": {"websocket.http.response": {}}}
    scope = {"type": kind, "path": "/x", "method": "GET", "headers": [], **denial}
    sent = asyncio.run(call(Guard(answers, never), scope))
    assert sent[0]["type"] == ("http.response.start" if kind == "http" else "websocket.http.response.start")
    assert sent[0]["status"] == 401
    assert asked == [kind]


def test_a_websocket_is_closed_where_the_server_cannot_answer_one():
    async def never(_):
        return PlainTextResponse("no", 401)

    scope = {"type": "websocket", "path": "/x", "headers": []}
    assert asyncio.run(call(Guard(answers, never), scope)) == [{"type": "websocket.close", "code": 1008}]


def test_a_lifespan_passes_unasked():
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["type"])

    async def never(_):
        raise AssertionError

    asyncio.run(call(Guard(app, never), {"type": "lifespan"}))
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    ("root", "path", "seen"),
    [
        ("/api/mlflow", "/api/mlflow/health", "/health"),
        ("/api/mlflow", "/api/mlflow", "/"),
        ("/api/mlflow/", "/api/mlflow/health", "/health"),
        ("/api/mlflow", "/api/mlflow//x/..", "//x/.."),
        ("/api/mlflow", "/api/mlflow-artifacts", "/api/mlflow-artifacts"),
        ("", "/health", "/health"),
    ],
)
def test_the_path_below_the_mount_is_what_is_left_of_it(root, path, seen):
    assert below({"path": path, "root_path": root}) == seen


def test_a_refusal_speaks_to_mlflow_s_clients_too():
    error = ValidationError([Problem(field="value", what="It is wrong.", hint="Make it right.")])
    document = json.loads(bytes(for_mlflow(problem_response(error, status=400, headers={"X-Y": "z"})).body))
    assert (document["what"], document["hint"]) == ("It is wrong.", "Make it right.")
    assert (document["error_code"], document["message"]) == ("INVALID_PARAMETER_VALUE", "It is wrong. Make it right.")
    asked = for_mlflow(problem_response(Refusal(401, "No."), headers={"WWW-Authenticate": "Bearer"}))
    assert asked.headers["www-authenticate"] == "Bearer"


# --- what is passed on, seen from the server behind


@contextmanager
def running(app):
    """A real uvicorn in a thread; yields its address."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/api/mlflow"
    finally:
        server.should_exit = True
        thread.join(30)


async def anyone(_):
    return None


@contextmanager
def passing_on_to(uri):
    made = proxied(uri)

    @asynccontextmanager
    async def closing(_):
        yield
        await made.aclose()

    app = Starlette(routes=[Mount("/api/mlflow", Guard(made, anyone))], lifespan=closing)
    with running(app) as address:
        yield address


@pytest.fixture(scope="module")
def recorder():
    with recording() as server:
        yield server


@pytest.fixture
def behind(recorder):
    """The server behind, which has seen nothing yet and has no answers of its own."""
    recorder.seen, recorder.answers = [], {}
    return recorder


@pytest.fixture(scope="module")
def front(recorder):
    with ExitStack() as open_until_the_end:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_TOKEN", "ours")
            address = open_until_the_end.enter_context(passing_on_to(recorder.address))
        yield address


SET = "/api/2.0/mlflow/model-versions/set-tag"
CREATE = "/api/2.0/mlflow/model-versions/create"
GET = "/api/2.0/mlflow/model-versions/get"


def test_the_server_behind_sees_its_own_credentials_and_no_client_s(front, behind):
    ask(
        *("GET", front, "/api/2.0/mlflow/runs/get?run_id=a%2Fb&x=1"),
        Authorization="Bearer hk-client",
        X_API_Key="hk-client",
        Cookie="session=hk-client",
        X_Forwarded_For="10.0.0.1",
        X_Remote_User="root",
        X_MLflow_Workspace="w",
        User_Agent="mlflow",
        Connection="close, X-MLflow-Secret",
    )
    (seen,) = behind.seen
    assert seen.target == "/api/2.0/mlflow/runs/get?run_id=a%2Fb&x=1"
    assert seen.headers == {
        "host": behind.address.removeprefix("http://"),
        "authorization": "Bearer ours",
        "x-mlflow-workspace": "w",
        "user-agent": "mlflow",
    }


@pytest.mark.parametrize(
    ("variables", "userinfo", "sent"),
    [
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "pw"}, "", "Basic bWU6cHc="),
        ({}, "me:pw@", "Basic bWU6cHc="),
        ({}, "", None),
    ],
)
def test_credentials_for_the_server_behind_come_from_where_mlflow_takes_them(
    behind, monkeypatch, variables, userinfo, sent
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with passing_on_to(behind.address.replace("http://", f"http://{userinfo}")) as front:
        ask("GET", front, "/version")
    assert behind.authorizations == [sent]


def test_bodies_are_streamed_both_ways_as_they_are(front, behind):
    content = bytes(range(256)) * 20_000
    path = "/api/2.0/mlflow-artifacts/artifacts/1/a%20b%25c.bin"
    behind.answers["c.bin"] = lambda seen: (200, content, {"ETag": "x", "Content-Type": "a/b"}) if not seen.body else {}
    assert ask("PUT", front, path, content, Content_Type="a/b")[0] == 200
    status, headers, found = ask("GET", front, path, Range="bytes=0-")
    assert (status, found, headers["etag"], headers["content-type"]) == (200, content, "x", "a/b")
    assert (behind.seen[0].target, behind.seen[0].body) == (path, content)
    assert behind.seen[0].headers["content-length"] == str(len(content))
    assert "transfer-encoding" not in behind.seen[0].headers
    assert behind.seen[1].headers["range"] == "bytes=0-"


def test_a_body_of_unknown_length_arrives_whole(front, behind):
    chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    ask("PUT", front, "/api/2.0/mlflow-artifacts/artifacts/1/a", chunks, Transfer_Encoding="chunked")
    assert [seen.body for seen in behind.seen] == [b"hello world"]


def test_an_upload_that_breaks_off_is_not_taken_for_a_whole_one(front, behind):
    place, _, mount = front.removeprefix("http://").partition("/")
    name, _, port = place.partition(":")
    start = f"PUT /{mount}/api/2.0/mlflow-artifacts/artifacts/1/a HTTP/1.1\r\nHost: {place}\r\n"
    for framing in ("Content-Length: 1000\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        with socket.create_connection((name, int(port)), timeout=10) as client:
            client.sendall((start + framing).encode())
            time.sleep(0.3)
    deadline = time.monotonic() + 10
    while len(behind.seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [seen.body for seen in behind.seen] == [None, None]


def test_answers_pass_without_what_concerns_our_account_behind(front, behind):
    more = {"Set-Cookie": "session=ours", "Server": "behind", "X-Own": "1", "Connection": "X-Hop", "X-Hop": "1"}
    behind.answers["/version"] = (418, b"tea", more)
    status, headers, content = ask("GET", front, "/version")
    assert (status, content, headers["x-own"]) == (418, b"tea", "1")
    assert not {"set-cookie", "x-hop"} & set(headers)
    assert headers["server"] == "uvicorn"


def problem(answer):
    status, headers, content = answer
    assert headers["content-type"] == "application/problem+json"
    document = json.loads(content)
    assert document["status"] == status
    assert document["what"]
    return status, document


def test_a_server_behind_that_is_down_is_said_in_a_problem_document():
    address = f"http://me:secret@127.0.0.1:{free_port()}"
    with passing_on_to(address) as front:
        status, document = problem(ask("GET", front, "/version"))
        assert (status, document["error_code"]) == (502, "TEMPORARILY_UNAVAILABLE")
        assert "the connection failed" in document["what"]
        assert "secret" not in str(document)


def test_one_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with black_hole() as place, passing_on_to(f"http://{place}") as front:
        status, document = problem(ask("GET", front, "/version"))
        assert (status, "did not answer in time" in document["what"]) == (502, True)


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(front, behind):
    behind.answers["/version"] = (200, b"half", {"Content-Length": "1000"})
    with pytest.raises(http.client.IncompleteRead):
        ask("GET", front, "/version")


def test_refused_credentials_of_ours_are_not_blamed_on_the_client(front, behind):
    behind.answers["/version"] = (401, b"who are you", {"WWW-Authenticate": "Basic"})
    status, document = problem(ask("GET", front, "/version"))
    assert status == 502
    assert "refuses this server's own credentials" in document["what"]


def test_redirects_are_followed_by_nobody_to_anywhere_else(front, behind):
    with recording() as elsewhere:
        behind.answers["/version"] = (302, b"", {"Location": f"{elsewhere.address}/login"})
        status, document = problem(ask("GET", front, "/version"))
        assert status == 502
        assert "sends to another place" in document["what"]
        assert elsewhere.seen == []
    behind.answers["/old"] = (308, b"", {"Location": f"{behind.address}/new?x=1"})
    assert ask("GET", front, "/old")[1]["location"] == "/api/mlflow/new?x=1"
    behind.answers["/a/b"] = (308, b"", {"Location": "c"})
    assert ask("GET", front, "/a/b")[1]["location"] == "/api/mlflow/a/c"


@pytest.mark.parametrize(
    "path",
    [
        "//version",
        "/..",
        "/a/../version",
        "/%2e%2e/version",
        "/./version",
        "/a%5c..%5cb",
        "/a//b",
        "/a%0dX:%201",
        "/a%00b",
    ],
)
def test_a_path_that_could_be_read_as_another_is_not_passed_on(front, behind, path):
    assert problem(ask("GET", front, path))[0] == 400
    assert behind.seen == []


def test_a_name_encoded_twice_is_passed_on_as_it_was(front, behind):
    ask("GET", front, "/api/2.0/mlflow-artifacts/artifacts/%252e%252e/a%252fb")
    assert [seen.target for seen in behind.seen] == ["/api/2.0/mlflow-artifacts/artifacts/%252e%252e/a%252fb"]


def body_of(tags, **more):
    listed = [{"key": key, "value": value} for key, value in tags.items()]
    return {"name": "m", "source": "mlflow-artifacts:/m", "tags": listed, **more}


@pytest.mark.parametrize("prefix", ["/api/2.0", "/ajax-api/2.0", "/api/2.0/preview", "/prefix/api/2.0"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_version_that_breaks_the_schema_is_not_passed_on_by_any_path(front, behind, prefix, slash):
    path = f"{prefix}/mlflow/model-versions/create{slash}"
    for method in ("POST", "PUT"):
        status, document = problem(ask(method, front, path, json.dumps(body_of(BROKEN)).encode()))
        assert (status, document["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert "reply_rate must be" in document["message"]
    assert behind.seen == []
    assert ask("POST", front, path, json.dumps(body_of(VALID, own_field=1)).encode())[0] == 200
    assert [json.loads(seen.body) for seen in behind.seen] == [body_of(VALID, own_field=1)]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(json.dumps(body_of(BROKEN))).encode(),
        json.dumps(body_of(BROKEN)).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(body_of(BROKEN)).encode(),
        b'{"name": "m", "source": "s", "tags": [], "tags": [{"key": "benchmark_value", "value": "9"}]}',
        b'{"name": "m", "tags": [{"key": "a", "key": "benchmark_value", "value": "9"}]}',
        b'{"name": "m", "source": "s", "tags": [{"key": "benchmark_value", "value": "9"}, {"key": 1}]}',
        b'{"name": 7}',
        b"[]",
        b"{",
        b'"{"',
        b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_no_spelling_of_a_request_gets_by(front, behind, body):
    assert problem(ask("POST", front, CREATE, body, Content_Type="application/json"))[0] == 400
    assert behind.seen == []


def test_what_is_passed_on_is_what_was_checked(front, behind):
    ask("POST", front, CREATE, json.dumps(json.dumps(body_of({**VALID, "note": "ü"}))).encode())
    assert [json.loads(seen.body) for seen in behind.seen] == [body_of({**VALID, "note": "ü"})]


def test_a_request_for_a_version_has_a_bounded_size(front, behind):
    status, _ = problem(ask("POST", front, CREATE, b" " * (16 * 2**20 + 1)))
    assert status == 413
    assert behind.seen == []


def stored(tags):
    return {"model_version": {"tags": [{"key": k, "value": v} for k, v in tags.items()]}}


def tag(key, value=None, version="1"):
    body = {"name": "m", "version": version, "key": key}
    return json.dumps(body if value is None else {**body, "value": value}).encode()


def test_a_change_of_tags_is_judged_by_all_tags_of_the_version(front, behind):
    behind.answers[GET] = stored(VALID)
    delete = "/ajax-api/2.0/mlflow/model-versions/delete-tag"
    assert problem(ask("POST", front, SET, tag("benchmark_metric", "perplexity")))[0] == 400
    assert problem(ask("DELETE", front, delete, tag("hokusai_token_id")))[0] == 400
    assert {seen.target for seen in behind.seen} == {f"{GET}?name=m&version=1"}
    assert ask("POST", front, SET, tag("note", "x"), X_MLflow_Workspace="w")[0] == 200
    assert ask("DELETE", front, delete, tag("note"))[0] == 200
    assert [s.path for s in behind.seen[2:]] == [GET, SET, GET, delete]
    assert behind.seen[2].headers["x-mlflow-workspace"] == "w"


def test_a_version_that_is_not_there_is_left_to_mlflow(front, behind):
    behind.answers[GET] = (404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}, {})
    behind.answers[SET] = (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}, {})
    assert ask("POST", front, SET, tag("benchmark_value", "9"))[0] == 404


@pytest.mark.parametrize("found", [(500, {}, {}), b"no json", {"model_version": {"tags": [{"key": "a"}]}}, []])
def test_tags_that_cannot_be_learnt_are_not_changed(front, behind, found):
    behind.answers[GET] = found
    status, document = problem(ask("POST", front, SET, tag("note", "x")))
    assert status == 502
    assert "does not say which tags version 1 of 'm' has" in document["what"]
    assert {seen.path for seen in behind.seen} == {GET}


def test_of_two_changes_at_once_that_only_together_break_the_schema_one_is_refused(front, behind):
    tags = {**VALID, "benchmark_metric": "r2"}

    def read(_):
        found = stored(tags)
        time.sleep(0.2)
        return found

    def write(seen):
        asked = json.loads(seen.body)
        tags[asked["key"]] = asked["value"]
        return {}

    behind.answers[GET], behind.answers[SET] = read, write
    statuses = []

    def change(*asked):
        statuses.append(ask("POST", front, SET, tag(*asked))[0])

    changes = [("benchmark_value", "-3", "1"), ("benchmark_metric", "accuracy", "01")]
    threads = [threading.Thread(target=change, args=asked) for asked in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 400]
    assert (tags["benchmark_metric"], tags["benchmark_value"]) != ("accuracy", "-3")


@pytest.mark.parametrize("uri", ["sqlite:///x", "http://", "mlflow", "http://h/?x=1", "ftp://me:secret@h"])
def test_only_a_server_can_be_passed_on_to(uri):
    with pytest.raises(HokusaiError, match="cannot be passed on to") as caught:
        proxied(uri)
    assert "secret" not in str(caught.value)


def test_credentials_that_only_mlflow_s_client_can_use_are_refused(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "kubernetes")
    with pytest.raises(HokusaiError, match="come from a plugin of MLflow"):
        proxied("http://127.0.0.1:1")


ELSEWHERE = [
    *("/etc", "file:///etc", "s3://bucket/x", "http://127.0.0.1:1/x", "mlflow-artifacts://127.0.0.1:1/x", "etc"),
    *("mlflow-artifacts:/../etc", "mlflow-artifacts:/%2e%2e/etc", "mlflow-artifacts:/%252e%252e\\etc", " s3://b/x"),
    *("runs:/\t/h/x", "MLFLOW-ARTIFACTS:/x"),
]
EXPERIMENTS = "/mlflow/experiments/create"
VERSIONS = "/mlflow/model-versions/create"


def sent(address, path, body, key="register"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content_Type": "application/json"}
    status, headers, answer = ask("POST", address, path, content, **headers)
    return status, headers["content-type"], json.loads(answer)


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["/api/2.0", "/ajax-api/2.0"])
def test_no_experiment_lies_outside_mlflow(address, unique, prefix):
    for place in ELSEWHERE:
        name = unique("elsewhere")
        spellings = [{"artifact_location": place}, {"artifactLocation": place}]
        bodies = [json.dumps({"name": name, **spelt}) for spelt in spellings]
        for body in (*bodies, json.dumps(bodies[0])):
            status, _, document = sent(address, f"{prefix}{EXPERIMENTS}", body.encode())
            assert (status, document["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), place
            assert "keeps no artifacts at" in document["message"]
    form = ask(
        *("POST", address, f"{prefix}{EXPERIMENTS}?name=x&artifact_location=/etc", b"name=x&artifact_location=/etc"),
        Authorization="Bearer register",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert form[0] == 400
    for place in ({}, {"artifact_location": ""}, {"artifact_location": "mlflow-artifacts:/mine"}):
        assert sent(address, f"{prefix}{EXPERIMENTS}", {"name": unique("inside"), **place})[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["/api/2.0", "/ajax-api/2.0"])
def test_no_version_is_made_from_what_lies_outside_mlflow(address, unique, prefix):
    name = unique("elsewhere")
    client = mlflow.MlflowClient(address)
    client.create_registered_model(name)
    run = client.create_run("0").info
    for place in ELSEWHERE:
        body = {"name": name, "source": place, "run_id": run.run_id}
        status, _, document = sent(address, f"{prefix}{VERSIONS}", body)
        assert (status, document["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), place
        assert "keeps no artifacts at" in document["message"]
    assert client.create_model_version(name, f"{run.artifact_uri}/model", run_id=run.run_id).version
    first = client.create_model_version(name, f"runs:/{run.run_id}/model", run_id=run.run_id)
    assert client.create_model_version(name, f"models:/{name}/{first.version}").version


@pytest.mark.slow
def test_a_prompt_is_made_by_a_stock_client(address, unique):
    client = mlflow.MlflowClient(address)
    assert client.register_prompt(unique("prompt"), "Say {{it}}.").version == 1


@pytest.mark.slow
def test_a_trace_is_not_led_outside_mlflow(address):
    for body in (
        {"key": "mlflow.artifactLocation", "value": "/etc"},
        {"trace": {"trace_info": {"tags": {"mlflow.artifactLocation": "s3://bucket/x"}}}},
        {"tags": [{"key": "mlflow.artifactLocation", "value": "http://127.0.0.1:1/"}]},
    ):
        status, _, document = sent(address, "/api/3.0/mlflow/traces/tr-1/tags", body)
        assert status == 400
        assert "keeps no artifacts at" in document["message"]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/etc", "s3://bucket/x", "http://127.0.0.1:1/", "mlflow-artifacts:/../etc"])
@pytest.mark.parametrize("key", ["mlflow.trace.archiveLocation", "MLflow.trace.archiveLocation "])
def test_no_archived_trace_is_looked_for_outside_mlflow(address, place, key):
    new = trace_info(secrets.token_hex(16))
    new["trace_info"]["tags"] = {key: place, "mlflow.trace.spansLocation": "ARCHIVE_REPO"}
    status, _, document = sent(address, "/api/3.0/mlflow/traces", {"trace": new})
    assert status == 400
    assert "keeps no artifacts at" in document["message"]


def trace_info(trace_id):
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    times = {"request_time": "2026-01-02T03:04:05Z", "state": "OK"}
    return {"trace_info": {"trace_id": trace_id, "trace_location": place, **times, "tags": {}}}


@pytest.mark.slow
def test_the_id_of_a_trace_does_not_lead_outside_mlflow(address, tmp_path):
    (tmp_path / "traces.json").write_text('{"spans": [], "leak": 1}')
    for trace_id in (f"../../../../../../../../..{tmp_path}#", "tr-1?", "tr-%2e%2e", "..", "a/../../b", "a\\..\\b"):
        for new in ({"trace": trace_info(trace_id)}, {"trace": {"traceInfo": {"traceId": trace_id}}}):
            status, _, document = sent(address, "/api/3.0/mlflow/traces", new)
            assert (status, document["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), trace_id
    made = sent(address, "/api/3.0/mlflow/traces", {"trace": trace_info(f"tr-{secrets.token_hex(16)}")})
    assert made[0] == 200


@pytest.mark.slow
def test_a_stock_client_traces_and_reads_its_spans(address, monkeypatch):
    mlflow.set_tracking_uri(address)
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    try:
        with mlflow.start_span("asked", attributes={"layers": 3}) as span:
            span.set_inputs({"question": "ü"})
            mlflow.update_current_trace(tags={"team": "a"})
        found = mlflow.MlflowClient(address).get_trace(span.trace_id)
    finally:
        mlflow.set_tracking_uri(None)
    assert found.info.tags["team"] == "a"
    assert [(s.name, s.inputs, s.get_attribute("layers")) for s in found.data.spans] == [
        ("asked", {"question": "ü"}, 3)
    ]


SPANS = "/v1/traces"


def spans_of(trace_id, **attributes):
    listed = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    span = {"traceId": trace_id, "spanId": secrets.token_hex(8), "name": "r", "attributes": listed}
    span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def as_protobuf(spans):
    from mlflow.server.otel_api import _convert_otlp_json_ids_to_base64

    return Parse(_convert_otlp_json_ids_to_base64(json.dumps(spans).encode()), ExportTraceServiceRequest())


def send_spans(address, body, kind="application/json", key="register", **headers):
    said = {"Authorization": f"Bearer {key}", "Content_Type": kind, "X_MLflow_Experiment_Id": "0", **headers}
    status, _, answer = ask("POST", address, SPANS, body, **said)
    return status, answer


def forms(spans):
    """A request in each form that MLflow reads: body, type and encoding."""
    plain = json.dumps(spans).encode()
    packed = as_protobuf(spans).SerializeToString()
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return [
        (plain, "application/json", {}),
        (plain, "application/json; charset=utf-8", {}),
        (packed, "application/x-protobuf", {}),
        (gzip.compress(packed), "application/x-protobuf", {"Content_Encoding": "gzip"}),
        (gzip.compress(plain), "application/json", {"Content_Encoding": "GZIP"}),
        (zlib.compress(packed), "application/x-protobuf", {"Content_Encoding": "deflate"}),
        (raw.compress(packed) + raw.flush(), "application/x-protobuf", {"Content_Encoding": "deflate"}),
    ]


@pytest.mark.slow
def test_spans_arrive_in_each_form_that_mlflow_reads(address):
    for _ in range(2):
        trace_id = secrets.token_hex(16)
        for body, kind, headers in forms(spans_of(trace_id, **{"mlflow.traceTag.team": "a"})):
            status, answer = send_spans(address, body, kind, **headers)
            assert (status, answer) == (200, b""), (kind, headers)
        info = mlflow.MlflowClient(address).get_trace(f"tr-{trace_id}").info
        assert info.tags["team"] == "a"


@pytest.mark.slow
def test_no_span_leads_a_trace_outside_mlflow(address, tmp_path):
    (tmp_path / "traces.json").write_text('{"spans": [], "leak": 1}')
    trace_id = secrets.token_hex(16)
    led = {
        "mlflow.traceTag.mlflow.artifactLocation": tmp_path.as_uri(),
        "mlflow.traceTag.mlflow.trace.spansLocation": "ARTIFACT_REPO",
    }
    for body, kind, headers in forms(spans_of(trace_id, **led)):
        status, answer = send_spans(address, body, kind, **headers)
        assert (status, json.loads(answer)["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), (kind, headers)
    key = {"Authorization": "Bearer read"}
    found = ask("GET", address, f"/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-{trace_id}", **key)
    assert found[0] >= 400
    assert b"leak" not in found[2]


@pytest.mark.parametrize("path", [SPANS, f"{SPANS}/", f"/prefix{SPANS}", "/V1/traces"])
def test_spans_are_checked_by_any_path(front, behind, path):
    body = json.dumps(spans_of("0" * 32, **{"mlflow.traceTag.mlflow.trace.archiveLocation": "/etc"})).encode()
    for method in ("POST", "PUT"):
        assert problem(ask(method, front, path, body, Content_Type="application/json"))[0] == 400
    assert behind.seen == []


def test_spans_are_passed_on_as_they_were_checked(front, behind):
    spans = spans_of("a" * 32, team="a")
    for body, kind, headers in forms(spans):
        assert ask("POST", front, SPANS, body, Content_Type=kind, **headers)[0] == 200
    for seen in behind.seen:
        assert ExportTraceServiceRequest.FromString(seen.body) == as_protobuf(spans)
        assert seen.headers["content-type"] == "application/x-protobuf"
        assert "content-encoding" not in seen.headers


@pytest.mark.slow
def test_a_failure_of_mlflow_is_told_without_a_page(in_process):
    status, kind, document = sent(in_process, "/api/2.0/mlflow/runs/create", b'"{"')
    assert (status, kind) == (500, "application/problem+json")
    assert (document["error_code"], document["what"]) == ("INTERNAL_ERROR", "MLflow failed at this request.")


def test_a_page_of_a_failing_server_behind_is_not_passed_on(front, behind):
    path = "/api/2.0/mlflow/runs/get"
    behind.answers[path] = (500, "<html>Traceback</html>", {"Content-Type": "text/html"})
    status, document = problem(ask("GET", front, path))
    assert status == 500
    assert "Traceback" not in json.dumps(document)


def test_a_version_may_be_made_from_what_its_run_holds_behind(front, behind):
    run = "/api/2.0/mlflow/runs/get"
    behind.answers[run] = {"run": {"info": {"artifact_uri": "s3://b/0/r/artifacts"}}}

    def make(source):
        body = body_of({}, run_id="r") | {"source": source}
        return ask("POST", front, CREATE, json.dumps(body).encode())[0]

    assert make("s3://b/0/r/artifacts/model") == 200
    assert [make(s) for s in ("s3://b/0/r/artifacts2", "s3://b/0/r/artifacts/../x", "s3://b")] == [400, 400, 400]
    behind.answers[run] = (404, {}, {})
    assert make("s3://b/0/r/artifacts/model") == 400


def test_a_file_may_be_called_like_a_request(front, behind):
    path = "/api/2.0/mlflow-artifacts/artifacts/0/experiments/create"
    assert ask("PUT", front, path, b"no json")[0] == 200
    assert behind.seen[0].body == b"no json"
