"""Versions of prompts in MLflow's prompt registry, where its UI and ``mlflow.genai.load_prompt`` find them.

MLflow keeps a prompt as a registered model whose versions carry their text in a tag. Ours carry the
semantic version and what else we know under the prefix ``hokusai.prompt.``; what a user said of a
version stands beside it under the user's own keys, none of which may begin with that prefix.
Of a version that does not count (`prompt_counting`), nothing here ever speaks.
"""

from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY, PROMPT_TEXT_TAG_KEY, PROMPT_TYPE_TAG_KEY, PROMPT_TYPE_TEXT

from hokusai_nb.backends.mlflow import runs, search
from hokusai_nb.backends.mlflow.failures import answer_lost
from hokusai_nb.backends.mlflow.prompt_counting import (
    AFTER,
    PREFIX,
    VERSION,
    WITHDRAWN,
    is_ours,
    only_counting,
    surely_counts,
)
from hokusai_nb.errors import HokusaiError, ModelValidationError
from hokusai_nb.log import logger
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompt_metadata import decode_metadata, encode_metadata, reserved_prefix, same_value
from hokusai_nb.schema.prompt_names import shown_name, stored_name
from hokusai_nb.schema.prompts import ModelStage, PromptVersion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient
    from mlflow.tracking._model_registry.client import ModelRegistryClient

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = [
    "PREFIX",
    "WITHDRAWN",
    "all_versions",
    "by_prefix",
    "counts",
    "create",
    "is_foreign",
    "is_same",
    "names",
    "numbered",
    "of_version",
    "prompt_filter",
    "record",
    "registry_of",
    "stages_by_number",
    "withdraw",
]

AUTHOR = f"{PREFIX}author"
PARENT = f"{PREFIX}parent_version"
SOURCE = "prompt-template"
"""What MLflow itself writes where the source of a model would stand; its server accepts nothing else."""
LOOK_AGAIN = (0.0, 0.3, 0.9)
"""Seconds before each look for a version whose creation was not confirmed."""
_STAGES = (ModelStage.STAGING, ModelStage.PRODUCTION)


def prompt_filter(condition: str = "") -> str:
    """Return a filter that finds prompts, which MLflow leaves out unless it is asked for them."""
    prompts = f"{search.tag(IS_PROMPT_TAG_KEY)} = 'true'"
    return f"{prompts} AND {condition}" if condition else prompts


def registry_of(client: MlflowClient) -> ModelRegistryClient:
    """Return MLflow's inner client, which lets prompts be created in one call with all their tags."""
    found: ModelRegistryClient = client._get_registry_client()  # noqa: SLF001 - as MLflow's own register_prompt does
    return found


def stages_by_number(aliases: Mapping[str, object]) -> dict[int, tuple[ModelStage, ...]]:
    """Return the stages of each of MLflow's version numbers that has one, from a prompt's aliases."""
    found: dict[int, tuple[ModelStage, ...]] = {}
    for stage in _STAGES:
        if (number := aliases.get(stage.value)) is not None:
            found[int(str(number))] = (*found.get(int(str(number)), ()), stage)
    return found


def record(backend: Backend, version: ModelVersion, stages: tuple[ModelStage, ...] = ()) -> PromptVersion:
    """Return MLflow's version of a prompt as our record."""
    tags = version.tags
    number = int(version.version)
    return PromptVersion(
        name=shown_name(version.name),
        version=tags[VERSION],
        template=tags.get(PROMPT_TEXT_TAG_KEY, ""),
        stages=stages,
        metadata=decode_metadata({key: text for key, text in tags.items() if not reserved_prefix(key)}),
        created_at=runs.moment(version.creation_timestamp or 0),
        author=tags.get(AUTHOR),
        parent_version=tags.get(PARENT),
        mlflow_version=number,
        url=backend.address(f"prompts/{quote(version.name, safe='')}?promptVersion={number}"),
        simulated=backend.simulated,
    )


def is_same(stored: PromptVersion, wanted: PromptVersion) -> bool:
    """Whether a stored version holds the template and the metadata that are wanted."""
    held, asked = stored.metadata, wanted.metadata
    same = held.keys() == asked.keys() and all(same_value(held[key], value) for key, value in asked.items())
    return same and stored.template == wanted.template


# Reading


def of_version(backend: Backend, name: str, version: str) -> PromptVersion | None:
    """Return the version of a semantic number, without its stages, or None."""
    stored = stored_name(name)
    named, _ = search.exactly("name", stored)
    same, _ = search.exactly(search.tag(VERSION), version)
    with backend.calling() as client:
        found = [
            v
            for v in search.versions(client, prompt_filter(f"{named} AND {same}"))
            if v.name == stored and is_ours(v) and v.tags[VERSION] == version
        ]
    if not found:
        return None
    if len(found) == 1 and surely_counts(found[0]):
        return record(backend, found[0])
    return next((v for v in all_versions(backend, name) if v.version == version), None)


def numbered(backend: Backend, name: str, number: int) -> PromptVersion | None:
    """Return the version that MLflow counts so, without its stages, or None where it is none of ours."""
    found = _numbered(backend, name, number)
    if found is None or not is_ours(found):
        return None
    if surely_counts(found):
        return record(backend, found)
    return next((v for v in all_versions(backend, name) if v.mlflow_version == number), None)


def is_foreign(backend: Backend, name: str, number: int) -> bool:
    """Whether MLflow has a version of this number that another client made, without a semantic version."""
    found = _numbered(backend, name, number)
    return found is not None and VERSION not in found.tags


def _numbered(backend: Backend, name: str, number: int) -> ModelVersion | None:
    with backend.calling() as client:
        try:
            # MLflow's outer client says of a prompt that there is no such model.
            found = registry_of(client).get_model_version(stored_name(name), str(number))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
    return found if IS_PROMPT_TAG_KEY in found.tags else None


def all_versions(backend: Backend, name: str) -> list[PromptVersion]:
    """Return all versions of a prompt in the order in which they were registered, without their stages."""
    stored = stored_name(name)
    named, _ = search.exactly("name", stored)
    with backend.calling() as client:
        # In an order that what is registered meanwhile does not shift from page to page.
        every = list(search.versions(client, prompt_filter(named), order_by=["version_number ASC"]))
    return [record(backend, v) for v in only_counting(v for v in every if v.name == stored)]


def counts(backend: Backend, made: PromptVersion, after: int) -> bool:
    """Whether a version counts that was just created by one who saw the version numbered `after` as the newest."""
    number = made.mlflow_version or 0
    return number == after + 1 or any(v.mlflow_version == number for v in all_versions(backend, made.name))


def names(backend: Backend) -> list[str]:
    """Return the names of all prompts, those of MLflow's own functions too; no version is read for them."""
    with backend.calling() as client:
        return sorted(shown_name(prompt.name) for prompt in search.registered_models(client, prompt_filter()))


def by_prefix(backend: Backend, prefix: str = "") -> list[PromptVersion]:
    """Return all versions of all prompts whose names begin with a prefix, by name and number, with their stages."""
    stored = stored_name(prefix)
    condition = prompt_filter(search.like("name", stored, prefix=True) if stored else "")
    with backend.calling() as client:
        prompts = [p for p in search.registered_models(client, condition) if p.name.startswith(stored)]
        order = ["name ASC", "version_number ASC"]
        found = [v for v in search.versions(client, condition, order_by=order) if v.name.startswith(stored)]
    stages = {p.name: stages_by_number(p.aliases) for p in prompts}
    return [
        record(backend, v, stages.get(name, {}).get(int(v.version), ()))
        for name, same in groupby(sorted(found, key=lambda v: v.name), key=lambda v: v.name)
        for v in only_counting(same)
    ]


# Writing


def create(backend: Backend, prompt: PromptVersion, *, known: bool, after: int | None = None) -> PromptVersion:
    """Create a version with all its tags in one call, so that none is ever visible with half of them.

    Args:
        backend: Where to write.
        prompt: What to register; its author and its parent are written down too.
        known: Whether MLflow is known to have a prompt of this name.
        after: MLflow's number of the newest version that was seen, 0 where there was none; without it the version
            counts whatever came between, as one that another client wrote.

    Raises:
        ModelValidationError: The name is a model's, or the metadata cannot be stored.
    """
    name = stored_name(prompt.name)
    tags = _tags(prompt, after)
    with backend.calling() as client:
        if not known:
            _ensure_prompt(client, name)
        try:
            made = registry_of(client).create_model_version(
                name, SOURCE, tags=tags, description=f"Version {prompt.version}", await_creation_for=0
            )
        except MlflowException as error:
            found = _made_all_the_same(backend, error, prompt)
            if found is None:
                raise
            return found
    return record(backend, made)


def _tags(prompt: PromptVersion, after: int | None = None) -> dict[str, str]:
    """Return the tags of a version; what MLflow and we keep there comes last, so that nothing overrides it."""
    tags = encode_metadata(prompt.metadata)
    tags |= {
        IS_PROMPT_TAG_KEY: "true",
        PROMPT_TEXT_TAG_KEY: prompt.template,
        PROMPT_TYPE_TAG_KEY: PROMPT_TYPE_TEXT,
        VERSION: prompt.version,
    }
    if prompt.author:
        tags[AUTHOR] = prompt.author
    if prompt.parent_version:
        tags[PARENT] = prompt.parent_version
    if after is not None:
        tags[AFTER] = str(after)
    return tags


def _ensure_prompt(client: MlflowClient, name: str) -> None:
    try:
        registry_of(client).create_registered_model(name, tags={IS_PROMPT_TAG_KEY: "true"})
    except MlflowException as error:
        named, _ = search.exactly("name", name)
        if any(p.name == name for p in search.registered_models(client, prompt_filter(named))):
            return  # another process was faster, or the answer was lost
        if error.error_code == "RESOURCE_ALREADY_EXISTS":
            what = f"{quoted(name)} is the name of a model, and MLflow keeps models and prompts in one list."
            raise ModelValidationError([Problem(field="name", what=what, hint="Choose another name.")]) from None
        raise


def _made_all_the_same(backend: Backend, error: MlflowException, prompt: PromptVersion) -> PromptVersion | None:
    """Return the version that a call without a proper answer made, or None."""
    if not answer_lost(error):
        return None
    for pause in LOOK_AGAIN if backend.is_server else LOOK_AGAIN[:1]:
        time.sleep(pause)
        try:
            found = of_version(backend, prompt.name, prompt.version)
        except HokusaiError:
            return None  # the first error is the one to report
        if found and is_same(found, prompt):
            return found
    return None


def withdraw(backend: Backend, prompt: PromptVersion) -> None:
    """Take back a version that does not count; should that fail, it only stays on MLflow's own pages."""
    name, number = stored_name(prompt.name), str(prompt.mlflow_version)
    try:
        with backend.calling() as client:
            try:
                registry_of(client).delete_model_version(name, number)
            except MlflowException:
                registry_of(client).set_model_version_tag(name, number, WITHDRAWN, "another version was first")
                logger.info("MLflow's version %s of %s stays, withdrawn: it may not be deleted.", number, name)
    except HokusaiError as error:
        logger.info("MLflow's version %s of %s stays, and does not count: %s", number, name, error.what)
