from __future__ import annotations

import json
import math

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag
from sklearn.linear_model import LogisticRegression

from hokusai_nb.config import Settings, configure
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import (
    AmbiguousModelError,
    HokusaiWarning,
    NoCurrentRunError,
    NoModelError,
    RunNotFoundError,
    ValidationError,
)
from hokusai_nb.schema.tags import KEY_TAG, METRIC_TAG, TOKEN_TAG, VALUE_TAG, check_tags
from hokusai_nb.schema.verbs import Register
from tests.conftest import both, train
from tests.rows import add_prompt, row_counts

ADDRESS = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    configure(**dict.fromkeys(Settings.model_fields))


def verb(**given):
    return Register.parse({"name": "m", "token": "MSG-AI", "metric": "accuracy", **given})


def inputs(*profiles, context="training", digest="digest"):
    return [
        DatasetInput(
            Dataset(f"d{i}", f"{digest}{i}", "code", json.dumps({"tags": {}}), profile=profile),
            [InputTag("mlflow.data.context", context)],
        )
        for i, profile in enumerate(profiles)
    ]


# Which model


def test_the_current_run_and_its_model_are_meant_where_none_is_named(registry, store):
    with mlflow.start_run() as run:
        train(store, accuracy=0.8, run=run)
        assert registry.register(verb()).run_id == run.info.run_id
    again = registry.register(verb())
    assert (again.created, again.benchmark_value) == (False, "0.8")


def test_a_model_is_named_by_its_name_in_the_run_or_by_its_uri(registry, store):
    a = train(store, name="a", accuracy=0.8)
    b = train(store, name="b", run=mlflow.MlflowClient(store).get_run(a.run_id))
    with pytest.raises(AmbiguousModelError):
        registry.register(verb(run=a.run_id))
    assert registry.register(verb(run=a.run_id, model="b")).model_id == b.model_id
    assert registry.register(verb(run=a.run_id, model="a")).model_id == a.model_id
    assert registry.register(verb(model=b.model_uri)).created is False
    with pytest.raises(NoModelError, match="holds no model 'c'"):
        registry.register(verb(run=a.run_id, model="c"))


def test_a_model_must_belong_to_the_run_that_is_named(registry, trained):
    made, other = trained(accuracy=0.8), trained()
    assert registry.register(verb(model=made.model_uri, run=made.run_id)).version == "1"
    with pytest.raises(ValidationError, match="belongs to run") as caught:
        registry.register(verb(model=made.model_uri, run=other.run_id))
    assert caught.value.problems[0].repair == made.run_id


def test_a_model_without_a_run_takes_the_one_that_is_named(registry, trained, tmp_path):
    made = trained(accuracy=0.75)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "MLmodel").write_text("flavors: {}")
    folder = str(tmp_path / "saved")
    with pytest.raises(ValidationError, match="names no run to read the benchmark value from"):
        registry.register(verb(model=folder))
    found = registry.register(verb(model=folder, run=made.run_id))
    assert (found.run_id, found.benchmark_value) == (made.run_id, "0.75")
    assert registry.register(verb(model=folder, value="0.5")).run_id is None
    with pytest.raises(RunNotFoundError):
        registry.register(verb(model=folder, run="nowhere"))


# The benchmark value


def test_the_value_is_read_from_the_run_and_never_made_up(registry, trained):
    made = trained(accuracy=0.8125, loss=0.5)
    assert registry.register(verb(run=made.run_id)).benchmark_value == "0.8125"
    with pytest.raises(ValidationError) as caught:
        registry.register(verb(run=made.run_id, metric="recall"))
    assert "has no metric 'recall'" in caught.value.what
    assert caught.value.hint.startswith("It has accuracy, loss. ")
    with pytest.raises(ValidationError, match="It has no metric at all"):
        registry.register(verb(run=trained().run_id))


def test_of_very_many_metrics_the_error_names_some(registry, trained):
    made = trained(**{f"m{i:03}": 1.0 for i in range(100)})
    with pytest.raises(ValidationError) as caught:
        registry.register(verb(run=made.run_id))
    assert "m000, m001" in caught.value.hint
    assert "and 80 more" in caught.value.hint


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_number_is_refused(store, registry, trained, value):
    made = trained(mse=value, accuracy=value)
    before = row_counts(store)
    for metric in ("mse", "accuracy"):
        with pytest.raises(ValidationError, match="Benchmark value must be numeric"):
            registry.register(verb(run=made.run_id, metric=metric))
    assert row_counts(store) == before


def test_a_metric_out_of_its_range_is_refused(registry, trained):
    with pytest.raises(ValidationError, match=r"accuracy must be between 0 and 1: '87\.0'"):
        registry.register(verb(run=trained(accuracy=87).run_id))


# What the run says


def recommended(model):
    own = {TOKEN_TAG, METRIC_TAG, VALUE_TAG, KEY_TAG}
    return {k: v for k, v in model.tags.items() if k not in own}


@both
def test_recommended_tags_are_filled_in_from_the_run(sqlite_or_server, unique):
    source = CodeDatasetSource(tags={})
    training = mlflow.data.from_numpy(np.zeros((120, 4)), source=source, name="training set")
    test = mlflow.data.from_numpy(np.zeros((30, 4)), source=source, name="test set")
    datasets = [
        DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", context)])
        for data, context in ((training, "training"), (test, "test"))
    ]
    made = train(sqlite_or_server, accuracy=0.9, params={"preprocessing": "standard scaler"}, datasets=datasets)
    found = ModelRegistry(sqlite_or_server).register_run_model(made.run_id, unique("m"), "MSG-AI", "accuracy")
    width = {} if sqlite_or_server.startswith("http") else {"feature_count": "2"}
    assert recommended(found) == {
        "training_samples": "120", "test_samples": "30", "dataset_version": training.digest,
        "preprocessing": "standard scaler", **width,
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0")  # in MLflow's own reading of a frame
def test_frames_that_were_logged_in_a_run_are_counted(registry, store):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0]})
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(frame), context="train")
        mlflow.log_input(mlflow.data.from_pandas(frame.head(2)), context="eval")
        train(store, accuracy=0.9, run=run)
    found = recommended(registry.register(verb(run=run.info.run_id)))
    assert (found["training_samples"], found["test_samples"]) == ("3", "2")


def test_several_data_sets_count_together(registry, trained):
    made = trained(accuracy=0.9, datasets=inputs('{"num_rows": 100}', '{"num_rows": 20}'))
    found = recommended(registry.register(verb(run=made.run_id)))
    assert (found["training_samples"], found["dataset_version"]) == ("120", "digest0+digest1")
    made = trained(accuracy=0.9, datasets=inputs('{"num_rows": 100}', "{}", digest="other"))
    assert "training_samples" not in recommended(registry.register(verb(run=made.run_id)))


def test_what_the_user_says_comes_first(registry, trained):
    made = trained(accuracy=0.9, params={"preprocessing": "theirs"}, datasets=inputs('{"num_rows": 100}'))
    mine = {"training_samples": "99", "preprocessing": "mine", "feature_count": "1", "dataset_version": "v2"}
    assert recommended(registry.register(verb(run=made.run_id, tags=mine))) == mine


@pytest.mark.parametrize("profile", ['{"num_rows": -5}', '{"num_rows": "many"}', "[" * 50_000, "<script>", "[1]", "{"])
def test_a_profile_of_any_content_does_not_stand_in_the_way(registry, trained, profile):
    made = trained(accuracy=0.9, params={"preprocessing": "  "}, datasets=inputs(profile))
    found = registry.register(verb(run=made.run_id))
    assert recommended(found) == {"dataset_version": "digest0", "feature_count": "2"}
    assert check_tags(dict(found.tags)) == []


def test_data_sets_of_no_known_use_are_left_out(registry, trained):
    made = trained(accuracy=0.9, datasets=inputs('{"num_rows": 100}', context="backtest"))
    assert recommended(registry.register(verb(run=made.run_id))) == {"feature_count": "2"}


# Contributor and provenance


def test_the_contributor_comes_from_the_line_then_from_the_tags_then_from_the_settings(registry, trained):
    made = trained(accuracy=0.9)
    configure(contributor=OTHER)
    assert registry.register(verb(run=made.run_id)).contributor == OTHER
    assert registry.register(verb(run=made.run_id, contributor=ADDRESS)).contributor == ADDRESS
    tagged = registry.register(verb(run=made.run_id, tags={"contributor": ADDRESS}))
    assert (tagged.contributor, "contributor_address" in tagged.tags) == (ADDRESS, False)


def test_a_contributor_of_the_settings_that_is_no_address_is_refused(store, registry, trained):
    made, before = trained(accuracy=0.9), row_counts(store)
    configure(contributor="me")
    with pytest.raises(ValidationError, match="Contributor address invalid: 'me'") as caught:
        registry.register(verb(run=made.run_id))
    assert caught.value.problems[0].field == "HOKUSAI_CONTRIBUTOR"
    assert row_counts(store) == before
    assert registry.register(verb(run=made.run_id, contributor=ADDRESS)).contributor == ADDRESS


def test_doubts_about_the_contributor_of_the_settings_are_told(registry, trained):
    made = trained(accuracy=0.9)
    configure(contributor="0x742d35Cc6634C0532925a3b844Bc9e7595f5b4e1")
    found = registry.register(verb(run=made.run_id))
    assert [p.field for p in found.warnings] == ["HOKUSAI_CONTRIBUTOR"]


def test_where_it_was_made_is_recorded_and_no_part_of_what_it_is(registry, trained):
    made = trained(accuracy=0.9)
    here, there = {"hokusai.notebook.path": "a.ipynb"}, {"hokusai.notebook.path": "b.ipynb"}
    first = registry.register(verb(run=made.run_id), provenance=here)
    again = registry.register(verb(run=made.run_id), provenance=there)
    assert (first.notebook, again.notebook, again.created) == ("a.ipynb", "a.ipynb", False)


def test_a_notebook_of_any_name_does_not_stand_in_the_way(registry, trained):
    path = {"hokusai.notebook.path": "a\udcff\0<b>.ipynb", "hokusai.notebook.kernel": "x" * 200_000}
    found = registry.register(verb(run=trained(accuracy=0.9).run_id), provenance=path)
    assert found.notebook == "a?<b>.ipynb"
    assert len(found.tags["hokusai.notebook.kernel"]) == 100_000


def test_an_identity_makes_registrations_of_different_runs_the_same(registry, trained):
    first, second = trained(accuracy=0.9), trained(accuracy=0.9)
    made = registry.register(verb(run=first.run_id), identity="cell-1")
    again = registry.register(verb(run=second.run_id), identity="cell-1")
    assert (again.version, again.created, again.run_id) == ("1", False, made.run_id)
    assert registry.register(verb(run=second.run_id), identity="cell-2").version == "2"


# Writing nothing


def test_a_dry_run_says_what_would_be_and_writes_nothing(store, registry, trained):
    made = trained(accuracy=0.9)
    before = row_counts(store)
    preview = registry.register(verb(run=made.run_id, tags={"gpu_type": "A100"}, dry_run=True))
    assert row_counts(store) == before
    real = registry.register(verb(run=made.run_id, tags={"gpu_type": "A100"}))
    assert (preview.dry_run, real.dry_run) == (True, False)
    assert (preview.version, preview.tags, preview.run_id, preview.model_id, preview.source) == (
        real.version, real.tags, real.run_id, real.model_id, real.source,
    )  # fmt: skip


def test_a_dry_run_knows_what_is_there(store, registry, trained):
    made = trained(accuracy=0.9)
    registry.register(verb(run=made.run_id))
    before = row_counts(store)
    again = registry.register(verb(run=made.run_id, dry_run=True))
    forced = registry.register(verb(run=made.run_id, dry_run=True, force_new=True))
    other = registry.register(verb(run=made.run_id, dry_run=True, value="0.5"))
    assert [(m.version, m.created) for m in (again, forced, other)] == [("1", False), ("2", True), ("2", True)]
    assert row_counts(store) == before


def test_a_dry_run_finds_what_is_wrong(store, registry, trained):
    made = trained(accuracy=0.9)
    add_prompt(store, "hook")
    before = row_counts(store)
    with pytest.raises(ValidationError, match="is the name of a prompt"):
        registry.register(verb(run=made.run_id, name="hook", dry_run=True))
    with pytest.raises(ValidationError, match="has no metric"):
        registry.register(verb(run=made.run_id, metric="recall", dry_run=True))
    with pytest.raises(NoCurrentRunError):
        registry.register(verb(dry_run=True))
    assert row_counts(store) == before


# An estimator


@pytest.fixture
def fitted():
    return LogisticRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0]]), [0, 1])


@pytest.fixture
def finished(store):
    assert mlflow.get_tracking_uri() == store
    with mlflow.start_run() as run:
        mlflow.log_metric("accuracy", 0.9)
    return run.info.run_id


def logged(store):
    client = mlflow.MlflowClient(store)
    return len(client.search_logged_models([e.experiment_id for e in client.search_experiments()]))


def test_an_estimator_is_logged_to_the_run_and_registered(store, registry, finished, fitted):
    found = registry.register(verb(), estimator=fitted, input_example=np.array([[0.0, 1.0]]))
    assert (found.run_id, found.benchmark_value, found.tags["feature_count"]) == (finished, "0.9", "2")
    loaded = mlflow.sklearn.load_model("models:/m/1")
    assert list(loaded.predict([[0.0, 1.0]])) == [0]
    assert logged(store) == 1


@pytest.mark.usefixtures("finished")
def test_the_same_estimator_again_is_neither_logged_nor_registered_again(store, registry, fitted):
    first = registry.register(verb(), estimator=fitted, identity="cell")
    again = registry.register(verb(), estimator=fitted, identity="cell")
    assert (first.created, again.created, again.version) == (True, False, "1")
    assert logged(store) == 1
    assert registry.register(verb(force_new=True), estimator=fitted, identity="cell").version == "2"
    assert logged(store) == 2


@pytest.mark.usefixtures("finished")
def test_an_estimator_is_logged_once_by_whoever_says_what_it_tried(store, registry, fitted):
    registry.register(verb(), estimator=fitted)
    tried = {}
    made = [registry.register(verb(force_new=True), estimator=fitted, tried=tried).version for _ in range(2)]
    assert made == ["2", "2"]
    assert logged(store) == 2


@pytest.mark.usefixtures("finished")
def test_what_is_wrong_is_found_before_the_estimator_is_logged(store, registry, fitted):
    add_prompt(store, "hook")
    before = row_counts(store)
    for wrong, words in (
        (verb(metric="recall"), "has no metric 'recall'"),
        (verb(name="hook"), "is the name of a prompt"),
    ):
        with pytest.raises(ValidationError, match=words):
            registry.register(wrong, estimator=fitted)
    with pytest.raises(ValidationError, match="is not fitted"):
        registry.register(verb(), estimator=LogisticRegression())
    with pytest.raises(ValidationError, match="no estimator"):
        registry.register(verb(), estimator=object())
    assert row_counts(store) == before


def test_a_dry_run_logs_no_estimator(store, registry, finished, fitted):
    before = row_counts(store)
    preview = registry.register(verb(dry_run=True), estimator=fitted)
    assert (preview.version, preview.run_id, preview.dry_run) == ("1", finished, True)
    with pytest.raises(ValidationError, match="is not fitted"):
        registry.register(verb(dry_run=True), estimator=LogisticRegression())
    assert row_counts(store) == before


def test_warnings_come_with_the_version(registry, trained):
    found = registry.register(verb(run=trained(my_score=3).run_id, metric="my_score"))
    assert [p.severity for p in found.warnings] == ["warning"]
    with pytest.warns(HokusaiWarning):
        registry.register_run_model(found.run_id, "m", "MSG-AI", "my_score")


def test_a_repetition_whose_version_was_changed_since_says_so(registry, trained):
    made = trained(accuracy=0.9)
    registry.register_run_model(made.run_id, "m", "MSG-AI", "accuracy")
    registry.update_model_tags("m", 1, {"benchmark_value": "0.95"})
    with pytest.warns(HokusaiWarning, match="benchmark_value was changed since it was registered: '0.95', not '0.9'"):
        again = registry.register_run_model(made.run_id, "m", "MSG-AI", "accuracy")
    assert (again.version, again.created) == ("1", False)
