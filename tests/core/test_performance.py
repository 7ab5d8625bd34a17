"""A measured value is found in one order of places, read as it is written, and never made up."""

from __future__ import annotations

import json
import os
from decimal import Decimal

import pytest

from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.core.performance import check_range, declared_metric, gain_over_baseline, measure, read_metrics
from hokusai_nb.errors import BaselineError, MetricValidationError, RunNotFoundError, ValidationError
from hokusai_nb.schema.metrics import find_metric, register_metric
from hokusai_nb.schema.registrations import RegisterFile

BASELINE = "0.82"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    return made


@pytest.fixture
def found(store, folder):
    """What is measured for a registration of the folder; arguments are those of the verb."""

    def call(mlmodel_run=None, **given):
        verb = RegisterFile.parse(
            {"token": "XRAY", "path": str(folder), "metric": "auroc", "baseline": BASELINE, **given}
        )
        return measure(Backend.at(store), verb, (folder, folder.parent), mlmodel_run)

    return call


def write(folder, text):
    (folder / "metrics.json").write_text(text)


def test_the_value_is_the_given_one_then_the_runs_then_the_files_then_that_of_the_mlmodels_run(found, folder, trained):
    run, own = trained(auroc=0.9).run_id, trained(auroc=0.93).run_id
    write(folder, '{"auroc": 0.910}')
    first = found(own, value="0.85", run=run)
    assert (first.value, first.source, first.run.run_id) == ("0.85", "given", run)
    second = found(own, run=run)
    assert (second.value, second.source, second.run.run_id) == ("0.9", "run", run)
    third = found(own)
    assert (third.value, third.source, third.run) == ("0.910", "metrics.json", None)
    (folder / "metrics.json").unlink()
    fourth = found(own)
    assert (fourth.value, fourth.source, fourth.run.run_id) == ("0.93", "mlmodel", own)


def test_where_nothing_is_measured_the_baseline_is_declared(found):
    reached = found()
    assert (reached.value, reached.source, reached.run, reached.doubts) == (BASELINE, "declared", None, ())


def test_every_name_of_the_metric_counts_and_its_own_spelling_comes_first(found, folder, trained):
    assert found(run=trained(roc_auc=0.9).run_id).value == "0.9"
    write(folder, '{"roc_auc": 0.91, "val_auroc": 0.99}')
    assert found().value == "0.91"
    write(folder, '{"roc_auc": 0.91, "auroc": 0.92}')
    assert found().value == "0.92"
    write(folder, '{"val_auroc": 0.99}')
    assert found().source == "declared"


def test_a_run_without_the_metric_is_said_and_the_search_goes_on(found, folder, trained):
    write(folder, '{"auroc": 0.91}')
    reached = found(run=trained(accuracy=0.9).run_id)
    assert (reached.value, reached.source) == ("0.91", "metrics.json")
    (doubt,) = reached.doubts
    assert (doubt.severity, "has no metric 'auroc'" in doubt.what, doubt.hint) == ("warning", True, "It has accuracy.")


def test_a_named_run_has_to_exist_and_one_that_only_the_mlmodel_names_does_not(found):
    with pytest.raises(RunNotFoundError):
        found(run="0" * 32, value="0.9")
    reached = found("0" * 32)
    assert reached.source == "declared"
    assert "The model was logged by run" in reached.doubts[0].what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is no JSON"),
        ('{"auroc": 0.9', "is no JSON"),
        ("[0.9]", "is no JSON object"),
        ('{"auroc": "0.9"}', "gives 'auroc' as '0.9', which is no number"),
        ('{"auroc": true}', "gives 'auroc' as True, which is no number"),
        ('{"auc": {"mean": 0.9}}', "gives 'auc' as"),
        ('{"auroc": null}', "gives 'auroc' as None"),
        ("\udcff", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"a": "' + "x" * 1024 * 1024 + '"}', "is larger than"),
    ],
)
def test_a_metrics_file_that_cannot_be_understood_is_an_error_and_no_reason_to_declare(found, folder, text, what):
    (folder / "metrics.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValidationError) as caught:
        found()
    assert what in caught.value.what
    assert "state the value" in caught.value.hint
    assert found(value="0.9").source == "given"


@pytest.mark.parametrize("text", ['{"auroc": 85}', '{"auroc": NaN}', '{"auroc": 1e400}', '{"auroc": -Infinity}'])
def test_a_figure_that_the_metric_cannot_have_is_refused_with_its_place(found, folder, text):
    write(folder, text)
    with pytest.raises(MetricValidationError, match="Metric Validation Failed") as caught:
        found()
    assert "(found in metrics.json)" in caught.value.what


def test_a_file_without_the_metric_is_passed_over_for_the_one_beside_the_folder(found, folder):
    write(folder, '{"accuracy": 0.9}')
    write(folder.parent, '{"auroc": 0.91}')
    assert (found().value, found().source) == ("0.91", "metrics.json")


@pytest.mark.parametrize("field", ["baseline", "value"])
def test_a_value_out_of_range_is_told_with_the_field_it_was_given_in(field):
    with pytest.raises(MetricValidationError, match=f"^Metric Validation Failed: {field}: auroc must be between"):
        check_range("auroc", "82", field)


def test_what_else_a_metrics_file_holds_does_not_matter_and_numbers_keep_their_text(folder):
    write(folder, json.dumps({"model": "resnet", "epochs": 3, "auroc": 0.9}).replace("0.9", "0.90"))
    assert read_metrics(folder / "metrics.json") == {"model": "resnet", "epochs": "3", "auroc": "0.90"}


def test_a_pipe_of_that_name_is_not_waited_for(found, folder):
    os.mkfifo(folder / "metrics.json")
    assert found().source == "declared"


def test_a_metric_that_was_declared_here_is_taken():
    with pytest.raises(MetricValidationError):
        declared_metric("steps_to_converge_here")
    register_metric("steps_to_converge_here", direction="min")
    assert declared_metric("steps_to_converge_here").direction == "min"
    check_range("steps_to_converge_here", "-5", "value")


def test_a_gain_is_exact_and_its_lack_says_which_way_is_better():
    auroc, rmse = find_metric("auroc"), find_metric("rmse")
    assert gain_over_baseline(auroc, "auc", value="0.15", baseline="0.14") == Decimal("0.01")
    assert gain_over_baseline(rmse, "rmse", value="0.14", baseline="0.15") == Decimal("0.01")
    assert gain_over_baseline(auroc, "auc", value="0.140", baseline="0.14") == 0
    with pytest.raises(BaselineError, match=r"0\.16 is above 0\.15 \(rmse, lower is better\)"):
        gain_over_baseline(rmse, "rmse", value="0.16", baseline="0.15")
