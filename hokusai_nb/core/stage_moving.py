"""Promoting a version and going back: read how things stand, decide, move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from hokusai_nb.core.prompt_rules import refused
from hokusai_nb.core.stage_rules import Candidate, earlier_holders, promotion, rolled_back
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.prompt_names import stored_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hokusai_nb.backends.mlflow.stages import Move, Standing
    from hokusai_nb.schema.prompts import ModelStage

__all__ = ["Shelf", "promote", "roll_back"]


class Shelf(Protocol):
    """The versions of one name in a store; each question is asked anew."""

    @property
    def kind(self) -> Literal["model", "prompt"]:
        """What the versions are of; those of models all have a number that the rules know."""

    def numbered(self, number: int) -> Candidate | None:
        """Return the version that MLflow counts so, or None where it was deleted or has no version of ours."""

    def is_there(self, version: Candidate) -> bool:
        """Whether the version is registered, under the same number of MLflow's."""

    def change(self, decide: Callable[[Standing[Any] | None], Sequence[Move]]) -> None:
        """Move what is decided, from how things stand, while nobody else moves anything."""


def promote(shelf: Shelf, version: Candidate, to: ModelStage, why: str) -> tuple[Move, ...]:
    """Promote a version by one stage and return what was moved; nothing where it is there already.

    Raises:
        ModelValidationError: It is not registered, a stage would be skipped, or a later version is there, or one
            that has no semantic version.
        ConflictError: Somebody else changed the stages at the same time.
    """
    made: list[Move] = []

    def decide(standing: Standing[Any] | None) -> Sequence[Move]:
        if standing is None or not shelf.is_there(version):
            raise _unregistered(version)
        number = standing.number_in(to)
        holder = shelf.numbered(number) if number else None
        made[:] = promotion(standing, version, to, holder, why)
        if made and number and not holder and shelf.kind == "prompt":
            raise _unknown(version, to, number)
        return made

    shelf.change(decide)
    return tuple(made)


def roll_back(shelf: Shelf, version: Candidate, to: str | None, why: str) -> tuple[Candidate | None, tuple[Move, ...]]:
    """Take a version out of its stage and put an earlier one of that stage in its place.

    Returns:
        The one that was put back, None where staging is empty then; and what was moved.

    Raises:
        ModelValidationError: The version is in no stage, or the other one never was in it.
        ConflictError: Production had no version before, or somebody else changed it at the same time.
    """
    made: list[Move] = []
    put_back: list[Candidate | None] = [None]

    def decide(standing: Standing[Any] | None) -> Sequence[Move]:
        if standing is None or not shelf.is_there(version):
            raise _unregistered(version)
        put_back[0] = _before(shelf, standing, version, to)
        made[:] = rolled_back(standing, version, put_back[0], why)
        return made

    shelf.change(decide)
    return put_back[0], tuple(made)


def _unregistered(version: Candidate) -> Exception:
    """Return the error for a version that is not there, or no more."""
    what = f"Model must be registered before promotion: {version.name} {version.version}"
    return refused(what, "Register it first.", field="version")


def _unknown(version: Candidate, stage: ModelStage, number: int) -> Exception:
    """Return the error for a stage that another client gave to a version that the rules know nothing of.

    To displace it would be a step that no rollback takes back.
    """
    what = (
        f"Cannot promote {version.name} {version.version}: {stage.value} has MLflow's version {number}, "
        "which has no semantic version."
    )
    alias = f"mlflow.genai.delete_prompt_alias({stored_name(version.name)!r}, {stage.value!r})"
    hint = f"Nothing could go back to it. Register its text as a version of its own, or take it out: {alias}."
    return refused(what, hint, field="stage")


def _before(shelf: Shelf, standing: Standing[Any], version: Candidate, to: str | None) -> Candidate | None:
    """Return the version that held the stage before, or the given one if it ever did."""
    stage = standing.stage_of(version.number)
    held = [move for move in earlier_holders(standing, stage) if move.number != version.number]
    found = [move for move in held if to is None or move.change.version == to]
    if to is not None and not found:
        what = f"Cannot roll back to {quoted(to)}: it was not in {stage.value} before {version.version}."
        known = ", ".join(dict.fromkeys(move.change.version for move in held))
        raise refused(what, f"Choose one of these: {known}." if known else "No version was.", field="to")
    # One that was deleted since cannot be gone back to; the one before it can.
    versions = ((shelf.numbered(move.number), move.change.version) for move in reversed(found))
    return next((one for one, named in versions if one and one.version == named), None)
