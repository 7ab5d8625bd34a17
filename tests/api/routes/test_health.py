from hokusai_nb.site.outbox import Outbox


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


def test_a_server_whose_worker_has_ended_is_not_ready(start, monkeypatch):
    monkeypatch.setattr(Outbox, "watch", lambda *_: None)
    answer = start().ask("GET", "/api/v1/ready", key=None)
    assert (answer.status, answer.json()["what"]) == (503, "The worker that delivers events has ended.")
