"""Stages of registered models: aliases and history, as prompts have them.

The tags are those of the registered model. No version gets one, so that what a version must carry to be a
token's is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from mlflow.exceptions import MlflowException

from hokusai_nb.backends.mlflow import stage_changes, stages, versions
from hokusai_nb.backends.mlflow.prompts import registry_of
from hokusai_nb.backends.mlflow.stages import Move, Subject, read_standing
from hokusai_nb.schema.records import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlflow.entities.model_registry import RegisteredModel as Found

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = ["Standing", "change_stages", "kind_of", "standing"]

PREFIX = "hokusai.stage."

Standing: TypeAlias = stages.Standing[RegisteredModel]
"""How a model stands."""


def kind_of(backend: Backend, stored: str) -> Literal["model", "prompt"] | None:
    """Return what MLflow has of a name, for models and prompts share one list; None where it is nothing."""
    found = _found(backend, stored)
    return None if found is None else "prompt" if _is_prompt(found) else "model"


def _found(backend: Backend, stored: str) -> Found | None:
    with backend.calling() as client:
        try:
            # The outer client says of a prompt that there is no such model.
            found: Found = registry_of(client).get_registered_model(stored)
        except MlflowException as error:
            # A name that cannot be, such as one with a slash, is refused as a wrong value.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
    return found


def _is_prompt(found: Found) -> bool:
    # What says so is left out of its tags.
    return bool(found._is_prompt())  # noqa: SLF001 - the one way to ask


def standing(backend: Backend, name: str) -> Standing | None:
    """Return how a model stands, asked in one call, or None where MLflow has no model of this name."""
    found = _found(backend, name)
    if found is None or _is_prompt(found):
        return None
    last = max(found.latest_versions, key=lambda v: int(v.version), default=None)
    newest = versions.record(backend, last, aliases=()) if last else None
    return read_standing(found, newest, int(last.version) if last else 0, PREFIX)


def change_stages(backend: Backend, name: str, decide: Callable[[Standing | None], Sequence[Move]]) -> Standing | None:
    """Move versions of a model from stage to stage, as `stage_changes.change_stages` does.

    Raises:
        ConflictError: Somebody else was first; what they changed is in the message.
    """
    return stage_changes.change_stages(Subject(backend, name, name, PREFIX, lambda: standing(backend, name)), decide)
