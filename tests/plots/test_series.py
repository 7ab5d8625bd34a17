"""The best so far is exact, whatever the values."""

from __future__ import annotations

import json
from decimal import Decimal

import hypothesis
import hypothesis.strategies as st
import pytest

from hokusai_nb.plots.improvement import contribution_plot, improvement_plot
from hokusai_nb.plots.lineage import lineage_plot
from hokusai_nb.plots.series import Series, shortest

from .conftest import make_lineage

VALUES = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["0", "-0", "1e300", "-1e-300", "high"]),
)
METRICS = st.sampled_from(["accuracy", "rmse", "r2", "auc", "roc_auc", "my_score", "<b>", None])


def test_the_best_so_far_is_exact():
    series = Series.of(make_lineage(["0.1", "0.2", "0.3"]))
    assert series.total_gain == Decimal("0.2")
    assert sum(p.gain for p in series.points) == Decimal("0.2")


def test_the_best_is_the_version_that_reached_it_first():
    assert Series.of(make_lineage(["0.8", "0.9", "0.90", "0.7"])).best.entry.version == "2"


def test_a_declared_value_moves_no_best_and_is_no_baseline():
    series = Series.of(make_lineage(["0.99", "0.91", "0.95", "0.93"], declared=("1", "3")))
    assert [(p.entry.version, p.best, p.gain) for p in series.points] == [
        ("1", None, 0),
        ("2", Decimal("0.91"), 0),
        ("3", Decimal("0.91"), 0),
        ("4", Decimal("0.93"), Decimal("0.02")),
    ]
    assert (series.baseline.entry.version, series.best.entry.version) == ("2", "4")
    assert series.total_gain == Decimal("0.02")
    assert series.outcome.startswith("2 versions, from the baseline 0.91 (version 2) to the best 0.93 (version 4)")


def test_where_everything_is_declared_there_is_no_series():
    assert Series.of(make_lineage(["0.9", "0.95"], declared=("1", "2"))) is None


@pytest.mark.parametrize("metric", ["accuracy", "my_score"])
def test_a_newest_version_that_is_only_declared_decides_no_metric(metric):
    series = Series.of(make_lineage(["1", "2", "0.9"], metrics=[metric, metric, "rmse"], declared=("2", "3")))
    assert (series.metric_name, series.other_metrics, series.best.entry.version) == (metric, 1, "1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.850", "0.85"),
        ("12345678", "12345678"),
        ("0.000001", "0.000001"),
        ("1e300", "1e+300"),
        ("-0.1234567891", "-0.123457"),
        ("0", "0"),
        ("150", "150"),
    ],
)
def test_labels_are_exact_while_they_are_short(value, text):
    assert shortest(Decimal(value)) == text


DECLARED = st.sets(st.sampled_from([str(n) for n in range(1, 9)]))


@hypothesis.given(st.lists(st.tuples(VALUES, METRICS, st.text(max_size=5)), max_size=8), st.text(max_size=20), DECLARED)
@hypothesis.settings(max_examples=25, deadline=None)
def test_whatever_a_registry_holds_becomes_a_chart_or_a_sentence(versions, name, declared):
    values, metrics, people = zip(*versions, strict=True) if versions else ([], [], [None])
    lineage = make_lineage(values, metrics=metrics, people=people, name=name, declared=declared)
    for draw in (improvement_plot, contribution_plot, lineage_plot):
        plot = draw(lineage)
        assert plot.text
        assert json.dumps(plot.spec, allow_nan=False)
