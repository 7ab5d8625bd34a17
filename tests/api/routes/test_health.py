import threading

from hokusai_nb.site.outbox import Outbox
from tests.servers import scripted


def test_a_server_that_is_up_says_so_to_anybody(tokens_api):
    answer = tokens_api.ask("GET", "/api/v1/health", key=None)
    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_a_server_without_its_registry_is_not_ready_and_says_why(tokens_api):
    answer = tokens_api.ask("GET", "/api/v1/ready", key=None)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    document = answer.json()
    assert document["error"] == "ConnectionFailedError"
    assert "127.0.0.1:9" not in document["what"]


def test_a_server_that_has_not_asked_yet_is_not_ready_and_says_when_it_may_be(start):
    asked, go = threading.Event(), threading.Event()

    def slow(_method, _path):
        asked.set()
        go.wait(20)
        return 200, {}, {"Content-Type": "application/json"}

    with scripted(slow) as upstream:
        api = start(mlflow_uri=upstream.address)
        first = threading.Thread(target=api.ask, args=("GET", "/api/v1/ready"), kwargs={"key": None})
        first.start()
        try:
            assert asked.wait(10)
            answer = api.ask("GET", "/api/v1/ready", key=None)
        finally:
            go.set()
            first.join()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["what"] == "It is not known yet whether the server is ready."


def test_a_server_whose_worker_has_ended_is_not_ready(start, monkeypatch):
    monkeypatch.setattr(Outbox, "watch", lambda *_: None)
    answer = start().ask("GET", "/api/v1/ready", key=None)
    assert (answer.status, answer.json()["what"]) == (503, "The worker that delivers events has ended.")
