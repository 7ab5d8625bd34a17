"""A registration that was made elsewhere, and is told of here."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from hokusai_nb.api.bodies import Reported
from hokusai_nb.backends.mlflow import versions
from hokusai_nb.backends.sql import outbox
from hokusai_nb.backends.sql.event_list import event_under
from hokusai_nb.errors import ModelNotFoundError
from hokusai_nb.schema.events import events_of, told_under
from hokusai_nb.schema.lifecycle import RegistrationFacts, Status, TokenChange, utc_now
from hokusai_nb.schema.metrics import check_benchmark, find_metric, improvement, same_metric
from hokusai_nb.schema.problems import Problem, quoted, raise_for, validated
from hokusai_nb.schema.tags import BASELINE_TAG, METRIC_TAG, TOKEN_TAG, VALUE_TAG
from hokusai_nb.schema.tokens import check_token, fold_token
from hokusai_nb.schema.values import parse_decimal, to_decimal

if TYPE_CHECKING:
    from hokusai_nb.api.services import Services
    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.events import RegistrationEvent
    from hokusai_nb.schema.records import RegisteredModel

__all__ = ["report"]

_BY = "report"
_OF_RUN = re.compile(r"runs:/+([^/]+)/.*", re.DOTALL)
_OF_MODEL = re.compile(r"models:/+(m-[^/@]+)")
_OF_VERSION = re.compile(r"models:/+([^/@]+)/([0-9]{1,9})")


def report(services: Services, told: RegistrationEvent) -> Reported:
    """Write the event of a registration, once.

    Raises:
        ModelNotFoundError: The registry has no such version.
        ValidationError: What is told is not what the version is tagged with.
    """
    version = versions.get(services.registry.backend, told.model_name, told.version)
    known = services.confirms(told.token_id)
    raise_for([*check_token(told.token_id, ticker=known), *_disagreements(services.registry.backend, told, version)])
    facts = _facts(told, version)
    change = TokenChange(to=Status.REGISTERED, by=_BY, facts=facts)
    event, *_ = events_of(told.token_id, change, utc_now())
    key = told_under(told.model_name, told.token_id, told.mlflow_run_id, told.version)
    with services.database.transaction() as connection:
        written = outbox.publish(connection, event, services.store.destinations, key=key, facts=facts)
        event_id = event.event_id if written else event_under(connection, key)
    return Reported(event_id=event_id, published=written)


def _disagreements(backend: Backend, told: RegistrationEvent, version: RegisteredModel) -> list[Problem]:
    """Return where the version says something else; what it says nothing of, nobody can check."""
    problems = check_benchmark(told.metric_name, told.baseline_value, field="baseline_value")
    said = [
        (TOKEN_TAG, "token_id", told.token_id, version.token_id),
        (METRIC_TAG, "metric_name", told.metric_name, version.benchmark_metric),
        (BASELINE_TAG, "baseline_value", told.baseline_value, None if problems else version.tags.get(BASELINE_TAG)),
        ("", "mlflow_run_id", told.mlflow_run_id, version.run_id),
        *((key, f"tags.{key}", value, version.tags.get(key)) for key, value in told.tags.items()),
    ]
    wrong = [
        (field, given, right)
        for key, field, given, right in said
        if right is not None and not _agree(key, given, right)
    ]
    if not _is_source(backend, told.model_uri, version):
        wrong.append(("model_uri", told.model_uri, version.source))
    for field, given, right in wrong:
        what = f"Version {version.version} of {quoted(version.name)} has {quoted(right)}, not {quoted(given)}."
        problems.append(Problem(field=field, what=what, hint="Report what was registered.", repair=right))
    return problems


def _agree(key: str, given: str, right: str) -> bool:
    """Whether two values of a tag mean the same; the key of what is no tag is empty."""
    if key == TOKEN_TAG:
        return fold_token(given) == fold_token(right)
    if key == METRIC_TAG:
        return same_metric(given, right)
    if key in (VALUE_TAG, BASELINE_TAG) and (number := to_decimal(right)) is not None:
        return to_decimal(given) == number
    return given == right


def _is_source(backend: Backend, uri: str, version: RegisteredModel) -> bool:
    """Whether a version is what an address names, or was made from it; what names neither is believed."""
    if uri == version.source:
        return True
    if (found := _OF_RUN.fullmatch(uri)) is not None:
        return version.run_id in (None, found[1])
    if (found := _OF_MODEL.fullmatch(uri)) is not None:
        return version.model_id in (None, found[1])
    if (found := _OF_VERSION.fullmatch(uri)) is None:
        return True
    try:
        named = versions.get(backend, found[1], found[2])
    except ModelNotFoundError:
        return False
    return (named.name, named.version) == (version.name, version.version) or named.source == version.source


def _facts(told: RegistrationEvent, version: RegisteredModel) -> RegistrationFacts:
    """Return what was registered; without a measured value, the baseline is all that is known.

    Raises:
        ValidationError: It is nothing that an event can hold, such as an improvement of too many digits.
    """
    value = version.benchmark_value if version.measured is not None else None
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
