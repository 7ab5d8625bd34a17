import uuid

import pytest

EVENT = {"event_type": "deltaone_achieved", "payload": {"token_id": "MSG-AI", "delta_value": 1.5}}


UNKNOWN = "3f2b1c9e-5d0e-4c38-9f43-0b1a6f0a7c11"


def publish(api, key="k", **changes):
    return api.ask("POST", "/api/v1/events", {"event": {**EVENT, **changes}, "key": key}, key="register")


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
