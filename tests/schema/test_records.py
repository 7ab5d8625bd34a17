"""Records: frozen, shown safely, and the same again after JSON and pickle."""

from __future__ import annotations

import importlib.metadata
import json
import math
import pickle
from decimal import Decimal

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.lib.pretty import pretty
from markupsafe import Markup

from hokusai_nb.errors import HokusaiError, ModelNotFoundError, ValidationError
from hokusai_nb.schema.display import as_json
from hokusai_nb.schema.overview import OverviewCard, Setting, SettingsCard
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.records import (
    BulkResult,
    Comparison,
    Dataset,
    Lineage,
    LineageEntry,
    ModelList,
    RegisteredModel,
    RunFacts,
    RunModel,
)

modest = settings(max_examples=60, deadline=None)
HOSTILE = "<script>alert('x')</script>\n\x1b[31m\u202e&\"%🚀"
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

text = st.text(max_size=12) | st.just(HOSTILE)
optional = st.none() | text
figures = st.none() | st.decimals(allow_nan=False, allow_infinity=False)
mappings = st.dictionaries(text, text, max_size=3)
problems = st.builds(Problem, field=text, what=text, hint=text, repair=optional)
datasets = st.builds(Dataset, name=text, digest=text, context=optional, rows=st.none() | st.integers())
run_facts = st.builds(
    RunFacts,
    run_id=text,
    name=text,
    experiment_id=text,
    status=text,
    artifact_uri=text,
    metrics=st.dictionaries(text, st.floats(allow_nan=False), max_size=3),
    params=mappings,
    datasets=st.lists(datasets, max_size=2).map(tuple),
)
of_a_version = {
    "name": text,
    "version": text,
    "token_id": optional,
    "benchmark_metric": optional | st.just("accuracy"),
    "benchmark_value": optional | st.just("0.9"),
    "tags": mappings,
    "run_id": optional,
    "model_id": optional,
    "source": text,
    "creation_timestamp": st.integers(-(10**20), 10**20),
    "aliases": st.lists(text, max_size=2).map(tuple),
    "created": st.booleans(),
    "dry_run": st.booleans(),
    "warnings": st.lists(problems, max_size=1).map(tuple),
    "url": optional,
}
models = st.builds(RegisteredModel, **of_a_version)
entries = st.builds(
    LineageEntry,
    **of_a_version,
    parent=optional,
    improvement=figures,
    improvement_over_best=figures,
    is_best=st.booleans(),
    run=st.none() | run_facts,
)
lineages = st.builds(
    Lineage,
    name=text,
    entries=st.lists(entries, max_size=2).map(tuple),
    problems=st.lists(problems, max_size=1).map(tuple),
)
model_lists = st.builds(ModelList, title=text, entries=st.lists(models, max_size=2).map(tuple))
comparisons = st.builds(Comparison, first=entries, second=entries, improvement=figures)
run_models = st.builds(
    RunModel, name=text, uri=text, source=text, location=text, run_id=optional, model_id=optional, tags=mappings
)
overviews = st.builds(
    OverviewCard,
    store=text,
    chosen_because=text,
    trouble=text,
    run=st.none() | run_facts,
    models=st.lists(run_models, max_size=2).map(tuple),
)
shown_settings = st.lists(st.builds(Setting, name=text, value=text, variable=text), max_size=2)
settings_cards = st.builds(SettingsCard, settings=shown_settings.map(tuple))
shown_records = st.one_of(models, entries, lineages, model_lists, comparisons, overviews, settings_cards)


def model(version="1", value="0.9", **more):
    given = {"name": "churn", "token_id": "CHURN-1", "benchmark_metric": "accuracy", "tags": {}, **more}
    return RegisteredModel(version=version, benchmark_value=value, **given)


def entry(version="1", value="0.9", **more):
    given = {"name": "churn", "token_id": "CHURN-1", "benchmark_metric": "accuracy", "tags": {}, **more}
    return LineageEntry(version=version, benchmark_value=value, **given)


def bundle(record):
    shown = record._repr_mimebundle_()
    assert set(shown) == {"text/html", "text/plain"}
    return shown["text/html"], shown["text/plain"]


@modest
@given(shown_records)
def test_no_text_from_a_registry_breaks_out_of_what_is_shown(record):
    html, plain = bundle(record)
    assert html.startswith("<style>")
    assert "<script" not in html
    allowed = ("<style", "</style", "<div", "</div", "<table", "</table", "<t", "</t")
    assert all(html.startswith(allowed, i) for i, c in enumerate(html) if c == "<")
    assert all(line.isprintable() for line in plain.split("\n"))
    assert pretty(record) == plain


@modest
@given(st.one_of(shown_records, run_models, datasets, run_facts))
def test_a_record_is_the_same_after_json_and_pickle(record):
    kind = type(record)
    assert kind.model_validate_json(record.model_dump_json()) == record
    assert kind.model_validate_json(as_json(record)) == record
    assert kind.model_validate(json.loads(as_json(record))) == record
    twin = pickle.loads(pickle.dumps(record))
    assert (twin, hash(twin)) == (record, hash(record))


def test_figures_that_json_does_not_know_survive_it_as_valid_json():
    run = RunFacts(run_id="r", name="n", experiment_id="0", status="FINISHED", metrics={"a": math.nan, "b": -math.inf})
    text_of = as_json(entry(run=run))

    def refuse(name):
        pytest.fail(f"{name} is no JSON")

    json.loads(text_of, parse_constant=refuse)
    read = LineageEntry.model_validate_json(text_of).run.metrics
    assert math.isnan(read["a"])
    assert read["b"] == -math.inf


def test_records_cannot_be_changed():
    record = entry(tags={"a": "b"}, run=RunFacts(run_id="r", name="n", experiment_id="0", status="FINISHED"))
    for change in (
        lambda: setattr(record, "version", "2"),
        lambda: record.tags.update(a="c"),
        lambda: record.run.metrics.update(a=1.0),
    ):
        with pytest.raises((pydantic.ValidationError, TypeError)):
            change()


def test_markup_in_a_name_is_text_like_any_other():
    html, _ = bundle(model(name=Markup("<script>"), tags={"a": Markup("<script>")}))
    assert "<script" not in html


def test_a_card_says_what_was_registered():
    record = model(
        value="0.90",
        tags={
            "hokusai_token_id": "CHURN-1",
            "benchmark_metric": "accuracy",
            "benchmark_value": "0.90",
            "benchmark_set": "holdout",
            "contributor": ADDRESS,
            "hokusai.notebook.path": "a.ipynb",
            "note": "x" * 1000,
        },
        run_id="abc",
        url="http://localhost/#/models/churn",
        warnings=(Problem(field="metric", what="Odd.", hint="Look."),),
    )
    _, plain = bundle(record)
    assert plain.splitlines()[0] == "Registered churn version 1"
    assert "accuracy = 0.90" in plain
    assert f"Contributor  {ADDRESS}" in plain
    assert "benchmark_set=holdout, note=xxx" in plain
    assert "(920 more)" in plain
    assert "hokusai.notebook" not in plain
    assert plain.splitlines()[-1] == "Warning: Odd. Look."
    assert record.notebook == "a.ipynb"
    assert record.contributor == ADDRESS
    assert record.value == Decimal("0.90")


@pytest.mark.parametrize(
    ("more", "title"),
    [
        ({}, "Registered churn version 1"),
        ({"created": False}, "Already registered churn version 1"),
        ({"dry_run": True}, "Would register churn version 1"),
    ],
)
def test_a_card_says_whether_anything_was_written(more, title):
    assert bundle(model(**more))[1].splitlines()[0] == title


def test_a_value_that_is_no_number_is_none_and_shown_as_it_is():
    record = model(value="high")
    assert record.value is None
    assert "accuracy = high" in bundle(record)[1]


def test_records_are_sequences():
    lineage = Lineage(name="churn", entries=(entry("1"), entry("2"), entry("3")))
    assert len(lineage) == 3
    assert [e.version for e in lineage] == ["1", "2", "3"]
    assert lineage[-1].version == "3"
    assert [e.version for e in lineage[:2]] == ["1", "2"]
    assert [e.version for e in reversed(lineage)] == ["3", "2", "1"]
    assert entry("2") in lineage
    assert entry().datasets == ()
    assert not ModelList(entries=())


def test_a_lineage_knows_its_baseline_and_its_best():
    lineage = Lineage(
        name="churn",
        entries=(
            entry("1", "high"),
            entry("2", "0.8", is_best=True),
            entry("3", "0.9", is_best=True),
            entry("4", "0.7"),
        ),
    )
    assert (lineage.baseline.version, lineage.best.version) == ("2", "3")
    empty = Lineage(name="churn", entries=())
    assert (empty.baseline, empty.best) == (None, None)


def test_a_lineage_shows_direction_improvements_and_what_is_wrong_with_it():
    lineage = Lineage(
        name="churn",
        entries=(entry("1"), entry("2", "0.95", parent="1", improvement=Decimal("0.05"), aliases=("production",))),
        problems=(Problem(field="previous_version", what="No parent 9.", hint="Left out."),),
    )
    _, plain = bundle(lineage)
    assert plain.splitlines()[0] == "Lineage of churn"
    assert "+0.05" in plain
    assert "production" in plain
    assert plain.splitlines()[-2:] == ["accuracy: higher is better.", "No parent 9. Left out."]


def test_long_tables_show_a_part_and_say_so():
    many = tuple(entry(str(n)) for n in range(1, 1001))
    assert "The newest 50 of 1,000 versions" in bundle(Lineage(name="churn", entries=many))[1]
    assert "… and 950 more" in bundle(ModelList(entries=many))[1]
    assert bundle(ModelList(entries=()))[1] == "Models\nNothing found."


def test_frames_hold_floats_for_plotting_and_the_text_beside_them():
    lineage = Lineage(
        name="churn",
        entries=(
            entry("1", "0.90", creation_timestamp=1_700_000_000_000),
            entry("2", "high", creation_timestamp=10**30),
            entry("3", "0.92", improvement=Decimal("0.02")),
        ),
    )
    frame = lineage.to_frame()
    assert frame["benchmark_value"].tolist() == ["0.90", "high", "0.92"]
    assert frame["value"].isna().tolist() == [False, True, False]
    assert frame["value"].dtype == frame["improvement"].dtype == "float64"
    assert frame["improvement"][2] == 0.02
    assert str(frame["created_at"][0]) == "2023-11-14 22:13:20+00:00"
    assert frame["created_at"].isna().tolist() == [False, True, False]
    assert list(ModelList(entries=()).to_frame().columns) == [
        "name",
        "version",
        "token_id",
        "benchmark_metric",
        "benchmark_value",
        "contributor",
        "run_id",
        "value",
        "created_at",
    ]


def test_a_comparison_lists_what_differs_side_by_side():
    def run(**params):
        return RunFacts(
            run_id="r", name="n", experiment_id="0", status="FINISHED", params=params, metrics={"accuracy": 0.9}
        )

    first = entry("1", tags={"gpu_type": "A100", "hokusai.registration_key": "1"}, run=run(depth="3"))
    second = entry(
        "2", "0.95", tags={"gpu_type": "H100", "hokusai.registration_key": "2"}, run=run(depth="3", trees="9")
    )
    comparison = Comparison(first=first, second=second, improvement=Decimal("0.05"))
    assert comparison.differences() == [("parameter", "trees", "–", "9"), ("tag", "gpu_type", "A100", "H100")]
    assert bundle(comparison)[1].splitlines()[-1] == "Improvement: +0.05 (accuracy, higher is better)"
    same = Comparison(first=first, second=first, improvement=Decimal(0))
    assert "They do not differ." in bundle(same)[1]


def test_a_plot_that_does_not_exist_is_an_error_that_names_those_that_do():
    with pytest.raises(HokusaiError) as caught:
        Lineage(name="churn", entries=()).plot("pie")
    assert "pie" in caught.value.what
    installed = importlib.metadata.entry_points(group="hokusai_nb.plots").names
    of_models = {name for name in installed if not name.startswith("prompt_")}
    assert all(name in caught.value.hint for name in of_models)


def test_the_result_of_a_bulk_registration_survives_json_and_pickle():
    good = BulkResult(index=0, model=model())
    assert BulkResult.model_validate_json(good.model_dump_json()) == good
    assert pickle.loads(pickle.dumps(good)) == good
    for error in (
        ModelNotFoundError("No model.", "Look."),
        ValidationError([Problem(field="a", what="Wrong.", hint="Right it.")]),
    ):
        bad = BulkResult(index=1, error=error)
        assert (good.ok, bad.ok) == (True, False)
        read = BulkResult.model_validate_json(bad.model_dump_json()).error
        assert str(read) == str(error)
        assert json.loads(bad.model_dump_json())["error"]["type"] == type(error).__name__
        assert str(pickle.loads(pickle.dumps(bad)).error) == str(error)
