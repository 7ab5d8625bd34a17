"""Versions that carry a token, a page at a time, in an order that a caller can come back to."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from mlflow.utils.search_utils import SearchUtils

from hokusai_nb.backends.mlflow import search
from hokusai_nb.backends.mlflow.versions import record
from hokusai_nb.schema.tags import TOKEN_TAG
from hokusai_nb.schema.tokens import fold_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.records import RegisteredModel

__all__ = ["Place", "page"]

_ORDER = ["name ASC", "version_number ASC"]


class Place(NamedTuple):
    """Where a page ended.

    Attributes:
        name: The model of its last entry.
        version: The version of it.
        row: How many rows of the search came up to that one, itself included.
    """

    name: str
    version: str
    row: int


def page(
    backend: Backend, *, prefix: str | None, token: str | None, after: Place | None, limit: int
) -> tuple[list[RegisteredModel], Place | None]:
    """Return the next versions by name and version, and where they end; None on the last page.

    What is registered or deleted between two pages moves no entry from one to the other: the place is
    known by its entry, and the number of its row only says where to look first.

    Args:
        backend: Where to look.
        prefix: Only names that begin with this.
        token: Only versions of this token.
        after: Where the page before ended.
        limit: Most entries.
    """
    condition = _condition(prefix, token)
    found: list[RegisteredModel] = []
    end: Place | None = None
    with backend.calling() as client:
        for row, version in _rows_after(client, condition, after, limit + 2):
            if not _matches(version, prefix, token):
                continue
            if len(found) == limit:
                return found, end
            found.append(record(backend, version))
            end = Place(version.name, str(version.version), row)
    return found, None


def _condition(prefix: str | None, token: str | None) -> str:
    tagged = search.tag(TOKEN_TAG)
    condition = search.like(tagged, token, case=False) if token else f"{tagged} LIKE '%'"
    return f"{condition} AND {search.like('name', prefix, prefix=True)}" if prefix else condition


def _matches(version: ModelVersion, prefix: str | None, token: str | None) -> bool:
    """Whether a version is what was asked for: a filter finds some others, too."""
    stored = version.tags.get(TOKEN_TAG, "")
    return version.name.startswith(prefix or "") and (not token or fold_token(stored) == fold_token(token))


def _rows_after(
    client: MlflowClient, condition: str, place: Place | None, size: int
) -> Iterator[tuple[int, ModelVersion]]:
    if place is None:
        return _rows(client, condition, 0, size)
    rows = _rows(client, condition, max(0, place.row - 1), size)
    if _is_at(next(rows, None), place):
        return rows
    # Something that comes before it was registered or deleted since.
    rows = _rows(client, condition, 0, search.PAGE)
    if any(_is_at(row, place) for row in rows):
        return rows
    last = (place.name, int(place.version))
    rows = _rows(client, condition, 0, search.PAGE)
    return itertools.dropwhile(lambda row: (row[1].name, int(row[1].version)) <= last, rows)


def _is_at(row: tuple[int, ModelVersion] | None, place: Place) -> bool:
    return row is not None and (row[1].name, str(row[1].version)) == (place.name, place.version)


def _rows(client: MlflowClient, condition: str, start: int, size: int) -> Iterator[tuple[int, ModelVersion]]:
    """Yield the rows of a search from one on, each with its number, counted from one."""
    token = SearchUtils.create_page_token(start) if start else None
    while True:
        found = client.search_model_versions(condition, max_results=size, order_by=_ORDER, page_token=token)
        yield from enumerate(found, start + 1)
        start, token = start + len(found), found.token
        if not token:
            return
