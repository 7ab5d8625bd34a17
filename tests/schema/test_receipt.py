"""The receipt as it is read: every case in words, as HTML and as text."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.receipt import Receipt
from hokusai_nb.schema.records import RegisteredModel


def model(metric="accuracy", value="0.9", **given):
    given = {"name": "m", "version": "3", "token_id": "A-B", "tags": {}, **given}
    return RegisteredModel(benchmark_metric=metric, benchmark_value=value, **given)


def receipt(metric="accuracy", value="0.9", **given):
    return Receipt(model=model(metric, value), **given)


AFTER = {"last": "2", "last_metric": "accuracy", "last_value": "0.88", "over_last": Decimal("0.02")}


def test_both_gains_are_signed_and_name_their_versions():
    text = receipt(**AFTER, best="1", over_best=Decimal("-0.01"))._text_()
    assert "+0.02 (version 2: accuracy = 0.88)" in text
    assert "-0.01 (version 1)" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "first version: it is the baseline"),
        ({**AFTER, "last_metric": "f1", "over_last": None}, "not comparable (version 2: f1 = 0.88)"),
        ({"last": "2"}, "not comparable (version 2, which has no benchmark)"),
        ({"trouble": "It went away."}, "not known"),
    ],
)
def test_a_last_version_that_cannot_be_compared_says_why(given, said):
    assert receipt(**given).over_last_in_words == said


@pytest.mark.parametrize(
    ("metric", "given", "said"),
    [
        ("accuracy", {}, "first version with accuracy"),
        ("sharpness", {"last": "2"}, "no direction is declared for sharpness: see register_metric"),
        ("accuracy", {"trouble": "It went away."}, "not known"),
    ],
)
def test_a_best_version_that_does_not_exist_says_why(metric, given, said):
    assert receipt(metric, **given).over_best_in_words == said


@pytest.mark.parametrize(
    ("metric", "over_best", "said"),
    [
        ("accuracy", None, "It is the baseline: a version that beats it by 0.01 is one DeltaOne better."),
        ("accuracy", "0.01", "1 DeltaOne (0.01 each) better than the best before it."),
        ("accuracy", "0.0399", "3 DeltaOnes (0.01 each) better than the best before it."),
        ("accuracy", "0.0099", "One DeltaOne is 0.01; it is +0.0099 against the best before it."),
        ("accuracy", "-0.2", "One DeltaOne is 0.01; it is -0.2 against the best before it."),
        ("rmse", "0.5", "DeltaOne is told of metrics between 0 and 1 only."),
        ("sharpness", None, "DeltaOne is told of metrics between 0 and 1 only."),
    ],
)
def test_the_deltaone_hint_counts_whole_percentage_points_over_the_best(metric, over_best, said):
    over = None if over_best is None else Decimal(over_best)
    assert receipt(metric, over_best=over).delta_one_hint == said


def test_nothing_is_claimed_of_versions_that_could_not_be_read():
    found = receipt(trouble="The server went away.")
    assert "baseline" not in found._text_()
    assert "could not be read: The server went away." in found._text_()


def test_the_next_two_commands_quote_a_name_that_needs_it():
    found = Receipt(model=model(name="my model"))
    assert found.next_steps == ("%hokusai_improvement 'my model'", "%hokusai_lineage 'my model'")


def test_a_server_has_a_link_to_follow_and_a_database_none():
    url = "http://127.0.0.1:5000/#/models/m/versions/3"
    found = Receipt(model=model(url=url))
    assert f'<a href="{url}" target="_blank" rel="noopener noreferrer">' in found._repr_mimebundle_()["text/html"]
    assert url in found._text_()
    assert "<a " not in receipt()._repr_mimebundle_()["text/html"]


def test_a_repetition_a_contributor_and_warnings_are_told():
    doubt = Problem(field="metric", what="Look at this.", severity="warning")
    address = "0x" + "ab" * 20
    found = Receipt(model=model(created=False, tags={"contributor": address}, warnings=(doubt,)))
    assert found._text_().startswith("Already registered m version 3")
    assert address in found._text_()
    assert "Warning: Look at this." in found._text_()


def test_hostile_content_is_text():
    hostile = "<script>alert(1)</script>"
    given = {"last": "2", "last_metric": hostile, "last_value": hostile, "trouble": hostile}
    found = Receipt(
        model=model(hostile, hostile, name=hostile, token_id=hostile, url="http://x/?" + '"><script>'), **given
    )
    assert "<script" not in found._repr_mimebundle_()["text/html"]


def test_a_version_of_another_client_without_tags_has_a_receipt_too():
    bare = RegisteredModel(name="m", version="1", token_id=None, benchmark_metric=None, benchmark_value=None, tags={})
    assert "–" in Receipt(model=bare)._text_()
