"""Creating a version: whole, in one call, and once for each registration."""

from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from mlflow.exceptions import MlflowException

from hokusai_nb.backends.mlflow import search
from hokusai_nb.backends.mlflow.failures import answer_lost
from hokusai_nb.backends.mlflow.versions import record
from hokusai_nb.errors import ValidationError
from hokusai_nb.log import logger
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.tags import KEY_TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, MutableMapping, Sequence

    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.records import RegisteredModel
    from hokusai_nb.schema.runs import RunModel

__all__ = ["create", "ensure_model", "find_registration", "last_made"]

S = TypeVar("S")
T = TypeVar("T")
IS_PROMPT = "mlflow.prompt.is_prompt"
LOOK_AGAIN = (0.0, 0.3, 0.9)
"""Seconds before each look for a version whose creation was not confirmed."""
# Names that were seen to be models, by registry: MLflow lets a version be put under a prompt's name.
_KNOWN: set[tuple[str, str]] = set()
# The last version that was made from here, by registry.
_LAST_MADE: dict[str, ModelVersion] = {}
# Two threads that register the same thing must not both find nothing and both create.
_LOCKS = [threading.Lock() for _ in range(64)]


def create(
    backend: Backend,
    name: str,
    model: RunModel,
    key: str,
    tags: Callable[[], Mapping[str, str]],
    *,
    force_new: bool = False,
    any_run: bool = False,
    tried: MutableMapping[str, Container[str]] | None = None,
) -> RegisteredModel:
    """Create a version with all its tags in one call, or return the one this registration made before.

    The registered model is created only if MLflow says there is none. A call whose answer is lost
    is not repeated blindly: the version it may have made is looked for first.

    Args:
        backend: Where to write.
        name: Registered model name.
        model: What to register.
        key: Identifies the registration; the value of `KEY_TAG`.
        tags: Returns all tags; on a server it is called while the earlier registration is looked for.
        force_new: Make a new version even if this registration was made before.
        any_run: Whether the same registration may have been made from another run, by a process that took this
            one to be dead: of two versions that two made at once, the later one is then deleted.
        tried: By key, the versions that were there before an attempt that the caller made already; this
            one is noted in it. What such an attempt made all the same is returned, also with ``force_new``.

    Raises:
        ValidationError: The name is a prompt's.
    """
    tried = {} if tried is None else tried
    run_id = None if any_run else model.run_id
    with _LOCKS[hash((backend.registry_uri, name, key)) % len(_LOCKS)], backend.calling() as client:
        before, recorded = _at_once(
            lambda: _find(client, name, key, run_id), lambda: dict(tags()), in_parallel=backend.is_server
        )
        earlier = tried.get(key) if force_new else ()
        if earlier is not None and (found := _first(before, earlier)):
            return record(backend, found, created=False)
        _refuse_prompt(backend, client, name)

        def unseen() -> ModelVersion | None:
            return _first(_find(client, name, key, run_id), known)

        known = tried.setdefault(key, frozenset(str(v.version) for v in before))
        source = _source(backend, model)
        # For a version without a run, MLflow's SQL store would ask its global tracking URI about the model.
        model_id = model.model_id if model.run_id or backend.is_server else None

        def attempt() -> ModelVersion:
            return client.create_model_version(
                name, source, run_id=model.run_id, tags=recorded, await_creation_for=0, model_id=model_id
            )

        made = _create(client, name, attempt, unseen, LOOK_AGAIN if backend.is_server else LOOK_AGAIN[:1])
        _KNOWN.add((backend.registry_uri, name))
        _LAST_MADE[backend.registry_uri] = made
        oldest = _first(_find(client, name, key, None), ()) if any_run and not force_new else None
        if oldest is not None and int(oldest.version) < int(made.version):
            _withdraw(client, made)
            return record(backend, oldest, created=False)
    return record(backend, made)


def _withdraw(client: MlflowClient, made: ModelVersion) -> None:
    """Delete a version of which there is an older one; where that is not allowed, it stays and is told."""
    try:
        client.delete_model_version(made.name, str(made.version))
    except MlflowException as error:
        what = "Version %s of %s repeats an older one and could not be deleted: %s"
        logger.warning(what, made.version, made.name, error.error_code)


def last_made(backend: Backend) -> object:
    """Return what is another object once a version was made from this process."""
    return _LAST_MADE.get(backend.registry_uri)


def find_registration(backend: Backend, name: str, key: str, besides: Container[str] = ()) -> RegisteredModel | None:
    """Return the version that an earlier registration with this key made, besides those named, or None."""
    with backend.calling() as client:
        made = _first(_find(client, name, key, None), besides)
    return record(backend, made, created=False) if made else None


def ensure_model(backend: Backend, name: str) -> None:
    """Refuse the name of a prompt.

    Raises:
        ValidationError: The name is a prompt's.
    """
    with backend.calling() as client:
        _refuse_prompt(backend, client, name)


def _find(client: MlflowClient, name: str, key: str, run_id: str | None) -> list[ModelVersion]:
    """Return the versions of one registration, oldest first.

    Should two processes ever have raced, all later registrations agree on the oldest.
    """
    named, _ = search.exactly("name", name)
    # A search by run reads the versions of this name only; one by tag, those of the whole registry.
    condition = search.exactly("run_id", run_id)[0] if run_id else f"{search.tag(KEY_TAG)} = '{key}'"
    found = search.versions(client, f"{named} AND {condition}", order_by=["version_number ASC"])
    return [v for v in found if v.name == name and v.tags.get(KEY_TAG) == key]


def _first(found: Sequence[ModelVersion], besides: Container[str]) -> ModelVersion | None:
    """Return the first version that is not known already; its number is an int on SQLite and text over REST."""
    return next((v for v in found if str(v.version) not in besides), None)


def _at_once(first: Callable[[], S], second: Callable[[], T], *, in_parallel: bool) -> tuple[S, T]:
    """Return what two functions return; an error of the second comes first, as if it had been called first.

    A server answers two questions in the time of one; a database in this process does not.
    """
    if not in_parallel:
        after = second()
        return first(), after
    with ThreadPoolExecutor(1, thread_name_prefix="hokusai-look") as pool:
        asked = pool.submit(contextvars.copy_context().run, first)
        after = second()
        return asked.result(), after


def _source(backend: Backend, model: RunModel) -> str:
    """Return what the version stores as its source.

    A ``models:/m-…`` source is looked up: by MLflow's SQL store in its global tracking URI, whatever
    store it is itself, by a server in its own. Where that is not ours, the model's folder says the same.
    """
    finds = backend.registry_uri == backend.uri if backend.is_server else backend.is_default
    return model.location if model.model_id and not finds else model.source


def _refuse_prompt(backend: Backend, client: MlflowClient, name: str) -> None:
    """Refuse the name of a prompt; not asked again for a name that we put a version under.

    MLflow keeps models and prompts in one list and would add the version to the prompt. A name that
    is neither yet may become either.
    """
    if (backend.registry_uri, name) in _KNOWN:
        return
    named, _ = search.exactly("name", name)
    prompts = search.registered_models(client, f"{search.tag(IS_PROMPT)} = 'true' AND {named}")
    if any(p.name == name for p in prompts):
        what = f"{quoted(name)} is the name of a prompt, and MLflow keeps models and prompts in one list."
        raise ValidationError([Problem(field="name", what=what, hint="Choose another name.")])


def _create(
    client: MlflowClient,
    name: str,
    attempt: Callable[[], ModelVersion],
    unseen: Callable[[], ModelVersion | None],
    pauses: Sequence[float],
) -> ModelVersion:
    """Create a version, and its model if there is none; look for it where an attempt got no proper answer."""
    try:
        return attempt()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            if made := _made_all_the_same(error, unseen, pauses):
                return made
            # Only where there is no model yet, the call cannot have made, nor still make, a version.
            if not answer_lost(error) or _exists(client, name):
                raise
    _create_model(client, name)
    try:
        return attempt()
    except MlflowException as error:
        if made := _made_all_the_same(error, unseen, pauses):
            return made
        raise


def _made_all_the_same(
    error: MlflowException, unseen: Callable[[], ModelVersion | None], pauses: Sequence[float]
) -> ModelVersion | None:
    """Return the version that a call without a proper answer made, or None."""
    if not answer_lost(error):
        return None
    for pause in pauses:
        time.sleep(pause)
        try:
            if made := unseen():
                return made
        except MlflowException:
            return None  # the first error is the one to report
    return None


def _exists(client: MlflowClient, name: str) -> bool:
    named, _ = search.exactly("name", name)
    return any(m.name == name for m in search.registered_models(client, named))


def _create_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        # Somebody else was faster, which is as good; so is an answer that was lost on its way back.
        if error.error_code != "RESOURCE_ALREADY_EXISTS" and not (answer_lost(error) and _exists(client, name)):
            raise
