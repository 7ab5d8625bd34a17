import uuid

import pytest

EVENT = {"event_type": "deltaone_achieved", "payload": {"token_id": "MSG-AI", "delta_value": 1.5}}


UNKNOWN = "3f2b1c9e-5d0e-4c38-9f43-0b1a6f0a7c11"


def publish(api, key="k", **changes):
    return api.ask("POST", "/api/v1/events", {"event": {**EVENT, **changes}, "key": key})


def test_an_event_is_written_once_for_each_key(tokens_api):
    answers = [publish(tokens_api), publish(tokens_api), publish(tokens_api, key="other")]
    assert [(a.status, a.json()["published"]) for a in answers] == [(201, True), (200, False), (201, True)]
    assert len(tokens_api.ask("GET", "/api/v1/events", key="read").json()["entries"]) == 2


def test_an_event_is_told_to_the_console_and_says_so(start):
    api = start(deliver_events=False)
    publish(api)
    (entry,) = api.ask("GET", "/api/v1/events?state=pending").json()["entries"]
    assert [(d["handler"], d["state"]) for d in entry["deliveries"]] == [("console", "pending")]
    assert entry["event"]["payload"] == EVENT["payload"]
    assert api.ask("GET", "/api/v1/events?state=dead").json()["entries"] == []


def test_the_server_delivers_what_is_published(tokens_api):
    import time

    publish(tokens_api)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        (entry,) = tokens_api.ask("GET", "/api/v1/events").json()["entries"]
        if entry["deliveries"][0]["state"] == "delivered":
            return
        time.sleep(0.05)
    pytest.fail(f"not delivered: {entry}")


@pytest.mark.parametrize(
    "changes",
    [
        {"event_type": "nothing_happened"},
        {"timestamp": "yesterday"},
        {"event_id": "1"},
        {"source": "x" * 100},
        {"payload": []},
        {"payload": {"token_id": 5}},
        {"more": 1},
    ],
)
def test_what_is_no_event_is_refused(tokens_api, changes):
    assert publish(tokens_api, **changes).status == 422


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_event_needs_a_key_that_can_be_kept(tokens_api, key):
    assert publish(tokens_api, key=key).status == 422


def test_an_event_id_that_is_taken_is_no_failure_of_the_server(tokens_api):
    taken = str(uuid.uuid4())
    assert publish(tokens_api, key="one", event_id=taken).status == 201
    answer = publish(tokens_api, key="two", event_id=taken)
    assert answer.status == 409, answer.content


def test_events_are_listed_newest_first_a_page_at_a_time(tokens_api):
    for n in range(5):
        publish(tokens_api, key=str(n), payload={"token_id": "MSG-AI" if n % 2 else "XRAY", "n": n})
    first = tokens_api.ask("GET", "/api/v1/events?limit=3", key="read").json()
    rest = tokens_api.ask("GET", f"/api/v1/events?limit=3&cursor={first['next_cursor']}").json()
    assert [e["event"]["payload"]["n"] for e in first["entries"] + rest["entries"]] == [4, 3, 2, 1, 0]
    assert rest["next_cursor"] is None
    mine = tokens_api.ask("GET", "/api/v1/events?token_id=msg-ai").json()["entries"]
    assert [e["event"]["payload"]["n"] for e in mine] == [3, 1]


def test_a_retry_answers_the_event(tokens_api):
    event_id = str(uuid.uuid4())
    publish(tokens_api, event_id=event_id)
    answer = tokens_api.ask("POST", f"/api/v1/events/{event_id}/retry")
    assert (answer.status, answer.json()["event"]["event_id"]) == (200, event_id)


@pytest.mark.parametrize(
    ("event_id", "status"), [("8ddc0a29-00fc-47dc-ae2e-b106005d385f", 404), ("abc", 404), ("x" * 40, 422), ("%00", 422)]
)
def test_a_retry_of_an_event_that_is_not_there_is_not_found(tokens_api, event_id, status):
    assert tokens_api.ask("POST", f"/api/v1/events/{event_id}/retry").status == status


IMPROVED = {
    "token_id": "MSG-AI",
    "model_name": "m",
    "version": "2",
    "mlflow_run_id": "r",
    "metric_name": "accuracy",
    "metric_value": 0.91,
    "previous_version": "1",
    "previous_value": 0.9,
    "contributor_address": None,
    "timestamp": "2026-01-02T03:04:05Z",
}


def tell(api, kind="metric_improved", key="k", by="register", **changes):
    event = {"event_type": kind, "payload": {**IMPROVED, **changes}}
    return api.ask("POST", "/api/v1/events", {"event": event, "key": key}, key=by)


@pytest.mark.parametrize(
    "kind",
    ["model_registered", "token_ready_for_deploy", "model_deployed", "deltaone_achieved", "model_validation_failed"],
)
def test_what_a_token_went_through_is_told_by_admins_only(tokens_api, kind):
    tokens_api.ask("POST", "/api/v1/tokens", {"token_id": "MSG-AI"})
    assert tell(tokens_api, kind).status == 403
    assert tell(tokens_api, kind, by="admin").status == 201


def test_an_improvement_is_told_of_a_token_that_is_there(tokens_api):
    answer = tell(tokens_api)
    assert (answer.status, answer.json()["error"]) == (404, "TokenNotFoundError")
    tokens_api.ask("POST", "/api/v1/tokens", {"token_id": "MSG-AI"})
    assert [tell(tokens_api).status for _ in range(2)] == [201, 200]


def test_the_event_that_the_package_makes_is_taken(tokens_api):
    from hokusai_nb.schema.events import metric_improved
    from hokusai_nb.schema.lifecycle import utc_now
    from tests.tokens import FACTS

    tokens_api.ask("POST", "/api/v1/tokens", {"token_id": "XRAY"})
    for n, more in enumerate(({}, {"previous_value": "0.8", "previous_version": "2", "contributor_address": "0x1"})):
        event = metric_improved("XRAY", FACTS.model_copy(update=more), utc_now()).model_dump(mode="json")
        answer = tokens_api.ask("POST", "/api/v1/events", {"event": event, "key": str(n)}, key="register")
        assert answer.status == 201, answer.content


@pytest.mark.parametrize(
    "changes",
    [
        {"metric_value": "0.91"},
        {"metric_value": None},
        {"previous_value": True},
        {"version": "x"},
        {"model_name": ""},
        {"more": 1},
        {"timestamp": "2026"},
        {"token_id": None},
    ],
)
def test_an_improvement_has_its_own_fields(tokens_api, changes):
    tokens_api.ask("POST", "/api/v1/tokens", {"token_id": "MSG-AI"})
    answer = tell(tokens_api, **changes)
    assert (answer.status, answer.json()["problems"][0]["field"]) == (422, next(iter(changes)))
