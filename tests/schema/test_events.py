from __future__ import annotations

import datetime as dt
import json
import uuid

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai_nb.schema.events import (
    DeliveryState,
    Event,
    EventDelivery,
    EventPage,
    EventRecord,
    EventType,
    RegistrationEvent,
    events_of,
    iso,
    metric_improved,
    registration_key,
    site_body,
    told_under,
)
from hokusai_nb.schema.lifecycle import Status, TokenChange
from tests.tokens import FACTS

MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
AT = "2026-01-02T03:04:05Z"
BETTER = FACTS.model_copy(update={"previous_value": "0.84", "previous_version": "2", "contributor_address": "0xab"})


def told(to, **given):
    return events_of("XRAY", TokenChange(to=to, by="me", **given), MOMENT)


def test_the_envelope_has_exactly_the_documented_fields():
    event = Event(event_type="model_deployed", payload={"token_id": "XRAY"})
    assert list(event.model_dump(mode="json")) == ["event_id", "event_type", "source", "timestamp", "payload"]
    assert event.source == "hokusai-ml-platform"
    assert uuid.UUID(event.event_id).version == 4
    assert event.timestamp.endswith("Z")
    assert event.token_id == "XRAY"


def test_the_documented_types_are_all_there_are():
    assert {kind.value for kind in EventType} == {
        "token_ready_for_deploy",
        "model_registered",
        "model_validation_failed",
        "model_deployed",
        "metric_improved",
        "deltaone_achieved",
    }


def test_a_registration_is_told_by_two_events_with_the_documented_payloads():
    registered, ready = told(Status.REGISTERED, facts=FACTS)
    assert (registered.event_type, ready.event_type) == ("model_registered", "token_ready_for_deploy")
    figures = {"metric_name": "auroc", "metric_value": 0.85, "baseline_value": 0.82}
    base = {"token_id": "XRAY", "mlflow_run_id": "run-1", "timestamp": AT}
    assert registered.payload == {**base, **figures, "improvement": 0.03}
    assert ready.payload == {**base, "metadata": figures}
    assert registered.timestamp == ready.timestamp == AT


def test_a_better_version_is_told_by_a_third_event():
    *_, improved = told(Status.REGISTERED, facts=BETTER)
    assert improved == metric_improved("XRAY", BETTER, MOMENT).model_copy(update={"event_id": improved.event_id})
    assert improved.payload["metric_value"] == 0.85
    assert (improved.payload["previous_version"], improved.payload["previous_value"]) == ("2", 0.84)


def test_a_deployment_and_a_failure_are_told_and_other_steps_are_not():
    assert [(e.event_type, e.payload) for e in told(Status.DEPLOYED)] == [
        ("model_deployed", {"token_id": "XRAY", "by": "me", "timestamp": AT})
    ]
    assert [(e.event_type, e.payload) for e in told(Status.FAILED, reason="too low")] == [
        ("model_validation_failed", {"token_id": "XRAY", "reason": "too low", "timestamp": AT})
    ]
    assert told(Status.ARCHIVED) == told(Status.REGISTERING, owner="me", lease_seconds=1) == []


def test_every_change_makes_events_of_its_own():
    assert told(Status.DEPLOYED)[0].event_id != told(Status.DEPLOYED)[0].event_id


def test_the_site_is_sent_its_own_shape():
    schema = {"inputSchema": {"type": "object"}, "outputSchema": {"type": "number"}}
    body = site_body("XRAY", FACTS.model_copy(update={"api_schema": schema}), AT)
    assert body == {
        "event_type": "model_registered",
        "model": {
            "id": "xray",
            "name": "hokusai-xray",
            "status": "registered",
            "version": "3",
            "run_id": "run-1",
            "api_schema": schema,
        },
        "timestamp": AT,
        "source": "mlflow",
    }
    assert "api_schema" not in site_body("XRAY", FACTS, AT)["model"]


def test_the_key_of_a_registration_is_the_sites():
    expected = uuid.uuid5(uuid.NAMESPACE_DNS, "xray:XRAY:run-1:3")
    assert registration_key("xray", "XRAY", "run-1", "3") == str(expected)


def test_a_registration_is_told_of_under_a_key_that_tells_models_of_one_run_apart():
    registration = ("churn", "XRAY", "run-1", "3")
    assert told_under(*registration) == told_under(*registration)
    others = [("churn-2", "XRAY", "run-1", "3"), ("churn", "XRAY-2", "run-1", "3"), ("churn", "XRAY", "run-2", "3")]
    keys = {told_under(*one) for one in (registration, *others, ("churn", "XRAY", "run-1", "4"))}
    assert len(keys) == 5
    assert registration_key("xray", *registration[1:]) not in keys


@given(st.datetimes(*(MOMENT.replace(tzinfo=None, year=year) for year in (1971, 9998)), timezones=st.timezones()))
def test_a_timestamp_is_kept_as_the_same_moment_in_utc(moment):
    event = Event(event_type="model_deployed", timestamp=moment.isoformat(), payload={})
    assert event.timestamp.endswith("Z")
    assert dt.datetime.fromisoformat(event.timestamp) == dt.datetime.fromisoformat(moment.isoformat())
    assert Event.model_validate(event.model_dump(mode="json")) == event


def test_a_timestamp_without_a_zone_is_in_utc():
    assert Event(event_type="model_deployed", timestamp="2026-01-02 03:04:05", payload={}).timestamp == AT
    assert iso(MOMENT.astimezone(dt.timezone(dt.timedelta(hours=5)))) == AT


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_id": "1"},
        {"event_id": "8DDC0A29-00FC-47DC-AE2E-B106005D385F"},
        {"event_type": "model_sold"},
        {"source": "a\nb"},
        {"source": "x" * 65},
        {"timestamp": "yesterday"},
        {"timestamp": "9999-12-31T23:59:59-01:00"},
        {"payload": {"a": float("nan")}},
        {"payload": {"a": [float("inf")]}},
        {"payload": {"a": NotImplemented}},
        {"payload": {"token_id": 3}},
        {"payload": {"token_id": ""}},
        {"payload": {"token_id": "A\x00"}},
        {"payload": {"token_id": "A" * 65}},
        {"payload": [1]},
        {"more": 1},
    ],
    ids=repr,
)
def test_what_no_database_or_receiver_could_take_is_no_event(wrong):
    with pytest.raises(pydantic.ValidationError):
        Event.model_validate({"event_type": "model_deployed", "payload": {}} | wrong)


def test_an_event_cannot_be_changed():
    event = Event(event_type="model_deployed", payload={"token_id": "XRAY"})
    with pytest.raises(TypeError):
        event.payload["token_id"] = "OTHER"
    with pytest.raises(pydantic.ValidationError):
        event.source = "me"


def test_a_page_shows_each_event_with_its_deliveries():
    event = Event(event_type="model_deployed", payload={"token_id": "XRAY"}, timestamp=AT)
    sent = EventDelivery(handler="webhook https://example.org", state=DeliveryState.DEAD, attempts=12)
    page = EventPage(entries=(EventRecord(event=event, deliveries=(sent,)), EventRecord(event=event)))
    text = page._text_()
    assert f"{event.event_id}  model_deployed  XRAY   {AT}  webhook https://example.org: dead (12)" in text
    assert "Nothing found." in EventPage(entries=())._text_()
    assert EventPage.model_validate_json(page.model_dump_json()) == page


def test_a_delivery_that_waits_says_until_when_and_why_escaped_and_shortened():
    error = "<b>\n\x1b[31m" + "x" * 1000
    given = {"attempts": 2, "next_attempt_at": "2026-01-02T03:04:05Z", "last_error": error}
    waiting = EventDelivery(handler="webhook https://example.org", state=DeliveryState.PENDING, **given)
    told = waiting.model_copy(update={"state": DeliveryState.DELIVERED})
    event = Event(event_type="model_deployed", payload={"token_id": "XRAY"}, timestamp=AT)
    page = EventPage(entries=(EventRecord(event=event, deliveries=(told, waiting)),))
    (line,) = (line for line in page._text_().splitlines() if event.event_id in line)
    said = "webhook https://example.org: delivered (2), webhook https://example.org: pending (2); "
    assert said + "next try at 2026-01-02 03:04:05 UTC; last error: <b>\\n\\x1b[31mxxx" in line
    assert line.count("x" * 100) == 1
    assert line.endswith("xxx… (849 more)")
    assert "<b>" not in str(page._html_())
    given_up = waiting.model_copy(update={"state": DeliveryState.DEAD})
    assert "next try" not in given_up.sentence, "it is not tried again by itself"
    assert "last error" in given_up.sentence


def test_html_in_an_event_is_escaped():
    event = Event(event_type="model_deployed", payload={"token_id": "<b>"})
    shown = str(EventPage(entries=(EventRecord(event=event),))._html_())
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown


def test_a_registration_event_keeps_the_text_of_its_value():
    given = {
        "model_name": "churn",
        "version": "3",
        "token_id": "msg-ai",
        "proposal_identifier": "p-1",
        "metric_name": "accuracy",
        "baseline_value": "0.80",
        "mlflow_run_id": "r",
        "model_uri": "models:/churn/3",
        "tags": {"a": "b"},
        "api_schema": {"inputSchema": {}, "outputSchema": {}},
    }
    event = RegistrationEvent.model_validate_json(json.dumps(given))
    assert event.model_dump(mode="json") == {**given, "token_id": "MSG-AI"}
    with pytest.raises(pydantic.ValidationError):
        RegistrationEvent.model_validate({**given, "version": "three"})
