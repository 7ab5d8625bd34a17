"""The graph of versions with their runs, data sets, contributors and aliases."""

from __future__ import annotations

import itertools
import json

import pytest
import vl_convert

from hokusai_nb.plots.lineage import lineage_plot
from hokusai_nb.schema.records import Dataset

IRIS, FIXED, HOLDOUT = (
    Dataset(name="iris", digest="a1b2c3d4", context="training", rows=150),
    Dataset(name="iris", digest="ffee0011", context="training"),
    Dataset(name="holdout", digest="99aa77cc", context="testing", rows=50),
)


def texts(plot, rows, name):
    return [row["text"] for row in rows(plot, name)]


def test_versions_runs_data_sets_contributors_and_aliases_are_drawn(lineage_of, rows):
    lineage = lineage_of(
        ["0.8", "0.85", "0.9"],
        aliases={"2": ("staging",), "3": ("champion", "production")},
        datasets=[[IRIS], [FIXED, HOLDOUT], [FIXED]],
    )
    plot = lineage_plot(lineage)
    assert [(r["version"], r["who"]) for r in rows(plot, "versions")] == [
        ("1", "0xaaaa…aaaa"),
        ("2", "0xbbbb…bbbb"),
        ("3", "0xcccc…cccc"),
    ]
    assert sorted(texts(plot, rows, "numbers")) == ["v1", "v2", "v3"]
    assert set(texts(plot, rows, "aliases")) == {"staging", "champion, production"}
    assert texts(plot, rows, "rows") == ["versions", "run", "iris a1b2c3d4", "iris ffee0011", "holdout 99aa77cc"]
    assert [r["run"] for r in rows(plot, "runs")] == ["run-1", "run-2", "run-3"]
    assert [r["names"] for r in rows(plot, "data_sets")] == ["iris", "iris", "holdout", "iris"]
    assert rows(plot, "data_sets")[0]["detail"] == "digest a1b2c3d4, training, 150 rows"
    assert plot.png.startswith(b"\x89PNG")


def test_the_text_tells_what_the_picture_shows(lineage_of):
    lineage = lineage_of(
        ["0.8", "0.85", "0.9", "0.88"], parents={"4": "2"}, aliases={"3": ("production",)}, datasets=[[IRIS]] * 4
    )
    assert lineage_plot(lineage).text == (
        "Lineage of churn: 4 versions, 1 branch, 3 contributors, 4 runs, 1 data set. "
        "Ringed: the best, version 3: accuracy 0.9, higher is better. "
        "Aliases: production is version 3."
    )


def test_a_version_whose_value_is_declared_is_a_ring_and_never_the_best(lineage_of, rows):
    plot = lineage_plot(lineage_of(["0.8", "0.95", "0.9"], declared=("2",)))
    (hole,) = rows(plot, "holes")
    disc = rows(plot, "versions")[1]
    assert {key: disc[key] for key in hole} == hole
    assert hole["value"] == "0.95 (declared)"
    assert "Ringed: the best, version 3" in plot.text
    assert "With a hole: the value of 1 version was declared, not measured; it counts for nothing." in plot.text
    alone = lineage_plot(lineage_of(["0.95"], declared=("1",)))
    assert alone.png
    assert "Ringed" not in alone.text


def test_a_branch_has_a_lane_of_its_own(lineage_of, rows):
    plot = lineage_plot(lineage_of(["0.8", "0.85", "0.9", "0.88"], parents={"4": "2"}))
    heights = {r["version"]: r["y"] for r in rows(plot, "versions")}
    assert heights["1"] == heights["2"] == heights["4"] < heights["3"]
    assert texts(plot, rows, "rows")[:2] == ["main line", "branch"]


def test_only_the_best_version_is_ringed(lineage_of, rows):
    plot = lineage_plot(lineage_of(["0.8", "0.9", "0.85"]))
    rings = [r["ring"] for r in rows(plot, "versions")]
    assert rings[0] == rings[2] != rings[1]


def test_without_a_direction_no_version_is_ringed(lineage_of, rows):
    plot = lineage_plot(lineage_of(["1", "2"], metrics="my_score"))
    assert len({r["ring"] for r in rows(plot, "versions")}) == 1
    assert "Ringed" not in plot.text


def test_a_run_that_is_gone_is_hollow_and_the_picture_says_so(lineage_of, rows):
    plot = lineage_plot(lineage_of(["0.8", "0.85"], gone={"2"}))
    kept, gone = rows(plot, "runs")
    assert kept["fill"] != gone["fill"]
    assert gone["status"] == "gone"
    assert "Hollow: the run is gone." in plot.text


def test_no_versions_are_a_sentence(lineage_of):
    plot = lineage_plot(lineage_of([]))
    assert plot.chart is None
    assert plot.text == "churn has no versions yet, so there is nothing to draw."


def test_versions_without_values_still_have_a_lineage(lineage_of, rows):
    plot = lineage_plot(lineage_of([None, "high"]))
    assert len(rows(plot, "versions")) == 2


def test_one_version_is_a_picture(lineage_of, rows):
    plot = lineage_plot(lineage_of(["0.9"]))
    assert len(rows(plot, "versions")) == 1
    assert plot.png.startswith(b"\x89PNG")


def test_cycles_and_missing_parents_are_drawn_apart_and_reported(lineage_of, rows):
    plot = lineage_plot(lineage_of(["0.8", "0.82", "0.81"], parents={"1": "2", "3": "99"}))
    assert rows(plot, "edges") == []
    assert "apart" in texts(plot, rows, "rows")
    assert "'99', which does not exist. And 1 more problem." in plot.text


def test_of_a_thousand_versions_the_important_ones_are_drawn(lineage_of, rows):
    values = [f"{0.5 + i * 0.0003:.4f}" for i in range(999)] + ["0.1"]
    plot = lineage_plot(lineage_of(values, parents={"500": "200"}, aliases={"77": ("production",)}))
    drawn = {r["version"] for r in rows(plot, "versions")}
    assert len(drawn) == 40
    assert {"1", "1000", "999", "77", "200", "499"} <= drawn
    assert "40 of 1,000 versions drawn; a dashed line passes over the others." in plot.text
    assert {r["over"] for r in rows(plot, "edges")} == {"others", "nothing"}


def test_numbers_of_many_versions_are_thinned_and_the_newest_is_named(lineage_of, rows):
    plot = lineage_plot(lineage_of([f"{0.5 + i * 0.0003:.4f}" for i in range(1000)]))
    numbers = rows(plot, "numbers")
    assert numbers[0]["text"] == "v1000"
    places = sorted(r["x"] for r in numbers)
    assert min(b - a for a, b in itertools.pairwise(places)) > 35


def test_aliases_side_by_side_do_not_overlap_and_those_without_room_are_counted(lineage_of, rows):
    aliases = {str(i): (f"candidate-number-{i}",) for i in range(1, 31)}
    plot = lineage_plot(lineage_of([f"0.{500 + i}" for i in range(30)], aliases=aliases))
    placed = rows(plot, "aliases")
    assert placed[0]["text"] == "candidate-number-30"
    for row in placed:
        beside = [other["x"] for other in placed if other["y"] == row["y"] and other is not row]
        assert all(abs(row["x"] - x) >= 6 * len(row["text"]) for x in beside)
    assert f"The aliases of {30 - len(placed)} versions find no room here" in plot.text


def test_many_data_sets_share_the_last_row(lineage_of, rows):
    datasets = [[Dataset(name=f"part-{i}", digest=f"{i:08x}")] for i in range(20)]
    plot = lineage_plot(lineage_of([f"0.{500 + i}" for i in range(20)], datasets=datasets))
    labels = texts(plot, rows, "rows")
    assert len(labels) == 2 + 8 + 1
    assert labels[-1] == "12 more data sets"
    assert len(rows(plot, "data_sets")) == 20


def test_data_sets_in_one_row_are_one_dot_that_counts_them(lineage_of, rows):
    data = [Dataset(name=f"part-{i}", digest=f"{i:08x}") for i in range(300)]
    plot = lineage_plot(lineage_of(["0.5"], datasets=[data]))
    assert len(rows(plot, "data_sets")) == 9
    assert rows(plot, "data_sets")[-1]["detail"].endswith("and 291 more")


def test_every_mark_lies_inside_the_picture(lineage_of, rows):
    plot = lineage_plot(
        lineage_of([f"0.{500 + i}" for i in range(30)], parents={"9": "3", "20": "12"}, datasets=[[IRIS]] * 30)
    )
    for name in ("versions", "runs", "data_sets", "edges"):
        assert all(0 <= r["x"] <= plot.spec["width"] and 0 <= r["y"] <= plot.spec["height"] for r in rows(plot, name))


@pytest.mark.parametrize("nasty", ["<b onclick='x'>", "a.b[0]", "\x1b[31m\n", "🎉" * 50, "y" * 9000, '"\\'])
def test_hostile_names_are_data_and_break_nothing(lineage_of, rows, nasty):
    data = [[Dataset(name=nasty, digest=nasty, context=nasty)], [Dataset(name=nasty, digest="other")]]
    plot = lineage_plot(
        lineage_of(["0.8", "0.9"], name=nasty, people=(nasty,), aliases={"1": (nasty, "b")}, datasets=data)
    )
    assert plot.png.startswith(b"\x89PNG")
    assert len(rows(plot, "data_sets")) == 2
    assert len(json.dumps(plot.spec)) < 20_000
    assert all(c.isprintable() for c in plot.text)


def test_older_vega_lite_draws_the_same_words(lineage_of):
    spec = lineage_plot(lineage_of(["0.8", "0.85", "0.9"], parents={"3": "1"}, datasets=[[IRIS]] * 3)).spec
    words = [
        [part.split(">")[1] for part in vl_convert.vegalite_to_svg(spec, vl_version=version).split("<text")[1:]]
        for version in ("5.8", "6.4")
    ]
    assert words[0] == words[1]
    assert len(words[0]) > 10
