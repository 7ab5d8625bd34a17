"""What may follow what: versions of a prompt, and the stages they go through."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow.prompt_stages import Move
from hokusai_nb.config import acting_user
from hokusai_nb.errors import ConflictError, ModelValidationError
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompts import ModelStage, StageChange
from hokusai_nb.schema.templates import parse_template, variables_of
from hokusai_nb.schema.versioning import is_enough, least_step, next_version, parse_version, step_between

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.prompt_stages import Standing
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.schema.versioning import Bump

__all__ = [
    "FIRST",
    "check_follows",
    "check_why",
    "earlier_holders",
    "parse_stage",
    "promotion",
    "proposed",
    "refused",
    "rolled_back",
]

FIRST = "1.0.0"
"""Version that is proposed for a prompt that has none."""
LONGEST_WHY = 1000
"""Characters of a reason: every database can hold an entry of the history with it."""


def refused(what: str, hint: str = "", repair: str | None = None, *, field: str) -> ModelValidationError:
    """Return the error for one field that is wrong."""
    return ModelValidationError([Problem(field=field, what=what, hint=hint, repair=repair)])


def parse_stage(value: object, *, field: str = "stage") -> ModelStage:
    """Return the stage that a word names.

    Raises:
        ModelValidationError: It names none.
    """
    try:
        return ModelStage(value.lower() if isinstance(value, str) else value)  # type: ignore[arg-type]
    except ValueError:
        what = f"There is no stage {quoted(value)}."
        raise refused(what, "Use dev, staging or production.", field=field) from None


def check_why(why: object) -> str:
    """Return the reason for a change of stage.

    Raises:
        ModelValidationError: It is no text, or too long.
    """
    if not isinstance(why, str) or "\0" in why:
        what = f"A reason must be text: {quoted(why)}"
        raise refused(what, field="why")
    if len(why) > LONGEST_WHY:
        what = f"The reason has {len(why):,} characters; {LONGEST_WHY:,} is the most."
        raise refused(what, field="why")
    return why


# Versions


def proposed(last: PromptVersion | None, template: str, bump: Bump | None) -> str:
    """Return the version that follows: by a step, or by the smallest one that the change warrants."""
    if last is None:
        return FIRST
    return next_version(last.version, bump or _warranted(last, template))


def _warranted(last: PromptVersion, template: str) -> Bump:
    # Another client may have stored a text that is no template of ours; nothing can be said of its variables.
    if not variables_of(last.template) and "{" in last.template:
        return "major"
    return least_step(parse_template(last.template), parse_template(template))


def check_follows(last: PromptVersion | None, wanted: PromptVersion, *, allow_breaking: bool) -> None:
    """Refuse a version that is not above the last one, or whose step says less than the change means.

    Raises:
        ModelValidationError: It is refused; the repair is a version that would do.
    """
    if last is None:
        return
    if parse_version(wanted.version) <= parse_version(last.version):
        repair = proposed(last, wanted.template, None)
        what = f"Version {wanted.version} of {wanted.name} is not above {last.version}, the newest."
        raise refused(what, f"Did you mean {repair}?", repair, field="version")
    if allow_breaking:
        return
    step, least = step_between(last.version, wanted.version), _warranted(last, wanted.template)
    # A first pre-release of 2.0.0 differs from 1.4.0 in its major part, as 2.0.0 does.
    if not is_enough(step, least):
        repair = next_version(last.version, least)
        what = (
            f"The change from {last.version} to {wanted.version} of {wanted.name} is {least}, "
            f"and the step of its version is {step}: {_reason(last, wanted, least)}."
        )
        raise refused(what, f"Did you mean {repair}? Or allow it with allow_breaking=True.", repair, field="version")


def _reason(last: PromptVersion, wanted: PromptVersion, least: Bump) -> str:
    before, after = last.variables, wanted.variables
    gone = [name for name in before if name not in after]
    if least == "major":
        return f"callers still pass {', '.join(gone)}" if gone else "its last template cannot be read"
    new = [name for name in after if name not in before]
    return f"callers have to pass {', '.join(new)}" if new else "its text differs"


# Stages


def promotion(
    standing: Standing, version: PromptVersion, to: ModelStage, holder: PromptVersion | None, why: str
) -> list[Move]:
    """Return the moves that put a version into a stage; none where it is there already.

    Args:
        standing: How the prompt stands.
        version: What is promoted; it is registered.
        to: ``staging`` or ``production``.
        holder: The version that the stage points at now.
        why: The reason.

    Raises:
        ModelValidationError: ``Cannot promote directly from dev to production``, it would go back, or
            an earlier version would follow a later one.
    """
    assert version.mlflow_version is not None
    at = standing.stage_of(version.mlflow_version)
    if at is to:
        return []
    if at is ModelStage.DEV and to is ModelStage.PRODUCTION:
        what = f"Cannot promote directly from dev to production: {version.name} {version.version}"
        raise refused(what, "Promote it to staging first.", field="stage")
    if at is ModelStage.PRODUCTION:
        what = f"Cannot promote {version.name} {version.version} from production to {to.value}."
        raise refused(what, "Go back to the version before it with rollback().", field="stage")
    if holder and parse_version(holder.version) > parse_version(version.version):
        what = f"Cannot promote {version.name} {version.version}: {to.value} has {holder.version}, which is later."
        raise refused(what, "Go back to an earlier version with rollback().", field="stage")
    return _moves(version, at, to, holder, why)


def earlier_holders(standing: Standing, stage: ModelStage) -> list[Move]:
    """Return the moves that brought versions into a stage, oldest first, as far as one can go back to them.

    What was rolled back is left out, and so is what was in staging before a version that went on to production.
    """
    stack: list[Move] = []
    for move in (move for entry in standing.entries.values() for move in entry):
        if move.change.to_stage is stage:
            held = [earlier.number for earlier in stack]
            # Going back takes away all that came after.
            stack = stack[: held.index(move.number)] if move.number in held else stack
            stack.append(move)
        elif move.change.from_stage is stage and move.change.to_stage is ModelStage.PRODUCTION:
            stack = []
    return stack


def rolled_back(standing: Standing, version: PromptVersion, to: PromptVersion | None, why: str) -> list[Move]:
    """Return the moves that put an earlier version into the stage of one that is taken out of it.

    Args:
        standing: How the prompt stands.
        version: What is taken out.
        to: What takes its place; None where there is nothing: staging is empty then, production never.
        why: The reason.

    Raises:
        ModelValidationError: The version is in dev, so in no stage to be taken out of.
        ConflictError: Production had no version before.
    """
    assert version.mlflow_version is not None
    stage = standing.stage_of(version.mlflow_version)
    if stage is ModelStage.DEV:
        what = f"Cannot roll back {version.name} {version.version}: it is in dev."
        raise refused(what, "Load the version to take back: PromptModel.load_from_registry(…, stage=…).", field="stage")
    if to is None and stage is ModelStage.STAGING:
        return _moves(version, stage, ModelStage.DEV, None, why)
    if to is None:
        what = f"Cannot roll back {version.name} {version.version}: {stage.value} had no version before it."
        raise ConflictError(what, "Register and promote a later version that is right.")
    assert to.mlflow_version is not None
    at = standing.stage_of(to.mlflow_version)
    return _moves(to, at, stage, version, why or f"rolled back from {version.version}")


def _moves(
    version: PromptVersion, at: ModelStage, to: ModelStage, holder: PromptVersion | None, why: str
) -> list[Move]:
    who, when = acting_user(), dt.datetime.now(dt.UTC)
    moved = [(version, at, to, why)]
    if holder and holder.mlflow_version != version.mlflow_version:
        moved.append((holder, to, ModelStage.DEV, f"replaced by {version.version}"))
    return [_move(one, begin, end, who, when, reason) for one, begin, end, reason in moved]


def _move(version: PromptVersion, begin: ModelStage, end: ModelStage, who: str, when: dt.datetime, why: str) -> Move:
    assert version.mlflow_version is not None
    change = StageChange(version=version.version, from_stage=begin, to_stage=end, who=who, when=when, why=why)
    return Move(change, version.mlflow_version)
