"""Versions of registered models: created whole in one call, found by search."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import requests
from mlflow.exceptions import MlflowException

from hokusai_nb.backends.mlflow import search
from hokusai_nb.errors import ModelNotFoundError, ValidationError
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.records import RegisteredModel
from hokusai_nb.schema.tags import KEY_TAG, METRIC_TAG, TOKEN_TAG, VALUE_TAG
from hokusai_nb.schema.tokens import fold_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.records import RunModel

__all__ = ["by_name", "by_token", "create", "delete", "find_registration", "get", "latest", "list_all", "set_tags"]

_MODEL_ID = re.compile(r"^models:/+(m-[^/]+)$|/models/(m-[^/]+)/artifacts/?$")
# Names that were seen to be models, by registry: MLflow lets a version be put under a prompt's name.
_KNOWN: set[tuple[str, str]] = set()
# Two threads that register the same thing must not both find nothing and both create.
_LOCKS = [threading.Lock() for _ in range(64)]


def record(
    backend: Backend, version: ModelVersion, *, created: bool = True, aliases: tuple[str, ...] | None = None
) -> RegisteredModel:
    """Return MLflow's version as our record."""
    tags = dict(version.tags)
    number = str(version.version)
    token = tags.get(TOKEN_TAG)
    match = _MODEL_ID.search(version.source or "")
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
        url=backend.address(f"models/{quote(version.name, safe='')}/versions/{number}"),
    )


def _find(client: MlflowClient, name: str, key: str) -> ModelVersion | None:
    named, loose = search.exactly("name", name)
    # The oldest: should two processes ever have raced, all later registrations agree on one.
    found = search.versions(client, f"{named} AND {search.tag(KEY_TAG)} = '{key}'", order_by=["version_number ASC"])
    return next((v for v in found if not loose or v.name == name), None)


def find_registration(backend: Backend, name: str, key: str) -> RegisteredModel | None:
    """Return the version that an earlier registration with this key made, or None."""
    with backend.calling() as client:
        found = _find(client, name, key)
    return None if found is None else record(backend, found, created=False)


def create(
    backend: Backend, name: str, model: RunModel, tags: Mapping[str, str], *, force_new: bool
) -> RegisteredModel:
    """Create a version with all its tags in one call, or return the one this registration made before.

    The registered model is created only if MLflow says there is none. A call whose answer is lost
    is not repeated blindly: the version it may have made is looked for first.

    Args:
        backend: Where to write.
        name: Registered model name.
        model: What to register.
        tags: All tags; `KEY_TAG` identifies the registration.
        force_new: Make a new version even if this registration was made before.
    """
    key = tags[KEY_TAG]
    with _LOCKS[hash((backend.uri, name, key)) % len(_LOCKS)], backend.calling() as client:
        if not force_new and (found := _find(client, name, key)):
            return record(backend, found, created=False)
        _ensure_model(backend, client, name)
        source = _source(backend, model)
        try:
            made = _create(client, name, source, model, tags)
        except MlflowException as error:
            lost = any(
                isinstance(e, requests.exceptions.RequestException) for e in (error.__cause__, error.__context__)
            )
            found = _find(client, name, key) if lost and not force_new else None
            if found is None:
                raise
            made = found
    return record(backend, made)


def _source(backend: Backend, model: RunModel) -> str:
    """Return what the version stores as its source.

    MLflow's SQL store looks a ``models:/m-…`` source up in its global tracking URI, whatever store
    it is itself; for any other store the model's own folder says the same.
    """
    direct = not backend.is_server and not backend.is_default
    return model.location if direct and model.model_id else model.source


def _ensure_model(backend: Backend, client: MlflowClient, name: str) -> None:
    """Refuse the name of a prompt; asked once for each name, as neither becomes the other.

    MLflow keeps models and prompts in one list and would add the version to the prompt.

    Raises:
        ValidationError: The name is a prompt's.
    """
    if (backend.registry_uri, name) in _KNOWN:
        return
    named, _ = search.exactly("name", name)
    if any(p.name == name for p in client.search_prompts(named)):
        what = f"{name!r} is the name of a prompt, and MLflow keeps models and prompts in one list."
        raise ValidationError([Problem(field="name", what=what, hint="Choose another name.")])
    _KNOWN.add((backend.registry_uri, name))


def _create(client: MlflowClient, name: str, source: str, model: RunModel, tags: Mapping[str, str]) -> ModelVersion:
    def attempt() -> ModelVersion:
        return client.create_model_version(
            name, source, run_id=model.run_id, tags=dict(tags), await_creation_for=0, model_id=model.model_id
        )

    try:
        return attempt()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # somebody else was faster, which is as good
            raise
    return attempt()


def get(backend: Backend, name: str, version: str) -> RegisteredModel:
    """Return one version with its aliases.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    with backend.calling() as client:
        try:
            return record(backend, client.get_model_version(name, version))
        except MlflowException as error:
            raise_missing(backend, error, name, version)
            raise


def raise_missing(backend: Backend, error: MlflowException, name: str, version: str) -> None:
    """Raise our own error if MLflow's says that there is no such version."""
    if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        what = f"Model {name!r} has no version {version!r} in {backend.safe_uri}."
        raise ModelNotFoundError(
            what, "List what there is with %hokusai_models or ModelRegistry().list_models()."
        ) from error


def latest(backend: Backend, name: str) -> RegisteredModel | None:
    """Return the newest version, or None; its time does not grow with the number of versions."""
    named, loose = search.exactly("name", name)
    with backend.calling() as client:
        if loose:
            found = max(
                (v for v in search.versions(client, named) if v.name == name),
                key=lambda v: int(v.version),
                default=None,
            )
        else:
            page = client.search_model_versions(named, max_results=1, order_by=["version_number DESC"])
            found = page[0] if page else None
    return None if found is None else record(backend, found)


def by_name(backend: Backend, name: str) -> list[RegisteredModel]:
    """Return all versions of a model in order, each with its aliases."""
    named, _ = search.exactly("name", name)
    with backend.calling() as client:
        found = [v for v in search.versions(client, named, order_by=["version_number ASC"]) if v.name == name]
        # A search of versions leaves aliases out; the registered model knows them all.
        models = [m for m in search.registered_models(client, named) if m.name == name] if found else []
    aliases = {alias: str(version) for m in models for alias, version in m.aliases.items()}
    ordered = sorted(found, key=lambda v: int(v.version))
    return [
        record(backend, v, aliases=tuple(sorted(a for a, number in aliases.items() if number == str(v.version))))
        for v in ordered
    ]


def by_token(backend: Backend, token: str) -> list[RegisteredModel]:
    """Return all versions of a token, by name and version, whatever case an older client wrote it in."""
    quote_mark = '"' if "'" in token else "'"
    pattern = token.replace('"', "_") if quote_mark == '"' else token
    condition = f"{search.tag(TOKEN_TAG)} ILIKE {quote_mark}{pattern}{quote_mark}"
    with backend.calling() as client:
        found = list(search.versions(client, condition, order_by=["name ASC", "version_number ASC"]))
    # Percent signs and underscores are wildcards of ILIKE and cannot be escaped.
    wanted = fold_token(token)
    return [record(backend, v) for v in found if fold_token(v.tags.get(TOKEN_TAG, "")) == wanted]


def list_all(backend: Backend, prefix: str | None = None) -> list[RegisteredModel]:
    """Return all versions that carry a token, by name and version, optionally of names with a prefix."""
    condition = f"{search.tag(TOKEN_TAG)} LIKE '%'"
    if prefix and not {"'", '"'} <= set(prefix):
        mark = '"' if "'" in prefix else "'"
        condition += f" AND name LIKE {mark}{prefix}%{mark}"
    with backend.calling() as client:
        found = list(search.versions(client, condition, order_by=["name ASC", "version_number ASC"]))
    return [record(backend, v) for v in found if v.name.startswith(prefix or "")]


def set_tags(backend: Backend, name: str, version: str, tags: Mapping[str, str]) -> RegisteredModel:
    """Set tags of a version one by one, as MLflow offers it, and return the version.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    with backend.calling() as client:
        for key, value in tags.items():
            try:
                client.set_model_version_tag(name, version, key, value)
            except MlflowException as error:
                raise_missing(backend, error, name, version)
                raise
    return get(backend, name, version)


def delete(backend: Backend, name: str, version: str) -> None:
    """Delete one version; its number is not given out again.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    with backend.calling() as client:
        try:
            client.delete_model_version(name, version)
        except MlflowException as error:
            raise_missing(backend, error, name, version)
            raise
