"""Bodies and answers that are no records of their own."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from hokusai_nb.schema.events import Event
from hokusai_nb.schema.frozen import Frozen
from hokusai_nb.schema.lifecycle import RegistrationFacts, TokenChange, Transition
from hokusai_nb.schema.metrics import Metric
from hokusai_nb.schema.records import RegisteredModel

__all__ = [
    "Change",
    "HistoryPage",
    "Lease",
    "MetricPage",
    "ModelPage",
    "PublishedEvent",
    "Publishing",
    "Readiness",
    "Reported",
    "TagChange",
]

_Short = Annotated[str, Field(max_length=255)]
_Name = Annotated[str, Field(min_length=1, max_length=255)]


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
