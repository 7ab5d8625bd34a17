"""One registration: from what a user asked for to a version with all its tags."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow import logging, runs, versions
from hokusai_nb.config import settings
from hokusai_nb.core.current_run import choose_model, current_run, measured_value
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.metrics import check_benchmark
from hokusai_nb.schema.problems import Problem, raise_for
from hokusai_nb.schema.records import RegisteredModel, RunModel
from hokusai_nb.schema.tags import CONTRIBUTOR_TAGS, KEY_TAG, METRIC_TAG, TOKEN_TAG, VALUE_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.records import RunFacts
    from hokusai_nb.schema.verbs import Register

__all__ = ["register"]

_TRAINING = ("train", "training")
_TEST = ("test", "testing", "eval", "evaluation")


def register(
    backend: Backend,
    verb: Register,
    *,
    estimator: object = None,
    input_example: object = None,
    provenance: Mapping[str, str] | None = None,
    identity: str | None = None,
) -> RegisteredModel:
    """Register a model under a token.

    Args:
        backend: Where to write.
        verb: What the user asked for, validated.
        estimator: Fitted estimator to log to the run first; none if the run holds the model.
        input_example: Input rows, for the signature of the estimator.
        provenance: Tags that say where the registration was made; they are not part of its identity.
        identity: What makes two registrations the same besides their tags; the run's model if None.
    """
    run, model = _run_and_model(backend, verb, estimator, input_example)
    value = verb.value if verb.value is not None else _value_from(run, verb.metric)
    raise_for(check_benchmark(verb.metric, value))
    stated = _stated_tags(verb, value)
    key = _key(verb.name, identity or (model.run_id, model.model_id or model.source), stated)
    recorded = {**_from_run(run, model), **(provenance or {}), **stated, KEY_TAG: key}
    if verb.dry_run:
        made = _preview(backend, verb.name, model, recorded)
    else:
        made = versions.create(backend, verb.name, model, recorded, force_new=verb.force_new)
    warnings = tuple(verb.warnings())
    return made.model_copy(update={"warnings": warnings}) if warnings else made


def _run_and_model(
    backend: Backend, verb: Register, estimator: object, input_example: object
) -> tuple[RunFacts | None, RunModel]:
    # A logged model's name holds neither of the two; a URI or a path always does.
    if estimator is None and verb.model is not None and {":", "/"} & set(verb.model):
        return _by_uri(backend, verb.model, verb.run)
    run = current_run(backend, verb.run)
    if estimator is None:
        return run, choose_model(backend, run, verb.model)
    if verb.dry_run:
        logging.ensure_loggable(estimator)
        return run, RunModel(name="model", uri="", source="", location="", run_id=run.run_id)
    return run, logging.log_estimator(backend, estimator, run_id=run.run_id, input_example=input_example)


def _by_uri(backend: Backend, uri: str, named_run: str | None) -> tuple[RunFacts | None, RunModel]:
    model = runs.find_model(backend, uri)
    run_id = model.run_id or named_run
    run = runs.get_run(backend, run_id) if run_id else None
    if named_run and model.run_id and named_run != model.run_id:
        what = f"Model {uri!r} belongs to run {model.run_id!r}, not to {named_run!r}."
        raise ValidationError([Problem(field="run", what=what, hint="Leave --run out.", repair=model.run_id)])
    return run, model.model_copy(update={"run_id": run_id})


def _value_from(run: RunFacts | None, metric: str) -> str:
    """Return the run's value of the metric.

    Raises:
        ValidationError: There is no run, or it has no such metric; we never invent a figure.
    """
    value = measured_value(run, metric) if run else None
    if value is not None:
        return value
    if run is None:
        what, hint = "The model names no run to read the benchmark value from.", "Give it: --value 0.91"
    else:
        has = ", ".join(sorted(run.metrics)) or "no metric at all"
        what = f"Run {run.name} ({run.run_id}) has no metric {metric!r}."
        hint = f"It has {has}. Log it, choose another metric, or give the value: --value 0.91"
    raise ValidationError([Problem(field="value", what=what, hint=hint)])


def _stated_tags(verb: Register, value: str) -> dict[str, str]:
    """Return the tags that the user's words alone decide."""
    tags = dict(verb.tags)
    contributor = verb.contributor or settings().contributor
    if contributor and not any(key in tags for key in CONTRIBUTOR_TAGS):
        tags["contributor_address"] = contributor
    return {**tags, TOKEN_TAG: verb.token, METRIC_TAG: verb.metric, VALUE_TAG: value}


def _from_run(run: RunFacts | None, model: RunModel) -> dict[str, str]:
    """Return the recommended tags that the run knows: from data set inputs, parameters and signature."""
    found: dict[str, Any] = {}
    for dataset in run.datasets if run else ():
        if dataset.context in _TRAINING:
            found.setdefault("training_samples", dataset.rows)
            found.setdefault("dataset_version", dataset.digest)
        elif dataset.context in _TEST:
            found.setdefault("test_samples", dataset.rows)
    if run and (prepared := run.params.get("preprocessing")):
        found["preprocessing"] = prepared
    if model.uri:
        found["feature_count"] = runs.signature_width(model)
    return {key: str(value) for key, value in found.items() if value is not None}


def _key(name: str, identity: object, stated: Mapping[str, str]) -> str:
    """Return what two registrations share if, and only if, they are the same."""
    text = json.dumps([name, identity, sorted(stated.items())], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _preview(backend: Backend, name: str, model: RunModel, tags: Mapping[str, str]) -> RegisteredModel:
    """Return the version that would be made, without writing anything."""
    if found := versions.find_registration(backend, name, tags[KEY_TAG]):
        return found.model_copy(update={"dry_run": True})
    newest = versions.latest(backend, name)
    return RegisteredModel(
        name=name,
        version=str(int(newest.version) + 1 if newest else 1),
        token_id=tags[TOKEN_TAG],
        benchmark_metric=tags[METRIC_TAG],
        benchmark_value=tags[VALUE_TAG],
        tags=dict(tags),
        run_id=model.run_id,
        model_id=model.model_id,
        source=model.source,
        dry_run=True,
    )
