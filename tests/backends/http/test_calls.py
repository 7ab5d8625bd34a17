"""Each call says exactly what is asked; both clients have one method for each."""

from __future__ import annotations

import inspect
import json

import pytest

from hokusai_nb.backends.http import AsyncHokusaiClient, HokusaiClient, calls
from hokusai_nb.errors import ModelNotFoundError, ValidationError
from hokusai_nb.schema.events import Event, RegistrationEvent
from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange
from hokusai_nb.schema.metrics import known_metrics
from hokusai_nb.schema.records import ModelList
from hokusai_nb.schema.verbs import Register

V1 = "/api/v1"
EVENT = Event(event_type="deltaone_achieved", payload={"token_id": "MSG-AI"})
REPORT = RegistrationEvent(
    model_name="m",
    version="1",
    token_id="MSG-AI",
    proposal_identifier="p",
    metric_name="accuracy",
    baseline_value="0.9",
    mlflow_run_id="r",
    model_uri="models:/m/1",
)
VERB = Register(name="m", token="MSG-AI", metric="accuracy", value="0.90", run="r1")
METHODS = [name for name in calls.__all__ if name.islower()]
MADE = {
    "register": (calls.register(VERB), "POST", f"{V1}/models", ""),
    "models": (calls.models("ch", token="MSG-AI"), "GET", f"{V1}/models", "prefix=ch&token=MSG-AI&limit=100"),
    "model": (calls.model("churn", 3), "GET", f"{V1}/models/churn/versions/3", ""),
    "lineage": (calls.lineage("churn"), "GET", f"{V1}/models/churn/lineage", ""),
    "compare": (calls.compare("churn", 1, "2"), "GET", f"{V1}/models/churn/compare", "first=1&second=2"),
    "update_tags": (calls.update_tags("churn", 1, {"a": 1}), "PATCH", f"{V1}/models/churn/versions/1/tags", ""),
    "delete_version": (calls.delete_version("churn", 1), "DELETE", f"{V1}/models/churn/versions/1", ""),
    "metrics": (calls.metrics(), "GET", f"{V1}/metrics", ""),
    "create_token": (calls.create_token(NewToken(token_id="XRAY")), "POST", f"{V1}/tokens", ""),
    "token": (calls.token("XRAY"), "GET", f"{V1}/tokens/XRAY", ""),
    "tokens": (calls.tokens(Status.DRAFT, page_size=5), "GET", f"{V1}/tokens", "status=draft&limit=5"),
    "history": (calls.history("XRAY"), "GET", f"{V1}/tokens/XRAY/history", ""),
    "change_token": (
        calls.change_token("XRAY", TokenChange(to="archived", by="me")),
        "POST",
        f"{V1}/tokens/XRAY/changes",
        "",
    ),
    "renew_lease": (
        calls.renew_lease("XRAY", owner="o", lease_seconds=9),
        "PUT",
        f"{V1}/tokens/XRAY/lease",
        "",
    ),
    "events": (calls.events("XRAY", state="dead"), "GET", f"{V1}/events", "token_id=XRAY&state=dead&limit=100"),
    "publish": (calls.publish(EVENT, key="k"), "POST", f"{V1}/events", ""),
    "retry_event": (calls.retry_event(EVENT.event_id), "POST", f"{V1}/events/{EVENT.event_id}/retry", ""),
    "report_registration": (
        calls.report_registration(REPORT),
        "POST",
        "/api/models/tokenized-registration-events",
        "",
    ),
    "health": (calls.health(), "GET", f"{V1}/health", ""),
    "ready": (calls.ready(), "GET", f"{V1}/ready", ""),
}


def test_every_call_is_spoken_of_here():
    assert sorted(MADE) == sorted(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_a_call_goes_where_the_api_says(name):
    call, method, path, query = MADE[name]
    assert (call.method, call.path) == (method, path)
    assert "&".join(f"{key}={value}" for key, value in call.query) == query
    assert call.body is None or json.loads(call.body)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("client", [HokusaiClient, AsyncHokusaiClient])
def test_a_method_has_the_name_the_arguments_and_the_words_of_its_call(client, name):
    describe, method = getattr(calls, name), getattr(client, name)
    assert (method.__name__, method.__qualname__) == (name, f"{client.__name__}.{name}")
    assert method.__doc__ == describe.__doc__
    own, *arguments = inspect.signature(method).parameters.values()
    assert own.name == "self"
    assert arguments == list(inspect.signature(describe).parameters.values())
    assert "Call[" not in inspect.signature(method).return_annotation


def test_help_shows_the_record_that_is_answered():
    assert inspect.signature(HokusaiClient.model).return_annotation == "RegisteredModel"
    assert inspect.signature(HokusaiClient.models).return_annotation == "Iterator"
    assert inspect.iscoroutinefunction(AsyncHokusaiClient.model)
    assert inspect.signature(AsyncHokusaiClient.events).return_annotation == "AsyncIterator"


def test_both_clients_have_the_same_methods():
    own = {"close", "send", "each", *METHODS}
    public = {name for name in dir(HokusaiClient) if not name.startswith("_")} - {"endpoint"}
    awaited = {name for name in dir(AsyncHokusaiClient) if not name.startswith("_")} - {"endpoint"}
    assert public == own
    assert awaited == (own - {"close"}) | {"aclose"}


def test_a_registration_is_sent_as_the_verb_is_written():
    body = json.loads(calls.register(VERB).body)
    assert Register.model_validate(body) == VERB
    assert body["value"] == "0.90"


def test_an_event_is_sent_as_it_is():
    body = json.loads(calls.publish(EVENT, key="k").body)
    assert body == {"event": EVENT.model_dump(mode="json"), "key": "k"}


def test_a_wrong_version_of_a_comparison_is_refused_in_the_same_words_as_elsewhere():
    with pytest.raises(ModelNotFoundError, match="'churn' has no version 'latest'"):
        calls.compare("churn", 1, "latest")


def test_tags_are_checked_before_they_are_sent_and_become_text():
    with pytest.raises(ValidationError, match="must be text or a number"):
        calls.update_tags("churn", 1, {"gpu_type": object()})
    with pytest.raises(ValidationError, match="Tags must be"):
        calls.update_tags("churn", 1, ["gpu_type"])
    with pytest.raises(ValidationError, match="Benchmark value must be numeric"):
        calls.update_tags("churn", 1, {"benchmark_value": object()})
    assert calls.update_tags("churn", 1, {}) == calls.model("churn", 1)
    body = json.loads(calls.update_tags("churn", 1, {"gpu_type": "A100", "hours": 2, "benchmark_value": 0.91}).body)
    assert body == {"tags": {"gpu_type": "A100", "hours": "2", "benchmark_value": "0.91"}}


def test_answers_become_the_records_of_the_schema():
    catalogue = [m.model_dump(mode="json") for m in known_metrics()]
    content = json.dumps({"entries": catalogue, "next_cursor": None}).encode()
    assert calls.metrics().read(content) == tuple(known_metrics())
    page = calls.models().read(json.dumps({"entries": [], "next_cursor": "c"}).encode())
    assert (page.entries, page.next_cursor) == ((), "c")
    assert ModelList(entries=page.entries).entries == ()
    assert calls.publish(EVENT, key="k").read(b'{"published": false}') is False
