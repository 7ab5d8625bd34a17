"""Versions of registered models: created whole in one call, found by search."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlflow.exceptions import MlflowException

from hokusai_nb.backends.mlflow import search
from hokusai_nb.errors import ModelNotFoundError
from hokusai_nb.schema.hints import LIST_MODELS
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.records import RegisteredModel
from hokusai_nb.schema.tags import METRIC_TAG, TOKEN_TAG, VALUE_TAG
from hokusai_nb.schema.tokens import fold_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = [
    "MODEL_ID",
    "VERSION",
    "by_name",
    "by_token",
    "delete",
    "get",
    "latest",
    "list_all",
    "record",
    "set_tags",
    "without_aliases",
]

VERSION = re.compile(r"[0-9]{1,9}")
"""A version number that every database can hold."""
MODEL_ID = re.compile(r"^models:/+(m-[^/]+)$|/models/(m-[^/]+)/artifacts/?$")
"""A version's source that says which logged model it was made from: by name, or by its folder."""


def record(
    backend: Backend, version: ModelVersion, *, created: bool = True, aliases: tuple[str, ...] | None = None
) -> RegisteredModel:
    """Return MLflow's version as our record."""
    tags = dict(version.tags)
    number = str(version.version)
    token = tags.get(TOKEN_TAG)
    match = MODEL_ID.search(version.source or "")
    return RegisteredModel(
        name=version.name,
        version=number,
        token_id=None if token is None else fold_token(token),
        benchmark_metric=tags.get(METRIC_TAG),
        benchmark_value=tags.get(VALUE_TAG),
        tags=tags,
        run_id=version.run_id or None,
        model_id=(match[1] or match[2]) if match else None,
        source=version.source or "",
        creation_timestamp=version.creation_timestamp or 0,
        aliases=tuple(version.aliases) if aliases is None else aliases,
        created=created,
        simulated=backend.simulated,
        url=backend.address(f"models/{quote(version.name, safe='')}/versions/{number}"),
    )


def get(backend: Backend, name: str, version: str) -> RegisteredModel:
    """Return one version with its aliases.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    _refuse_impossible(backend, name, version)
    with backend.calling() as client:
        try:
            return record(backend, client.get_model_version(name, version))
        except MlflowException as error:
            raise_missing(backend, error, name, version)
            raise


def _refuse_impossible(backend: Backend, name: str, version: str) -> None:
    """Refuse what is no version number before a database stumbles over it."""
    if not VERSION.fullmatch(version):
        raise _missing(backend, name, version)


def _missing(backend: Backend, name: str, version: str) -> ModelNotFoundError:
    what = f"Model {quoted(name)} has no version {quoted(version)} in {backend.safe_uri}."
    return ModelNotFoundError(what, LIST_MODELS)


def raise_missing(backend: Backend, error: MlflowException, name: str, version: str) -> None:
    """Raise our own error if MLflow's says that there is no such version."""
    if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        raise _missing(backend, name, version) from error


def latest(backend: Backend, name: str, *, tokenized: bool = False) -> RegisteredModel | None:
    """Return the newest version with its aliases, or None; its time hardly grows with the number of versions.

    Args:
        backend: Where to look.
        name: Registered model name.
        tokenized: Only among versions that carry a token.
    """
    named, loose = search.exactly("name", name)
    condition = f"{named} AND {search.tag(TOKEN_TAG)} LIKE '%'" if tokenized else named
    with backend.calling() as client:
        if loose:
            found = [v for v in search.versions(client, condition) if v.name == name]
        else:
            found = list(client.search_model_versions(condition, max_results=1, order_by=["version_number DESC"]))
        if not found:
            return None
        newest = max(found, key=lambda v: int(v.version))
        # A search leaves aliases out.
        return record(backend, client.get_model_version(name, str(newest.version)))


def without_aliases(backend: Backend, name: str) -> list[RegisteredModel]:
    """Return all versions of a model, in order, as a search finds them: half the work of `by_name`."""
    with backend.calling() as client:
        return [record(backend, v, aliases=()) for v in _in_order(client, name)]


def _in_order(client: MlflowClient, name: str) -> list[ModelVersion]:
    named, _ = search.exactly("name", name)
    found = [v for v in search.versions(client, named, order_by=["version_number ASC"]) if v.name == name]
    return sorted(found, key=lambda v: int(v.version))


def by_name(backend: Backend, name: str) -> list[RegisteredModel]:
    """Return all versions of a model in order, each with its aliases."""
    named, _ = search.exactly("name", name)
    with backend.calling() as client:
        ordered = _in_order(client, name)
        # A search of versions leaves aliases out; the registered model knows them all.
        models = [m for m in search.registered_models(client, named) if m.name == name] if ordered else []
    aliases = {alias: str(version) for m in models for alias, version in m.aliases.items()}
    return [
        record(backend, v, aliases=tuple(sorted(a for a, number in aliases.items() if number == str(v.version))))
        for v in ordered
    ]


def by_token(backend: Backend, token: str) -> list[RegisteredModel]:
    """Return all versions of a token, by name and version, whatever case an older client wrote it in."""
    condition = search.like(search.tag(TOKEN_TAG), token, case=False)
    with backend.calling() as client:
        found = list(search.versions(client, condition, order_by=["name ASC", "version_number ASC"]))
    wanted = fold_token(token)
    return [record(backend, v) for v in found if fold_token(v.tags.get(TOKEN_TAG, "")) == wanted]


def list_all(backend: Backend, prefix: str | None = None) -> list[RegisteredModel]:
    """Return all versions that carry a token, by name and version, optionally of names with a prefix."""
    condition = f"{search.tag(TOKEN_TAG)} LIKE '%'"
    if prefix:
        condition += f" AND {search.like('name', prefix, prefix=True)}"
    with backend.calling() as client:
        found = list(search.versions(client, condition, order_by=["name ASC", "version_number ASC"]))
    return [record(backend, v) for v in found if v.name.startswith(prefix or "")]


def set_tags(backend: Backend, name: str, version: str, tags: Mapping[str, str]) -> RegisteredModel:
    """Set tags of a version one by one, as MLflow offers it, and return the version.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    _refuse_impossible(backend, name, version)
    with backend.calling() as client:
        for key, value in tags.items():
            try:
                client.set_tag_of_version(name, version, key, value)
            except MlflowException as error:
                raise_missing(backend, error, name, version)
                raise
    return get(backend, name, version)


def delete(backend: Backend, name: str, version: str) -> None:
    """Delete one version; its number is not given out again.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    _refuse_impossible(backend, name, version)
    with backend.calling() as client:
        try:
            client.delete_model_version(name, version)
        except MlflowException as error:
            raise_missing(backend, error, name, version)
            raise
