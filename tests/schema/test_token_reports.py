from __future__ import annotations

import datetime as dt

import pytest

from hokusai_nb.schema.lifecycle import Status, Token, Transition
from hokusai_nb.schema.token_reports import TokenReport, registered_as
from tests.tokens import FACTS

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def report(status, *steps):
    token = Token(token_id="MSG-AI", model_status=status, created_at=NOW, updated_at=NOW)
    past = [
        Transition(token_id="MSG-AI", before=None, after=after, by="me", at=NOW, reason=reason)
        for after, reason in steps
    ]
    return TokenReport.of(token, past)


def test_what_failed_says_the_last_reason_on_one_escaped_line():
    failed = report(Status.FAILED, (Status.FAILED, "an old one"), (Status.FAILED, "<b>too\nweak</b>\x1b"))
    assert failed.why == "<b>too\nweak</b>\x1b"
    assert "\nWhy      <b>too\\nweak</b>\\x1b\n" in failed._text_()
    assert "<b>" not in str(failed._html_())
    assert failed.model_name is None


def test_what_failed_for_no_recorded_reason_says_where_to_look():
    assert "Why      not recorded; see: hokusai token show MSG-AI" in report(Status.FAILED)._text_()
    assert "Why" not in report(Status.DRAFT)._text_()


@pytest.mark.parametrize("status", [Status.REGISTERED, Status.DEPLOYED, Status.ARCHIVED])
def test_the_model_is_known_from_the_step_that_registered_it(status):
    facts = FACTS.model_copy(update={"model_name": "a version 2 model", "version": "13"})
    found = report(status, (Status.REGISTERED, registered_as(facts)), (status, registered_as(facts)))
    assert (found.model_name, found.version) == ("a version 2 model", "13")
    assert "Model    a version 2 model version 13" in found._text_()


def test_a_reason_of_another_program_is_not_taken_for_a_model():
    assert report(Status.REGISTERED, (Status.REGISTERED, "because"))._text_().count("\n") == 2


def test_a_report_reads_back_from_json():
    made = report(Status.FAILED, (Status.FAILED, "weak"))
    assert TokenReport.model_validate_json(made.model_dump_json()) == made
