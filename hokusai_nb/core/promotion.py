"""Stages of whatever a name stands for: a prompt or a registered model, by the same rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hokusai_nb.backends.mlflow import model_stages, versions
from hokusai_nb.core import prompt_loading, stage_moving
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompt_moving import PromptShelf, candidate
from hokusai_nb.core.prompt_rules import parse_stage, refused
from hokusai_nb.core.stage_rules import Candidate, check_why
from hokusai_nb.errors import ModelNotFoundError
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.promotions import Promotion
from hokusai_nb.schema.prompt_names import shown_name, stored_name
from hokusai_nb.schema.prompts import ModelStage, PromptHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.backends.mlflow.stages import Move, Standing
    from hokusai_nb.schema.records import RegisteredModel

__all__ = ["history", "is_prompt", "promote", "roll_back"]


@dataclass(frozen=True)
class _Models:
    """The versions of one registered model in a store."""

    backend: Backend
    name: str
    kind: Literal["model"] = "model"

    def standing(self) -> Standing[Any] | None:
        return model_stages.standing(self.backend, self.name)

    def find(self, version: str) -> Candidate:
        return self._candidate(versions.get(self.backend, self.name, version))

    def newest(self, standing: Standing[Any]) -> Candidate | None:
        return self._candidate(standing.newest) if standing.newest else None

    def numbered(self, number: int) -> Candidate | None:
        try:
            return self.find(str(number))
        except ModelNotFoundError:
            return None

    def is_there(self, version: Candidate) -> bool:
        return self.numbered(version.number) is not None

    def change(self, decide: Callable[[Any], Sequence[Move]]) -> None:
        model_stages.change_stages(self.backend, self.name, decide)

    def address(self, number: int) -> str | None:
        return versions.get(self.backend, self.name, str(number)).url

    def _candidate(self, found: RegisteredModel) -> Candidate:
        return Candidate(self.name, found.version, int(found.version), int(found.version))


@dataclass(frozen=True)
class _Prompts(PromptShelf):
    """The versions of one prompt in a store."""

    def standing(self) -> Standing[Any] | None:
        return CACHE.standing(self.backend, self.name, refresh=True)

    def find(self, version: str) -> Candidate:
        return candidate(prompt_loading.find(self.backend, self.name, version, refresh=True)[0])

    def newest(self, standing: Standing[Any]) -> Candidate | None:
        return candidate(standing.newest) if standing.newest else None

    def address(self, number: int) -> str | None:
        found = CACHE.numbered(self.backend, self.name, number)
        return found.url if found else None


_Shelf: TypeAlias = _Models | _Prompts


def is_prompt(backend: Backend, name: str) -> bool:
    """Whether a name is a prompt's: MLflow keeps models and prompts in one list."""
    return model_stages.kind_of(backend, stored_name(name)) == "prompt"


def _shelf(backend: Backend, name: str) -> tuple[_Shelf, Standing[Any]]:
    """Return where a name's versions stand, and how.

    Raises:
        ModelNotFoundError: There is neither a model nor a prompt of this name.
    """
    if not isinstance(name, str) or not name.strip():
        what = f"Model name cannot be empty: {quoted(name)}"
        raise refused(what, "Name a registered model or a prompt.", field="name")
    shelf: _Shelf = _Models(backend, name)
    if is_prompt(backend, name):
        shelf = _Prompts(backend, shown_name(name))
    standing = shelf.standing()
    if standing is None:
        what = f"There is no model and no prompt {quoted(name)} in {backend.safe_uri}."
        raise ModelNotFoundError(what, "See what there is with ModelRegistry().list_models() and PromptModel.list().")
    return shelf, standing


def promote(backend: Backend, name: str, version: object = None, to: object = None, why: str = "") -> Promotion:
    """Promote a version of a model or a prompt by one stage; one that has come as far already stays where it is.

    So the same call again changes nothing, and none puts anything into production that does not say so.

    Args:
        backend: Where it is.
        name: The model or the prompt.
        version: Which one; if left out, to staging the newest, to production the one in staging.
        to: ``staging`` or ``production``; staging if left out.
        why: The reason, for the history.

    Raises:
        ModelNotFoundError: There is no such name or version.
        ModelValidationError: A stage would be skipped, or a later version is there.
        ConflictError: Somebody else changed the stages at the same time.
    """
    check_why(why)
    goal = ModelStage.STAGING if to is None else _goal(to, field="to")
    shelf, standing = _shelf(backend, name)
    chosen = _to_promote(shelf, standing, goal) if version is None else shelf.find(str(version))
    if standing.stage_of(chosen.number) is ModelStage.PRODUCTION:
        goal = ModelStage.PRODUCTION  # where it stays; but what a broken-off change left is cleared up
    moves = stage_moving.promote(shelf, chosen, goal, why)
    return _told(shelf, chosen, goal, moves)


def roll_back(backend: Backend, name: str, to: object = None, stage: object = None, why: str = "") -> Promotion:
    """Take the version out of a stage and put the one before it back.

    Args:
        backend: Where it is.
        name: The model or the prompt.
        to: An earlier version of this stage; the last before this one if left out.
        stage: ``staging`` or ``production``; if left out, production where it has a version, else staging.
        why: The reason, for the history.

    Raises:
        ModelNotFoundError: There is no such name.
        ModelValidationError: The stage has no version, or the other one never was in it.
        ConflictError: Production had no version before, or somebody else changed it at the same time.
    """
    check_why(why)
    wanted = None if stage is None else _goal(stage, field="stage")
    shelf, standing = _shelf(backend, name)
    stages = (wanted,) if wanted else (ModelStage.PRODUCTION, ModelStage.STAGING)
    at = next((s for s in stages if standing.number_in(s)), None)
    number = standing.number_in(at) if at else None
    held = shelf.numbered(number) if number else None
    if at and number and not held and shelf.kind == "prompt":
        what = (
            f"Cannot roll back {shelf.name}: {at.value} has MLflow's version {number}, which has no semantic version."
        )
        raise refused(what, "Take it out with MLflow, or register its text as a version of its own.", field="stage")
    if at is None or held is None:
        where = wanted.value if wanted else "staging or production"
        what = f"Nothing to roll back: {shelf.kind} {shelf.name} has no version in {where}."
        raise refused(what, "See its history with get_history().", field="stage")
    put_back, moves = stage_moving.roll_back(shelf, held, None if to is None else str(to), why)
    return _told(shelf, put_back, at, moves, rollback=True)


def history(backend: Backend, name: str) -> PromptHistory:
    """Return every change of stage of a model's or a prompt's versions, oldest first.

    Raises:
        ModelNotFoundError: There is no such name.
    """
    shelf, standing = _shelf(backend, name)
    return PromptHistory(name=shelf.name, entries=standing.changes)


def _goal(value: object, *, field: str) -> ModelStage:
    stage = parse_stage(value, field=field)
    if stage is ModelStage.DEV:
        what = "A version comes to dev by being registered."
        raise refused(what, "Use staging or production.", field=field)
    return stage


def _to_promote(shelf: _Shelf, standing: Standing[Any], goal: ModelStage) -> Candidate:
    """Return the version that a name alone stands for; the newest may be where it is wanted already."""
    number = standing.number_in(ModelStage.STAGING) if goal is ModelStage.PRODUCTION else None
    chosen = (shelf.numbered(number) if number else None) or shelf.newest(standing)
    if chosen is None:
        what = f"{shelf.kind.capitalize()} {quoted(shelf.name)} has no version."
        raise ModelNotFoundError(what, "Register one first.")
    return chosen


def _told(
    shelf: _Shelf, version: Candidate | None, stage: ModelStage, moves: Sequence[Move], *, rollback: bool = False
) -> Promotion:
    scheme = "models" if shelf.kind == "model" else "prompts"
    return Promotion(
        name=shelf.name,
        kind=shelf.kind,
        version=version.version if version else None,
        stage=stage,
        changes=tuple(move.change for move in moves),
        rollback=rollback,
        uri=f"{scheme}:/{stored_name(shelf.name)}@{stage.value}" if version else None,
        url=shelf.address(version.number) if version else None,
        simulated=shelf.backend.simulated,
    )
