"""Filters and paging for MLflow's searches, safe with any name and value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hokusai_nb.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

__all__ = ["containing", "exactly", "like", "registered_models", "tag", "versions"]

PAGE = 1000
"""Versions in one answer: large enough that 10,000 are ten answers, small enough for a proxy."""
LONGEST = 500
"""Characters of a value in a filter, which travels in an address; a longer value is found by its beginning."""
_ODD = re.compile(r"[\\\x00\ud800-\udfff]")
_UNSAFE = re.compile(r"['%\\\x00\ud800-\udfff]")


def exactly(field: str, value: str) -> tuple[str, bool]:
    r"""Return a filter on equality, and whether it matches more than it should.

    MLflow's filters have no escape syntax: a value goes in the quotes it does not hold. One that
    holds both kinds, or a backslash (which MLflow's parser takes for an escape and its database
    does not), becomes a LIKE pattern, whose matches the caller must check.

    >>> exactly("name", "it's")
    ('name = "it\'s"', False)
    """
    for mark in "'\"":
        if mark not in value and not _ODD.search(value) and len(value) <= LONGEST:
            return f"{field} = {mark}{value}{mark}", False
    return like(field, value), True


def like(field: str, text: str, *, case: bool = True, prefix: bool = False) -> str:
    """Return a filter that finds the text, and some others; the caller must check.

    What would break the filter or mean something to it matches any one character instead.

    Args:
        field: What is compared.
        text: What to find.
        case: Whether upper and lower case differ.
        prefix: Find what begins with the text, too.

    >>> like("name", "it's", prefix=True)
    "name LIKE 'it_s%'"
    """
    pattern = _UNSAFE.sub("_", text[:LONGEST]) + ("%" if prefix or len(text) > LONGEST else "")
    return f"{field} {'LIKE' if case else 'ILIKE'} '{pattern}'"


def containing(field: str, text: str) -> str:
    """Return a filter that finds values with the text in them, and some others; the caller must check.

    >>> containing("name", "it's")
    "name LIKE '%it_s%'"
    """
    return f"{field} LIKE '%{_UNSAFE.sub('_', text[:LONGEST])}%'"


def tag(key: str) -> str:
    """Return a tag's key as a filter spells it.

    >>> tag("hokusai_token_id")
    'tags.`hokusai_token_id`'
    """
    if "`" in key:
        msg = f"A tag key cannot hold a backtick: {key!r}"
        raise RegistryError(msg)
    return f"tags.`{key}`"


def versions(client: MlflowClient, filter_string: str, *, order_by: list[str] | None = None) -> Iterator[ModelVersion]:
    """Yield every model version that a filter finds, page by page."""
    token = None
    while True:
        page = client.search_model_versions(filter_string, max_results=PAGE, order_by=order_by, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def registered_models(client: MlflowClient, filter_string: str) -> Iterator[RegisteredModel]:
    """Yield every registered model that a filter finds, page by page."""
    token = None
    while True:
        page = client.search_registered_models(filter_string, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
