"""Stages of whatever MLflow registers: its aliases, and the history of who moved them, in tags of the registered name.

How one changes them is the subject of `hokusai_nb.backends.mlflow.stage_changes`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import pydantic

from hokusai_nb.backends.mlflow.prompts import stages_by_number
from hokusai_nb.log import logger
from hokusai_nb.schema.prompts import ModelStage, StageChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mlflow.entities.model_registry import RegisteredModel

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = ["Move", "Standing", "Subject", "read_standing", "written"]

V = TypeVar("V")

_LONGEST_NUMBER = 9
"""Digits of a number that a tag of ours may hold; what is longer was written by somebody else."""


class Move(NamedTuple):
    """A version's change of stage.

    Attributes:
        change: Who moved which version, from where to where.
        number: MLflow's number of that version.
        undoes: The entry of the history that it takes back, because it could not be carried out; 0 for none.
    """

    change: StageChange
    number: int
    undoes: int = 0


@dataclass(frozen=True, slots=True)
class Subject(Generic[V]):
    """A registered name whose versions go from stage to stage."""

    backend: Backend
    name: str
    """As its users write it."""
    stored: str
    """As MLflow does."""
    prefix: str
    """What the keys of our tags begin with."""
    look: Callable[[], Standing[V] | None]
    """Asks how it stands; None where it is not there."""

    @property
    def history(self) -> str:
        """What the keys of the entries of its history begin with."""
        return f"{self.prefix}history."

    @property
    def claim(self) -> str:
        """What the keys of changes under way begin with."""
        return f"{self.prefix}claim."


@dataclass(frozen=True, slots=True)
class Standing(Generic[V]):
    """How a registered name stands: its newest version, what each stage points at, and what was moved so far."""

    newest: V | None
    """The newest version, of prompts the newest of ours; without its stages."""
    last_number: int
    """The highest number that MLflow shows, 0 where there is none."""
    stages: Mapping[int, tuple[ModelStage, ...]]
    """Stages by MLflow's number; a version that is not in it is in dev."""
    entries: Mapping[int, tuple[Move, ...]] = field(default_factory=dict)
    """The history in order: what was moved at once, by a count from 1."""
    claims: Mapping[str, int] = field(default_factory=dict)
    """Changes under way: which entry each of them would write, by the key of its tag."""

    @property
    def last_entry(self) -> int:
        """The number of the newest entry of the history, 0 where there is none."""
        return max(self.entries, default=0)

    @property
    def changes(self) -> tuple[StageChange, ...]:
        """Every transition, oldest first."""
        return tuple(move.change for entry in self.entries.values() for move in entry)

    @property
    def carried_out(self) -> tuple[tuple[Move, ...], ...]:
        """The history without what could not be carried out, and without what takes that back."""
        undone = {move.undoes for entry in self.entries.values() for move in entry}
        entries = ((n, entry) for n, entry in self.entries.items() if n not in undone)
        return tuple(entry for _, entry in entries if not any(move.undoes for move in entry))

    @property
    def moved(self) -> frozenset[str]:
        """The versions whose stage was ever changed."""
        return frozenset(move.change.version for entry in self.carried_out for move in entry)

    def number_in(self, stage: ModelStage) -> int | None:
        """Return MLflow's number of the version that a stage points at."""
        return next((number for number, stages in self.stages.items() if stage in stages), None)

    def stage_of(self, number: int) -> ModelStage:
        """Return the furthest stage that points at a version."""
        return max(self.stages.get(number, ()), key=list(ModelStage).index, default=ModelStage.DEV)

    def due(self, stage: ModelStage) -> int | None:
        """Return MLflow's number of the version that the history has in a stage."""
        number = None
        for entry in self.entries.values():
            if any(move.change.from_stage is stage for move in entry):
                number = None
            number = next((move.number for move in reversed(entry) if move.change.to_stage is stage), number)
        return number


def read_standing(found: RegisteredModel, newest: V | None, last_number: int, prefix: str) -> Standing[V]:
    """Return how a registered name stands, from what MLflow says of it.

    Args:
        found: MLflow's answer, with its aliases and tags.
        newest: Its newest version as our record.
        last_number: The highest number that MLflow shows, 0 where there is none.
        prefix: What the keys of our tags begin with.
    """
    history, claim = f"{prefix}history.", f"{prefix}claim."
    told = {key.removeprefix(history): text for key, text in found.tags.items() if key.startswith(history)}
    return Standing(
        newest=newest,
        last_number=last_number,
        stages=stages_by_number(found.aliases),
        entries=_entries((_number(key.partition(".")[0]), _moves(text)) for key, text in told.items()),
        claims={key: _number(text) for key, text in found.tags.items() if key.startswith(claim)},
    )


def _entries(told: Iterable[tuple[int, tuple[Move, ...]]]) -> dict[int, tuple[Move, ...]]:
    """Return the entries in order; of two of the same number, the one that was decided first comes first."""
    readable = [(number, moves) for number, moves in told if number and moves]
    found: dict[int, tuple[Move, ...]] = {}
    for number, moves in sorted(readable, key=lambda entry: (entry[0], entry[1][0].change.when)):
        found[number] = (*found.get(number, ()), *moves)
    return found


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER else 0


def _moves(text: str) -> tuple[Move, ...]:
    """Return the moves of an entry; none where another client wrote something else there."""
    try:
        return tuple(
            Move(StageChange.model_validate(told), int(told["mlflow_version"]), int(told.get("undoes", 0)))
            for told in json.loads(text)
        )
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        pydantic.ValidationError,
    ):
        logger.warning("An entry in a history of stages cannot be read.")
        return ()


def written(moves: Sequence[Move]) -> str:
    """Return the text of an entry of the history."""
    return json.dumps([_told(move) for move in moves], ensure_ascii=False)


def _told(move: Move) -> dict[str, Any]:
    told = {**move.change.to_dict(), "mlflow_version": move.number}
    return {**told, "undoes": move.undoes} if move.undoes else told
