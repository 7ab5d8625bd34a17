"""What a receipt says a version gained, on a real store."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.core.receipts import receipt_for


@pytest.fixture
def made(registry, trained):
    """Register versions of ``m`` by their benchmarks, and return the last."""

    def make(*benchmarks):
        for metric, value in benchmarks:
            model = registry.register_tokenized_model(trained().model_uri, "m", "A-B", metric, value)
        return model

    return make


@pytest.fixture
def receipt(registry):
    return lambda model: receipt_for(registry.backend, model)


def test_the_first_version_is_the_baseline(made, receipt):
    found = receipt(made(("accuracy", "0.9")))
    assert (found.last, found.best, found.over_last, found.over_best) == (None, None, None, None)


def test_gains_are_exact_over_the_last_and_over_the_best(made, receipt):
    found = receipt(made(("accuracy", "0.15"), ("accuracy", "0.14"), ("accuracy", "0.16")))
    assert (found.last, found.over_last) == ("2", Decimal("0.02"))
    assert (found.best, found.over_best) == ("1", Decimal("0.01"))


def test_where_lower_is_better_the_smallest_value_is_the_best(made, receipt):
    found = receipt(made(("rmse", "0.3"), ("rmse", "0.2"), ("rmse", "0.25")))
    assert (found.over_last, found.best, found.over_best) == (Decimal("-0.05"), "2", Decimal("-0.05"))


def test_of_equally_good_versions_the_first_is_the_best(made, receipt):
    assert receipt(made(("f1", "0.5"), ("f1", "0.5"), ("f1", "0.6"))).best == "1"


def test_names_of_one_metric_are_compared_and_different_metrics_are_not(made, receipt):
    found = receipt(made(("f1", "0.5"), ("accuracy", "0.9"), ("f1_score", "0.6")))
    assert (found.last, found.last_metric, found.last_value, found.over_last) == ("2", "accuracy", "0.9", None)
    assert (found.best, found.over_best) == ("1", Decimal("0.1"))


@pytest.mark.filterwarnings("ignore::hokusai_nb.errors.HokusaiWarning")
def test_a_metric_without_a_direction_gains_nothing(made, receipt):
    found = receipt(made(("sharpness", "1"), ("sharpness", "2")))
    assert (found.last, found.over_last, found.best) == ("1", None, None)


def test_an_older_version_is_compared_with_those_before_it_only(made, receipt, registry):
    made(("accuracy", "0.1"), ("accuracy", "0.2"), ("accuracy", "0.9"))
    found = receipt(registry.get_tokenized_model("m", 2))
    assert (found.last, found.over_last, found.best) == ("1", Decimal("0.1"), "1")


def test_a_repeated_registration_has_the_receipt_of_the_version_it_made(registry, trained, receipt):
    uri = trained().model_uri
    first = registry.register_tokenized_model(uri, "m", "A-B", "accuracy", "0.5")
    registry.register_tokenized_model(trained().model_uri, "m", "A-B", "accuracy", "0.9")
    again = registry.register_tokenized_model(uri, "m", "A-B", "accuracy", "0.5")
    assert not again.created
    assert receipt(again).last is None
    assert receipt(again).version == first.version


def test_versions_of_other_clients_without_tags_are_named_and_not_compared(made, receipt, store, trained):  # noqa: ARG001
    import mlflow

    made(("accuracy", "0.5"))
    mlflow.MlflowClient().create_model_version("m", trained().model_uri)
    found = receipt(made(("accuracy", "0.6")))
    assert (found.last, found.last_value, found.over_last, found.over_best) == ("2", None, None, Decimal("0.1"))


def test_a_preview_is_compared_with_all_there_are(made, receipt, registry, trained):
    made(("accuracy", "0.5"))
    from hokusai_nb.schema.verbs import Register

    verb = Register(model=trained().model_uri, name="m", token="A-B", metric="accuracy", value="0.75", dry_run=True)
    found = receipt(registry.register(verb))
    assert (found.version, found.last, found.over_last) == ("2", "1", Decimal("0.25"))


def test_a_registry_that_went_away_costs_the_gains_only(made):
    model = made(("accuracy", "0.5"))
    found = receipt_for(Backend.at("http://127.0.0.1:9"), model)
    assert found.model == model
    assert "127.0.0.1:9" in found.trouble
