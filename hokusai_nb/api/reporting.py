"""A registration that was made elsewhere, and is told of here."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from hokusai_nb.api.bodies import Reported
from hokusai_nb.backends.mlflow import versions
from hokusai_nb.backends.sql import outbox
from hokusai_nb.backends.sql.event_list import event_under
from hokusai_nb.schema.events import events_of, registration_key
from hokusai_nb.schema.lifecycle import RegistrationFacts, Status, TokenChange, utc_now
from hokusai_nb.schema.metrics import check_benchmark, find_metric, improvement, same_metric
from hokusai_nb.schema.problems import Problem, quoted, raise_for, validated
from hokusai_nb.schema.tokens import check_token
from hokusai_nb.schema.values import parse_decimal

if TYPE_CHECKING:
    from hokusai_nb.api.services import Services
    from hokusai_nb.schema.events import RegistrationEvent
    from hokusai_nb.schema.records import RegisteredModel

__all__ = ["report"]

_BY = "report"


def report(services: Services, told: RegistrationEvent) -> Reported:
    """Write the event of a registration, once.

    Raises:
        ModelNotFoundError: The registry has no such version.
        ValidationError: What is told is not what the version is tagged with.
    """
    version = versions.get(services.registry.backend, told.model_name, told.version)
    known = services.confirms(told.token_id)
    raise_for([*check_token(told.token_id, ticker=known), *_disagreements(told, version)])
    facts = _facts(told, version)
    change = TokenChange(to=Status.REGISTERED, by=_BY, facts=facts)
    event, *_ = events_of(told.token_id, change, utc_now())
    key = registration_key(told.token_id.lower(), told.token_id, told.mlflow_run_id, told.version)
    with services.database.transaction() as connection:
        written = outbox.publish(connection, event, services.store.destinations, key=key, facts=facts)
        event_id = event.event_id if written else event_under(connection, key)
    return Reported(event_id=event_id, published=written)


def _disagreements(told: RegistrationEvent, version: RegisteredModel) -> list[Problem]:
    """Return where the version's tags say something else; what it is not tagged with, nobody can check."""
    problems = check_benchmark(told.metric_name, told.baseline_value, field="baseline_value")
    tagged = (
        ("token_id", told.token_id, version.token_id, version.token_id in (None, told.token_id)),
        ("metric_name", told.metric_name, version.benchmark_metric, _is_same(told.metric_name, version)),
        ("mlflow_run_id", told.mlflow_run_id, version.run_id, version.run_id in (None, told.mlflow_run_id)),
    )
    for field, given, right, agrees in tagged:
        if not agrees:
            what = f"Version {version.version} of {quoted(version.name)} has {quoted(right)}, not {quoted(given)}."
            problems.append(Problem(field=field, what=what, hint="Report what was registered.", repair=right))
    return problems


def _is_same(metric: str, version: RegisteredModel) -> bool:
    return version.benchmark_metric is None or same_metric(metric, version.benchmark_metric)


def _facts(told: RegistrationEvent, version: RegisteredModel) -> RegistrationFacts:
    """Return what was registered; without a measured value, the baseline is all that is known.

    Raises:
        ValidationError: It is nothing that an event can hold, such as an improvement of too many digits.
    """
    value = version.benchmark_value if version.value is not None else None
    facts = {
        "mlflow_run_id": told.mlflow_run_id,
        "model_name": told.model_name,
        "version": told.version,
        "metric_name": told.metric_name,
        "metric_value": told.baseline_value if value is None else value,
        "baseline_value": told.baseline_value,
        "improvement": _gain(told, value),
        "contributor_address": version.contributor,
        "performance_source": "declared" if value is None else "given",
        "api_schema": told.api_schema.model_dump() if told.api_schema else None,
    }
    return validated(RegistrationFacts, facts)


def _gain(told: RegistrationEvent, value: str | None) -> Decimal:
    """Return the improvement over the baseline; none where the metric has no direction."""
    metric = find_metric(told.metric_name)
    if metric is None or value is None:
        return Decimal(0)
    return improvement(metric, baseline=parse_decimal(told.baseline_value), candidate=parse_decimal(value))
