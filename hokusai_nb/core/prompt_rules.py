"""What may follow what among the versions of a prompt, and how one speaks of stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.schema.templates import parse_template, variables_of
from hokusai_nb.schema.versioning import is_enough, least_step, next_version, parse_version, step_between

if TYPE_CHECKING:
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.schema.versioning import Bump

__all__ = [
    "FIRST",
    "check_follows",
    "check_why",
    "least_change",
    "parse_stage",
    "proposed",
    "refused",
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


def least_change(last: PromptVersion, wanted: PromptVersion) -> tuple[Bump, str]:
    """Return the smallest step that a change warrants, and why."""
    least = _warranted(last, wanted.template)
    return least, _reason(last, wanted, least)


def _reason(last: PromptVersion, wanted: PromptVersion, least: Bump) -> str:
    before, after = last.variables, wanted.variables
    gone = [name for name in before if name not in after]
    if least == "major":
        return f"callers still pass {', '.join(gone)}" if gone else "its last template cannot be read"
    new = [name for name in after if name not in before]
    return f"callers have to pass {', '.join(new)}" if new else "its text differs"
