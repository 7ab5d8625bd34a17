"""Bodies and answers that are no records of their own."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from pydantic import Field

from hokusai_nb.schema.events import Event, RegistrationEvent
from hokusai_nb.schema.frozen import Frozen, FrozenDict
from hokusai_nb.schema.lifecycle import RegistrationFacts, TokenChange, Transition
from hokusai_nb.schema.metrics import Metric
from hokusai_nb.schema.records import RegisteredModel
from hokusai_nb.schema.tags import tag_text

__all__ = [
    "Change",
    "HistoryPage",
    "Improvement",
    "Lease",
    "MetricPage",
    "ModelPage",
    "PublishedEvent",
    "Publishing",
    "Readiness",
    "Reported",
    "Reporting",
    "TagChange",
]

_Short = Annotated[str, Field(max_length=255)]
_Name = Annotated[str, Field(min_length=1, max_length=255)]


_Figure = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_COUNT = {"type": "integer", "minimum": 0, "maximum": 999_999_999}


class TagChange(pydantic.BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Tags to set on a version; the others stay."""

    tags: Frozen[str, str | int | float | bool] = Field(min_length=1, max_length=1000)
    """Names and values."""


class Lease(pydantic.BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How long a registration wants to hold its token."""

    owner: _Name
    """The registration that holds it."""
    lease_seconds: float = Field(gt=0, le=86_400)
    """From now."""


class _Facts(RegistrationFacts, frozen=True):
    """What a registration has made, as a database can keep it."""

    mlflow_run_id: _Short
    metric_name: _Short


class Change(TokenChange, frozen=True):
    """One step in a token's life."""

    by: str = ""
    """Not needed: the history names the API key."""
    facts: _Facts | None = None
    """What was made; needed on the way to `registered`."""

    def made_by(self, name: str) -> TokenChange:
        """Return the step as one that somebody takes."""
        return TokenChange(**{**dict(self), "by": name})


class Publishing(pydantic.BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """An event to write."""

    event: Event
    key: _Name
    """What the event is recognised by when it is published again."""


class Improvement(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The payload of `metric_improved`; see `schema.events.metric_improved`."""

    token_id: _Name
    model_name: _Name
    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    mlflow_run_id: _Short
    metric_name: _Name
    metric_value: _Figure
    previous_version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None
    previous_value: _Figure | None
    contributor_address: _Short | None
    timestamp: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")]


def _number_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _tag_texts(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: tag_text(item) if isinstance(item, int | float) else item for key, item in value.items()}


class Reporting(RegistrationEvent, frozen=True):
    """A registration made elsewhere, as a client tells of it."""

    version: Annotated[
        str,
        pydantic.BeforeValidator(_number_text),
        pydantic.StringConstraints(pattern=r"^[0-9]{1,9}$"),
        pydantic.WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9]{1,9}$"}, _COUNT]}),
    ]
    """Registry version."""
    tags: Annotated[
        Frozen[str, str],
        pydantic.BeforeValidator(_tag_texts),
        pydantic.WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
    ] = FrozenDict()


class PublishedEvent(pydantic.BaseModel, frozen=True, use_attribute_docstrings=True):
    """What became of an event that was published."""

    published: bool
    """Whether it was written now; false where one of its key was there before."""


class Reported(PublishedEvent, frozen=True):
    """What became of a registration that was reported."""

    event_id: str
    """The event that tells of it."""


class ModelPage(pydantic.BaseModel, frozen=True, use_attribute_docstrings=True):
    """Versions by name and version, a page of them."""

    entries: tuple[RegisteredModel, ...]
    next_cursor: str | None = None
    """Where the next page begins; null on the last one."""


class HistoryPage(pydantic.BaseModel, frozen=True, use_attribute_docstrings=True):
    """Every step of a token, oldest first."""

    entries: tuple[Transition, ...]
    next_cursor: None = None
    """Null: there is one page."""


class MetricPage(pydantic.BaseModel, frozen=True, use_attribute_docstrings=True):
    """The catalogue of benchmark metrics."""

    entries: tuple[Metric, ...]
    next_cursor: None = None
    """Null: there is one page."""


class Readiness(pydantic.BaseModel, frozen=True, use_attribute_docstrings=True):
    """Whether the server can do its work."""

    status: str
    """``ok``."""
