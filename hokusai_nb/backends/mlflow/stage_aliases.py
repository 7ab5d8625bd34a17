"""The aliases of a registered name after its history, and its history after what the aliases can be."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from hokusai_nb.backends.mlflow.prompts import registry_of
from hokusai_nb.backends.mlflow.stages import Move, Standing, Subject, written
from hokusai_nb.config import acting_user
from hokusai_nb.errors import ConnectionFailedError, HokusaiError, NotFoundError, RegistryBusyError
from hokusai_nb.log import logger
from hokusai_nb.schema.prompts import ModelStage, StageChange

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NOT_NOW", "delete_tag", "entry_key", "follow", "set_tag", "take_back"]

V = TypeVar("V")

NOT_NOW = (ConnectionFailedError, RegistryBusyError)
"""What says nothing of whether a call was carried out, or could be a little later."""
LOOKS = 5
"""How often aliases are set anew where somebody else sets them, too."""


def entry_key(subject: Subject[Any], number: int) -> str:
    """Return a key for an entry of the history that nobody else has, so that who writes late overwrites nothing."""
    return f"{subject.history}{number:06d}.{uuid.uuid4().hex[:8]}"


def follow(subject: Subject[V], moves: Sequence[Move]) -> Standing[V]:
    """Have the aliases of the stages that were changed say what the history says, and return how things stand then.

    They are looked at after each time that they are set, for others may set them, too.
    """
    for _ in range(LOOKS):
        seen = subject.look()
        if seen is None:
            what = f"{subject.name} was deleted."
            raise NotFoundError(what, "Register it again.")
        due = {stage: seen.due(stage) for stage in _touched(moves)}
        wrong = [stage for stage, number in due.items() if seen.number_in(stage) != number]
        if not wrong:
            return seen
        # Entered before left, so that a version that goes from one to the other is always in one.
        for stage in sorted(wrong, key=lambda stage: due[stage] is None):
            _point(subject, stage, due[stage])
    what = f"The stages of {subject.name} are being changed by somebody else all the time."
    raise RegistryBusyError(what, "Look at its history, and try again.")


def take_back(subject: Subject[Any], number: int, moves: Sequence[Move]) -> None:
    """Put the aliases back as far as possible, and say in a further entry where the versions are in truth.

    Args:
        subject: What is changed.
        number: The entry of the history that cannot be carried out; if it is not there, nothing is done.
        moves: What it says.
    """
    seen = subject.look()
    if seen is None or seen.last_entry != number:
        return
    before = {move.change.from_stage: move.number for move in moves}
    for stage in _touched(moves):
        if seen.number_in(stage) != before.get(stage):
            try:
                _point(subject, stage, before.get(stage))
            except NOT_NOW:
                raise
            except HokusaiError as error:
                logger.warning("The stage %s of %s stays as it is: %s", stage.value, subject.name, error.what)
    seen = subject.look() or seen
    told = [(move, seen.stage_of(move.number)) for move in moves]
    whole = all(at is move.change.from_stage for move, at in told)
    entry = [_back(move, at, number if whole else 0) for move, at in told if at is not move.change.to_stage]
    if entry:
        set_tag(subject, entry_key(subject, number + 1), written(entry))


def _back(move: Move, at: ModelStage, undoes: int) -> Move:
    change = StageChange(
        version=move.change.version,
        from_stage=move.change.to_stage,
        to_stage=at,
        who=acting_user(),
        when=dt.datetime.now(dt.UTC),
        why="undone: MLflow refused it",
    )
    return Move(change, move.number, undoes)


def _touched(moves: Sequence[Move]) -> list[ModelStage]:
    named = {stage for move in moves for stage in (move.change.from_stage, move.change.to_stage)}
    return sorted(named - {ModelStage.DEV})


def _point(subject: Subject[Any], stage: ModelStage, number: int | None) -> None:
    with subject.backend.calling() as client:
        if number is None:
            registry_of(client).delete_registered_model_alias(subject.stored, stage.value)
        else:
            registry_of(client).set_registered_model_alias(subject.stored, stage.value, str(number))


def set_tag(subject: Subject[Any], key: str, text: str) -> None:
    """Set a tag of a registered name."""
    with subject.backend.calling() as client:
        registry_of(client).set_registered_model_tag(subject.stored, key, text)


def delete_tag(subject: Subject[Any], key: str) -> None:
    """Delete a tag of a registered name; one that is not there does no harm."""
    with subject.backend.calling() as client:
        registry_of(client).delete_registered_model_tag(subject.stored, key)
