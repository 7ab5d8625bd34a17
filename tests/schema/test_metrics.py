"""The catalogue of metrics: names, aliases, ranges, directions, and what is guessed behind a slip."""

from __future__ import annotations

import enum
from decimal import Decimal

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema import metrics
from hokusai_nb.schema.metrics import (
    STANDARD_METRICS,
    Direction,
    Metric,
    MetricName,
    check_benchmark,
    check_metric,
    find_metric,
    improvement,
    known_metrics,
    register_metric,
    same_metric,
)
from hokusai_nb.schema.problems import errors_in

modest = settings(max_examples=100, deadline=None)
# Family, direction, lower and upper bound of each name, and what else it is called.
CATALOGUE = {
    "accuracy": ("classification", "max", 0, 1, ()),
    "auroc": ("classification", "max", 0, 1, ("auc", "roc_auc")),
    "f1": ("classification", "max", 0, 1, ("f1_score",)),
    "precision": ("classification", "max", 0, 1, ()),
    "recall": ("classification", "max", 0, 1, ()),
    "mse": ("regression", "min", 0, None, ()),
    "rmse": ("regression", "min", 0, None, ()),
    "mae": ("regression", "min", 0, None, ()),
    "r2": ("regression", "max", None, 1, ("r2_score",)),
    "perplexity": ("nlp", "min", 1, None, ()),
    "bleu": ("nlp", "max", 0, 1, ("bleu_score",)),
    "rouge": ("nlp", "max", 0, 1, ("rouge_score",)),
    "ndcg": ("ranking", "max", 0, 1, ()),
    "map": ("ranking", "max", 0, 1, ()),
    "mrr": ("ranking", "max", 0, 1, ()),
    "reply_rate": ("custom", "max", 0, 1, ()),
    "conversion_rate": ("custom", "max", 0, 1, ()),
    "engagement_score": ("custom", "max", 0, None, ()),
}
anything = st.one_of(
    st.text(max_size=120),
    st.text(alphabet="acurvl_/ A1.-İé\n", max_size=20),
    st.sampled_from(["val_accuracy", "test/auc", "Accuracy", "acuracy", "F1-Score", "roc auc", "a" * 101]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.lists(st.text()),
)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.floats() | st.text(max_size=12)
names = st.sampled_from(sorted(CATALOGUE))


@pytest.fixture
def catalogue(monkeypatch):
    """What is declared in a test is forgotten after it."""
    monkeypatch.setattr(metrics, "_by_name", dict(metrics._by_name))


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_knows_family_direction_range_and_aliases(name):
    family, direction, lower, upper, aliases = CATALOGUE[name]
    metric = STANDARD_METRICS[family][name]
    assert (metric.name, metric.family, metric.direction) == (name, family, direction)
    assert (metric.lower, metric.upper, metric.aliases) == (lower, upper, aliases)
    for known in (name, *aliases):
        assert find_metric(known) == metric
        assert same_metric(known, name)


def test_the_standard_metrics_are_exactly_these_by_family():
    assert list(STANDARD_METRICS) == ["classification", "regression", "nlp", "ranking", "custom"]
    assert {name for family in STANDARD_METRICS.values() for name in family} == set(CATALOGUE)
    assert [m.name for m in known_metrics()][: len(CATALOGUE)] == list(CATALOGUE)


def test_the_catalogue_cannot_be_changed():
    with pytest.raises(TypeError):
        STANDARD_METRICS["nlp"]["mine"] = find_metric("bleu")
    with pytest.raises(pydantic.ValidationError):
        find_metric("bleu").direction = Direction.MIN


@pytest.mark.parametrize("value", [None, 5, "", "no_such", ["accuracy"], {}, b"accuracy"])
def test_looking_for_an_odd_name_finds_nothing(value):
    assert find_metric(value) is None


def test_a_member_of_an_enum_and_numpy_text_are_the_text_they_hold():
    class Benchmark(str, enum.Enum):  # noqa: UP042 - as older code writes it; its str() is "Benchmark.ACC"
        ACC = "accuracy"

    assert find_metric(Benchmark.ACC) == find_metric(np.str_("accuracy")) == find_metric("accuracy")
    assert check_metric(Benchmark.ACC) == []
    assert pydantic.TypeAdapter(MetricName).validate_python(Benchmark.ACC) == "accuracy"
    assert check_benchmark(Benchmark.ACC, "87")[0].what == "accuracy must be between 0 and 1: '87'"


@pytest.mark.parametrize("name", ["auc", "f1_score", "my_metric", "a"])
def test_a_tag_keeps_the_name_that_the_user_wrote(name):
    assert pydantic.TypeAdapter(MetricName).validate_python(name) == name


@pytest.mark.parametrize(
    ("name", "guess"),
    [("val_accuracy", "accuracy"), ("test_roc_auc", "roc_auc"), ("acuracy", "accuracy"), ("my_metric", None)],
)
def test_an_undeclared_name_is_accepted_with_a_warning_that_may_suggest_another(name, guess):
    (problem,) = check_metric(name)
    assert (problem.severity, problem.repair) == ("warning", guess)
    assert problem.what == f"Metric {name} is not in the catalogue."
    assert "register_metric" in problem.hint
    assert find_metric(name) is None


def test_where_names_must_be_declared_an_undeclared_one_is_an_error():
    (problem,) = check_metric("val_accuracy", declared=True)
    assert (problem.severity, problem.repair) == ("error", "accuracy")


@pytest.mark.parametrize(
    ("name", "repair"),
    [
        ("test/auc", "auc"),
        ("Accuracy", "accuracy"),
        ("F1-Score", "f1_score"),
        ("roc auc", "roc_auc"),
        ("My Metric", "my_metric"),
        ("_hidden", "hidden"),
        ("accuracy\n", "accuracy"),
        ("", None),
        ("1st", None),
        ("größe", None),
        ("m" * 101, None),
        (None, None),
        (5, None),
    ],
)
def test_a_malformed_name_is_refused_with_a_repair_where_there_is_one(name, repair):
    (problem,) = check_metric(name)
    assert problem.what.startswith("Metric name invalid: ")
    assert (problem.field, problem.severity, problem.repair) == ("metric", "error", repair)
    assert problem.hint


def test_a_very_long_name_is_refused_at_once():
    (problem,) = check_metric("a_" * 200_000)
    assert "100 is the most" in problem.hint


@pytest.mark.parametrize(
    ("metric", "value", "repair"),
    [
        ("accuracy", "87", "0.87"),
        ("accuracy", 100, "1.00"),
        ("reply_rate", "13.42", "0.1342"),
        ("accuracy", "99." + "9" * 61, None),
        ("r2", "91", "0.91"),
        ("accuracy", "-0.5", None),
        ("accuracy", "101", None),
        ("rmse", "-0.25", "0.25"),
        ("mse", -1.5, "1.5"),
        ("perplexity", "0.5", None),
        ("engagement_score", "-1", None),
    ],
)
def test_a_value_out_of_range_is_an_error_that_guesses_the_slip(metric, value, repair):
    (problem,) = check_benchmark(metric, value)
    assert (problem.field, problem.severity, problem.repair) == ("value", "error", repair)
    assert problem.what.startswith(f"{metric} must be {find_metric(metric).range_in_words}: ")
    assert problem.hint


@pytest.mark.parametrize(("text", "repair"), [("87 ", "0.87"), ("87%", "0.87"), ("99999%", None)])
def test_a_number_repaired_in_form_lies_in_the_metrics_range_too(text, repair):
    (problem,) = check_benchmark("accuracy", text)
    assert problem.what == f"Benchmark value must be numeric: {text!r}"
    assert problem.repair == repair


def test_the_message_about_a_percentage_asks_for_the_fraction():
    (problem,) = check_benchmark("accuracy", 87)
    assert problem.what == "accuracy must be between 0 and 1: '87'"
    assert problem.hint == "Did you mean 0.87? Give a fraction, not a percentage."


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("accuracy", "0"),
        ("accuracy", "1"),
        ("accuracy", "-0.0"),
        ("r2", "-7"),
        ("rmse", "1e6"),
        ("perplexity", "1"),
        ("unknown", "-5"),
    ],
)
def test_a_value_on_the_bounds_and_any_value_of_an_undeclared_metric_is_accepted(metric, value):
    assert check_benchmark(metric, value) == []


def test_a_range_is_said_in_words():
    words = {name: find_metric(name).range_in_words for name in ("accuracy", "rmse", "r2")}
    assert words == {"accuracy": "between 0 and 1", "rmse": "at least 0", "r2": "at most 1"}
    assert Metric(name="free", direction=Direction.MAX).range_in_words == ""


@pytest.mark.parametrize(
    ("metric", "baseline", "candidate", "gain"),
    [
        ("accuracy", "0.14", "0.15", "0.01"),
        ("accuracy", "0.15", "0.14", "-0.01"),
        ("rmse", "0.15", "0.13", "0.02"),
        ("rmse", "0.13", "0.15", "-0.02"),
        ("mae", "0.5", "0.5", "0.0"),
    ],
)
def test_an_improvement_is_exact_and_positive_where_the_candidate_is_better(metric, baseline, candidate, gain):
    found = find_metric(metric)
    assert improvement(found, baseline=Decimal(baseline), candidate=Decimal(candidate)) == Decimal(gain)
    assert found.better(Decimal(candidate), than=Decimal(baseline)) == (Decimal(gain) > 0)


@pytest.mark.usefixtures("catalogue")
def test_a_declared_metric_has_direction_range_and_aliases():
    metric = register_metric("latency_ms", "min", (0, None), aliases=("latency",))
    assert find_metric("latency") == find_metric("latency_ms") == metric
    assert (metric.family, metric.direction, metric.lower, metric.upper) == ("custom", Direction.MIN, 0, None)
    assert check_metric("latency_ms", declared=True) == []
    assert check_benchmark("latency", "-3")[0].what == "latency must be at least 0: '-3'"
    assert metric in known_metrics()


@pytest.mark.usefixtures("catalogue")
def test_declaring_the_same_again_changes_nothing():
    first = register_metric("latency_ms", "min", (0, None))
    assert register_metric("latency_ms", Direction.MIN, (np.float64(0.0), None)) == first
    assert register_metric("accuracy", "max", (0, 1)) == STANDARD_METRICS["classification"]["accuracy"]
    assert register_metric("auc", "max", (0, 1)).name == "auroc"


@pytest.mark.usefixtures("catalogue")
def test_an_alias_can_be_added_to_a_known_metric():
    register_metric("accuracy", "max", (0, 1), aliases=("acc",))
    assert same_metric("acc", "accuracy")


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("accuracy", "min"), "name"),
        (("accuracy", "max"), "name"),
        (("mine", "max", (None, None), ("accuracy",)), "name"),
        (("Mine", "max"), "name"),
        ((None, "max"), "name"),
        (("mine", "up"), "direction"),
        (("mine", None), "direction"),
        (("mine", ["max"]), "direction"),
        (("mine", "max", (0,)), "range"),
        (("mine", "max", 5), "range"),
        (("mine", "max", ("low", 1)), "range"),
        (("mine", "max", (0, float("nan"))), "range"),
        (("mine", "max", (1, 0)), "range"),
        (("mine", "max", (0, 1), "acc"), "aliases"),
        (("mine", "max", (0, 1), (5,)), "aliases"),
        (("mine", "max", (0, 1), ("A b",)), "aliases"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused_and_changes_nothing(arguments, field):
    before = known_metrics()
    with pytest.raises(ValidationError) as caught:
        register_metric(*arguments)
    assert caught.value.problems[0].field == field
    assert known_metrics() == before
    assert find_metric("mine") is None


@modest
@given(anything, st.booleans())
def test_no_name_breaks_the_check_and_every_repair_is_valid(name, declared):
    for problem in check_metric(name, declared=declared):
        assert problem.repair is None or errors_in(check_metric(problem.repair, declared=declared)) == []


@modest
@given(names | anything, numbers | anything)
def test_no_value_breaks_the_check_and_every_repair_is_valid(metric, value):
    for problem in check_benchmark(metric, value):
        assert problem.repair is None or check_benchmark(metric, problem.repair) == []


@modest
@given(names, st.tuples(*[st.decimals(allow_nan=False, allow_infinity=False, places=4)] * 2))
def test_an_improvement_and_its_reverse_cancel_out(name, pair):
    metric, (first, second) = find_metric(name), pair
    forth = improvement(metric, baseline=first, candidate=second)
    assert forth == improvement(metric, baseline=second, candidate=first).copy_negate()
    assert metric.better(second, than=first) == (forth > 0)
