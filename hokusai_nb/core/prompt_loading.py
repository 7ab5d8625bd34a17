"""Finding versions of prompts: by semantic version, by MLflow's number, by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompt_rules import Line, parse_stage, refused
from hokusai_nb.errors import ModelNotFoundError
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.prompt_names import stored_name
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.schema.versioning import is_prerelease, parse_version

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.backends.mlflow.prompt_stages import Standing
    from hokusai_nb.schema.prompts import PromptVersion

__all__ = ["find", "line_to", "waits_for_staging"]

_LONGEST_NUMBER = 9
"""Digits of a version number that every database can hold."""


def find(
    backend: Backend, name: str, version: object = None, stage: object = None, *, refresh: bool = False
) -> tuple[PromptVersion, ModelStage | None]:
    """Return a version, and its stage where that was asked for anyway.

    Args:
        backend: Where to look.
        name: The prompt.
        version: Semantic version, or MLflow's own number; the newest if neither this nor a stage is given.
        stage: The stage whose version is wanted; for dev, the newest that is in no other.
        refresh: Ask the store also for what is known.

    Raises:
        ModelNotFoundError: There is none.
        ModelValidationError: Both are given, or one of them cannot be.
    """
    if version is not None:
        if stage is not None:
            what = "Give a version or a stage, not both."
            raise refused(what, field="stage")
        return _of_version(backend, name, version, refresh=refresh), None
    wanted = None if stage is None else parse_stage(stage)
    standing = CACHE.standing(backend, name, refresh=refresh)
    if standing is None:
        raise _missing(backend, name, None)
    found = _in_stage(backend, name, standing, wanted)
    if found is None:
        number = standing.number_in(wanted) if wanted else standing.last_number
        raise _foreign(backend, name, number, wanted) or _missing(
            backend, name, f"version in {wanted.value}" if wanted else "version"
        )
    return found, standing.stage_of(found.mlflow_version or 0)


def _of_version(backend: Backend, name: str, version: object, *, refresh: bool) -> PromptVersion:
    number = _number(version)
    if number is not None:
        found = CACHE.numbered(backend, name, number, refresh=refresh)
        if found is None:
            raise _foreign(backend, name, number) or _missing(
                backend, name, f"semantic version that MLflow counts as {number}"
            )
        return found
    if not isinstance(version, str) or (known := CACHE.version(backend, name, version, refresh=refresh)) is None:
        parse_version(version)
        raise _missing(backend, name, f"version {version}")
    return known


def _number(version: object) -> int | None:
    if isinstance(version, bool):
        return None
    if isinstance(version, str) and version.isascii() and version.isdecimal() and len(version) <= _LONGEST_NUMBER:
        return int(version)
    return version if isinstance(version, int) and 0 <= version < 10**_LONGEST_NUMBER else None


def _in_stage(backend: Backend, name: str, standing: Standing, stage: ModelStage | None) -> PromptVersion | None:
    """Return the version that a stage points at, the newest in dev, or the newest of all; or None."""
    newest = standing.newest
    if stage is None:
        return newest
    if stage is not ModelStage.DEV:
        number = standing.number_in(stage)
        return CACHE.numbered(backend, name, number) if number else None
    if newest is None or standing.stage_of(newest.mlflow_version or 0) is ModelStage.DEV:
        return newest
    waiting = [v for v in prompts.all_versions(backend, name) if v.mlflow_version not in standing.stages]
    return waiting[-1] if waiting else None


def line_to(backend: Backend, newest: PromptVersion | None) -> Line:
    """Return what the next version is judged by, where the newest one is known; asks only after a pre-release."""
    if newest is None or not is_prerelease(newest.version):
        return Line(newest, newest)
    return Line.of(prompts.all_versions(backend, newest.name))


def waits_for_staging(backend: Backend, version: PromptVersion) -> bool:
    """Whether a registered version is in dev and was never taken out of a stage."""
    standing = CACHE.standing(backend, version.name, refresh=True)
    if standing is None or standing.stage_of(version.mlflow_version or 0) is not ModelStage.DEV:
        return False
    return not any(c.version == version.version and c.from_stage is not ModelStage.DEV for c in standing.changes)


def _foreign(
    backend: Backend, name: str, number: int | None, stage: ModelStage | None = None
) -> ModelNotFoundError | None:
    """Return the error for a version that another client made; None where it is not that."""
    if not number or not prompts.is_foreign(backend, name, number):
        return None
    where = f"in {stage.value} " if stage else ""
    what = (
        f"MLflow's version {number} of prompt {quoted(name)} {where}in {backend.safe_uri} was not registered with "
        "hokusai_nb, so it has no semantic version."
    )
    return ModelNotFoundError(what, f"Read it with mlflow.genai.load_prompt({stored_name(name)!r}, version={number}).")


def _missing(backend: Backend, name: str, what: str | None) -> ModelNotFoundError:
    said = f"Prompt {quoted(name)} has no {what}" if what else f"There is no prompt {quoted(name)}"
    return ModelNotFoundError(f"{said} in {backend.safe_uri}.", "See what there is with PromptModel.list().")
