"""The prompt form's state at one moment: what is wrong, which version would follow, and why that one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from hokusai_nb.backends.mlflow.prompts import is_same
from hokusai_nb.core.prompt_rules import Line, check_follows, proposed, taken, warranted
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, errors_in
from hokusai_nb.schema.prompt_metadata import check_metadata, recommend_metadata
from hokusai_nb.schema.prompt_names import check_prompt_name
from hokusai_nb.schema.prompts import ModelStage, PromptVersion
from hokusai_nb.schema.templates import check_template, parse_template
from hokusai_nb.schema.versioning import Bump, check_version, is_enough, next_version, step_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hokusai_nb.widgets.prompt_inquiry import Known

__all__ = ["BUMPS", "Entered", "PromptState"]

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


class PromptState:
    """What there is to show of what was entered.

    Args:
        entered: What was put in.
        known: What the registry knows of the prompt; None where that is not known yet.
        refused: What the registry had against just this when it was asked to register it.

    Attributes:
        problems: Everything that is wrong, as far as it is known.
        variables: Those of the template; None where it is not valid.
        least: The smallest step that the change since the last release warrants; None where there was none.
        why: Why it is that step.
        version: The version that would be registered; empty where that is not known.
        follows: The version that follows by the smallest step; empty where that is not known.
        same_as: The registered version that is just this already, or None.
    """

    def __init__(self, entered: Entered, known: Known | None, refused: Iterable[Problem] = ()) -> None:
        self.entered = entered
        self.known = known
        self.line = Line.of(known.versions) if known else Line()
        self.of_name = check_prompt_name(entered.name)
        self.of_template = check_template(entered.template)
        of_version = check_version(entered.version) if entered.version else []
        of_metadata = [*entered.problems, *errors_in(check_metadata(entered.metadata))]
        self.variables = None if self.of_template else parse_template(entered.template).variables
        self.least: Bump | None = None
        self.why = ""
        self.version = entered.version
        self.follows = ""
        self.same_as: PromptVersion | None = None
        self.of_step: list[Problem] = []
        stated = [*self.of_name, *self.of_template, *of_version, *of_metadata]
        if known is not None and not known.trouble and self.variables is not None and not of_version:
            self._decide(known, comparable=not of_metadata)
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys([*stated, *self.of_step, *refused]))

    def _decide(self, known: Known, *, comparable: bool) -> None:
        """Find the version that would be registered, and what is wrong with it."""
        last, entered, release = known.newest, self.entered, self.line.release
        try:
            if release is not None:
                self.least, _, self.why = warranted(release, entered.template)
            self.follows = proposed(self.line, entered.template, None)
            stepped = (
                proposed(self.line, entered.template, cast("Bump", entered.bump)) if entered.bump else self.follows
            )
        except ModelValidationError as error:  # another client wrote its number
            self.of_step = [Problem(field="version", what=f"The newest version cannot be followed: {error.what}")]
            return
        self.version = entered.version or stepped
        if last is None:
            return
        wanted = self.wanted(self.version)
        held = known.version(entered.version) if entered.version else last
        if held and comparable and is_same(held, wanted):
            self.same_as, self.version = held, held.version
            return
        self.of_step = self._version_problems(wanted, held) if entered.version else self._step_problems()

    def _version_problems(self, wanted: PromptVersion, held: PromptVersion | None) -> list[Problem]:
        if held is not None:
            return list(cast("tuple[Problem, ...]", taken(self.line, wanted).problems))
        try:
            check_follows(self.line, wanted, allow_breaking=self.entered.allow_breaking)
        except ModelValidationError as error:
            (found,) = cast("tuple[Problem, ...]", error.problems)
            return [found.model_copy(update={"hint": f"Did you mean {found.repair}?{self._or_allow(wanted)}"})]
        return []

    def _or_allow(self, wanted: PromptVersion) -> str:
        return f" {_ALLOW.capitalize()}" if self._too_small(wanted.version) else ""

    def _step_problems(self) -> list[Problem]:
        if not self.entered.bump or self.entered.allow_breaking or not self._too_small(self.version):
            return []
        assert self.least is not None
        what = f"A {self.entered.bump} step is too small: this change is {self.least}, because {self.why}"
        return [Problem(field="bump", what=what, hint=f"Choose {self.least}, {_ALLOW}", repair=self.least)]

    def _too_small(self, version: str) -> bool:
        release = self.line.release
        if release is None or self.least is None:
            return False
        return not is_enough(step_between(release.version, version), self.least)

    @property
    def breaks(self) -> bool:
        """Whether the step says less than the change means, allowed or not."""
        if self.same_as is not None or not self.version or check_version(self.version):
            return False
        return self._too_small(self.version)

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
        if self.known is None and not self.of_name and not self.entered.template:
            return "Asking the registry for the text of this prompt …"
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
        given = f" {self.entered.version} is the version that was given." if self.entered.version else ""
        release = self.line.release
        aside = release if release is not self.line.newest else None
        change = f"The change since {aside.version}" if aside else "This change"
        return f"{change} is {self.least}: {self.why}{given}"

    def steps(self) -> list[tuple[str, str]]:
        """Return the steps to choose from, each with the version that would follow."""
        last = self.known.newest if self.known else None
        after = {} if last is None or check_version(last.version) else {b: next_version(last.version, b) for b in BUMPS}
        least = (
            f" ({self.least}{f' → {self.follows}' if self.follows else ''})"
            if self.least and self.same_as is None
            else ""
        )
        first = (f"As the change warrants{least}", "")
        return [first, *((f"{bump}{f' → {after[bump]}' if after else ''}", bump) for bump in BUMPS)]

    def advice(self) -> str:
        """Return which recommended metadata is missing."""
        missing = [p.field.rpartition(".")[2] for p in recommend_metadata(self.entered.metadata)]
        return f"Recommended metadata is missing: {', '.join(missing)}." if missing else ""
