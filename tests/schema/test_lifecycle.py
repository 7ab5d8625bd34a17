from __future__ import annotations

import datetime as dt

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hokusai_nb.errors import HokusaiError, TokenBusyError, TokenNotFoundError, TokenStatusError
from hokusai_nb.schema.lifecycle import (
    TRANSITIONS,
    NewToken,
    RegistrationFacts,
    Status,
    Token,
    TokenChange,
    TokenHistory,
    TokenPage,
    Transition,
    no_such_token,
    require_allowed,
    utc_now,
)
from tests.tokens import FACT_FIELDS

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def token(status=Status.DRAFT, **given):
    return Token(**{"token_id": "MSG-AI", "model_status": status, "created_at": NOW, "updated_at": NOW, **given})


def held(owner="one", until=NOW + MINUTE, **given):
    return token(Status.REGISTERING, owner=owner, lease_until=until, **given)


def to(status, owner=None):
    return TokenChange(to=status, by="me", owner=owner)


def refusal(found, change, now=NOW):
    """Return the class of the error, or None where the change is allowed."""
    try:
        require_allowed(found, change, now)
    except HokusaiError as error:
        return type(error)
    return None


# The table


def test_every_status_is_in_the_table_and_archived_is_the_end():
    assert set(TRANSITIONS) == set(Status)
    assert [s.value for s in Status] == ["draft", "registering", "registered", "deployed", "failed", "archived"]
    assert {status for status, after in TRANSITIONS.items() if not after} == {Status.ARCHIVED}


def test_registration_starts_from_draft_or_failed_and_from_one_that_died():
    starts = {status for status, after in TRANSITIONS.items() if Status.REGISTERING in after}
    assert starts == {Status.DRAFT, Status.FAILED, Status.REGISTERING}


def test_what_was_registered_is_never_a_draft_again():
    assert all(Status.DRAFT not in after for after in TRANSITIONS.values())


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TRANSITIONS[Status.ARCHIVED] = frozenset({Status.DRAFT})


@given(st.sampled_from(Status), st.sampled_from(Status))
def test_exactly_the_steps_of_the_table_are_allowed(before, after):
    found = held() if before is Status.REGISTERING else token(before)
    allowed = after in TRANSITIONS[before]
    assert (refusal(found, to(after, owner="one")) is None) is allowed


# Refusals


@pytest.mark.parametrize("status", [Status.REGISTERED, Status.DEPLOYED, Status.ARCHIVED])
def test_a_token_that_is_not_in_draft_is_refused_in_the_documented_words(status):
    with pytest.raises(TokenStatusError) as caught:
        require_allowed(token(status), to(Status.REGISTERING, "one"), NOW)
    assert caught.value.what == f"Token is not in Draft status: MSG-AI is {status}."
    assert "draft" in caught.value.hint


def test_another_step_is_refused_with_what_can_follow():
    with pytest.raises(TokenStatusError) as caught:
        require_allowed(token(Status.REGISTERED), to(Status.FAILED), NOW)
    assert caught.value.what == "Token MSG-AI is registered and cannot become failed."
    assert caught.value.hint == "What can follow is: archived, deployed."
    with pytest.raises(TokenStatusError, match="What can follow is: nothing"):
        require_allowed(token(Status.ARCHIVED), to(Status.DEPLOYED), NOW)


def test_while_a_registration_holds_a_token_others_are_told_until_when():
    for status in Status:
        with pytest.raises(TokenBusyError) as caught:
            require_allowed(held(), to(status, "two"), NOW)
        assert "Token is not in Draft status: MSG-AI is being registered" in caught.value.what
        assert "03:05:05 UTC" in caught.value.hint


def test_after_the_lease_has_lapsed_another_takes_over_and_cannot_end_anothers_work():
    later = NOW + MINUTE
    assert refusal(held(), to(Status.REGISTERING, "two"), later) is None
    for status in (Status.REGISTERED, Status.FAILED):
        assert refusal(held(), to(status, "two"), later) is TokenStatusError
        assert refusal(held(), to(status), later) is TokenStatusError
        assert refusal(held(), to(status, "one"), later) is None


def test_a_registration_without_a_lease_can_be_taken_over():
    assert refusal(held(until=None), to(Status.REGISTERING, "two")) is None


def test_a_token_is_held_while_registering_until_its_lease_lapses():
    assert held().is_held(NOW)
    assert not held().is_held(NOW + MINUTE)
    assert not held(until=None).is_held(NOW)
    assert not token(Status.DRAFT, lease_until=NOW + MINUTE).is_held(NOW)


def test_a_token_that_is_not_there_is_told_with_what_to_try():
    error = no_such_token("NO-SUCH")
    assert isinstance(error, TokenNotFoundError)
    assert error.what == "Token not found: 'NO-SUCH'."
    assert "hokusai token create NO-SUCH" in error.hint
    assert "\x1b" not in str(no_such_token("\x1b[31m\n"))


class Lives(RuleBasedStateMachine):
    """Any steps by any owners at any time: a token has at most one owner, and nothing is done behind its back."""

    def __init__(self):
        super().__init__()
        self.now, self.token = NOW, token()

    @rule(seconds=st.integers(0, 90))
    def wait(self, seconds):
        self.now += dt.timedelta(seconds=seconds)

    @rule(status=st.sampled_from(Status), owner=st.sampled_from(["one", "two", None]))
    def step(self, status, owner):
        was, change = self.token, to(status, owner)
        if refusal(was, change, self.now) is not None:
            return
        assert status in TRANSITIONS[was.model_status]
        if was.is_held(self.now):
            assert owner == was.owner
        leaving = was.model_status is Status.REGISTERING and status is not Status.REGISTERING
        assert not leaving or owner == was.owner
        entering = status is Status.REGISTERING
        lease = {"owner": owner, "lease_until": self.now + MINUTE} if entering else {"owner": None, "lease_until": None}
        self.token = was.model_copy(update={"model_status": status, **lease})

    @invariant()
    def an_archived_token_stays_archived(self):
        if self.token.model_status is Status.ARCHIVED:
            assert all(refusal(self.token, to(s, "one"), self.now) is TokenStatusError for s in Status)


TestLives = Lives.TestCase


# The records


@pytest.mark.parametrize(("given_id", "kept"), [("XRAY", "XRAY"), ("xray", "XRAY"), ("msg-ai", "MSG-AI")])
def test_a_new_token_may_be_a_ticker_and_is_upper_case(given_id, kept):
    assert NewToken(token_id=given_id).token_id == kept


@pytest.mark.parametrize("wrong", ["msg_ai", "-A", "A--B", "", "1A", "A B", "ß-A", 7, None, "A" * 65])
def test_a_new_token_is_a_token_id(wrong):
    with pytest.raises(pydantic.ValidationError, match="Token ID format invalid"):
        NewToken(token_id=wrong)


def test_a_change_is_checked():
    assert TokenChange(to="registering", by="me", owner="one", lease_seconds=60).to is Status.REGISTERING
    wrong = [
        {"to": "minted"},
        {"lease_seconds": 0},
        {"lease_seconds": 86_401},
        {"lease_seconds": float("nan")},
        {"facts": {**FACT_FIELDS, "metric_value": "about 1"}},
        {"owned_by": "x"},
    ]
    for change in wrong:
        with pytest.raises(pydantic.ValidationError):
            TokenChange(**{"to": "draft", "by": "me", **change})


def test_facts_keep_the_text_of_their_numbers():
    facts = RegistrationFacts(**{**FACT_FIELDS, "metric_value": "0.850", "baseline_value": 0.82})
    assert (facts.metric_value, facts.baseline_value) == ("0.850", "0.82")


def test_a_moment_without_a_zone_is_utc_and_any_other_becomes_utc():
    naive, elsewhere = NOW.replace(tzinfo=None), NOW.astimezone(dt.timezone(dt.timedelta(hours=5)))
    assert token(created_at=naive).created_at == token(created_at=elsewhere).created_at == NOW
    assert token(created_at=elsewhere).created_at.tzinfo is dt.UTC
    assert utc_now().tzinfo is dt.UTC


def test_a_token_is_shown_with_what_is_known_of_it():
    shown = held(metric_name="auroc", baseline_value="0.82", mlflow_run_id="r1")._text_()
    for words in ("Token MSG-AI", "registering", "auroc = –", "0.82", "r1", "2026-01-02 03:05:05 UTC"):
        assert words in shown
    assert "imulated" not in shown
    assert "imulated" in token(simulated=True)._text_()


def test_lists_and_histories_are_shown():
    page = TokenPage(entries=(token(metric_name="auroc", metric_value="0.85"),))
    assert all(words in page._text_() for words in ("MSG-AI", "draft", "auroc", "0.85"))
    assert "Nothing found." in TokenPage(entries=())._text_()
    steps = (
        Transition(token_id="MSG-AI", before=None, after="draft", by="ada", at=NOW),
        Transition(token_id="MSG-AI", before="draft", after="failed", by="ada", at=NOW, reason="It broke."),
    )
    text = TokenHistory(token=token(Status.FAILED), steps=steps)._text_()
    assert all(words in text for words in ("Token MSG-AI", "ada", "It broke.", "2026-01-02 03:04:05 UTC"))


def test_hostile_text_is_escaped_where_it_is_shown():
    hostile = "<script>alert(1)</script>"
    step = Transition(token_id="MSG-AI", before=None, after="draft", by=hostile, at=NOW, reason=hostile)
    records = [
        token(token_id=hostile, metric_name=hostile, mlflow_run_id=hostile),
        TokenPage(entries=(token(token_id=hostile, metric_name=hostile),)),
        TokenHistory(token=token(token_id=hostile), steps=(step,)),
    ]
    for record in records:
        assert "<script>" not in record._html_()
        assert "&lt;script&gt;" in record._html_()


def test_records_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        token().model_status = Status.DEPLOYED
    with pytest.raises(TypeError):
        token(metadata={"a": 1}).metadata["a"] = 2
