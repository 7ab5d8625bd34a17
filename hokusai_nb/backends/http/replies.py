"""Answers of the API that are no records of the schema, and what is read of them."""

from __future__ import annotations

import pydantic

from hokusai_nb.schema.lifecycle import Transition
from hokusai_nb.schema.metrics import Metric
from hokusai_nb.schema.records import RegisteredModel

__all__ = ["ModelPage", "catalogue", "nothing", "published", "status", "transitions"]


class ModelPage(pydantic.BaseModel, frozen=True):
    """Versions by name and version, a page of them."""

    entries: tuple[RegisteredModel, ...]
    next_cursor: str | None = None
    """Where the next page begins; None on the last one."""


class _Transitions(pydantic.BaseModel):
    entries: tuple[Transition, ...]


class _Catalogue(pydantic.BaseModel):
    entries: tuple[Metric, ...]


class _Published(pydantic.BaseModel):
    published: bool


class _Status(pydantic.BaseModel):
    status: str


def transitions(content: bytes) -> tuple[Transition, ...]:
    """Return the steps of a token."""
    return _Transitions.model_validate_json(content).entries


def catalogue(content: bytes) -> tuple[Metric, ...]:
    """Return the metrics of the catalogue."""
    return _Catalogue.model_validate_json(content).entries


def published(content: bytes) -> bool:
    """Return whether an event was written."""
    return _Published.model_validate_json(content).published


def status(content: bytes) -> str:
    """Return how a server says that it is."""
    return _Status.model_validate_json(content).status


def nothing(content: bytes) -> None:
    """Read nothing: that there is an answer says enough."""
    del content
