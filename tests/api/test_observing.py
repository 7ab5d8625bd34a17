import http.client
import io
import json
import logging
import re
import sys
import threading
import time
import warnings

import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from hokusai_nb.api import observing
from hokusai_nb.api.observing import Metrics, Observed, join_logs, log_as_json
from hokusai_nb.errors import DatabaseError
from hokusai_nb.log import logger
from tests.apis import Api, app_thread


def pending_of(text):
    return re.findall(r"^hokusai_deliveries_pending (\S+)$", text, re.MULTILINE)


@pytest.fixture
def metrics():
    return Metrics(lambda: 7)


@pytest.fixture
def client(metrics):
    app = FastAPI(middleware=[Middleware(Observed, metrics=metrics)])

    @app.get("/tokens/{token_id}")
    def show(token_id: str) -> str:
        return token_id

    @app.get("/broken")
    def broken() -> None:
        msg = "postgresql://me:s3cret@db/x is /srv/secret/path"
        raise RuntimeError(msg)

    @app.get("/gone")
    async def gone() -> None:
        raise ClientDisconnect

    @app.get("/half")
    def half() -> StreamingResponse:
        def content():
            yield b"half"
            msg = "the other half"
            raise RuntimeError(msg)

        return StreamingResponse(content())

    with app_thread(app) as url:
        api = Api(url)
        yield lambda path, **headers: api.ask(headers.pop("method", "GET"), path, key=None, headers=headers)


@pytest.fixture
def stderr(monkeypatch):
    """What this process logs as JSON, as a server does."""
    root, access = logging.getLogger(), logging.getLogger("hokusai_nb.access")
    before = root.handlers[:], root.level, logger.level, access.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logging.captureWarnings(capture=False)
    log_as_json("WARNING")
    yield written
    logging.captureWarnings(capture=False)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logger.setLevel(before[2])
    access.setLevel(before[3])


def lines(written, number=1):
    """So many lines, the last of which are written once the sender has its answer."""
    deadline = time.monotonic() + 5
    while written.getvalue().count("\n") < number and time.monotonic() < deadline:
        time.sleep(0.01)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def counted(metrics, line):
    """The metrics as text, once they have the line."""
    deadline = time.monotonic() + 5
    while line not in metrics.text().decode() and time.monotonic() < deadline:
        time.sleep(0.01)
    return metrics.text().decode()


def test_requests_are_counted_by_route_and_not_by_path(client, metrics):
    client("/tokens/A")
    client("/tokens/B")
    client("/nothing")
    client("/tokens/A", method="BREW")
    text = counted(metrics, 'hokusai_requests_total{method="OTHER"')
    assert 'hokusai_requests_total{method="GET",route="/tokens/{token_id}",status="200"} 2.0' in text
    assert 'route="none",status="404"} 1.0' in text
    assert "BREW" not in text
    assert 'hokusai_request_seconds_count{method="GET",route="/tokens/{token_id}"} 2.0' in text
    assert "hokusai_requests_under_way 0.0" in text


def test_deliveries_that_wait_are_counted_when_they_are_asked_for(metrics):
    assert pending_of(metrics.text().decode()) == ["7.0"]


def test_a_database_that_is_away_leaves_a_gap_and_no_zero():
    def fail():
        msg = "Away."
        raise DatabaseError(msg)

    assert pending_of(Metrics(fail).text().decode()) == []


@pytest.mark.parametrize("given", ["a-b_c.1", "x" * 128])
def test_a_request_id_that_is_well_formed_is_kept(client, given):
    assert client("/tokens/A", **{"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'a"b', "{}"])
def test_any_other_request_id_is_replaced(client, given):
    found = client("/tokens/A", **{"X-Request-ID": given}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", found)


def test_an_unexpected_failure_says_its_id_and_nothing_else(client, stderr):
    answer = client("/broken")
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["request_id"] in document["hint"]
    for secret in ("s3cret", "RuntimeError", "Traceback", "/srv/secret"):
        assert secret not in answer.content.decode()
    failed, told = lines(stderr, 2)
    assert failed["level"] == "error"
    assert "RuntimeError" in failed["trace"]
    assert "s3cret" not in stderr.getvalue()
    assert (told["message"], told["status"]) == ("request", 500)


def test_an_answer_that_fails_halfway_is_broken_off_and_logged(client, stderr):
    with pytest.raises(http.client.IncompleteRead):
        client("/half")
    ours = [line for line in lines(stderr, 2) if line["logger"].startswith("hokusai_nb")]
    assert [line["message"].partition(" ")[0] for line in ours] == ["Request", "request"]


def test_a_sender_who_has_gone_is_no_failure(client, stderr):
    assert client("/gone").status == 500  # the answer that uvicorn gives where there is none
    assert [line["status"] for line in lines(stderr) if line["message"] == "request"] == [499]


def test_a_request_is_one_line_of_json_without_its_query(client, stderr):
    secret = {"X-Request-ID": "r-1", "Authorization": "Bearer s3cret"}
    client("/tokens/A?token=s3cret&api_key=s3cret", **secret)
    (line,) = lines(stderr)
    assert {k: line[k] for k in ("request_id", "method", "path", "route", "status", "level", "key")} == {
        "request_id": "r-1",
        "method": "GET",
        "path": "/tokens/A",
        "route": "/tokens/{token_id}",
        "status": 200,
        "level": "info",
        "key": None,
    }
    assert line["milliseconds"] >= 0
    assert "s3cret" not in stderr.getvalue()


def test_a_line_of_the_package_is_json_too(stderr):
    logger.warning("Line\nbreak of %s", "postgresql://me:s3cret@db/x")
    (line,) = lines(stderr)
    assert line["message"] == "Line\nbreak of postgresql://***@db/x"
    assert line["time"].endswith("Z")


def test_a_library_with_a_handler_of_its_own_logs_as_json_too(stderr, request):
    library = logging.getLogger("library.with.handler")
    library.addHandler(logging.StreamHandler(stderr))
    library.propagate = False
    request.addfinalizer(library.handlers.clear)
    join_logs()
    library.error("Exception on %s", "/x", exc_info=RuntimeError("postgresql://me:s3cret@db/x"))
    (line,) = lines(stderr)
    assert (line["logger"], line["level"], line["message"]) == ("library.with.handler", "error", "Exception on /x")
    assert "RuntimeError: postgresql://***@db/x" in line["trace"]


def test_a_file_of_a_library_s_own_stays_as_it_is(stderr, request, tmp_path):
    library = logging.getLogger("library.with.file")
    handler = logging.FileHandler(tmp_path / "log")
    library.addHandler(handler)
    request.addfinalizer(handler.close)
    request.addfinalizer(library.handlers.clear)
    join_logs()
    library.error("plain")
    assert (tmp_path / "log").read_text() == "plain\n"
    assert [line["message"] for line in lines(stderr)] == ["plain"]


def test_a_warning_is_logged_as_json(stderr):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("postgresql://me:s3cret@db/x is old", stacklevel=1)
    (line,) = lines(stderr)
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "postgresql://***@db/x is old" in line["message"]


def test_a_thread_that_fails_is_logged_as_json(stderr):
    def fail():
        msg = "s3cret is whsec_abcdef"
        raise RuntimeError(msg)

    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()
    (line,) = lines(stderr)
    assert (line["level"], line["message"]) == ("error", "Thread worker failed.")
    assert "RuntimeError: s3cret is whsec_***" in line["trace"]


def test_the_metrics_of_a_server_need_a_key_and_name_its_routes(tokens_api):
    assert tokens_api.ask("GET", "/metrics", key=None).status == 401
    tokens_api.ask("GET", "/api/v1/tokens/MSG-AI", key="read")
    answer = tokens_api.ask("GET", "/metrics", key="read")
    assert answer.headers["content-type"] == observing.CONTENT_TYPE
    text = answer.content.decode()
    assert 'hokusai_requests_total{method="GET",route="/api/v1/tokens/{token_id}",status="404"} 1.0' in text
    assert pending_of(text) == ["0.0"]
