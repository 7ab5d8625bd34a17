"""The prompt form's state at one moment: what is wrong, which version would follow, and why that one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from hokusai_nb.backends.mlflow.prompts import is_same
from hokusai_nb.core.prompt_rules import FIRST, check_follows, proposed
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, errors_in
from hokusai_nb.schema.prompt_metadata import check_metadata, recommend_metadata
from hokusai_nb.schema.prompt_names import check_prompt_name
from hokusai_nb.schema.prompts import ModelStage, PromptVersion
from hokusai_nb.schema.templates import check_template, parse_template
from hokusai_nb.schema.versioning import Bump, check_version, is_enough, least_step, next_version, step_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hokusai_nb.widgets.prompt_inquiry import Known

__all__ = ["BUMPS", "Entered", "PromptState", "explained_step"]

BUMPS: tuple[Bump, ...] = ("patch", "minor", "major")
_ALLOW = "or tick “Allow a breaking change”."


@dataclass(frozen=True)
class Entered:
    """What stands in the form.

    Attributes:
        name: The prompt.
        template: Its text.
        version: The version to register; empty for the one that follows.
        bump: The step of the version; empty for the smallest one that the change warrants.
        metadata: Values by key, typed.
        allow_breaking: Whether a step may say less than the change means.
        texts: Sample values by variable.
        problems: What only the inputs can tell.
    """

    name: str = ""
    template: str = ""
    version: str = ""
    bump: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    allow_breaking: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def explained_step(last: PromptVersion, template: str) -> tuple[Bump, str]:
    """Return the smallest step that a change warrants, and why it is that one.

    Args:
        last: The version before.
        template: The text that follows, valid.
    """
    if check_template(last.template):
        return "major", f"the text of {last.version} is no template, so nothing is known of its variables."
    old, new = parse_template(last.template), parse_template(template)
    least = least_step(old, new)
    gone = [name for name in old.variables if name not in new.variables]
    added = [name for name in new.variables if name not in old.variables]
    match least:
        case "major":
            return least, f"{_listed(gone)} removed or renamed, and callers still pass {_it(gone)}."
        case "minor":
            return least, f"{_listed(added)} new, and callers have to pass {_it(added)}."
        case _:
            return least, "callers go on passing the same variables."


def _listed(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


class PromptState:
    """What there is to show of what was entered.

    Args:
        entered: What was put in.
        known: What the registry knows of the prompt; None where that is not known yet.
        refused: What the registry had against just this when it was asked to register it.

    Attributes:
        problems: Everything that is wrong, as far as it is known.
        variables: Those of the template; None where it is not valid.
        least: The smallest step that the change warrants; None where there is nothing to compare with.
        why: Why it is that step.
        version: The version that would be registered; empty where that is not known.
        same_as: The registered version that is just this already, or None.
    """

    def __init__(self, entered: Entered, known: Known | None, refused: Iterable[Problem] = ()) -> None:
        self.entered = entered
        self.known = known
        self.of_name = check_prompt_name(entered.name)
        self.of_template = check_template(entered.template)
        of_version = check_version(entered.version) if entered.version else []
        of_metadata = [*entered.problems, *errors_in(check_metadata(entered.metadata))]
        self.variables = None if self.of_template else parse_template(entered.template).variables
        self.least: Bump | None = None
        self.why = ""
        self.version = entered.version
        self.same_as: PromptVersion | None = None
        self.of_step: list[Problem] = []
        stated = [*self.of_name, *self.of_template, *of_version, *of_metadata]
        if known is not None and not known.trouble and self.variables is not None and not of_version:
            self._decide(known, comparable=not of_metadata)
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys([*stated, *self.of_step, *refused]))

    def _decide(self, known: Known, *, comparable: bool) -> None:
        """Find the version that would be registered, and what is wrong with it."""
        last, entered = known.newest, self.entered
        if last is None:
            self.version = entered.version or FIRST
            return
        try:
            self.least, self.why = explained_step(last, entered.template)
            follows = next_version(last.version, cast("Bump", entered.bump) if entered.bump else self.least)
        except ModelValidationError as error:  # another client wrote its number
            self.of_step = [Problem(field="version", what=f"The newest version cannot be followed: {error.what}")]
            return
        wanted = self.wanted(entered.version or follows)
        taken = known.version(entered.version) if entered.version else last
        if taken and comparable and is_same(taken, wanted):
            self.same_as, self.version = taken, taken.version
            return
        self.version = wanted.version
        self.of_step = self._version_problems(last, wanted, taken) if entered.version else self._step_problems(last)

    def _version_problems(
        self, last: PromptVersion, wanted: PromptVersion, taken: PromptVersion | None
    ) -> list[Problem]:
        if taken is not None:
            repair = proposed(last, wanted.template, None)
            what = f"Version {wanted.version} is registered already, with other content."
            return [Problem(field="version", what=what, hint=f"Did you mean {repair}?", repair=repair)]
        try:
            check_follows(last, wanted, allow_breaking=self.entered.allow_breaking)
        except ModelValidationError as error:
            (found,) = cast("tuple[Problem, ...]", error.problems)
            return [found.model_copy(update={"hint": f"Did you mean {found.repair}?{self._or_allow(last, wanted)}"})]
        return []

    def _or_allow(self, last: PromptVersion, wanted: PromptVersion) -> str:
        return f" {_ALLOW.capitalize()}" if self._too_small(last, wanted.version) else ""

    def _step_problems(self, last: PromptVersion) -> list[Problem]:
        if not self.entered.bump or self.entered.allow_breaking or not self._too_small(last, self.version):
            return []
        assert self.least is not None
        what = f"A {self.entered.bump} step is too small: this change is {self.least}, because {self.why}"
        return [Problem(field="bump", what=what, hint=f"Choose {self.least}, {_ALLOW}", repair=self.least)]

    def _too_small(self, last: PromptVersion, version: str) -> bool:
        return self.least is not None and not is_enough(step_between(last.version, version), self.least)

    @property
    def breaks(self) -> bool:
        """Whether the step says less than the change means, allowed or not."""
        last = self.known.newest if self.known else None
        if last is None or self.same_as is not None or not self.version or check_version(self.version):
            return False
        return self._too_small(last, self.version)

    def wanted(self, version: str) -> PromptVersion:
        """Return what would be registered under a version."""
        e = self.entered
        return PromptVersion(name=e.name, version=version, template=e.template, metadata=e.metadata)

    @property
    def trouble(self) -> str:
        """Why the registry could not be asked; empty where it could."""
        return self.known.trouble if self.known else ""

    def shown_at(self, key: str) -> Problem | None:
        """Return the problem to show at a field."""
        return next((p for p in self.problems if p.field == key), None)

    # In words

    def standing(self) -> str:
        """Return why the form cannot be sent, or what could not be checked, or that it is ready."""
        if self.problems:
            return f"Register is disabled: {'; '.join(self._reasons())}."
        if self.trouble:
            return f"Not checked against the registry: {self.trouble}"
        if self.known is None:
            return "Ready; asking the registry …"
        if self.same_as is not None:
            return f"Nothing differs from {self.version}: registering is that version."
        return f"Ready to register {self.version}."

    def _reasons(self) -> list[str]:
        labels = {"name": "Name", "template": "Template", "version": "Version"}
        found = [key for key in labels if any(p.field == key for p in self.problems)]
        empty = [labels[key] for key in found if not getattr(self.entered, key).strip()]
        wrong = [labels[key] for key in found if getattr(self.entered, key).strip()]
        if any(p.field.partition(".")[0] == "metadata" for p in self.problems):
            wrong.append("Metadata")
        reasons = [f"fill in {', '.join(empty)}"] if empty else []
        reasons += [f"correct {', '.join(wrong)}"] if wrong else []
        reasons += [f"the step is too small, {self.least} is needed" for p in self.problems if p.field == "bump"]
        told = {*labels, "bump"}
        others = [p for p in self.problems if p.field not in told and p.field.partition(".")[0] != "metadata"]
        return [*reasons, *(p.sentence.rstrip(".") for p in others)]

    def name_note(self) -> str:
        """Return what the registry knows of the name."""
        if self.of_name or self.known is None or self.trouble:
            return ""
        newest = self.known.newest
        if newest is None:
            return "New here: no prompt has this name yet."
        placed = [f"{v.version} in {v.stage.value}" for v in self.known.versions if v.stage is not ModelStage.DEV]
        return f"Its newest version is {newest.version}{'; ' if placed else ''}{', '.join(placed)}."

    def step_note(self) -> str:
        """Return which step the change warrants, and why."""
        if self.known is None or self.trouble or self.variables is None:
            return ""
        if self.known.newest is None:
            return f"The first version is {self.version}."
        if self.same_as is not None or self.least is None:
            return ""
        taken = f" {self.entered.version} is the version that was given." if self.entered.version else ""
        return f"This change is {self.least}: {self.why}{taken}"

    def steps(self) -> list[tuple[str, str]]:
        """Return the steps to choose from, each with the version that would follow."""
        last = self.known.newest if self.known else None
        after = {} if last is None or check_version(last.version) else {b: next_version(last.version, b) for b in BUMPS}
        least = (
            f" ({self.least}{f' → {after[self.least]}' if after else ''})"
            if self.least and self.same_as is None
            else ""
        )
        first = (f"As the change warrants{least}", "")
        return [first, *((f"{bump}{f' → {after[bump]}' if after else ''}", bump) for bump in BUMPS)]

    def advice(self) -> str:
        """Return which recommended metadata is missing."""
        missing = [p.field.rpartition(".")[2] for p in recommend_metadata(self.entered.metadata)]
        return f"Recommended metadata is missing: {', '.join(missing)}." if missing else ""
