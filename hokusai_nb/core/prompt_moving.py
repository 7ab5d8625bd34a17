"""Promoting versions of prompts and going back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.backends.mlflow.prompt_stages import change_stages
from hokusai_nb.core import stage_moving
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompt_rules import refused
from hokusai_nb.core.stage_rules import Candidate, check_why
from hokusai_nb.schema.versioning import parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.backends.mlflow.stages import Move
    from hokusai_nb.schema.prompts import ModelStage, PromptVersion

__all__ = ["PromptShelf", "candidate", "promote", "roll_back"]


def candidate(version: PromptVersion) -> Candidate:
    """Return a registered version as the rules of stages know it."""
    assert version.mlflow_version is not None
    return Candidate(version.name, version.version, version.mlflow_version, parse_version(version.version))


@dataclass(frozen=True)
class PromptShelf:
    """The versions of one prompt in a store; what is known of them is asked again, for it may be gone."""

    backend: Backend
    name: str
    kind: Literal["prompt"] = "prompt"

    def numbered(self, number: int) -> Candidate | None:
        """Return the version that MLflow counts so, or None where it was deleted or is none of ours."""
        found = CACHE.numbered(self.backend, self.name, number, refresh=True)
        return candidate(found) if found else None

    def is_there(self, version: Candidate) -> bool:
        """Whether the version is registered, under the same number of MLflow's."""
        found = CACHE.version(self.backend, self.name, version.version, refresh=True)
        return found is not None and found.mlflow_version == version.number

    def change(self, decide: Callable[[Any], Sequence[Move]]) -> None:
        """Move what is decided, and know at once how the prompt stands then."""
        CACHE.forget(self.backend, self.name)  # also where it fails: then least of all is what was known still so
        CACHE.note_standing(self.backend, self.name, change_stages(self.backend, self.name, decide))


def promote(backend: Backend, wanted: PromptVersion, to: ModelStage, why: str) -> PromptVersion:
    """Promote a version by one stage and return it as it is registered; nothing where it is there already.

    Raises:
        ModelValidationError: ``Model must be registered before promotion``, a stage would be skipped, or
            a later version is there.
        ConflictError: Somebody else changed the prompt's stages at the same time.
    """
    check_why(why)
    version = _registered(backend, wanted)
    stage_moving.promote(PromptShelf(backend, wanted.name), candidate(version), to, why)
    return version


def roll_back(backend: Backend, wanted: PromptVersion, to: str | None, why: str) -> PromptVersion:
    """Take a version out of its stage, put an earlier one of that stage in its place, and return that.

    Where staging had none before, it is empty then, and the version itself is returned.

    Raises:
        ModelValidationError: The version is in no stage, or the other one never was in it.
        ConflictError: Production had no version before, or somebody else changed it at the same time.
    """
    check_why(why)
    version = _registered(backend, wanted)
    put_back, _ = stage_moving.roll_back(PromptShelf(backend, wanted.name), candidate(version), to, why)
    found = CACHE.numbered(backend, wanted.name, put_back.number, refresh=True) if put_back else None
    return found or version


def _registered(backend: Backend, wanted: PromptVersion) -> PromptVersion:
    """Return the version as it is registered: what counts is the store, not what this object went through.

    It is asked anew: a prompt may have been deleted and made again, and its numbers with it.
    """
    found = CACHE.version(backend, wanted.name, wanted.version, refresh=True)
    if found is None:
        what = f"Model must be registered before promotion: {wanted.name} {wanted.version}"
        raise refused(what, "Call register() first.", field="version")
    if not prompts.is_same(found, wanted):
        what = f"Model must be registered before promotion: {wanted.name} {wanted.version} is, with other content."
        raise refused(what, "Register this content as a version of its own.", field="version")
    return found
