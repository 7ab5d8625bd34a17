from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from hokusai_nb.backends.mlflow import rest
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.config import Settings, configure
from hokusai_nb.errors import ConnectionFailedError, NotFoundError, RegistryError
from hokusai_nb.log import logger, set_level
from tests.conftest import free_port, train
from tests.servers import black_hole, scripted

KEY = "hk-live-0123456789"
EXPERIMENTS = (200, {"experiments": [{"experiment_id": "7", "name": "churn"}]}, {})


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    configure(**dict.fromkeys(Settings.model_fields))
    set_level("WARNING")


def mlflow_like(answer):
    """Answers as a server that is alive; what is asked beyond that, as the function says."""
    return lambda method, path: (200, "OK", {}) if path == "/health" else answer(method, path)


def experiments(address):
    with Backend.at(address).calling() as client:
        return [e.name for e in client.search_experiments()]


def test_an_answer_is_parsed_as_mlflow_parses_it():
    with scripted(mlflow_like(lambda *_: EXPERIMENTS)) as server:
        assert experiments(server.address) == ["churn"]
        assert experiments(server.address) == ["churn"]
        assert server.requests == [("GET", "/health"), *[("POST", "/api/2.0/mlflow/experiments/search")] * 2]


def test_a_closed_port_is_reported_within_five_seconds():
    address, began = f"http://127.0.0.1:{free_port()}", time.monotonic()
    with pytest.raises(ConnectionFailedError, match=f"{address}: the connection failed"):
        experiments(address)
    assert time.monotonic() - began < 5


def test_a_server_that_never_answers_is_reported_within_five_seconds():
    with black_hole() as place:
        began = time.monotonic()
        with pytest.raises(ConnectionFailedError, match="it did not answer in time"):
            experiments(f"http://{place}")
        assert time.monotonic() - began <= 5


def test_a_server_that_freezes_in_the_middle_is_reported_within_five_seconds():
    frozen = []

    def answer(_, path):
        if frozen:
            time.sleep(20)
        return (200, "OK", {}) if path == "/health" else EXPERIMENTS

    with scripted(answer) as server:
        assert experiments(server.address) == ["churn"]
        frozen.append(True)
        began = time.monotonic()
        with pytest.raises(ConnectionFailedError, match="it did not answer in time"):
            experiments(server.address)
        assert time.monotonic() - began <= 5


def test_what_was_given_up_is_not_sent_later(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_POOL_MAXSIZE", "2")
    thawed = threading.Event()

    def answer(*_):
        thawed.wait(20)
        return 200, {}, {}

    with scripted(answer) as server, ThreadPoolExecutor(3) as pool:
        ours = rest.Server(server.address)
        ours._seen = time.monotonic()
        calls = [pool.submit(ours.call, "/create", "POST", "{}", None) for _ in range(3)]
        failures = [call.exception() for call in calls]
        thawed.set()
        time.sleep(0.3)
        assert [type(f) for f in failures] == [ConnectionFailedError] * 3
        assert server.count("/create") == 1, "the connection's two other calls were waiting for their turn"


def test_a_server_that_is_slow_and_alive_is_waited_for():
    def slow(*_):
        time.sleep(2.5)
        return EXPERIMENTS

    with scripted(mlflow_like(slow)) as server:
        assert experiments(server.address) == ["churn"]
        assert server.count("/health") == 2


def test_an_answer_is_waited_for_as_long_as_the_settings_say():
    def slow(*_):
        time.sleep(8)
        return EXPERIMENTS

    configure(http_timeout=0.3)
    with scripted(mlflow_like(slow)) as server:
        began = time.monotonic()
        with pytest.raises(ConnectionFailedError, match="it did not answer in time"):
            experiments(server.address)
        assert time.monotonic() - began < 6
        assert server.count("/search") == 1, "what was too slow once is not asked again"


@pytest.mark.parametrize("statuses", [(429, 502), (503, 504)])
def test_a_read_is_repeated_twice_whatever_the_server_asks_to_wait(statuses):
    answers = [(status, "busy", {"Retry-After": "60"}) for status in statuses] + [EXPERIMENTS]
    with scripted(mlflow_like(lambda *_: answers.pop(0))) as server:
        began = time.monotonic()
        assert experiments(server.address) == ["churn"]
        assert time.monotonic() - began < 30, "Retry-After is 60 seconds"
        assert server.count("/search") == 3


def test_a_read_that_stays_in_vain_is_given_up():
    with scripted(mlflow_like(lambda *_: (503, "busy", {}))) as server:
        with pytest.raises(RegistryError, match="503"):
            experiments(server.address)
        assert server.count("/search") == 3


def test_a_write_is_never_repeated():
    with scripted(mlflow_like(lambda *_: (503, "busy", {}))) as server:
        with pytest.raises(RegistryError, match="503"), Backend.at(server.address).calling() as client:
            client.create_registered_model("churn")
        assert server.count("/create") == 1


def test_setting_a_tag_is_repeated_because_it_makes_no_difference():
    answers = [(503, "busy", {}), (200, {}, {})]
    with scripted(mlflow_like(lambda *_: answers.pop(0))) as server:
        with Backend.at(server.address).calling() as client:
            client.set_tag_of_version("churn", "1", "gpu_type", "A100")
        assert [path.rpartition("/")[2] for _, path in server.requests] == ["health", "set-tag", "set-tag"]


def test_a_server_that_goes_away_between_two_reads_is_asked_again():
    with scripted(mlflow_like(lambda *_: EXPERIMENTS)) as server:
        assert experiments(server.address) == ["churn"]
    began = time.monotonic()
    with pytest.raises(ConnectionFailedError, match="the connection failed"):
        experiments(server.address)
    assert 0.6 < time.monotonic() - began < 5


def test_the_users_own_calls_keep_their_retry_policy(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    busy = [(503, "busy", {})] * 3
    with scripted(mlflow_like(lambda *_: busy.pop() if busy else EXPERIMENTS)) as server:
        with pytest.raises(RegistryError), Backend.at(server.address).calling() as client:
            client.create_registered_model("churn")
        busy.append((503, "busy", {}))
        # Three failures are within the user's own policy, and beyond ours.
        assert [e.name for e in mlflow.MlflowClient(server.address).search_experiments()] == ["churn"]
        assert server.count("/search") == 4


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", ["<html>go away</html>", {"detail": "no"}, {"error_code": "PERMISSION_DENIED"}])
def test_a_refusal_says_which_credentials_to_check(status, body):
    with scripted(mlflow_like(lambda *_: (status, body, {}))) as server:
        with pytest.raises(RegistryError) as caught:
            experiments(server.address)
        assert "refused access" in caught.value.what
        assert "MLFLOW_TRACKING_TOKEN" in caught.value.hint
        assert server.count("/search") == 1


@pytest.mark.parametrize("answer", [(404, "<html>not here</html>", {}), (404, {"detail": "Not Found"}, {})])
def test_a_web_server_that_is_no_mlflow_is_recognised(answer):
    with (
        scripted(mlflow_like(lambda *_: answer)) as server,
        pytest.raises(RegistryError, match="not as an MLflow server") as caught,
        Backend.at(server.address).calling() as client,
    ):
        client.get_run("a")
    assert not isinstance(caught.value, NotFoundError)


@pytest.mark.parametrize("body", ["<html>welcome</html>", "[1, 2]", '{"experiments": 5}', '{"nonsense": {}}', "{"])
def test_an_answer_that_mlflow_would_not_give_is_an_error(body):
    with scripted(mlflow_like(lambda *_: (200, body, {}))) as server:
        if "nonsense" in body:  # fields of a newer server are passed over
            assert experiments(server.address) == []
            return
        with pytest.raises(RegistryError):
            experiments(server.address)


def test_what_a_server_does_not_find_is_not_found():
    missing = (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"}, {})
    with (
        scripted(mlflow_like(lambda *_: missing)) as server,
        pytest.raises(NotFoundError, match="no run"),
        Backend.at(server.address).calling() as client,
    ):
        client.get_run("a")


def authorization(server):
    return {headers.get("Authorization") for headers in server.headers}


def test_the_api_key_is_sent_to_the_registry_it_is_for():
    with scripted(mlflow_like(lambda *_: EXPERIMENTS)) as server:
        configure(api_key=KEY, api_endpoint=server.address)
        with pytest.raises(RegistryError, match="not as an MLflow server"), scripted(lambda *_: (404, "", {})) as other:
            experiments(other.address)
        assert authorization(other) == {None}
        backend = Backend.at(f"{server.address}/api/mlflow")
        with backend.calling() as client:
            client.search_experiments()
        assert authorization(server) == {f"Bearer {KEY}"}


def test_the_api_key_takes_the_place_of_other_credentials(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    with scripted(mlflow_like(lambda *_: EXPERIMENTS)) as server:
        experiments(server.address)
        assert all(value.startswith("Basic ") for value in authorization(server))
        configure(api_key=KEY, api_endpoint=server.address)
        creds = rest.credentials(f"{server.address}/api/mlflow")
        assert (creds.token, creds.username, creds.password) == (KEY, None, None)


def test_a_redirect_takes_the_api_key_nowhere_else():
    with scripted(lambda *_: EXPERIMENTS) as elsewhere:
        send_away = (307, "", {"Location": f"{elsewhere.address}/api/2.0/mlflow/experiments/search"})
        alive = (200, "OK", {})
        with scripted(lambda _, path: alive if path.endswith("/health") else send_away) as server:
            configure(api_key=KEY, api_endpoint=server.address)
            experiments(f"{server.address}/api/mlflow")
            assert authorization(server) == {f"Bearer {KEY}"}
        assert elsewhere.requests
        assert authorization(elsewhere) == {None}


def test_the_log_says_what_was_asked_and_holds_no_key(caplog):
    set_level("DEBUG")
    with scripted(mlflow_like(lambda *_: EXPERIMENTS)) as server:
        configure(api_key=KEY, api_endpoint=server.address)
        backend = Backend.at(server.address.replace("//", "//me:s3cret@"))
        set_level("DEBUG")
        with caplog.at_level(logging.DEBUG, logger.name), backend.calling() as client:
            client.search_experiments()
    assert "POST http://***@127.0.0.1" in caplog.text
    assert "/api/2.0/mlflow/experiments/search: 200 in" in caplog.text
    assert "s3cret" not in caplog.text + repr(backend)
    assert KEY not in caplog.text


def test_many_threads_share_the_connections_without_a_warning(caplog, capfd):
    def slowly(*_):
        time.sleep(0.02)
        return EXPERIMENTS

    with scripted(mlflow_like(slowly)) as server, ThreadPoolExecutor(30) as pool:
        with caplog.at_level(logging.WARNING):
            names = list(pool.map(lambda _: experiments(server.address), range(90)))
        assert names == [["churn"]] * 90
        assert server.count("/search") == 90
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


def test_mlflows_own_errors_reach_whoever_asks_the_store_itself():
    server = rest.Server(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(MlflowException):
        server.call("/api/2.0/mlflow/experiments/search", "POST", "{}", None)


@pytest.mark.slow
def test_a_runs_files_are_listed_by_the_server(server, tmp_path):
    run = train(server, accuracy=0.9)
    client = mlflow.MlflowClient(server)
    (tmp_path / "MLmodel").write_text("flavors: {}")
    client.log_artifacts(run.run_id, str(tmp_path), "deep/model")
    with Backend.at(server).calling() as ours:
        root = client.get_run(run.run_id).info.artifact_uri
        assert [(f.path, f.is_dir) for f in ours.files_of_run(run.run_id, root)] == [("deep", True)]
        assert [f.path for f in ours.files_of_run(run.run_id, root, "deep/model")] == ["deep/model/MLmodel"]
        assert ours.files_of_run(run.run_id, root, "nothing/here") == []
        assert ours.list_artifacts(run.run_id) == ours.files_of_run(run.run_id, root)
