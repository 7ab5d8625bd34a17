from __future__ import annotations

import math

import mlflow
import pytest

from hokusai_nb.core.current_run import choose_model, current_run, measured_value, models_of
from hokusai_nb.errors import AmbiguousModelError, NoCurrentRunError, NoModelError, RunNotFoundError
from hokusai_nb.schema.runs import RunFacts
from tests.conftest import train


def measured(metric, **metrics):
    return measured_value(RunFacts(run_id="r", name="r", experiment_id="1", status="FINISHED", metrics=metrics), metric)


# Which run


def test_without_any_run_there_is_none_and_the_hint_says_what_to_do(backend):
    with pytest.raises(NoCurrentRunError, match="none is active and none has finished") as caught:
        current_run(backend)
    assert "mlflow.start_run()" in caught.value.hint


def test_the_named_run_comes_before_the_active_one_and_that_before_the_last(backend, trained):
    named = trained()
    with mlflow.start_run() as last:
        pass
    assert current_run(backend).run_id == last.info.run_id
    with mlflow.start_run() as active:
        assert current_run(backend).run_id == active.info.run_id
        assert current_run(backend, named.run_id).run_id == named.run_id
    assert current_run(backend).run_id == active.info.run_id


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_last_run_that_did_not_finish_is_not_taken_silently(backend, status):
    run = mlflow.start_run()
    mlflow.end_run(status)
    with pytest.raises(NoCurrentRunError, match=f"is {status}") as caught:
        current_run(backend)
    assert f"name run {run.info.run_id}" in caught.value.hint
    assert current_run(backend, run.info.run_id).status == status, "naming it is a decision of the user's"


def test_a_last_run_that_was_deleted_is_gone(store, backend):
    with mlflow.start_run() as run:
        pass
    mlflow.MlflowClient(store).delete_run(run.info.run_id)
    with pytest.raises(NoCurrentRunError, match="was deleted"):
        current_run(backend)


def test_a_named_run_must_exist(backend):
    with pytest.raises(RunNotFoundError, match="'nowhere'"):
        current_run(backend, "nowhere")


def test_a_named_run_is_proposed_to_be_left_out_only_where_there_is_a_current_one(backend):
    with pytest.raises(RunNotFoundError) as caught:
        current_run(backend, "nowhere")
    assert "leave it out" not in caught.value.hint
    with mlflow.start_run(), pytest.raises(RunNotFoundError) as caught:
        current_run(backend, "nowhere")
    assert caught.value.hint.startswith("Check the id in MLflow")
    assert caught.value.hint.endswith("; or leave it out to use the current run.")


# Which of its models


def test_the_only_model_is_meant(backend, trained):
    made = trained()
    run = current_run(backend, made.run_id)
    assert choose_model(backend, run).model_id == made.model_id
    assert [m.model_id for m in models_of(backend, run)] == [made.model_id]


def test_of_several_one_must_be_named_by_name_id_or_uri(store, backend):
    a = train(store, name="a")
    run = mlflow.MlflowClient(store).get_run(a.run_id)
    b, newer_a = train(store, name="b", run=run), train(store, name="a", run=run)
    facts = current_run(backend, a.run_id)
    with pytest.raises(AmbiguousModelError, match="holds 2 models") as caught:
        choose_model(backend, facts)
    assert caught.value.candidates == (newer_a.model_uri, b.model_uri), "newest first, and of one name the newest"
    assert f"a ({newer_a.model_uri}), b ({b.model_uri})" in caught.value.hint
    assert choose_model(backend, facts, "a").model_id == newer_a.model_id
    assert choose_model(backend, facts, "b").model_id == b.model_id
    assert choose_model(backend, facts, a.model_id).model_id == a.model_id
    assert choose_model(backend, facts, a.model_uri).model_id == a.model_id


def test_the_same_name_logged_twice_is_no_ambiguity(store, backend):
    first = train(store)
    second = train(store, run=mlflow.MlflowClient(store).get_run(first.run_id))
    assert choose_model(backend, current_run(backend, first.run_id)).model_id == second.model_id


@pytest.mark.parametrize("named", ["other", "", "it's", "<script>"])
def test_a_name_that_the_run_does_not_hold_is_answered_with_those_it_does(store, backend, named):
    first = train(store)
    train(store, run=mlflow.MlflowClient(store).get_run(first.run_id))
    with pytest.raises(NoModelError) as caught:
        choose_model(backend, current_run(backend, first.run_id), named)
    assert repr(named) in caught.value.what
    assert caught.value.hint == "It holds: model."


def test_a_run_without_a_model_says_how_to_get_one(backend):
    with mlflow.start_run():
        pass
    with pytest.raises(NoModelError, match="holds no model") as caught:
        choose_model(backend, current_run(backend))
    assert "log_model" in caught.value.hint


# What was measured


def test_a_metric_is_found_by_its_name_and_then_by_its_other_names():
    assert measured("accuracy", accuracy=0.91) == "0.91"
    assert measured("auc", roc_auc=0.8) == "0.8"
    assert measured("auroc", auc=0.7, roc_auc=0.8) == "0.7"
    assert measured("roc_auc", auc=0.7, roc_auc=0.8) == "0.8", "the name as written comes first"
    assert measured("churn_gain", churn_gain=3.0) == "3.0"


@pytest.mark.parametrize("name", ["val_accuracy", "accuracy_val", "test/accuracy", "Accuracy", "accuracy_score"])
def test_a_metric_that_sounds_alike_is_another(name):
    assert measured("accuracy", **{name: 0.91}) is None


def test_a_float_keeps_all_its_digits_and_no_more():
    assert measured("mse", mse=0.1) == "0.1"
    assert measured("mse", mse=1 / 3) == "0.3333333333333333"
    assert measured("mse", mse=1e-17) == "1e-17"


def test_what_is_no_number_stays_recognisable_as_none():
    assert measured("mse", mse=math.nan) == "nan"
    assert measured("mse", mse=math.inf) == "inf"


@pytest.mark.parametrize(("value", "text"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")])
def test_infinity_is_seen_through_what_the_database_makes_of_it(backend, trained, value, text):
    run = current_run(backend, trained(mse=value).run_id)
    assert measured_value(run, "mse") == text
