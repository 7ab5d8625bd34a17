"""Stages of whatever MLflow registers: its aliases, and the history of who moved them, in tags of the registered name.

An alias can be set by anybody at any time; MLflow does not compare before it sets. So whoever changes a
stage first sets a tag of a key that nobody else has, a claim, and reads all tags back: only one who
reads no other claim goes on. Of two who claim at once, each reads the other's, or one of them reads
before the other wrote, and is the only one that may go on. Then follow the entry in the history, the
aliases, and the claim is deleted. What a process left that died in between is completed by the next.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import pydantic

from hokusai_nb.backends.mlflow.prompts import registry_of, stages_by_number
from hokusai_nb.errors import ConflictError
from hokusai_nb.log import logger
from hokusai_nb.schema.prompts import ModelStage, StageChange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow.entities.model_registry import RegisteredModel

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = ["Move", "Standing", "Subject", "change_stages", "read_standing", "written"]

V = TypeVar("V")

DEAD_SECONDS = 10.0
"""A claim that stands so long was left by a process that died; its owner gives it up after half the time."""
PAUSE_SECONDS = 0.02
GIVE_UP_SECONDS = 30.0


class Move(NamedTuple):
    """A version's change of stage.

    Attributes:
        change: Who moved which version, from where to where.
        number: MLflow's number of that version.
    """

    change: StageChange
    number: int


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

    def number_in(self, stage: ModelStage) -> int | None:
        """Return MLflow's number of the version that a stage points at."""
        return next((number for number, stages in self.stages.items() if stage in stages), None)

    def stage_of(self, number: int) -> ModelStage:
        """Return the furthest stage that points at a version."""
        return max(self.stages.get(number, ()), key=list(ModelStage).index, default=ModelStage.DEV)


def read_standing(found: RegisteredModel, newest: V | None, last_number: int, prefix: str) -> Standing[V]:
    """Return how a registered name stands, from what MLflow says of it.

    Args:
        found: MLflow's answer, with its aliases and tags.
        newest: Its newest version as our record.
        last_number: The highest number that MLflow shows, 0 where there is none.
        prefix: What the keys of our tags begin with.
    """
    history, claim = f"{prefix}history.", f"{prefix}claim."
    entries = {_number(key): _moves(text) for key, text in found.tags.items() if key.startswith(history)}
    return Standing(
        newest=newest,
        last_number=last_number,
        stages=stages_by_number(found.aliases),
        entries={number: entries[number] for number in sorted(entries) if number and entries[number]},
        claims={key: _number(f".{text}") for key, text in found.tags.items() if key.startswith(claim)},
    )


def _number(key: str) -> int:
    digits = key.rpartition(".")[2]
    return int(digits) if digits.isdecimal() else 0


def _moves(text: str) -> tuple[Move, ...]:
    """Return the moves of an entry; none where another client wrote something else there."""
    try:
        return tuple(Move(StageChange.model_validate(told), int(told["mlflow_version"])) for told in json.loads(text))
    except (ValueError, TypeError, KeyError, pydantic.ValidationError):
        logger.warning("An entry in a history of stages cannot be read.")
        return ()


def written(moves: Sequence[Move]) -> str:
    """Return the text of an entry of the history."""
    told: list[dict[str, Any]] = [{**move.change.to_dict(), "mlflow_version": move.number} for move in moves]
    return json.dumps(told, ensure_ascii=False)


def change_stages(subject: Subject[V], decide: Callable[[Standing[V] | None], Sequence[Move]]) -> Standing[V] | None:
    """Move versions from stage to stage, unless somebody else moves some of the same name meanwhile.

    Args:
        subject: What is changed.
        decide: Says from how things stand what to move, nothing or all at once; raises where it cannot be.

    Returns:
        How things stand now.

    Raises:
        ConflictError: Somebody else was first; what they changed is in the message.
    """
    began = seen = subject.look()
    if began is None or seen is None:
        decide(None)
        return None
    claim = _Claim(subject)
    give_up = time.monotonic() + GIVE_UP_SECONDS
    try:
        while time.monotonic() < give_up:
            if seen.last_entry > began.last_entry:
                raise _overtaken(subject.name, seen)
            moves = decide(seen)
            if not moves:
                return seen
            if claim.holds(seen):
                _commit(subject, seen.last_entry + 1, moves)
                break
            claim.wait_or_set(seen)
            seen = subject.look() or seen
        else:
            what = f"The stages of {subject.name} are being changed by somebody else all the time."
            raise ConflictError(what, "Try again later.")
    finally:
        claim.drop()
    return subject.look()


def _overtaken(name: str, seen: Standing[Any]) -> ConflictError:
    told = "; ".join(
        f"{c.version} from {c.from_stage.value} to {c.to_stage.value} by {c.who}"
        for c, _ in seen.entries[seen.last_entry]
    )
    what = f"The stages of {name} were changed by somebody else at the same time: {told}."
    return ConflictError(what, "Nothing else was changed. Look at its history, and try again if it is still wanted.")


class _Claim:
    """The tag that says that a change is under way; of several, one at most is alone."""

    def __init__(self, subject: Subject[Any]) -> None:
        self._subject = subject
        self._key: str | None = None
        self._set_at = 0.0
        self._first_seen: dict[str, float] = {}

    def holds(self, seen: Standing[Any]) -> bool:
        """Whether nobody else claimed before these tags were read, and the claim is fresh."""
        if self._key is None or set(seen.claims) != {self._key}:
            return False
        if time.monotonic() - self._set_at < DEAD_SECONDS / 2:
            return True
        self.drop()
        return False

    def wait_or_set(self, seen: Standing[Any]) -> None:
        """Claim where nobody else does; else give way, unless all others have to, and let them finish."""
        if self._key not in seen.claims:
            self._key = None  # others took it for a dead one's
        rivals = [key for key in seen.claims if key != self._key]
        if not rivals:
            self._set(seen)
            return
        if self._key and min(seen.claims) != self._key:
            self.drop()
        for key in rivals:
            if time.monotonic() - self._first_seen.setdefault(key, time.monotonic()) > DEAD_SECONDS:
                self._bury(key, seen)
        time.sleep(PAUSE_SECONDS * random.uniform(0.5, 2))  # noqa: S311 - no secret

    def _set(self, seen: Standing[Any]) -> None:
        if self._key is None:
            key = f"{self._subject.claim}{uuid.uuid4().hex}"
            self._set_at = time.monotonic()
            self._key = key  # before it is set, so that an interrupt leaves none behind
            with self._subject.backend.calling() as client:
                registry_of(client).set_registered_model_tag(self._subject.stored, key, str(seen.last_entry + 1))

    def drop(self) -> None:
        """Take the claim back, or give it up after the change."""
        key, self._key = self._key, None
        if key is not None:
            self._delete(key)

    def _bury(self, key: str, seen: Standing[Any]) -> None:
        """Remove what a dead process left; if it wrote its entry, the aliases follow that."""
        logger.warning("A change of the stages of %s was broken off; it is cleared up.", self._subject.name)
        if seen.claims[key] == seen.last_entry > 0:
            _point_aliases(self._subject, seen.entries[seen.last_entry])
        self._delete(key)

    def _delete(self, key: str) -> None:
        with self._subject.backend.calling() as client:
            registry_of(client).delete_registered_model_tag(self._subject.stored, key)


def _commit(subject: Subject[Any], entry: int, moves: Sequence[Move]) -> None:
    with subject.backend.calling() as client:
        registry_of(client).set_registered_model_tag(subject.stored, f"{subject.history}{entry:06d}", written(moves))
    _point_aliases(subject, moves)


def _point_aliases(subject: Subject[Any], moves: Sequence[Move]) -> None:
    """Have the aliases say what the moves say; doing it twice does no harm."""
    entered = {move.change.to_stage: move.number for move in moves if move.change.to_stage is not ModelStage.DEV}
    left = {move.change.from_stage for move in moves} - {ModelStage.DEV} - set(entered)
    with subject.backend.calling() as client:
        for stage, number in entered.items():
            registry_of(client).set_registered_model_alias(subject.stored, stage.value, str(number))
        for one in left:
            registry_of(client).delete_registered_model_alias(subject.stored, one.value)
