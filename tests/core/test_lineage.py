from __future__ import annotations

from decimal import Decimal

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Dataset, DatasetInput, InputTag

from hokusai_nb.core.lineage import PARENT_TAG, build_lineage, gain
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import ModelNotFoundError
from hokusai_nb.schema.records import ModelList, RegisteredModel
from hokusai_nb.schema.registrations import SOURCE_TAG
from hokusai_nb.schema.runs import RunFacts
from hokusai_nb.schema.tags import METRIC_TAG, TOKEN_TAG, VALUE_TAG
from tests.conftest import train
from tests.rows import add_versions


def version(number, value="0.9", metric="accuracy", parent=None, run_id=None, **tags):
    parent_tag = {} if parent is None else {PARENT_TAG: str(parent)}
    return RegisteredModel(
        name="m",
        version=str(number),
        token_id="MSG-AI",
        benchmark_metric=metric,
        benchmark_value=value,
        tags={**tags, **parent_tag},
        run_id=run_id,
    )


def lineage(*versions, runs=()):
    return build_lineage("m", versions, {run.run_id: run for run in runs})


def parents(built):
    return {e.version: e.parent for e in built}


# Parents


def test_without_a_word_the_parent_is_the_version_before():
    assert parents(lineage(version(1), version(2), version(5))) == {"1": None, "2": "1", "5": "2"}


def test_a_stated_parent_makes_a_branch():
    built = lineage(version(1), version(2), version(3, parent=1), version(4))
    assert parents(built) == {"1": None, "2": "1", "3": "1", "4": "3"}
    assert built.problems == ()


def test_a_parent_may_be_younger():
    assert parents(lineage(version(1, parent=2), version(2, parent=3), version(3, parent=""))) == {
        "1": "2", "2": "3", "3": None
    }  # fmt: skip


@pytest.mark.parametrize("stated", ["7", "", " 1", "01", "one", "-1", "1.0", "<script>", "😀"])
def test_a_parent_that_does_not_exist_is_reported_and_left_out(stated):
    built = lineage(version(1), version(2, parent=stated))
    assert parents(built) == {"1": None, "2": None}
    assert len(built.problems) == 1
    assert repr(stated) in built.problems[0].what
    assert built.problems[0].severity == "warning"
    assert built[1].improvement is None


def test_a_version_that_is_its_own_parent_is_reported():
    built = lineage(version(1), version(2, parent=2), version(3))
    assert parents(built) == {"1": None, "2": None, "3": "2"}
    assert [p.what for p in built.problems] == ["Versions 2 name each other as parents in a cycle."]


@pytest.mark.parametrize("size", [2, 3, 50])
def test_a_cycle_is_reported_once_and_cut(size):
    around = [version(i, parent=i % size + 1) for i in range(1, size + 1)]
    built = lineage(*around, version(size + 1), version(size + 2, parent=size))
    cut = parents(built)
    assert [cut[str(i)] for i in range(1, size + 1)] == [None] * size
    assert (cut[str(size + 1)], cut[str(size + 2)]) == (str(size), str(size))
    assert len(built.problems) == 1
    assert "in a cycle" in built.problems[0].what


def test_a_tail_that_leads_into_a_cycle_keeps_its_parents():
    built = lineage(version(1, parent=2), version(2, parent=1), version(3, parent=2), version(4, parent=3))
    assert parents(built) == {"1": None, "2": None, "3": "2", "4": "3"}
    assert len(built.problems) == 1


@given(st.lists(st.integers(0, 12) | st.none(), max_size=12))
def test_no_parents_whatever_are_followed_forever(stated):
    built = lineage(*(version(i, parent=p) for i, p in enumerate(stated, 1)))
    above = parents(built)
    for start in above:
        seen, current = set(), start
        while current is not None:
            assert current not in seen, "a cycle was left"
            seen.add(current)
            current = above[current]
    assert len(built) == len(stated)


def test_a_chain_of_two_thousand_parents_is_followed_to_its_end():
    chain = [version(i, parent=i + 1 if i < 2000 else None) for i in range(1, 2001)]
    assert parents(lineage(*chain))["1"] == "2"
    assert len(lineage(*(version(i) for i in range(1, 2001)))) == 2000


# Improvement


def over(built):
    return [(e.improvement, e.improvement_over_best, e.is_best) for e in built]


def test_improvement_is_exact_and_over_the_parent_and_over_the_best():
    built = lineage(version(1, "0.14"), version(2, "0.15"), version(3, "0.12"), version(4, "0.15"), version(5, "0.16"))
    assert over(built) == [
        (None, None, True),
        (Decimal("0.01"), Decimal("0.01"), True),
        (Decimal("-0.03"), Decimal("-0.03"), False),
        (Decimal("0.03"), Decimal("0.00"), False),
        (Decimal("0.01"), Decimal("0.01"), True),
    ]
    assert built.best.version == "5"
    assert built.baseline.version == "1"


def test_where_lower_is_better_improvement_is_a_fall():
    built = lineage(version(1, "0.5", "rmse"), version(2, "0.3", "rmse"), version(3, "0.4", "rmse"))
    assert over(built) == [
        (None, None, True),
        (Decimal("0.2"), Decimal("0.2"), True),
        (Decimal("-0.1"), Decimal("-0.1"), False),
    ]


def test_improvement_is_over_the_stated_parent():
    built = lineage(version(1, "0.5"), version(2, "0.9"), version(3, "0.6", parent=1))
    assert built[2].improvement == Decimal("0.1")
    assert built[2].improvement_over_best == Decimal("-0.3")


def test_other_names_of_a_metric_compare_with_it():
    built = lineage(version(1, "0.7", "auc"), version(2, "0.8", "roc_auc"), version(3, "0.85", "auroc"))
    assert [e.improvement for e in built] == [None, Decimal("0.1"), Decimal("0.05")]
    assert built[2].is_best


def test_different_metrics_do_not_compare_and_each_has_its_best():
    built = lineage(version(1, "0.7"), version(2, "0.2", "f1"), version(3, "0.8"), version(4, "0.1", "f1"))
    assert over(built) == [
        (None, None, True),
        (None, None, True),
        (None, Decimal("0.1"), True),
        (None, Decimal("-0.1"), False),
    ]


@pytest.mark.parametrize("metric", ["my_own_score", "", None, "Accuracy", "<script>"])
def test_a_metric_without_a_direction_is_never_better_or_worse(metric):
    built = lineage(version(1, "1", metric), version(2, "2", metric))
    assert over(built) == [(None, None, False)] * 2


@pytest.mark.parametrize("value", ["high", "nan", "inf", "", None, "0,9", "1e999", "<b>0.9</b>"])
def test_a_value_that_is_no_number_has_no_improvement_and_is_passed_over(value):
    built = lineage(version(1, "0.7"), version(2, value), version(3, "0.8", parent=1))
    assert over(built)[1] == (None, None, False)
    assert over(built)[2] == (Decimal("0.1"), Decimal("0.1"), True)
    assert (built.best.version, built.baseline.version) == ("3", "1")


DECLARED = {SOURCE_TAG: "declared"}


def test_a_value_that_is_only_declared_is_passed_over_and_so_are_gains_over_it():
    built = lineage(version(1, "0.91"), version(2, "0.95", **DECLARED), version(3, "0.93"), version(4, "0.92"))
    assert over(built) == [
        (None, None, True),
        (None, None, False),
        (Decimal("0.02"), Decimal("0.02"), True),
        (Decimal("-0.01"), Decimal("-0.01"), False),
    ]
    assert (built.best.version, built.baseline.version) == ("3", "1")


def test_a_gain_is_over_the_nearest_measured_version_on_the_way_back():
    built = lineage(
        version(1, "0.5"), version(2, "0.6"), version(3, "0.9", parent=1, **DECLARED), version(4, "0.9", **DECLARED),
        version(5, "0.7"),
    )  # fmt: skip
    assert built[4].parent == "4"
    assert over(built)[4] == (Decimal("0.2"), Decimal("0.1"), True)


def test_a_first_version_that_is_only_declared_is_no_baseline():
    built = lineage(version(1, "0.9", **DECLARED), version(2, "0.8"))
    assert over(built) == [(None, None, False), (None, None, True)]
    assert (built.best.version, built.baseline.version) == ("2", "2")
    alone = lineage(version(1, "0.9", **DECLARED))
    assert (alone.best, alone.baseline) == (None, None)


def test_a_comparison_with_a_declared_value_claims_nothing():
    assert gain(version(2), version(1, "0.5", **DECLARED)) is None
    assert gain(version(2, **DECLARED), version(1, "0.5")) is None


def test_a_declared_value_is_marked_in_every_table_and_on_its_card():
    built = lineage(version(1, "0.91"), version(2, "0.95", **DECLARED))
    assert "0.95 (declared)" in built._text_()
    assert "Declared: nobody measured the value" in built._text_()
    assert "0.91 (declared)" not in built._text_()
    assert "Declared:" not in lineage(version(1))._text_()
    assert "0.95 (declared)" in ModelList(entries=(built[1],))._text_()
    assert "accuracy = 0.95 (declared)" in built[1]._text_()
    assert list(built.to_frame()["is_declared"]) == [False, True]


def test_there_is_no_gain_over_nothing():
    assert gain(version(1), None) is None


def test_a_lineage_of_nothing_is_empty():
    built = lineage()
    assert (len(built), built.best, built.baseline, built.problems) == (0, None, None, ())


# What comes with a version


def test_the_run_comes_along_where_it_is_known():
    run = RunFacts(run_id="r1", name="kind-cat", experiment_id="1", status="FINISHED", metrics={"loss": 0.2})
    built = lineage(version(1, run_id="r1"), version(2, run_id="gone"), version(3), runs=[run])
    assert [e.run.name if e.run else None for e in built] == ["kind-cat", None, None]
    assert built[0].datasets == built[2].datasets == ()


def test_contributor_and_notebook_are_read_from_their_tags():
    address = "0x" + "ab" * 20
    built = lineage(
        version(1, contributor_address=address),
        version(2, contributor=address),
        version(3, **{"hokusai.notebook.path": "churn.ipynb"}),
    )
    assert [(e.contributor, e.notebook) for e in built] == [(address, None), (address, None), (None, "churn.ipynb")]


# From a real registry


def tags(value, metric="accuracy", **more):
    return {TOKEN_TAG: "MSG-AI", METRIC_TAG: metric, VALUE_TAG: value, **more}


def test_a_models_versions_runs_data_sets_and_aliases_come_together(store, registry):
    data = DatasetInput(Dataset("iris", "d1", "code", "{}", profile='{"num_rows": 150}'), [
        InputTag("mlflow.data.context", "training")
    ])  # fmt: skip
    first, second = train(store, accuracy=0.8, datasets=[data]), train(store, accuracy=0.9)
    for made, value in ((first, "0.8"), (second, "0.9")):
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", value)
    client = mlflow.MlflowClient(store)
    client.set_registered_model_alias("m", "champion", "2")
    client.delete_run(first.run_id)
    found = registry.get_model_lineage("m")
    assert [(e.version, e.parent, e.improvement, e.aliases) for e in found] == [
        ("1", None, None, ()),
        ("2", "1", Decimal("0.1"), ("champion",)),
    ]
    assert [e.run.run_id if e.run else None for e in found] == [None, second.run_id], "a deleted run is gone"
    client.restore_run(first.run_id)
    restored = registry.get_model_lineage("m")[0]
    assert [(d.name, d.digest, d.context, d.rows) for d in restored.datasets] == [("iris", "d1", "training", 150)]


def test_a_deleted_version_is_left_out_and_its_children_say_so(store, registry):
    add_versions(store, [
        {"name": "m", "version": 1, "tags": tags("0.7")},
        {"name": "m", "version": 2, "tags": tags("0.8")},
        {"name": "m", "version": 3, "tags": tags("0.9", previous_version="2")},
        {"name": "m", "version": 4, "tags": tags("0.95")},
    ])  # fmt: skip
    registry.delete_model_version("m", 2)
    found = registry.get_model_lineage("m")
    assert [(e.version, e.parent) for e in found] == [("1", None), ("3", None), ("4", "3")]
    assert "'2'" in found.problems[0].what


def test_versions_that_name_hostile_runs_are_shown_without_them(store, registry, trained):
    made = trained()
    hostile = ["a' OR '1'='1", 'x"', "😀", "x" * 400, "<script>alert(1)</script>", "../../etc", "%", made.run_id]
    add_versions(
        store, [{"name": "m", "version": i, "tags": tags("0.5"), "run_id": r} for i, r in enumerate(hostile, 1)]
    )
    found = registry.get_model_lineage("m")
    assert [e.run_id for e in found] == hostile
    assert [e.run is not None for e in found] == [False] * 7 + [True]


def test_other_models_do_not_get_in(store, registry):
    names = ["m", "m2", "M", "m%", "_"]
    add_versions(store, [{"name": n, "version": v, "tags": tags("0.5")} for n in names for v in (1, 2)])
    for name in names:
        assert [(e.name, e.version) for e in registry.get_model_lineage(name)] == [(name, "1"), (name, "2")]


@pytest.mark.parametrize("name", ["none", "", "a/b", 'it\'s "x"', "\0"])
def test_a_model_that_does_not_exist_is_named(registry, name):
    with pytest.raises(ModelNotFoundError) as caught:
        registry.get_model_lineage(name)
    assert repr(name) in caught.value.what


def test_the_lineage_of_two_thousand_versions_is_complete(store, registry):
    add_versions(
        store, [{"name": "m", "version": i, "tags": tags(f"0.{i:04}"), "run_id": f"{i:032x}"} for i in range(1, 2001)]
    )
    found = registry.get_model_lineage("m")
    assert [e.version for e in found] == [str(i) for i in range(1, 2001)]
    assert found.best.version == "2000"


@pytest.mark.slow
def test_the_runs_of_a_lineage_are_fetched_in_one_search(proxy, unique):
    registry, name = ModelRegistry(proxy.address), unique("m")
    made = [train(proxy.address, accuracy=0.5 + i / 100) for i in range(5)]
    registry.register_many(
        [
            {"uri": m.model_uri, "name": name, "token_id": "MSG-AI", "metric": "accuracy", "value": 0.5 + i / 100}
            for i, m in enumerate(made)
        ],
        progress=False,
    )
    proxy.requests.clear()
    found = registry.get_model_lineage(name)
    assert {e.run.run_id for e in found} == {m.run_id for m in made}
    asked = [path.removeprefix("/api/2.0/mlflow/") for _, path in proxy.requests]
    assert asked == ["model-versions/search", "registered-models/search", "experiments/search", "runs/search"]


def test_two_versions_are_put_side_by_side(store, registry):
    first, second = train(store, accuracy=0.8, params={"depth": 2}), train(store, accuracy=0.9, params={"depth": 3})
    for made, value in ((first, "0.8"), (second, "0.9")):
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", value)
    found = registry.compare("m", 1, "2")
    assert (found.first.version, found.second.version, found.improvement) == ("1", "2", Decimal("0.1"))
    assert registry.compare("m", 2, 1).improvement == Decimal("-0.1")
    assert ("parameter", "depth", "2", "3") in found.differences()
    assert ("metric", "accuracy", "0.8", "0.9") in found.differences()
    with pytest.raises(ModelNotFoundError, match="has no version '3'"):
        registry.compare("m", 1, 3)
