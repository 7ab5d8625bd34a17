"""Filters and paging for MLflow's searches, safe with any name and value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

__all__ = ["exactly", "registered_models", "tag", "versions"]

PAGE = 1000
"""Versions in one answer: large enough that 10,000 are ten answers, small enough for a proxy."""


def exactly(field: str, value: str) -> tuple[str, bool]:
    r"""Return a filter on equality, and whether it matches more than it should.

    MLflow's filters have no escape syntax: a value goes in the quotes it does not hold; one that
    holds both kinds becomes a LIKE pattern, whose matches the caller must check.

    >>> exactly("name", "it's")
    ('name = "it\'s"', False)
    """
    if "'" not in value:
        return f"{field} = '{value}'", False
    if '"' not in value:
        return f'{field} = "{value}"', False
    return f"{field} LIKE '{value.replace(chr(39), '_')}'", True


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
