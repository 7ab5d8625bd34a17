"""What may follow what among stages: the same rules for prompts and for models."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow.stages import Move
from hokusai_nb.config import acting_user
from hokusai_nb.core.prompt_rules import refused
from hokusai_nb.errors import ConflictError
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.prompts import ModelStage, StageChange

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.stages import Standing

__all__ = ["Candidate", "check_why", "earlier_holders", "promotion", "rolled_back"]

LONGEST_WHY = 1000
"""Characters of a reason."""
LONGEST_STORED = 2000
"""Characters that a reason may take up in the history: every database can hold an entry with it."""
LONGEST_WHO = 100
"""Characters of a user's name that are written down."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registered version that goes from stage to stage."""

    name: str
    """As its users write it."""
    version: str
    """Semantic version of a prompt, registry version of a model."""
    number: int
    """MLflow's number."""
    rank: Any
    """Compares as the versions of one name do: the later one is greater."""


def check_why(why: object) -> str:
    """Return the reason for a change of stage.

    Raises:
        ModelValidationError: It is no text that can be stored, or too long.
    """
    if not isinstance(why, str) or "\0" in why or not _is_unicode(why):
        what = f"A reason must be text: {quoted(why)}"
        raise refused(what, "Leave out what is no character, or give it as a string.", field="why")
    if len(why) > LONGEST_WHY:
        what = f"The reason has {len(why):,} characters; {LONGEST_WHY:,} is the most."
        raise refused(what, "Say it in fewer words.", field="why")
    if (stored := len(json.dumps(why, ensure_ascii=False)) - 2) > LONGEST_STORED:
        what = f"The reason takes up {stored:,} characters as it is stored; {LONGEST_STORED:,} is the most."
        raise refused(what, "Leave out its control characters, of which each takes up six.", field="why")
    return why


def _is_unicode(text: str) -> bool:
    """Whether it can be written down: halves of surrogate pairs cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def promotion(
    standing: Standing[Any], version: Candidate, to: ModelStage, holder: Candidate | None, why: str
) -> list[Move]:
    """Return the moves that put a version into a stage; none where it is there already.

    Args:
        standing: How the name stands.
        version: What is promoted; it is registered.
        to: ``staging`` or ``production``.
        holder: The version that the stage points at now.
        why: The reason.

    Raises:
        ModelValidationError: ``Cannot promote directly from dev to production``, it would go back, or
            an earlier version would follow a later one.
    """
    at = standing.stage_of(version.number)
    if at is to:
        return []
    if at is ModelStage.DEV and to is ModelStage.PRODUCTION:
        what = f"Cannot promote directly from dev to production: {version.name} {version.version}"
        raise refused(what, "Promote it to staging first.", field="stage")
    if at is ModelStage.PRODUCTION:
        what = f"Cannot promote {version.name} {version.version} from production to {to.value}."
        raise refused(what, "Go back to the version before it by a rollback.", field="stage")
    if holder and holder.rank > version.rank:
        what = f"Cannot promote {version.name} {version.version}: {to.value} has {holder.version}, which is later."
        raise refused(what, "Go back to an earlier version by a rollback.", field="stage")
    return _moves(version, at, to, holder, why)


def earlier_holders(standing: Standing[Any], stage: ModelStage) -> list[Move]:
    """Return the moves that brought versions into a stage, oldest first, as far as one can go back to them.

    What was rolled back is left out, what could not be carried out, and what was in staging before a version
    that went on to production.
    """
    stack: list[Move] = []
    for entry in standing.carried_out:
        entered = next((move for move in entry if move.change.to_stage is stage), None)
        if entered:
            held = [earlier.number for earlier in stack]
            # Going back takes away all that came after.
            stack = stack[: held.index(entered.number)] if entered.number in held else stack
            stack.append(entered)
        elif any(move.change.from_stage is stage for move in entry):
            stack = []  # gone on to production, or the last one that could be gone back to was taken out
    return stack


def rolled_back(standing: Standing[Any], version: Candidate, to: Candidate | None, why: str) -> list[Move]:
    """Return the moves that put an earlier version into the stage of one that is taken out of it.

    Args:
        standing: How the name stands.
        version: What is taken out.
        to: What takes its place; None where there is nothing: staging is empty then, production never.
        why: The reason.

    Raises:
        ModelValidationError: The version is in dev, so in no stage to be taken out of.
        ConflictError: Production had no version before.
    """
    stage = standing.stage_of(version.number)
    if stage is ModelStage.DEV:
        what = f"Cannot roll back {version.name} {version.version}: it is in dev."
        raise refused(what, "Only a version in staging or production can be taken out of it.", field="stage")
    if to is None and stage is ModelStage.STAGING:
        return _moves(version, stage, ModelStage.DEV, None, why)
    if to is None:
        what = f"Cannot roll back {version.name} {version.version}: {stage.value} had no version before it."
        raise ConflictError(what, "Register and promote a later version that is right.")
    at = standing.stage_of(to.number)
    return _moves(to, at, stage, version, why or f"rolled back from {version.version}")


def _moves(version: Candidate, at: ModelStage, to: ModelStage, holder: Candidate | None, why: str) -> list[Move]:
    # A name from the environment may hold anything.
    who = "".join(c for c in acting_user() if c.isprintable())[:LONGEST_WHO] or "unknown"
    when = dt.datetime.now(dt.UTC)
    moved = [(version, at, to, why)]
    if holder and holder.number != version.number:
        moved.append((holder, to, ModelStage.DEV, f"replaced by {version.version}"))
    return [_move(one, begin, end, who, when, reason) for one, begin, end, reason in moved]


def _move(version: Candidate, begin: ModelStage, end: ModelStage, who: str, when: dt.datetime, why: str) -> Move:
    change = StageChange(version=version.version, from_stage=begin, to_stage=end, who=who, when=when, why=why)
    return Move(change, version.number)
