import pytest

from tests.tokens import FACT_FIELDS

OWNER = {"owner": "host:1", "lease_seconds": 30}


@pytest.fixture
def token(tokens_api):
    tokens_api.ask("POST", "/api/v1/tokens", {"token_id": "XRAY", "metadata": {"owner": "growth"}})
    return "/api/v1/tokens/XRAY"


def test_a_token_is_created_in_draft_and_shown_in_either_case(tokens_api):
    answer = tokens_api.ask("POST", "/api/v1/tokens", {"token_id": "msg-ai", "metadata": {"a": [1, {"b": None}]}})
    assert (answer.status, answer.json()["model_status"]) == (201, "draft")
    found = tokens_api.ask("GET", "/api/v1/tokens/msg-AI", key="read").json()
    assert (found["token_id"], found["metadata"]) == ("MSG-AI", {"a": [1, {"b": None}]})


@pytest.mark.usefixtures("token")
def test_a_token_is_created_once(tokens_api):
    answer = tokens_api.ask("POST", "/api/v1/tokens", {"token_id": "xray"})
    assert (answer.status, answer.json()["error"]) == (409, "TokenExistsError")


@pytest.mark.parametrize(
    "body", [{}, {"token_id": "MSG AI"}, {"token_id": 1}, {"token_id": "A-B", "more": 1}, [], "A-B"]
)
def test_what_is_no_token_is_refused_with_its_field(tokens_api, body):
    answer = tokens_api.ask("POST", "/api/v1/tokens", body)
    assert answer.status == 422
    assert answer.json()["problems"][0]["what"]


def test_a_wrong_id_is_answered_with_its_repair(tokens_api):
    (problem,) = tokens_api.ask("POST", "/api/v1/tokens", {"token_id": "msg_ai"}).json()["problems"]
    assert problem["repair"] == "MSG-AI"


def test_a_token_goes_through_its_life_and_the_history_names_the_keys(tokens_api, token):
    steps = [
        {"to": "registering", "by": "somebody else", **OWNER},
        {"to": "registered", "owner": "host:1", "facts": FACT_FIELDS},
        {"to": "deployed", "reason": "Reviewed."},
        {"to": "archived"},
    ]
    for step in steps:
        decided = step["to"] in ("deployed", "archived")
        if decided:
            refused = tokens_api.ask("POST", f"{token}/changes", step, key="register")
            assert (refused.status, refused.json()["error"]) == (403, "AccessError")
        answer = tokens_api.ask("POST", f"{token}/changes", step, key="admin" if decided else "register")
        assert (answer.status, answer.json().get("model_status")) == (200, step["to"]), answer.content
    entries = tokens_api.ask("GET", f"{token}/history", key="read").json()["entries"]
    assert [(e["before"], e["after"], e["by"]) for e in entries] == [
        (None, "draft", "admin-key"),
        ("draft", "registering", "register-key"),
        ("registering", "registered", "register-key"),
        ("registered", "deployed", "admin-key"),
        ("deployed", "archived", "admin-key"),
    ]
    kinds = [e["event"]["event_type"] for e in tokens_api.ask("GET", "/api/v1/events?token_id=xray").json()["entries"]]
    assert kinds == ["model_deployed", "token_ready_for_deploy", "model_registered"]


def test_a_step_that_does_not_follow_is_a_conflict(tokens_api, token):
    answer = tokens_api.ask("POST", f"{token}/changes", {"to": "deployed"})
    assert (answer.status, answer.json()["error"]) == (409, "TokenStatusError")


def test_a_step_that_lacks_something_says_what(tokens_api, token):
    answer = tokens_api.ask("POST", f"{token}/changes", {"to": "registering"})
    assert answer.status == 422
    assert [p["field"] for p in answer.json()["problems"]] == ["owner", "lease_seconds"]


def test_only_who_holds_a_token_can_hold_it_for_longer(tokens_api, token):
    assert tokens_api.ask("PUT", f"{token}/lease", OWNER, key="register").status == 409
    before = tokens_api.ask("POST", f"{token}/changes", {"to": "registering", **OWNER}).json()["lease_until"]
    answer = tokens_api.ask("PUT", f"{token}/lease", {**OWNER, "lease_seconds": 600}, key="register")
    assert (answer.status, answer.content) == (204, b"")
    assert tokens_api.ask("GET", token).json()["lease_until"] > before
    other = tokens_api.ask("PUT", f"{token}/lease", {"owner": "host:2", "lease_seconds": 5})
    assert other.status == 409
    busy = tokens_api.ask("POST", f"{token}/changes", {"to": "registering", "owner": "host:2", "lease_seconds": 5})
    assert (busy.status, busy.json()["error"]) == (409, "TokenBusyError")


@pytest.mark.parametrize("seconds", [0, -1, 1e9, "many", None])
def test_a_lease_of_no_length_is_refused(tokens_api, token, seconds):
    assert tokens_api.ask("PUT", f"{token}/lease", {"owner": "a", "lease_seconds": seconds}).status == 422


@pytest.mark.parametrize("path", ["", "/history", "/lease", "/changes"])
def test_a_token_that_is_not_there_is_not_found(tokens_api, path):
    method, body = {"/lease": ("PUT", OWNER), "/changes": ("POST", {"to": "archived"})}.get(path, ("GET", None))
    answer = tokens_api.ask(method, f"/api/v1/tokens/NO-SUCH{path}", body)
    assert answer.status == 404
    assert "Token not found" in answer.json()["what"]


def test_tokens_are_listed_a_page_at_a_time_by_id(tokens_api):
    ids = [f"MSG-{n}" for n in range(7)]
    for token_id in reversed(ids):
        tokens_api.ask("POST", "/api/v1/tokens", {"token_id": token_id})
    tokens_api.ask("POST", "/api/v1/tokens/MSG-3/changes", {"to": "archived"})
    found, cursor = [], ""
    while cursor is not None:
        page = tokens_api.ask("GET", f"/api/v1/tokens?limit=3{cursor and f'&cursor={cursor}'}", key="read").json()
        assert len(page["entries"]) <= 3
        found += [t["token_id"] for t in page["entries"]]
        cursor = page["next_cursor"]
    assert found == ids
    archived = tokens_api.ask("GET", "/api/v1/tokens?status=archived").json()["entries"]
    assert [t["token_id"] for t in archived] == ["MSG-3"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "status=nowhere", "cursor=x", "cursor=%00", "cursor=WzFd"]
)
def test_a_list_that_cannot_be_is_refused(tokens_api, query):
    assert tokens_api.ask("GET", f"/api/v1/tokens?{query}").status == 422


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"improvement": "0.030"}, 200),
        ({"improvement": "0.3"}, 422),
        ({"improvement": "-0.03"}, 422),
        ({"metric_value": "0.80", "improvement": "-0.02"}, 422),
        ({"metric_name": "mse", "metric_value": "0.80", "improvement": "0.02"}, 200),
        ({"metric_name": "own_metric", "improvement": "7"}, 200),
        ({"metric_name": "own_metric", "improvement": "-7"}, 422),
    ],
)
def test_an_improvement_is_the_one_of_the_values(tokens_api, token, changes, status):
    tokens_api.ask("POST", f"{token}/changes", {"to": "registering", **OWNER}, key="register")
    step = {"to": "registered", "owner": "host:1", "facts": {**FACT_FIELDS, **changes}}
    answer = tokens_api.ask("POST", f"{token}/changes", step, key="register")
    assert answer.status == status, answer.content
    if status == 422:
        assert answer.json()["problems"][0]["field"] == "facts.improvement"


def test_who_holds_a_token_is_no_business_of_those_who_only_read(tokens_api, token):
    tokens_api.ask("POST", f"{token}/changes", {"to": "registering", **OWNER}, key="register")

    def owners(key):
        listed = tokens_api.ask("GET", "/api/v1/tokens", key=key).json()["entries"]
        return {tokens_api.ask("GET", token, key=key).json()["owner"], *(t["owner"] for t in listed)}

    assert (owners("read"), owners("register")) == ({None}, {"host:1"})


@pytest.mark.slow
def test_a_key_that_may_register_registers_files_through_the_api_and_tells_of_improvements(tokens_api, store, tmp_path):
    from hokusai_nb.backends.http import HokusaiClient
    from hokusai_nb.core.registry import ModelRegistry
    from hokusai_nb.site.http_store import HttpTokenStore

    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    with HokusaiClient(tokens_api.url, tokens_api.keys["register"]) as client:
        registry = ModelRegistry(store, token_store=HttpTokenStore(client))
        for token, value in (("MSG-A", 0.85), ("MSG-B", 0.9)):
            tokens_api.ask("POST", "/api/v1/tokens", {"token_id": token})
            made = registry.register_model(token, file, "auroc", value, 0.82, model_name="shared", progress=False)
            assert made.version
        status = client.token("MSG-B").model_status
    assert status == "registered"
    kinds = [e["event"]["event_type"] for e in tokens_api.ask("GET", "/api/v1/events?token_id=MSG-B").json()["entries"]]
    assert sorted(kinds) == ["metric_improved", "model_registered", "token_ready_for_deploy"]
