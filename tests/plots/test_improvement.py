"""The values over versions, and who gained how much: what is drawn, said and left out."""

from __future__ import annotations

import itertools
import json
import time

import pytest
import vl_convert

from hokusai_nb.plots.improvement import contribution_plot, improvement_plot
from hokusai_nb.plots.theme import PALETTE
from hokusai_nb.schema.metrics import register_metric

VEGA = "application/vnd.vegalite.v5+json"
ALICE, BOB, CAROL = ("0x" + digit * 40 for digit in "abc")
NASTY = ['<img src=x onerror="alert(1)">', "a.b[0]['c']\\", "two\nlines", "🎉" * 30, "x" * 5000, "%s %d $1 {x}"]


def layers(plot, mark):
    return [layer for layer in plot.spec["layer"] if layer["mark"]["type"] == mark]


def labels(plot, rows):
    return [row["label"] for row in rows(plot, "levels")]


def y_title(plot):
    return layers(plot, "point")[0]["encoding"]["y"]["title"]


def texts_in(spec, version):
    return vl_convert.vegalite_to_svg(spec, vl_version=version).split("<text")[1:]


def test_values_best_line_baseline_and_band_are_drawn(lineage_of, rows):
    plot = improvement_plot(lineage_of(["0.85", "0.87", "0.86", "0.91"]))
    assert [r.get("y") for r in rows(plot, "versions")] == [0.85, 0.87, 0.86, 0.91, None]
    assert [r["best"] for r in rows(plot, "versions")] == [0.85, 0.87, 0.87, 0.91, 0.91]
    assert [r["target"] for r in rows(plot, "versions")] == [0.86, 0.88, 0.88, 0.92, 0.92]
    assert layers(plot, "line")[0]["mark"]["interpolate"] == "step-after"
    assert layers(plot, "area")[0]["encoding"]["y2"]["field"] == "target"
    assert rows(plot, "baseline") == [{"level": 0.85}]
    assert labels(plot, rows) == ["baseline 0.85", "best 0.91", "DeltaOne 0.92"]


def test_the_last_place_on_the_axis_is_the_next_version(lineage_of, rows):
    plot = improvement_plot(lineage_of(["0.85", "0.87"]))
    assert [r["version"] for r in rows(plot, "versions")] == ["1", "2", "next"]
    assert layers(plot, "point")[0]["encoding"]["x"]["axis"]["values"] == ["1", "2", "next"]


@pytest.mark.parametrize(("metric", "direction"), [("accuracy", "higher is better"), ("rmse", "lower is better")])
def test_the_direction_is_stated_on_the_axis_and_in_the_text(lineage_of, metric, direction):
    plot = improvement_plot(lineage_of(["0.5", "0.4"], metrics=metric))
    assert y_title(plot).startswith(f"{metric}, {direction}")
    assert direction in plot.text


def test_the_text_tells_direction_number_best_and_baseline(lineage_of):
    plot = improvement_plot(lineage_of(["0.85", "0.87", "0.912"]))
    assert plot.text == (
        "Improvement of churn: accuracy, higher is better (fraction, 0 to 1). "
        "3 versions, from the baseline 0.85 (version 1) to the best 0.912 (version 3): better by 0.062. "
        "Yellow: up to one DeltaOne (0.01) better than the best so far. The next DeltaOne is at 0.922."
    )


def test_a_declared_value_is_a_ring_that_counts_for_nothing(lineage_of, rows):
    plot = improvement_plot(lineage_of(["0.85", "0.95", "0.87"], declared=("2",)))
    drawn = rows(plot, "versions")
    assert [r["best"] for r in drawn] == [0.85, 0.85, 0.87, 0.87]
    assert [("hole" in r, r.get("value")) for r in drawn] == [
        (False, "0.85"),
        (True, "0.95 (declared)"),
        (False, "0.87"),
        (False, None),
    ]
    assert drawn[1]["over_best"] == drawn[1]["over_parent"] == "–"
    assert drawn[2]["over_best"] == drawn[2]["over_parent"] == "+0.02"
    hole = layers(plot, "point")[1]
    assert hole["mark"]["color"] == "#FFFFFF"
    assert hole["transform"] == [{"filter": "isValid(datum.hole)"}]
    assert hole["encoding"]["tooltip"] == layers(plot, "point")[0]["encoding"]["tooltip"]
    assert "With a hole: the value of 1 version was declared, not measured; it counts for nothing." in plot.text
    assert labels(plot, rows) == ["baseline 0.85", "best 0.87", "DeltaOne 0.88"]
    assert len(layers(improvement_plot(lineage_of(["0.85", "0.87"])), "point")) == 1


def test_nobody_gains_by_a_declared_value(lineage_of, rows):
    plot = contribution_plot(lineage_of(["0.85", "0.95", "0.87"], declared=("2",)))
    assert [(r["who"], r["gain"]) for r in rows(plot, "steps")] == [("0xcccc…cccc", "+0.02")]
    none = contribution_plot(lineage_of(["0.85", "0.95"], declared=("2",)))
    assert none.chart is None


@pytest.mark.parametrize("draw", [improvement_plot, contribution_plot])
def test_where_nothing_was_measured_a_sentence_says_so(lineage_of, draw):
    plot = draw(lineage_of(["0.85"], declared=("1",)))
    assert plot.text == "The only version of churn has no measured benchmark value, so there is nothing to draw."


def test_one_version_is_a_picture_with_its_band(lineage_of, rows):
    plot = improvement_plot(lineage_of(["0.91"]))
    bundle, _ = plot._repr_mimebundle_()
    assert bundle["text/plain"]
    assert bundle["image/png"]
    assert VEGA in bundle
    assert labels(plot, rows) == ["baseline, best 0.91", "DeltaOne 0.92"]
    assert "One version: the baseline is 0.91 (version 1)." in plot.text


def test_lower_is_better_turns_the_line_and_the_band(lineage_of, rows):
    register_metric("plotted_error_rate", direction="min", range=(0, 1))
    plot = improvement_plot(lineage_of(["0.30", "0.25", "0.27"], metrics="plotted_error_rate"))
    assert [r["best"] for r in rows(plot, "versions")] == [0.3, 0.25, 0.25, 0.25]
    assert rows(plot, "versions")[-1]["target"] == 0.24
    assert "better by 0.05" in plot.text


@pytest.mark.parametrize("metric", ["mse", "r2", "perplexity"])
def test_a_metric_that_is_no_fraction_has_no_band_and_the_picture_says_so(lineage_of, metric):
    plot = improvement_plot(lineage_of(["0.5", "0.6"], metrics=metric))
    assert layers(plot, "area") == []
    assert f"No DeltaOne band: {metric} is not a fraction between 0 and 1." in plot.text


def test_the_band_ends_where_the_metric_ends(lineage_of, rows):
    plot = improvement_plot(lineage_of(["0.97", "0.996"]))
    assert rows(plot, "versions")[-1]["target"] == 1
    assert labels(plot, rows) == ["baseline 0.97", "best 0.996"]
    assert "The next DeltaOne is beyond the metric's range." in plot.text


def test_an_undeclared_metric_has_values_but_no_best(lineage_of, rows):
    plot = improvement_plot(lineage_of(["12.5", "14"], metrics="my_score"))
    assert layers(plot, "line") == layers(plot, "area") == []
    assert [r["y"] for r in rows(plot, "versions")] == [12.5, 14.0]
    assert labels(plot, rows) == ["baseline 12.5"]
    assert y_title(plot) == "my_score, direction not declared"
    assert "No direction is declared for my_score" in plot.text
    assert "register_metric" in plot.text


def test_of_mixed_metrics_the_newest_is_drawn_aliases_resolved_and_the_rest_counted(lineage_of, rows):
    metrics = ["f1", "f1", "auc", "roc_auc", "f1"]
    plot = improvement_plot(lineage_of(["0.7", "0.8", "0.75", "0.77", "none"], metrics=metrics))
    assert [r["version"] for r in rows(plot, "versions")] == ["3", "4", "next"]
    assert y_title(plot).startswith("roc_auc")
    assert "3 versions left out: 2 of another metric and 1 without a numeric value." in plot.text
    assert any("left out" in line for line in plot.spec["title"]["subtitle"])


def test_a_version_without_a_metric_is_drawn_as_a_benchmark_value(lineage_of):
    assert y_title(improvement_plot(lineage_of(["1", "2"], metrics=[None, None]))).startswith("benchmark value")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], "churn has no versions yet, so there is nothing to draw."),
        ([None], "The only version of churn has no numeric benchmark value, so there is nothing to draw."),
        (["high", None], "None of the 2 versions of churn has a numeric benchmark value, so there is nothing to draw."),
    ],
)
@pytest.mark.parametrize("draw", [improvement_plot, contribution_plot])
def test_without_values_a_sentence_says_why(lineage_of, values, sentence, draw):
    plot = draw(lineage_of(values))
    assert plot.chart is None
    assert plot.text == sentence


def test_equal_values_are_no_new_best(lineage_of, rows):
    plot = improvement_plot(lineage_of(["0.9", "0.9", "0.90"]))
    assert len({r["size"] for r in rows(plot, "versions")[:3]}) == 2
    assert "none better than the baseline 0.9 (version 1)" in plot.text
    low, high = layers(plot, "point")[0]["encoding"]["y"]["scale"]["domain"]
    assert low < 0.9 < high


def test_the_value_axis_is_close_around_the_values(lineage_of):
    low, high = layers(improvement_plot(lineage_of(["0.95", "0.97"])), "point")[0]["encoding"]["y"]["scale"]["domain"]
    assert 0.94 < low < 0.95
    assert 0.97 < high < 1


@pytest.mark.parametrize(
    ("values", "metric", "unit"),
    [
        (["1e300", "2e300"], "engagement_score", "× 1e+300"),
        (["-1.7e308", "1.7e308"], "r2", "× 1e+308"),
        (["3e-9", "2e-9"], "mse", "× 1e-9"),
        (["5e-324", "0"], "mse", "× 1e-324"),
        (["5e-324", "0"], "accuracy", "fraction, 0 to 1"),
    ],
)
def test_huge_and_tiny_values_are_drawn_in_a_power_of_ten(lineage_of, rows, values, metric, unit):
    plot = improvement_plot(lineage_of(values, metrics=metric))
    assert unit in y_title(plot)
    assert all(abs(r["y"]) < 10 for r in rows(plot, "versions") if "y" in r)
    assert plot.png
    contribution_plot(lineage_of(values, metrics=metric))


def test_tooltips_hold_the_exact_texts(lineage_of, rows):
    plot = improvement_plot(lineage_of(["0.850", "0.850100000000000000001"]))
    first, second, _ = rows(plot, "versions")
    assert first["value"] == "0.850"
    assert second["value"] == "0.850100000000000000001"
    assert second["over_parent"] == second["over_best"] == "+0.000100000000000000001"
    assert second["contributor"] == BOB
    assert second["run"] == "run-2"
    assert second["date"] == "2025-10-10 08:53 UTC"
    words = [tip["title"] for tip in layers(plot, "point")[0]["encoding"]["tooltip"]]
    assert words == ["Version", "Value", "Contributor", "Over parent", "Over best before", "Run", "Registered"]


def test_contributors_have_colours_and_short_names(lineage_of):
    plot = improvement_plot(lineage_of(["0.8", "0.85", "0.9"], people=(ALICE, BOB, None)))
    scale = layers(plot, "point")[0]["encoding"]["color"]["scale"]
    assert scale["domain"] == ["0xaaaa…aaaa", "0xbbbb…bbbb", "no contributor"]
    assert scale["range"][:2] == list(PALETTE[:2])


def test_a_thousand_versions_are_thinned_to_what_a_picture_can_show(lineage_of, rows):
    values = [f"{0.5 + (i // 10) * 0.001 - (i % 10) * 0.0001:.4f}" for i in range(1000)]
    plot = improvement_plot(lineage_of(values))
    *drawn, _ = rows(plot, "versions")
    versions = [int(r["version"]) for r in drawn]
    assert len(drawn) == 200
    assert versions == sorted(versions)
    assert {1, 1000} <= set(versions)
    assert set(range(1, 1000, 10)) <= set(versions), "every new best is drawn"
    assert "200 of 1,000 versions drawn, among them the first, the last and every new best." in plot.text


def test_of_too_many_new_bests_some_are_drawn_and_the_text_says_how_many(lineage_of, rows):
    plot = improvement_plot(lineage_of([f"{0.1 + i * 0.0008:.4f}" for i in range(1000)]))
    assert len(rows(plot, "versions")) == 201
    assert "the first, the last and 199 of 999 new bests" in plot.text
    assert "to the best 0.8992 (version 1000)" in plot.text


def test_the_axis_of_two_hundred_versions_is_labelled_sparsely(lineage_of):
    plot = improvement_plot(lineage_of([f"0.{5000 + i}" for i in range(200)]))
    ticks = layers(plot, "point")[0]["encoding"]["x"]["axis"]["values"]
    assert 8 <= len(ticks) <= 25
    assert ticks[0] == "1"


@pytest.mark.parametrize("draw", [improvement_plot, contribution_plot])
@pytest.mark.parametrize("nasty", NASTY)
def test_hostile_names_are_data_and_break_nothing(lineage_of, draw, nasty):
    plot = draw(lineage_of(["0.8", "0.85", "0.9"], name=nasty, people=(nasty, BOB, nasty + "2")))
    assert plot.png.startswith(b"\x89PNG")
    fields = {c["field"] for layer in plot.spec["layer"] for c in _channels(layer) if "field" in c}
    assert all(field.isidentifier() for field in fields)
    assert len(json.dumps(plot.spec)) < 20_000
    assert all(c.isprintable() for c in plot.text)


def _channels(layer):
    for channel in layer["encoding"].values():
        yield from channel if isinstance(channel, list) else [channel]


def test_a_thousand_versions_are_drawn_in_about_a_second(lineage_of):
    lineage = lineage_of([f"{0.5 + i * 0.0004:.4f}" for i in range(1000)])
    improvement_plot(lineage_of(["0.5"])).png  # noqa: B018 - starts the renderer, once in a process
    before = time.process_time()
    for draw in (improvement_plot, contribution_plot):
        assert draw(lineage).png
    assert time.process_time() - before < 3


def test_a_typical_plot_is_small_enough_for_a_notebook(lineage_of):
    bundle, _ = improvement_plot(lineage_of(["0.85", "0.87", "0.86", "0.91"]))._repr_mimebundle_()
    assert len(json.dumps(bundle)) < 150_000
    bundle, _ = improvement_plot(lineage_of([f"{0.1 + i * 0.0008:.4f}" for i in range(1000)]))._repr_mimebundle_()
    assert len(json.dumps(bundle)) < 300_000


@pytest.mark.parametrize("draw", [improvement_plot, contribution_plot])
def test_older_vega_lite_draws_the_same_words(lineage_of, draw):
    spec = draw(lineage_of(["0.8", "0.85", "0.9"])).spec
    assert [t.split(">")[1] for t in texts_in(spec, "5.8")] == [t.split(">")[1] for t in texts_in(spec, "6.4")]


def test_gains_are_stacked_by_contributor_from_the_baseline_to_the_best(lineage_of, rows):
    lineage = lineage_of(["0.80", "0.83", "0.82", "0.84", "0.90"], people=(ALICE, BOB, CAROL, BOB, None))
    plot = contribution_plot(lineage)
    steps = rows(plot, "steps")
    assert [s["who"] for s in steps] == ["0xbbbb…bbbb", "no contributor"]
    assert [(s["start"], s["end"]) for s in steps] == [(0.8, 0.84), (0.84, 0.9)]
    assert [s["gain"] for s in steps] == ["+0.04", "+0.06"]
    assert [s["share"] for s in steps] == ["40%", "60%"]
    assert steps[0]["versions"] == "2, 4"
    assert "Gains: 0xbbbb…bbbb +0.04 (40%); no contributor +0.06 (60%)." in plot.text
    order = layers(plot, "bar")[0]["encoding"]["y"]["scale"]["domain"]
    assert order == ["baseline 0.8", "0xbbbb…bbbb", "no contributor", "best 0.9"]


def test_gains_of_a_lower_is_better_metric_lead_down(lineage_of, rows):
    steps = rows(contribution_plot(lineage_of(["0.152", "0.141", "0.128"], metrics="rmse")), "steps")
    assert [(s["start"], s["end"]) for s in steps] == [(0.152, 0.141), (0.141, 0.128)]
    assert all(s["gain"].startswith("+") for s in steps)


def test_the_steps_of_a_waterfall_join(lineage_of, rows):
    people = tuple("0x" + f"{i:040x}" for i in range(1, 13))
    plot = contribution_plot(lineage_of([f"{0.5 + i * 0.013:.3f}" for i in range(24)], people=people))
    steps = rows(plot, "steps")
    assert [s["who"] for s in steps].count("4 others") == 1
    assert len(steps) == 9
    assert all(a["end"] == b["start"] for a, b in itertools.pairwise(steps))
    assert steps[0]["start"] == 0.5
    assert steps[-1]["end"] == 0.799


@pytest.mark.parametrize(
    ("values", "metric"), [(["0.9"], "accuracy"), (["0.9", "0.8"], "accuracy"), (["1", "2"], "my_score")]
)
def test_without_a_gain_a_sentence_stands_for_the_waterfall(lineage_of, values, metric):
    plot = contribution_plot(lineage_of(values, metrics=metric))
    assert plot.chart is None
    assert plot.text.startswith("churn has no gain to share yet.")


def test_a_contributor_called_like_an_end_of_the_waterfall_keeps_a_bar_apart(lineage_of):
    plot = contribution_plot(lineage_of(["0.8", "0.9"], people=("baseline 0.8",)))
    order = layers(plot, "bar")[0]["encoding"]["y"]["scale"]["domain"]
    assert len(order) == len(set(order)) == 3
