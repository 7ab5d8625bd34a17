import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from hokusai_nb.api.options import ServerConfig
from hokusai_nb.api.serving import serve
from hokusai_nb.errors import HokusaiError
from tests.apis import NO_MLFLOW, api_server, api_thread
from tests.servers import scripted

pytestmark = pytest.mark.slow


@pytest.fixture
def logging_of_its_own(monkeypatch):
    """What a server changes of the process is put back."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("logging_of_its_own")
def test_an_address_that_is_taken_is_an_error_in_words(sqlite_config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HokusaiError, match=f"Cannot listen at 127.0.0.1 port {port}"):
            serve(ServerConfig(database=sqlite_config, mlflow_uri=NO_MLFLOW), port=port)


CANNOT_SERVE = """
import os, sys
import hokusai_nb.api.app  # loaded once for all that are forked
from hokusai_nb.api.options import ServerConfig
from hokusai_nb.api.serving import serve
for given in sys.argv[1:]:
    if not os.fork():
        workers, _, config = given.partition(" ")
        serve(ServerConfig.model_validate_json(config), port=0, workers=int(workers))
        break
    code = os.waitstatus_to_exitcode(os.wait()[1])
    print(f"ended with {code}", file=sys.stderr, flush=True)
"""


def test_what_cannot_be_served_ends_the_process_with_an_error_in_words_also_where_several_would_start(
    tmp_path, sqlite_config
):
    one = ServerConfig(mlflow_uri="file:///tmp", rate_limit="x")
    several = ServerConfig(database=sqlite_config, mlflow_uri="mysql://nobody@127.0.0.1:9/x")
    given = [f"1 {one.model_dump_json()}", f"2 {several.model_dump_json()}"]
    command = [sys.executable, "-c", CANNOT_SERVE, *given]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120)
    first, second, rest = done.stderr.split("ended with 1\n")
    assert "The rate limit 'x' cannot be read." in first
    assert "Error: " in second
    assert rest == ""


def logged(api):
    """What it has written so far, all of which has to be JSON; a line that is being written is left out."""
    return [json.loads(line) for line in api.log.read_text().rpartition("\n")[0].splitlines()]


def told(api, message):
    return sum(line["message"] == message for line in logged(api))


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """A server of one process, which has made its tables; the test that tells it to stop comes last."""
    folder = tmp_path_factory.mktemp("one")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with api_server(folder, mlflow_uri=uri, env={"PYTHONWARNINGS": "default"}) as running:
        yield running


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, migrated_database, postgres):
    """A server of two processes; the test that tells it to stop comes last."""
    folder, env = tmp_path_factory.mktemp("two"), {"PYTHONWARNINGS": "default"}
    with (
        postgres.database() as database,
        api_server(folder, migrated_database, database=database, workers=2, env=env) as running,
    ):
        wait_until(lambda: told(running, "Application startup complete.") == 2)
        yield running


@contextmanager
def half_an_upload(api):
    """A file of which the server has been sent a half; yields the connection, to send it the other."""
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=30)
    connection.putrequest("PUT", "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/1/half")
    connection.putheader("Authorization", f"Bearer {api.keys['admin']}")
    connection.putheader("Content-Length", "8")
    connection.endheaders(b"half")
    with closing(connection):
        yield connection


def under_way(api):
    """How many requests are under way, this one among them; None while nobody answers."""
    with suppress(OSError, http.client.HTTPException):
        told = api.ask("GET", "/metrics").content.decode()
        return float(re.search(r"^hokusai_requests_under_way (\S+)$", told, re.MULTILINE)[1])
    return None


@pytest.mark.parametrize("server", ["one_process", "two_processes"])
def test_whatever_is_logged_is_json_and_holds_no_secret(request, server):
    api = request.getfixturevalue(server)
    answer = api.ask("POST", "/api/mlflow/api/2.0/mlflow/runs/create", content=b'"{postgresql://me:s3cret@db/x"')
    assert answer.status == 500
    assert api.ask("GET", "/api/mlflow/api/2.0/mlflow/runs/get?run_id=x").status == 404
    assert api.ask("GET", "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/nothing").status == 404
    wait_until(lambda: any(line["logger"] == "mlflow.server" for line in logged(api)))
    written = logged(api)
    failed = [line for line in written if line["logger"] == "mlflow.server"]
    assert [line["message"] for line in failed] == ["Exception on /api/2.0/mlflow/runs/create [POST]"]
    assert "JSONDecodeError" in failed[0]["trace"]
    assert "py.warnings" in {line["logger"] for line in written}
    assert "s3cret" not in api.log.read_text()


def children(pid):
    """The processes that a process has started, without those that only serve Python itself."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_no_answer_is_kept_back_until_the_client_acknowledges_its_head(one_process):
    connection = http.client.HTTPConnection(one_process.url.removeprefix("http://"))
    taken = []
    for _ in range(20):  # a kernel acknowledges the first ones at once
        start = time.perf_counter()
        connection.request("GET", "/api/v1/health")
        connection.getresponse().read()
        taken.append(time.perf_counter() - start)
    connection.close()
    assert min(taken[10:]) < 0.03


def test_several_processes_share_a_port_a_database_and_what_they_tell(two_processes):
    api = two_processes
    with ThreadPoolExecutor(8) as pool:
        once = {"Idempotency-Key": "k"}
        body = {"token_id": "ONCE-AI"}
        answers = list(pool.map(lambda _: api.ask("POST", "/api/v1/tokens", body, headers=once), range(8)))
    assert {a.status for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    for n in range(32):
        assert api.ask("POST", "/api/v1/tokens", {"token_id": f"MSG-{n}"}).status == 201
        assert api.ask("GET", f"/api/v1/tokens/MSG-{n}", key="read").status == 200
    line = 'hokusai_requests_total{method="POST",route="/api/v1/tokens",status="201"} 40.0'
    for _ in range(4):  # whichever process answers
        assert line in api.ask("GET", "/metrics", key="read").content.decode()
    assert any("counts requests alone" in line["message"] for line in logged(api))


def test_requests_of_a_process_that_was_killed_are_not_under_way_for_ever(two_processes):
    api = two_processes
    with half_an_upload(api):
        wait_until(lambda: under_way(api) == 2)
        killed = children(api.process.pid)
        assert len(killed) == 2
        for child in killed:
            os.kill(child, signal.SIGKILL)
        # Nobody listens until they are replaced; one that dies while it is asked whether it lives is missed after 60 s.
        wait_until(lambda: under_way(api) == 1, 40)
    assert not set(killed) & set(children(api.process.pid))
    wait_until(lambda: told(api, "Application startup complete.") == 4)


def test_a_server_that_is_told_to_stop_finishes_what_is_under_way(one_process):
    api = one_process
    before = len(logged(api))
    with half_an_upload(api) as upload:
        wait_until(lambda: under_way(api) == 2)
        api.process.send_signal(signal.SIGTERM)

        def refuses():
            try:
                urllib.request.urlopen(f"{api.url}/api/v1/health", timeout=2).close()
            except OSError as error:
                return "refused" in str(error)
            return False

        wait_until(refuses, 10)
        time.sleep(0.3)
        assert api.process.poll() is None
        upload.send(b"half")
        assert upload.getresponse().status == 200
        api.process.wait(15)
    written = logged(api)[before:]
    assert "Application shutdown complete." in [line["message"] for line in written]
    assert all(line["level"] in ("info", "warning") for line in written)
    assert [path.read_bytes() for path in api.log.parent.rglob("half")] == [b"halfhalf"]


def test_several_processes_that_are_told_to_stop_finish_what_is_under_way(two_processes):
    api = two_processes
    with half_an_upload(api) as upload:
        wait_until(lambda: under_way(api) == 2)
        api.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        upload.send(b"half")
        assert upload.getresponse().status == 200
        assert api.process.wait(20) in (0, -signal.SIGTERM)
    assert told(api, "Application shutdown complete.") == 2


def test_what_is_passed_on_is_finished_too(sqlite_config):
    begun, go = threading.Event(), threading.Event()

    def slow(_method, path):
        if path.endswith("/search"):
            begun.set()
            go.wait(10)
        return 200, {"experiments": []}, {"Content-Type": "application/json"}

    path = "/api/mlflow/api/2.0/mlflow/experiments/search?max_results=1"
    with scripted(slow) as upstream, ThreadPoolExecutor(1) as pool:
        with api_thread(sqlite_config, mlflow_uri=upstream.address) as api:
            asked = pool.submit(api.ask, "GET", path, key="read")
            assert begun.wait(10)
            threading.Timer(0.3, go.set).start()
        assert asked.result().status == 200
