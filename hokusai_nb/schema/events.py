"""Events: what is told to the site and to others when a token or a model changes.

The envelope and the payloads are read by other systems; their fields are fixed.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import pydantic

from hokusai_nb.schema.display import grid, printable, shortened
from hokusai_nb.schema.entries import Entries
from hokusai_nb.schema.frozen import Frozen, FrozenDict
from hokusai_nb.schema.lifecycle import Status, Utc, utc_now
from hokusai_nb.schema.names import ModelName
from hokusai_nb.schema.tokens import StoredTokenId
from hokusai_nb.schema.values import DecimalText

if TYPE_CHECKING:
    from markupsafe import Markup

    from hokusai_nb.schema.lifecycle import RegistrationFacts, TokenChange

__all__ = [
    "SOURCE",
    "DeliveryState",
    "Event",
    "EventDelivery",
    "EventPage",
    "EventRecord",
    "EventType",
    "RegistrationEvent",
    "events_of",
    "iso",
    "metric_improved",
    "registration_key",
    "site_body",
    "told_under",
]

SOURCE = "hokusai-ml-platform"
SHOWN_ERROR = 160
"""Characters of an error in a list."""


class EventType(StrEnum):
    """What happened."""

    TOKEN_READY_FOR_DEPLOY = "token_ready_for_deploy"  # noqa: S105 - an event's name, not a secret
    MODEL_REGISTERED = "model_registered"
    MODEL_VALIDATION_FAILED = "model_validation_failed"
    MODEL_DEPLOYED = "model_deployed"
    METRIC_IMPROVED = "metric_improved"
    DELTAONE_ACHIEVED = "deltaone_achieved"


def iso(moment: dt.datetime) -> str:
    """Return a moment as ISO 8601 in UTC with ``Z``.

    >>> iso(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
    '2026-01-02T03:04:05Z'
    """
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _as_iso(text: str) -> str:
    try:
        moment = dt.datetime.fromisoformat(text)
        return iso(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    except (ValueError, OverflowError):
        msg = "A timestamp is ISO 8601, such as 2026-01-02T03:04:05Z."
        raise ValueError(msg) from None


def _check_payload(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse what no receiver could read: numbers that JSON lacks, and a token that is no name."""
    try:
        json.dumps(payload, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        msg = "A payload is a JSON object of finite numbers."
        raise ValueError(msg) from None
    token_id = payload.get("token_id")
    if token_id is not None:
        _TOKEN.validate_python(token_id)
    return payload


_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_TOKEN = pydantic.TypeAdapter(Annotated[str, pydantic.StringConstraints(pattern=r"^[\x20-\x7e]{1,64}$", strict=True)])


class Event(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The envelope: exactly what is sent."""

    event_id: Annotated[str, pydantic.StringConstraints(pattern=_UUID)] = pydantic.Field(
        default_factory=lambda: str(uuid.uuid4())
    )
    event_type: EventType
    source: Annotated[str, pydantic.StringConstraints(pattern=r"^[\w.\-]{1,64}$")] = SOURCE
    timestamp: Annotated[str, pydantic.AfterValidator(_as_iso)] = pydantic.Field(default_factory=lambda: iso(utc_now()))
    """In UTC, with ``Z``."""
    payload: Annotated[Mapping[str, Any], pydantic.AfterValidator(_check_payload), pydantic.AfterValidator(FrozenDict)]

    @property
    def token_id(self) -> str | None:
        """The token that the event is about."""
        return self.payload.get("token_id")


class DeliveryState(StrEnum):
    """How far the delivery of an event to one handler got."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up after the last try; ``hokusai events retry`` begins anew."""


class EventDelivery(pydantic.BaseModel, frozen=True):
    """The delivery of an event to one handler."""

    handler: str
    """``console``, ``database``, an entry point's name, or ``webhook`` and where it goes, without path and query."""
    state: DeliveryState
    attempts: int = 0
    next_attempt_at: Utc | None = None
    last_error: str = ""

    @property
    def sentence(self) -> str:
        """How far it got; of one that was not delivered also until when it waits, and why."""
        parts = [f"{self.handler}: {self.state.value} ({self.attempts})"]
        if self.state is not DeliveryState.DELIVERED:
            if self.state is DeliveryState.PENDING and self.next_attempt_at is not None:
                parts.append(f"next try at {self.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC")
            if self.last_error:
                parts.append(f"last error: {printable(shortened(self.last_error, SHOWN_ERROR))}")
        return "; ".join(parts)


class EventRecord(pydantic.BaseModel, frozen=True):
    """An event with what became of it."""

    event: Event
    processed: bool = False
    """Set by the systems that poll the table, or once every handler has taken the event."""
    deliveries: tuple[EventDelivery, ...] = ()


class EventPage(Entries[EventRecord], frozen=True):
    """Events, newest first, a page of them."""

    next_cursor: str | None = None
    """Where the next page begins; None on the last one."""

    def _grid(self) -> tuple[Markup, str]:
        head = ("Event", "Type", "Token", "Time", "Deliveries")
        rows = [
            (
                e.event.event_id,
                e.event.event_type.value,
                e.event.token_id or "–",
                e.event.timestamp,
                ", ".join(d.sentence for d in e.deliveries) or "–",
            )
            for e in self
        ]
        return grid("Events", rows, head, [] if rows else ["Nothing found."])


def _figures(facts: RegistrationFacts) -> dict[str, Any]:
    """Return the benchmark as numbers, which is how the readers of events know it."""
    return {
        "metric_name": facts.metric_name,
        "metric_value": float(facts.metric_value),
        "baseline_value": float(facts.baseline_value),
    }


def events_of(token_id: str, change: TokenChange, moment: dt.datetime) -> list[Event]:
    """Return the events that a change of a token's status is told by, in order."""
    at, facts = iso(moment), change.facts

    def made(kind: EventType, **payload: Any) -> Event:
        return Event(event_type=kind, timestamp=at, payload={"token_id": token_id, **payload, "timestamp": at})

    if change.to is Status.REGISTERED and facts is not None:
        figures = {"mlflow_run_id": facts.mlflow_run_id, **_figures(facts)}
        ready = {"mlflow_run_id": facts.mlflow_run_id, "metadata": _figures(facts)}
        found = [
            made(EventType.MODEL_REGISTERED, **figures, improvement=float(facts.improvement)),
            made(EventType.TOKEN_READY_FOR_DEPLOY, **ready),
        ]
        return [*found, metric_improved(token_id, facts, moment)] if facts.previous_value is not None else found
    if change.to is Status.DEPLOYED:
        return [made(EventType.MODEL_DEPLOYED, by=change.by)]
    if change.to is Status.FAILED:
        return [made(EventType.MODEL_VALIDATION_FAILED, reason=change.reason)]
    return []


def metric_improved(token_id: str, facts: RegistrationFacts, moment: dt.datetime) -> Event:
    """Return the event for a version that is better than every one before it."""
    payload = {
        "token_id": token_id,
        "model_name": facts.model_name,
        "version": facts.version,
        "mlflow_run_id": facts.mlflow_run_id,
        "metric_name": facts.metric_name,
        "metric_value": float(facts.metric_value),
        "previous_version": facts.previous_version,
        "previous_value": None if facts.previous_value is None else float(facts.previous_value),
        "contributor_address": facts.contributor_address,
        "timestamp": iso(moment),
    }
    return Event(event_type=EventType.METRIC_IMPROVED, timestamp=iso(moment), payload=payload)


def registration_key(model_id: str, token_id: str, run_id: str, version: str) -> str:
    """Return the idempotency key of a registration, as the site makes it too.

    Args:
        model_id: The site's name of the model: the token id in lower case.
        token_id: The token id.
        run_id: MLflow run; empty where there is none.
        version: Registry version.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{model_id}:{token_id}:{run_id}:{version}"))


def told_under(model_name: str, token_id: str, run_id: str, version: str) -> str:
    """Return the key under which a registration is told of once.

    Unlike the key that is sent, it has the model's name: two models of one run may have the same version.

    Args:
        model_name: Registered model.
        token_id: The token id.
        run_id: MLflow run; empty where there is none.
        version: Registry version.
    """
    sent = registration_key(token_id.lower(), token_id, run_id, version)
    return str(uuid.uuid5(uuid.UUID(sent), model_name))


def site_body(token_id: str, facts: RegistrationFacts, timestamp: str) -> dict[str, Any]:
    """Return what the site's webhook is sent for ``model_registered``: another shape than the envelope."""
    model: dict[str, Any] = {
        "id": token_id.lower(),
        "name": facts.model_name,
        "status": "registered",
        "version": facts.version,
        "run_id": facts.mlflow_run_id,
    }
    if facts.api_schema:
        model["api_schema"] = facts.api_schema
    return {"event_type": EventType.MODEL_REGISTERED.value, "model": model, "timestamp": timestamp, "source": "mlflow"}


class ApiSchema(pydantic.BaseModel, frozen=True, extra="forbid"):
    """A model's signature as JSON Schema."""

    inputSchema: Frozen[str, Any]  # noqa: N815 - the name on the wire
    outputSchema: Frozen[str, Any]  # noqa: N815 - the name on the wire


class RegistrationEvent(pydantic.BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A registration made elsewhere, as a client tells the Hokusai API of it."""

    model_name: ModelName
    version: Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9]{1,9}$")]
    """Registry version."""
    token_id: StoredTokenId
    proposal_identifier: str
    """The site's own name of the proposal that the model answers."""
    metric_name: str
    baseline_value: Annotated[DecimalText, pydantic.WithJsonSchema({"type": ["string", "number"]})]
    """What the version had to reach, in the metric's own unit."""
    mlflow_run_id: str
    model_uri: str
    tags: Frozen[str, str] = pydantic.Field(default_factory=FrozenDict)
    api_schema: ApiSchema | None = None
