"""Stages of prompts: how one stands, and moving its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from hokusai_nb.backends.mlflow import search, stage_changes, stages
from hokusai_nb.backends.mlflow.prompt_counting import PREFIX, surely_counts
from hokusai_nb.backends.mlflow.prompts import all_versions, prompt_filter, record
from hokusai_nb.backends.mlflow.stages import Move, Subject, read_standing
from hokusai_nb.schema.prompt_names import stored_name
from hokusai_nb.schema.prompts import PromptVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = ["Move", "Standing", "change_stages", "placed", "standing"]

Standing: TypeAlias = stages.Standing[PromptVersion]
"""How a prompt stands."""


def standing(backend: Backend, name: str) -> Standing | None:
    """Return how a prompt stands, asked in one call, or None where MLflow has no prompt of this name."""
    stored = stored_name(name)
    named, _ = search.exactly("name", stored)
    with backend.calling() as client:
        found = next((p for p in search.registered_models(client, prompt_filter(named)) if p.name == stored), None)
    if found is None:
        return None
    last = max(found.latest_versions, key=lambda v: int(v.version), default=None)
    newest = record(backend, last) if last and surely_counts(last) else None
    if last and newest is None:  # another client's version, or one that was registered at once with others
        newest = next(reversed(all_versions(backend, name)), None)
    return read_standing(found, newest, int(last.version) if last else 0, PREFIX)


def placed(found: Standing, version: PromptVersion) -> PromptVersion:
    """Return a registered version with its stages and its transitions."""
    mine = tuple(change for change in found.changes if change.version == version.version)
    return version.model_copy(update={"stages": found.stages.get(version.mlflow_version or 0, ()), "history": mine})


def change_stages(backend: Backend, name: str, decide: Callable[[Standing | None], Sequence[Move]]) -> Standing | None:
    """Move versions of a prompt from stage to stage, as `stage_changes.change_stages` does.

    Raises:
        ConflictError: Somebody else was first; what they changed is in the message.
    """
    subject = Subject(backend, name, stored_name(name), PREFIX, lambda: standing(backend, name))
    return stage_changes.change_stages(subject, decide)
