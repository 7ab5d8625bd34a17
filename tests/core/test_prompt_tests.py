from __future__ import annotations

import pytest

from hokusai_nb.core.prompts import PromptModel, run_tests
from hokusai_nb.errors import ModelValidationError

DONE = {"author": "a", "purpose": "b", "tested_on": "c", "performance_metrics": {"engagement_rate": 0.07}}


def prompt(**metadata):
    return PromptModel("hook", "Hi {name}", "1.0.0", metadata={**DONE, **metadata})


def fits_a_post(model):
    return len(model.render(name="x" * 100)) <= 280


def fails(model):
    assert model.name == "other", "not mine"


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        ("engagement_rate > 0.06", True),
        ("engagement_rate>=0.07", True),
        ("engagement_rate > 0.07", False),
        ("engagement_rate < 7e-2", False),
        (" engagement_rate == 0.07 ", True),
        ("engagement_rate != 0.07", False),
        ("engagement_rate <= 0.07", True),
        ("target >= -1", True),
        ("unknown > 0", False),
        ("author > 0", False),
        ("flag > 0", False),
    ],
)
def test_a_gate_compares_what_was_measured_exactly(gate, passed):
    report = run_tests(prompt(target=0.5, flag=True), "production", [gate])
    assert report.passed is passed
    assert bool(report) is passed


def test_metrics_may_be_given():
    assert run_tests(prompt(), "staging", ["auc > 0.9"], metrics={"auc": "0.95"}).passed
    assert not run_tests(prompt(), "staging", ["engagement_rate > 0"], metrics={}).passed


@pytest.mark.parametrize("gate", ["", "engagement_rate", "> 0.06", "a > b", "a => 1", "a > 1.2.3", "a > 1 > 0"])
def test_a_gate_that_cannot_be_read_is_an_error_and_no_failed_test(gate):
    with pytest.raises(ModelValidationError, match="A metric gate cannot be read"):
        run_tests(prompt(), "production", [gate])


def test_one_that_fails_stops_no_other_and_each_says_why():
    tests = {"long": fits_a_post, "mine": fails, "no": lambda _: False, "values": lambda m: m.render(), "none": print}
    report = run_tests(prompt(), "staging", tests)
    assert [(r.name, r.passed) for r in report.results] == [
        ("long", True), ("mine", False), ("no", False), ("values", False), ("none", True),
    ]  # fmt: skip
    assert "AssertionError: not mine" in report.failed[0].detail
    assert "Missing required variables: name" in report.failed[2].detail
    assert "FAILED  no: it returned False" in str(report)


@pytest.mark.usefixtures("store")
def test_a_promotion_can_require_tests():
    made = prompt().register()
    with pytest.raises(
        ModelValidationError, match=r"Tests failed: hook 1\.0\.0 cannot be promoted to staging"
    ) as caught:
        made.promote_to_staging(require=[fits_a_post, fails, "engagement_rate > 0.08"])
    assert len(caught.value.problems) == 2
    assert len(made.get_history()) == 0
    made.promote_to_staging(require=[fits_a_post]).promote_to_production(require={"rate": "engagement_rate > 0.06"})
    assert made.stage == "production"
