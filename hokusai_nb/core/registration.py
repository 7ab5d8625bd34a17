"""One registration: from what a user asked for to a version with all its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import creation, logging, models, runs, versions
from hokusai_nb.core.current_run import choose_model, current_run, measured_value
from hokusai_nb.core.identity import identity_of
from hokusai_nb.core.provenance import collect
from hokusai_nb.core.tagging import key_of, stated_tags, storable, tags_from_run
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.metrics import check_benchmark
from hokusai_nb.schema.problems import Problem, quoted, raise_for
from hokusai_nb.schema.records import RegisteredModel
from hokusai_nb.schema.runs import RunModel
from hokusai_nb.schema.tags import KEY_TAG, METRIC_TAG, TOKEN_TAG, VALUE_TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, MutableMapping, Sequence
    from typing import TypeAlias

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.runs import RunFacts
    from hokusai_nb.schema.verbs import Register

    AskRun: TypeAlias = Callable[[], RunFacts | None]

__all__ = ["register"]

_LISTED = 20


def register(
    backend: Backend,
    verb: Register,
    *,
    estimator: object = None,
    input_example: object = None,
    provenance: Mapping[str, str] | None = None,
    identity: str | None = None,
    tried: MutableMapping[str, Container[str]] | None = None,
    from_settings: bool = True,
) -> RegisteredModel:
    """Register a model under a token.

    Args:
        backend: Where to write.
        verb: What the user asked for, validated.
        estimator: Fitted estimator to log to the run first; none if the run holds the model.
        input_example: Input rows, for the signature of the estimator.
        provenance: Tags that say where the registration was made; they are not part of its identity.
            If None, what the notebook extension collects.
        identity: What makes two registrations the same besides their tags; if None, what the
            estimator has learnt, or else the run's model.
        tried: What the caller attempted before, filled in here: see `creation.create`.
        from_settings: See `stated_tags`.
    """
    run, held = _run_and_model(backend, verb, logs=estimator is not None)
    if estimator is not None and identity is None:
        identity = identity_of(estimator)
    value = verb.value if verb.value is not None else _value_from(run(), verb.metric)
    raise_for(check_benchmark(verb.metric, value))
    stated, doubts = stated_tags(verb, value, from_settings=from_settings)
    if held is not None:
        model = held
    else:
        # Whatever can be wrong is found before the run is given another model, and so is a repetition.
        logging.ensure_loggable(estimator)
        creation.ensure_model(backend, verb.name)
        if identity and (made := _made_before(backend, verb, key_of(verb.name, identity, stated), tried)):
            return _finished(made, verb, stated, doubts)
        model = _log(backend, run(), estimator, input_example, dry_run=verb.dry_run)
    key = key_of(verb.name, identity or (model.run_id, model.model_id or model.source), stated)

    def recorded() -> dict[str, str]:
        return {
            **tags_from_run(run(), model),
            **storable(collect() if provenance is None else provenance),
            **stated,
            KEY_TAG: key,
        }

    if verb.dry_run:
        return _finished(_preview(backend, verb, model, recorded()), verb, stated, doubts)
    made = creation.create(
        backend, verb.name, model, key, recorded, force_new=verb.force_new, any_run=identity is not None, tried=tried
    )
    return _finished(made, verb, stated, doubts)


def _made_before(
    backend: Backend, verb: Register, key: str, tried: Mapping[str, Container[str]] | None
) -> RegisteredModel | None:
    """Return what this registration made before; where a new version is wanted, only what the caller's attempt made."""
    besides = (tried or {}).get(key) if verb.force_new else ()
    return None if besides is None else creation.find_registration(backend, verb.name, key, besides)


def _finished(
    made: RegisteredModel, verb: Register, stated: Mapping[str, str], doubts: Sequence[Problem]
) -> RegisteredModel:
    changed = [] if made.created else _changes_since(made, stated)
    return made.model_copy(update={"warnings": (*verb.warnings(), *doubts, *changed), "dry_run": verb.dry_run})


def _changes_since(made: RegisteredModel, stated: Mapping[str, str]) -> list[Problem]:
    """Return which tags of a registration made before are no longer what is asked for now."""
    hint = "Change it back with update_model_tags, or force a new version."
    return [
        Problem(
            field=key,
            what=f"Its {key} was changed since it was registered: {quoted(made.tags.get(key))}, not {quoted(value)}.",
            hint=hint,
            severity="warning",
        )
        for key, value in stated.items()
        if made.tags.get(key) != value
    ]


def _run_and_model(backend: Backend, verb: Register, *, logs: bool) -> tuple[AskRun, RunModel | None]:
    """Return what tells the run, and its model; no model where an estimator is to be logged as one."""
    # A logged model's name holds neither of the two; a URI or a path always does.
    if not logs and verb.model is not None and {":", "/"} & set(verb.model):
        return _by_uri(backend, verb.model, verb.run)
    run = current_run(backend, verb.run)
    return lambda: run, None if logs else choose_model(backend, run, verb.model)


def _log(
    backend: Backend, run: RunFacts | None, estimator: object, input_example: object, *, dry_run: bool
) -> RunModel:
    assert run is not None
    if dry_run:
        return RunModel(name="model", uri="", source="", location="", run_id=run.run_id)
    return logging.log_estimator(backend, estimator, run_id=run.run_id, input_example=input_example)


def _by_uri(backend: Backend, uri: str, named_run: str | None) -> tuple[AskRun, RunModel]:
    model, run = models.find_model_and_run(backend, uri)
    if named_run is None or named_run == model.run_id:
        return run, model
    if model.run_id:
        what = f"Model {quoted(uri)} belongs to run {quoted(model.run_id)}, not to {quoted(named_run)}."
        raise ValidationError([Problem(field="run", what=what, hint="Leave the run out.", repair=model.run_id)])
    named = runs.get_run(backend, named_run)
    return lambda: named, model.model_copy(update={"run_id": named_run})


def _value_from(run: RunFacts | None, metric: str) -> str:
    """Return the run's value of the metric.

    Raises:
        ValidationError: There is no run, or it has no such metric; we never invent a figure.
    """
    value = measured_value(run, metric) if run else None
    if value is not None:
        return value
    if run is None:
        what, hint = "The model names no run to read the benchmark value from.", "State the value, such as 0.91."
    else:
        names = sorted(run.metrics)
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        has = ", ".join(names[:_LISTED]) + more if names else "no metric at all"
        what = f"Run {run.name} ({run.run_id}) has no metric {quoted(metric)}."
        hint = f"It has {has}. Log it, choose another metric, or state the value, such as 0.91."
    raise ValidationError([Problem(field="value", what=what, hint=hint)])


def _preview(backend: Backend, verb: Register, model: RunModel, tags: Mapping[str, str]) -> RegisteredModel:
    """Return the version that would be made, without writing anything.

    Raises:
        ValidationError: The name is a prompt's.
    """
    creation.ensure_model(backend, verb.name)
    if not verb.force_new and (found := creation.find_registration(backend, verb.name, tags[KEY_TAG])):
        return found
    newest = versions.latest(backend, verb.name)
    return RegisteredModel(
        name=verb.name,
        version=str(int(newest.version) + 1 if newest else 1),
        token_id=tags[TOKEN_TAG],
        benchmark_metric=tags[METRIC_TAG],
        benchmark_value=tags[VALUE_TAG],
        tags=dict(tags),
        run_id=model.run_id,
        model_id=model.model_id,
        source=model.source,
        simulated=backend.simulated,
    )
