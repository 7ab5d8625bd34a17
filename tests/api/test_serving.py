import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from hokusai_nb.api.options import ServerConfig
from hokusai_nb.api.serving import serve
from hokusai_nb.errors import HokusaiError
from tests.apis import NO_MLFLOW, api_server
from tests.servers import Scripted

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


def test_what_cannot_be_served_ends_the_process_with_an_error_in_words(tmp_path):
    code = (
        "from hokusai_nb.api.options import ServerConfig; from hokusai_nb.api.serving import serve; "
        "serve(ServerConfig(mlflow_uri='file:///tmp', rate_limit='x'), port=0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "The rate limit 'x' cannot be read." in done.stderr


def test_what_keeps_one_of_several_processes_from_starting_ends_them_all(tmp_path, sqlite_config):
    code = (
        "import sys; from hokusai_nb.api.options import ServerConfig; from hokusai_nb.api.serving import serve; "
        "serve(ServerConfig.model_validate_json(sys.argv[1]), port=0, workers=2)"
    )
    given = ServerConfig(database=sqlite_config, mlflow_uri="mysql://nobody@127.0.0.1:9/x").model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", code, given], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert "Error: " in done.stderr


def test_a_server_that_is_told_to_stop_finishes_what_is_under_way(tmp_path):
    begun, go = threading.Event(), threading.Event()

    def slow(_method, path):
        if path.endswith("/search"):
            begun.set()
            go.wait(10)
        return 200, {"experiments": []}, {"Content-Type": "application/json"}

    upstream = Scripted(slow)
    try:
        with api_server(tmp_path, mlflow_uri=upstream.address) as api:
            answers = []
            path = "/api/mlflow/api/2.0/mlflow/experiments/search?max_results=1"
            asking = threading.Thread(target=lambda: answers.append(api.ask("GET", path, key="read")))
            asking.start()
            assert begun.wait(10)
            api.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(OSError, match="refused"):
                urllib.request.urlopen(f"{api.url}/api/v1/health", timeout=2)
            assert api.process.poll() is None
            go.set()
            asking.join()
            api.process.wait(15)
            assert [a.status for a in answers] == [200]
            messages = [line["message"] for line in api.lines()]
            assert "Application shutdown complete." in messages
            assert all(line["level"] in ("info", "warning") for line in api.lines())
    finally:
        upstream.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_whatever_is_logged_is_json_and_holds_no_secret(tmp_path, migrated_database, workers):
    database = None if workers == 1 else migrated_database  # one makes its tables, which has warnings and more
    mlflow_uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    env = {"PYTHONWARNINGS": "default"}
    with api_server(tmp_path, database, workers=workers, mlflow_uri=mlflow_uri, env=env) as api:
        answer = api.ask("POST", "/api/mlflow/api/2.0/mlflow/runs/create", content=b'"{postgresql://me:s3cret@db/x"')
        assert answer.status == 500
        assert api.ask("GET", "/api/mlflow/api/2.0/mlflow/runs/get?run_id=x").status == 404
        assert api.ask("GET", "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/nothing").status == 404
    written = [json.loads(line) for line in api.log.read_text().splitlines()]
    failed = [line for line in written if line["logger"] == "mlflow.server"]
    assert [line["message"] for line in failed] == ["Exception on /api/2.0/mlflow/runs/create [POST]"]
    assert "JSONDecodeError" in failed[0]["trace"]
    assert "py.warnings" in {line["logger"] for line in written}


def children(pid):
    """The processes that a process has started, without those that only serve Python itself."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_requests_of_a_process_that_was_killed_are_not_under_way_for_ever(tmp_path):
    begun, go = threading.Event(), threading.Event()

    def slow(_method, _path):
        begun.set()
        go.wait(60)
        return 200, {}, {"Content-Type": "application/json"}

    def never_answered(path):
        with suppress(OSError, http.client.HTTPException):
            api.ask("GET", path)

    upstream = Scripted(slow)
    try:
        with api_server(tmp_path, mlflow_uri=upstream.address, workers=2) as api:
            path = "/api/mlflow/api/2.0/mlflow/experiments/search?max_results=1"
            waiting = threading.Thread(target=never_answered, args=[path])
            waiting.start()
            assert begun.wait(20)
            assert "hokusai_requests_under_way 2.0" in api.ask("GET", "/metrics").content.decode()
            killed = children(api.process.pid)
            assert len(killed) == 2
            for child in killed:
                os.kill(child, signal.SIGKILL)
            waiting.join(20)
            deadline = time.monotonic() + 60
            found = ""
            while "hokusai_requests_under_way 1.0" not in found and time.monotonic() < deadline:
                time.sleep(0.2)
                with suppress(OSError, http.client.HTTPException):  # nobody listens until they are replaced
                    found = api.ask("GET", "/metrics").content.decode()
            assert "hokusai_requests_under_way 1.0" in found
    finally:
        go.set()
        upstream.close()


def test_no_answer_is_kept_back_until_the_client_acknowledges_its_head(api):
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"))
    taken = []
    for _ in range(20):  # a kernel acknowledges the first ones at once
        start = time.perf_counter()
        connection.request("GET", "/api/v1/health")
        connection.getresponse().read()
        taken.append(time.perf_counter() - start)
    connection.close()
    assert min(taken[10:]) < 0.03


def test_several_processes_share_a_port_a_database_and_what_they_tell(tmp_path, postgres_config):
    with api_server(tmp_path, database=postgres_config, workers=2) as api:
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
        assert any("counts requests alone" in line["message"] for line in api.lines())
        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(20) in (0, -signal.SIGTERM)
    stopped = [line for line in api.lines() if line["message"] == "Application shutdown complete."]
    assert len(stopped) == 2
