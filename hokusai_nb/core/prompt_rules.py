"""What may follow what among the versions of a prompt, and how one speaks of stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.schema.templates import check_template, parse_template
from hokusai_nb.schema.versioning import (
    is_enough,
    is_prerelease,
    least_step,
    next_version,
    parse_version,
    step_between,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.schema.versioning import Bump

__all__ = [
    "FIRST",
    "Line",
    "Warranted",
    "check_follows",
    "parse_stage",
    "proposed",
    "refused",
    "taken",
    "warranted",
]

FIRST = "1.0.0"
"""Version that is proposed for a prompt that has none."""


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


# Versions


class Line(NamedTuple):
    """The versions of a prompt so far, as far as the next one is judged by them."""

    newest: PromptVersion | None = None
    """What the next one has to be above."""
    release: PromptVersion | None = None
    """The newest that is no pre-release: what callers have now, and so what a change is measured from."""

    @classmethod
    def of(cls, versions: Sequence[PromptVersion]) -> Line:
        """Return it from all versions, in the order in which they were registered."""
        release = next((v for v in reversed(versions) if not is_prerelease(v.version)), None)
        return cls(versions[-1] if versions else None, release)

    def then(self, version: PromptVersion) -> Line:
        """Return it as it is with one version more."""
        return Line(version, self.release if is_prerelease(version.version) else version)


class Warranted(NamedTuple):
    """The smallest step that a change warrants, and why it is that one."""

    step: Bump
    reason: str
    """A clause: ``callers still pass name``."""
    sentence: str
    """The same for whoever chooses the step."""


def warranted(before: PromptVersion, template: str) -> Warranted:
    """Return the smallest step from a version to a valid template.

    Raises:
        ModelValidationError: The template is not valid. The one of the version need not be: other clients store
            what they like, and then nothing is known of its variables.
    """
    after = parse_template(template)
    if check_template(before.template):
        unread = f"the text of {before.version} is no template, so nothing is known of its variables"
        return Warranted("major", unread, f"{unread}.")
    old = parse_template(before.template)
    gone = [name for name in old.variables if name not in after.variables]
    new = [name for name in after.variables if name not in old.variables]
    match least := least_step(old, after):
        case "major":
            told = f"{_are(gone)} removed or renamed, and callers still pass {_it(gone)}."
            return Warranted(least, f"callers still pass {', '.join(gone)}", told)
        case "minor":
            told = f"{_are(new)} new, and callers have to pass {_it(new)}."
            return Warranted(least, f"callers have to pass {', '.join(new)}", told)
    differs = "its text is the same" if before.template == template else "its text differs"
    return Warranted(least, differs, "callers go on passing the same variables.")


def _are(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def proposed(line: Line, template: str, bump: Bump | None) -> str:
    """Return the version that follows: by a step, or by the smallest one that the change warrants.

    A pre-release is followed by the release that it prepares, where that says enough of the change.
    """
    if line.newest is None:
        return FIRST
    newest = line.newest.version
    if bump:
        return next_version(newest, bump)
    least = warranted(line.release, template).step if line.release else "patch"
    if not is_prerelease(newest):
        return next_version(newest, least)
    prepared = next_version(newest, "patch")
    if line.release is None or is_enough(step_between(line.release.version, prepared), least):
        return prepared
    return next_version(newest, least)


def check_follows(line: Line, wanted: PromptVersion, *, allow_breaking: bool) -> None:
    """Refuse a version that is not above the newest, or whose step says less than the change means.

    The step is the one from the last release to the release that the version is or prepares: between the
    pre-releases of one release nothing more is owed, and nothing at all before the first release.

    Raises:
        ModelValidationError: It is refused; the repair is a version that would do.
    """
    last, release = line
    if last is None:
        return
    if parse_version(wanted.version) <= parse_version(last.version):
        repair = proposed(line, wanted.template, None)
        what = f"Version {wanted.version} of {wanted.name} is not above {last.version}, the newest."
        raise refused(what, f"Did you mean {repair}?", repair, field="version")
    if allow_breaking or release is None:
        return
    change, step = warranted(release, wanted.template), step_between(release.version, wanted.version)
    if not is_enough(step, change.step):
        repair = proposed(line, wanted.template, None)
        what = (
            f"The change from {release.version} to {wanted.version} of {wanted.name} is {change.step}, "
            f"and the step of its version is {step}: {change.reason}."
        )
        raise refused(what, f"Did you mean {repair}? Or allow it with allow_breaking=True.", repair, field="version")


def taken(line: Line, wanted: PromptVersion) -> ModelValidationError:
    """Return the error for a version that is registered with other content; the repair is one that would do."""
    repair = proposed(line, wanted.template, None)
    what = f"Version {wanted.version} of {wanted.name} is registered already, with other content."
    return refused(what, f"A version never changes. Did you mean {repair}?", repair, field="version")
