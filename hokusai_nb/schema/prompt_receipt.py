"""What a user is handed after registering a prompt: the version, how far it got, and where to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.schema.display import SIMULATED, Link, Shown
from hokusai_nb.schema.lines import word
from hokusai_nb.schema.prompt_card import author_of
from hokusai_nb.schema.prompts import ModelStage, PromptVersion, text_card

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["PromptReceipt"]


class PromptReceipt(Shown, frozen=True):
    """A registered version of a prompt, its transitions, and the commands to go on with."""

    prompt: PromptVersion
    changes: tuple[str, ...] = ()
    """What differs from the version before it, a sentence for each kind."""

    @property
    def version(self) -> str:
        """Semantic version."""
        return self.prompt.version

    @property
    def stage(self) -> ModelStage:
        """How far it has come."""
        return self.prompt.stage

    @property
    def next_steps(self) -> tuple[str, str]:
        """Two lines to type next, by the stage that it is in."""
        name = word(self.prompt.name)
        match self.stage:
            case ModelStage.DEV:
                return f"%hokusai_promote {name} {self.version} --to staging", f"%hokusai_prompts {name}"
            case ModelStage.STAGING:
                return (
                    f"%hokusai_promote {name} {self.version} --to production",
                    f"%hokusai_rollback {name} --stage staging",
                )
            case _:
                return f"%hokusai_lineage {name}", f"%hokusai_rollback {name} --stage production"

    def _grid(self) -> tuple[Markup, str]:
        prompt = self.prompt
        rows: list[tuple[str, object]] = [
            ("Stage", self.stage.value),
            ("Variables", ", ".join(prompt.variables) or "none"),
        ]
        if prompt.parent_version:
            rows.append(("Made from", prompt.parent_version))
        rows += [("Changes" if place == 0 else "", text) for place, text in enumerate(self.changes)]
        if author := author_of(prompt):
            rows.append(("Author", author))
        for change in prompt.history:
            why = f": {change.why}" if change.why else ""
            rows.append((f"To {change.to_stage.value}", f"{change.when:%Y-%m-%d %H:%M} UTC by {change.who}{why}"))
        if prompt.url:
            rows.append(("In MLflow", Link(prompt.url)))
        rows += [("Next" if place == 0 else "", line) for place, line in enumerate(self.next_steps)]
        state = "Registered" if prompt.created else "Already registered"
        notes = [SIMULATED] if prompt.simulated else []
        return text_card(f"{state} {prompt.name} {prompt.version}", rows, prompt.template, notes)
