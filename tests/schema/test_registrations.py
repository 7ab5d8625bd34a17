"""What a registration of a file is asked for with is checked by itself, and its answer says what it is."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hokusai_nb.errors import MetricValidationError, ValidationError
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.registrations import RegisterFile, Registration

ADDRESS = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20
GIVEN = {"token": "xray", "path": "m.bin", "metric": "auroc", "baseline": "0.82"}


def parse(**changes):
    return RegisterFile.parse({**GIVEN, **changes})


def test_a_ticker_is_taken_and_folded_and_text_is_kept():
    verb = parse(baseline="0.820", value=0.85)
    assert (verb.token, verb.baseline, verb.value) == ("XRAY", "0.820", "0.85")
    assert (verb.run, verb.name, verb.contributor, dict(verb.tags)) == (None, None, None, {})
    assert (verb.dry_run, verb.as_json) == (False, False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"token": "x ray"}, "token"),
        ({"path": ""}, "path"),
        ({"path": None}, "path"),
        ({"baseline": "much"}, "baseline"),
        ({"baseline": None}, "baseline"),
        ({"value": "much"}, "value"),
        ({"name": "a/b"}, "name"),
        ({"contributor": "me"}, "contributor"),
        ({"tags": {"benchmark_value": "1"}}, "tags.benchmark_value"),
        ({"tags": {"hokusai.baseline_requirement": "1"}}, "tags"),
        ({"tags": {"contributor_address": OTHER}, "contributor": ADDRESS}, "contributor"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_field_that_is_wrong_is_named(changes, field):
    with pytest.raises(ValidationError) as caught:
        parse(**changes)
    assert [p.field for p in caught.value.problems] == [field]


@pytest.mark.parametrize("field", ["baseline", "value"])
def test_what_is_no_number_is_told_in_the_documented_words_with_its_field(field):
    with pytest.raises(MetricValidationError) as caught:
        parse(**{field: "abc"})
    assert caught.value.what == f"Metric Validation Failed: {field}: Benchmark value must be numeric: 'abc'"
    with pytest.raises(ValidationError) as other:
        parse(name="a/b")
    assert type(other.value) is ValidationError


def test_the_range_of_a_value_is_not_checked_here():
    assert parse(baseline="82", value="-3", metric="nonsense").value == "-3"


def test_one_contributor_may_be_named_twice_in_any_case():
    verb = parse(contributor=ADDRESS, tags={"contributor": ADDRESS.upper().replace("0X", "0x")})
    assert verb.contributor == ADDRESS


def test_a_form_is_told_all_at_once():
    problems = RegisterFile.check({**GIVEN, "token": "", "baseline": "much", "tags": {"contributor": OTHER}})
    assert [p.field for p in problems] == ["token", "baseline"]
    contradiction = {"contributor": ADDRESS, "tags": {"contributor": OTHER}}
    assert [p.field for p in RegisterFile.check({**GIVEN, **contradiction, "token": ""})] == ["token", "contributor"]


def test_an_address_that_fails_its_checksum_is_a_warning():
    mixed = "0x" + "aB" * 20
    assert [p.severity for p in parse(contributor=mixed).warnings()] == ["warning"]
    assert parse(contributor=ADDRESS).warnings() == []


def registration(**changes):
    return Registration(
        **{
            "token_id": "XRAY",
            "status": "registered",
            "model_name": "hokusai-xray",
            "version": "3",
            "mlflow_run_id": "r" * 32,
            "metric_name": "auroc",
            "metric_value": "0.85",
            "baseline_value": "0.82",
            "improvement": Decimal("0.03"),
            "performance_source": "given",
            "tags": {},
            **changes,
        }
    )


def test_a_registration_shows_what_it_made():
    text = registration(url="http://mlflow")._text_()
    assert text.splitlines() == [
        "Registered hokusai-xray version 3",
        "Token      XRAY (registered)",
        "Benchmark  auroc = 0.85",
        "Baseline   0.82 (improvement +0.03)",
        f"Run        {'r' * 32}",
        "MLflow     http://mlflow",
    ]


def test_the_answer_to_a_repetition_says_that_it_is_one():
    assert registration(created=False)._text_().splitlines()[0] == "Registered before: hokusai-xray version 3"


def test_what_is_unusual_stands_below_it():
    doubt = Problem(field="value", what="It is odd", hint="Look again.", severity="warning")
    made = registration(performance_source="declared", simulated=True, dry_run=True, warnings=(doubt,))
    first, *_, one, two, three = made._text_().splitlines()
    assert first == "Would register hokusai-xray version 3"
    assert one.startswith("Simulated: mock mode is on")
    assert two == "No measured value was found: the baseline is recorded as the declared value."
    assert three == "Warning: It is odd. Look again."


def test_what_a_registry_says_is_escaped():
    html = registration(model_name="<script>alert(1)</script>")._repr_mimebundle_()["text/html"]
    assert "<script>" not in html


def test_it_survives_json_exactly():
    made = registration(improvement=Decimal("0.0300"))
    assert Registration.model_validate_json(made.model_dump_json()) == made
    assert '"improvement":"0.0300"' in made.model_dump_json()
