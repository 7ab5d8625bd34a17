"""Promoting versions of prompts and going back: read how things stand, decide, move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.backends.mlflow.prompt_stages import Move, Standing, change_stages
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompt_rules import check_why, earlier_holders, promotion, refused, rolled_back
from hokusai_nb.schema.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.prompts import ModelStage, PromptVersion

__all__ = ["promote", "roll_back"]


def promote(backend: Backend, wanted: PromptVersion, to: ModelStage, why: str) -> PromptVersion:
    """Promote a version by one stage and return it as it is registered; nothing where it is there already.

    Raises:
        ModelValidationError: ``Model must be registered before promotion``, a stage would be skipped, or
            a later version is there.
        ConflictError: Somebody else changed the prompt's stages at the same time.
    """
    check_why(why)
    version = _registered(backend, wanted)

    def decide(standing: Standing | None) -> Sequence[Move]:
        if standing is None:
            raise _unregistered(wanted)
        return promotion(standing, version, to, _holder(backend, wanted.name, standing, to), why)

    _change(backend, wanted.name, decide)
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
    put_back = [version]

    def decide(standing: Standing | None) -> Sequence[Move]:
        if standing is None:
            raise _unregistered(wanted)
        target = _before(backend, standing, version, to)
        put_back[:] = [target or version]
        return rolled_back(standing, version, target, why)

    _change(backend, wanted.name, decide)
    return put_back[0]


def _change(backend: Backend, name: str, decide: Callable[[Standing | None], Sequence[Move]]) -> None:
    CACHE.forget(backend, name)  # also where it fails: then least of all is what was known still so
    CACHE.note_standing(backend, name, change_stages(backend, name, decide))


def _registered(backend: Backend, wanted: PromptVersion) -> PromptVersion:
    """Return the version as it is registered: what counts is the store, not what this object went through."""
    found = CACHE.version(backend, wanted.name, wanted.version)
    if found is None:
        raise _unregistered(wanted)
    if not prompts.is_same(found, wanted):
        what = f"Model must be registered before promotion: {wanted.name} {wanted.version} is, with other content."
        raise refused(what, "Register this content as a version of its own.", field="version")
    return found


def _unregistered(wanted: PromptVersion) -> Exception:
    what = f"Model must be registered before promotion: {wanted.name} {wanted.version}"
    return refused(what, "Call register() first.", field="version")


def _holder(backend: Backend, name: str, standing: Standing, stage: ModelStage) -> PromptVersion | None:
    number = standing.number_in(stage)
    return CACHE.numbered(backend, name, number) if number else None


def _before(backend: Backend, standing: Standing, version: PromptVersion, to: str | None) -> PromptVersion | None:
    """Return the version that held the stage before, or the given one if it ever did."""
    stage = standing.stage_of(version.mlflow_version or 0)
    held = [move for move in earlier_holders(standing, stage) if move.number != version.mlflow_version]
    found = [move for move in held if to is None or move.change.version == to]
    if to is not None and not found:
        what = f"Cannot roll back to {quoted(to)}: it was not in {stage.value} before {version.version}."
        known = ", ".join(dict.fromkeys(move.change.version for move in held))
        raise refused(what, f"Choose one of these: {known}." if known else "No version was.", field="to")
    # One that was deleted since cannot be gone back to; the one before it can.
    versions = (CACHE.numbered(backend, version.name, move.number, refresh=True) for move in reversed(found))
    return next((one for one in versions if one), None)
