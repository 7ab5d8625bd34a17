"""The lineage of a prompt with its stages over time, and what the runs of its versions measured."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import vl_convert

from hokusai_nb.plots.bundle import VEGA
from hokusai_nb.plots.prompts import prompt_lineage_plot
from hokusai_nb.schema.prompt_runs import PromptRun
from hokusai_nb.schema.prompts import ModelStage, PromptLineage, PromptVersion, StageChange

DEV, STAGING, PRODUCTION = ModelStage
START = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)


def day(n):
    return START + dt.timedelta(days=n)


def moved(version, begin, end, when, why=""):
    return StageChange(version=version, from_stage=begin, to_stage=end, who="ada", when=day(when), why=why)


def version(number, registered=0, *, stages=(), history=(), parent=None, **more):
    given = {"name": "hook", "template": "Hi {name}", "created_at": day(registered), "author": "ada", **more}
    return PromptVersion(
        version=number, stages=stages, history=history, parent_version=parent, mlflow_version=1, **given
    )


def lineage(*versions, name="hook"):
    return PromptLineage.of(name, versions)


def run(number, value, metric="reply_rate", **more):
    given = {"run_id": f"{number}-{value}-{metric}", "name": "week 1", "started": day(3), **more}
    return PromptRun(version=number, metrics={metric: value}, **given)


LIFE = lineage(
    version(
        "1.0.0",
        stages=(PRODUCTION,),
        history=(
            moved("1.0.0", DEV, STAGING, 2),
            moved("1.0.0", STAGING, PRODUCTION, 5),
            moved("1.0.0", PRODUCTION, DEV, 21, "replaced by 1.1.0"),
            moved("1.0.0", DEV, PRODUCTION, 27, "too many complaints"),
        ),
    ),
    version(
        "1.1.0",
        12,
        parent="1.0.0",
        history=(
            moved("1.1.0", DEV, STAGING, 14),
            moved("1.1.0", STAGING, PRODUCTION, 21),
            moved("1.1.0", PRODUCTION, DEV, 27),
        ),
    ),
    version("2.0.0", 30, parent="1.1.0", stages=(STAGING,), history=(moved("2.0.0", DEV, STAGING, 31),)),
)
RUNS = [run("1.0.0", 0.04), run("1.0.0", 0.05), run("1.1.0", 0.03), run("2.0.0", 0.06, name="week 9")]


def data(plot, name):
    """The rows of a named data set in either panel."""
    layers = [layer for panel in plot.spec["vconcat"] for layer in panel["layer"]]
    return next((layer["data"]["values"] for layer in layers if layer.get("data", {}).get("name") == name), [])


def test_each_version_has_a_lane_with_its_time_in_each_stage():
    plot = prompt_lineage_plot(LIFE)
    spans = [(r["lane"], r["stage"], r["since"][:10], r["until"][:10]) for r in data(plot, "stages")]
    assert spans == [
        ("1.0.0", "staging", "2026-03-04", "2026-03-07"),
        ("1.0.0", "production", "2026-03-07", "2026-03-23"),
        ("1.0.0", "production", "2026-03-29", "now"),
        ("1.1.0", "staging", "2026-03-16", "2026-03-23"),
        ("1.1.0", "production", "2026-03-23", "2026-03-29"),
        ("2.0.0", "staging", "2026-04-02", "now"),
    ]
    assert [r["lane"] for r in data(plot, "waiting")].count("1.1.0") == 2
    assert [(r["lane"], r["text"]) for r in data(plot, "now")] == [("1.0.0", "production"), ("2.0.0", "staging")]


def test_a_span_says_who_began_it_and_why():
    spans = data(prompt_lineage_plot(LIFE), "stages")
    assert [(r["who"], r["why"]) for r in spans][2] == ("ada", "too many complaints")


def test_what_still_lasts_reaches_the_edge_and_what_is_over_ends_before():
    plot = prompt_lineage_plot(LIFE)
    edge = plot.spec["vconcat"][0]["layer"][1]["encoding"]["x"]["scale"]["domain"][1]
    lasting = {r["until_at"] == edge: r["until"] for r in data(plot, "stages")}
    assert lasting[True] == "now"
    assert lasting[False] != "now"


def test_versions_are_joined_to_what_they_were_made_from():
    rows = data(prompt_lineage_plot(LIFE), "origins")
    assert [(r["lane"], r["to"]) for r in rows] == [("1.0.0", "1.1.0"), ("1.1.0", "2.0.0")]


def test_the_text_tells_what_the_picture_shows():
    assert prompt_lineage_plot(LIFE, RUNS).text == (
        "Lineage of prompt hook: 3 versions: production is 1.0.0, staging is 2.0.0. 5 promotions, 1 rollback. "
        "Below: reply_rate (higher is better) in 4 runs of 3 versions; best on average: 2.0.0 with 0.06. "
        "Means: 1.0.0 0.045, 1.1.0 0.03, 2.0.0 0.06."
    )


def test_the_text_is_the_pictures_description_and_alternative():
    plot = prompt_lineage_plot(LIFE, RUNS)
    bundle, facts = plot._repr_mimebundle_()
    assert set(bundle) == {VEGA, "image/png", "text/plain"}
    assert bundle[VEGA]["description"] == facts["image/png"]["alt"] == plot.text
    assert plot.png.startswith(b"\x89PNG")


def test_a_dot_is_a_run_and_a_bar_the_mean_of_several():
    plot = prompt_lineage_plot(LIFE, RUNS)
    assert [(r["version"], r["y"], r["stage"]) for r in data(plot, "runs")] == [
        ("1.0.0", 0.04, "production"),
        ("1.0.0", 0.05, "production"),
        ("1.1.0", 0.03, "dev"),
        ("2.0.0", 0.06, "staging"),
    ]
    assert [(r["version"], r["y"], r["runs"]) for r in data(plot, "averages")] == [("1.0.0", 0.045, "2")]
    assert plot.spec["vconcat"][1]["title"]["text"] == "reply_rate, higher is better (fraction, 0 to 1)"


@pytest.mark.parametrize(("metric", "best"), [("rmse", "1.1.0"), ("accuracy", "2.0.0")])
def test_the_best_is_the_best_by_the_metrics_direction(metric, best):
    runs = [run(r.version, r.metrics["reply_rate"], metric) for r in RUNS]
    assert f"best on average: {best} with" in prompt_lineage_plot(LIFE, runs).text


def test_without_a_direction_no_version_is_best():
    text = prompt_lineage_plot(LIFE, [run("1.0.0", 1.0, "charm"), run("1.1.0", 2.0, "charm")]).text
    assert "charm (direction not declared)" in text
    assert "best" not in text


def test_the_metric_of_most_versions_is_drawn_and_others_are_named():
    runs = [*RUNS, *(run("1.0.0", float(i), "latency", run_id=f"{i}") for i in range(9))]
    plot = prompt_lineage_plot(LIFE, runs)
    assert "Below: reply_rate" in plot.text
    assert "Also measured: latency." in plot.text
    assert "Below: latency" in prompt_lineage_plot(LIFE, runs, "latency").text


def test_a_metric_that_no_run_has_is_said_and_the_stages_are_drawn():
    plot = prompt_lineage_plot(LIFE, RUNS, "charm")
    assert "No run that is tagged with a version has a value of charm. They have: reply_rate." in plot.text
    assert len(plot.spec["vconcat"]) == 1
    assert "See PromptModel.tag_run." in prompt_lineage_plot(LIFE, (), "charm").text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.7976931348623157e308])
def test_what_is_no_finite_number_is_not_drawn(value):
    plot = prompt_lineage_plot(LIFE, [run("1.0.0", 0.5), run("1.1.0", value)])
    assert [r["version"] for r in data(plot, "runs")] == ["1.0.0"]
    assert len(prompt_lineage_plot(LIFE, [run("1.1.0", value)]).spec["vconcat"]) == 1


def test_huge_values_are_drawn_in_a_power_of_ten():
    plot = prompt_lineage_plot(LIFE, [run("1.0.0", 1e308, "charm"), run("1.1.0", -1e308, "charm")])
    assert [r["y"] for r in data(plot, "runs")] == [1.0, -1.0]
    assert "× 1e+308" in plot.spec["vconcat"][1]["title"]["text"]
    assert plot.png.startswith(b"\x89PNG")


def test_one_version_without_history_is_a_picture():
    plot = prompt_lineage_plot(lineage(version("1.0.0")))
    assert plot.text == "Lineage of prompt hook: 1 version: none in staging or production."
    assert [r["stage"] for r in data(plot, "waiting")] == ["dev"]
    assert plot.png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "words"), [((), "no versions"), ((version("1.0.0", created_at=None),), "no version with a date")]
)
def test_nothing_to_draw_is_a_sentence(given, words):
    plot = prompt_lineage_plot(lineage(*given))
    assert plot.chart is None
    assert plot.text == f"hook has {words} yet, so there is nothing to draw."


def test_a_stage_that_the_history_does_not_know_of_is_drawn_and_said():
    plot = prompt_lineage_plot(lineage(version("1.0.0", stages=(PRODUCTION,))))
    assert [(r["since"], r["why"]) for r in data(plot, "stages")] == [("not known", "set without a record")]
    assert "1 version changed stage without a record: since when is not known." in plot.text


def test_a_stage_that_was_emptied_is_a_rollback():
    history = (moved("1.0.0", DEV, STAGING, 1), moved("1.0.0", STAGING, DEV, 2))
    assert "1 promotion, 1 rollback." in prompt_lineage_plot(lineage(version("1.0.0", history=history))).text


def test_clocks_that_differ_never_lead_back_in_time():
    history = (moved("1.0.0", DEV, STAGING, -9), moved("1.0.0", STAGING, PRODUCTION, -10))
    plot = prompt_lineage_plot(lineage(version("1.0.0", stages=(PRODUCTION,), history=history)))
    assert all(r["since_at"] <= r["until_at"] for r in (*data(plot, "stages"), *data(plot, "waiting")))


@pytest.mark.parametrize("year", [1, 9999])
def test_the_ends_of_the_calendar_break_nothing(year):
    far = dt.datetime(year, 1 if year == 1 else 12, 1 if year == 1 else 31, 23, 59, tzinfo=dt.UTC)
    plot = prompt_lineage_plot(lineage(version("1.0.0", created_at=far), version("1.1.0", 0)))
    assert plot.png.startswith(b"\x89PNG")


def hundred():
    versions = []
    for i in range(100):
        number = f"1.{i}.0"
        in_production = (moved(number, DEV, STAGING, i + 1), moved(number, STAGING, PRODUCTION, i + 2))
        held = in_production if i == 41 else in_production[:1] if i == 77 else ()
        versions.append(version(number, i, history=held, stages=(PRODUCTION,) if i == 41 else ()))
    return lineage(*versions)


def test_of_a_hundred_versions_those_in_a_stage_are_drawn_first():
    plot = prompt_lineage_plot(hundred(), [run("1.33.0", 0.5), run("1.34.0", 0.6), run("1.99.0", 0.7)])
    drawn = {r["version"] for r in data(plot, "versions")}
    assert len(drawn) == 30
    assert {"1.0.0", "1.99.0", "1.41.0", "1.77.0", "1.33.0", "1.34.0"} <= drawn
    assert "30 of 100 versions drawn, among them all that are in a stage." in plot.text


def test_many_runs_are_thinned_and_each_version_keeps_its_newest():
    runs = [run(f"1.{i}.0", i + j / 100, run_id=f"{i}-{j}") for i in range(100) for j in range(50)]
    rows = data(prompt_lineage_plot(hundred(), runs), "runs")
    assert len(rows) == 200
    assert len({r["version"] for r in rows}) == 30
    assert 99.49 in {r["y"] for r in rows}


def test_moments_of_stage_within_a_second_are_drawn():
    history = (moved("1.0.0", DEV, STAGING, 1e-6), moved("1.0.0", STAGING, PRODUCTION, 2e-6))
    plot = prompt_lineage_plot(lineage(version("1.0.0", stages=(PRODUCTION,), history=history)))
    assert [r["stage"] for r in data(plot, "stages")] == ["staging", "production"]
    assert plot.png.startswith(b"\x89PNG")


@pytest.mark.parametrize("nasty", ["<b onclick='x'>", "a.b[0]", "\x1b[31m\n", "🎉" * 50, "y" * 9000, '"\\'])
def test_hostile_names_are_data_and_break_nothing(nasty):
    history = (moved(nasty, DEV, STAGING, 1, nasty),)
    made = [version(nasty, author=nasty, stages=(STAGING,), history=history), version(nasty + "2", 1, parent=nasty)]
    runs = [run(nasty, 0.5, nasty, name=nasty), run(nasty + "2", 0.7, nasty, name=nasty)]
    plot = prompt_lineage_plot(lineage(*made, name=nasty), runs)
    assert plot.png.startswith(b"\x89PNG")
    assert len(data(plot, "runs")) == 2
    assert len({r["lane"] for r in data(plot, "versions")}) == 2
    assert len(json.dumps(plot.spec)) < 30_000
    assert all(c.isprintable() for c in plot.text)


def test_older_vega_lite_draws_the_same_words():
    spec = prompt_lineage_plot(LIFE, RUNS).spec
    words = [
        sorted(part.split(">")[1] for part in vl_convert.vegalite_to_svg(spec, vl_version=number).split("<text")[1:])
        for number in ("5.8", "6.4")
    ]
    assert words[0] == words[1]
    assert len(words[0]) > 10


def test_it_is_legible_whatever_theme_a_page_has():
    spec = prompt_lineage_plot(LIFE, RUNS).spec
    plain, dark = (vl_convert.vegalite_to_svg(spec, vl_version="6.4", theme=theme) for theme in (None, "dark"))
    assert plain == dark


def test_a_lineage_finds_its_renderer_and_its_runs():
    drawn = PromptLineage.of("hook", LIFE.versions, lambda: RUNS).plot()
    assert drawn.text == prompt_lineage_plot(LIFE, RUNS).text
    assert "charm" in PromptLineage.of("hook", LIFE.versions).plot("charm").text
