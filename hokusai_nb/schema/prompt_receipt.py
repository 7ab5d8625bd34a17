"""What a user is handed after registering a prompt: the version, how far it got, and where to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from hokusai_nb.schema.display import SIMULATED, Link, Shown, card, markup_table, plain_table, printable, shortened
from hokusai_nb.schema.lines import word
from hokusai_nb.schema.prompts import ModelStage, PromptVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PromptReceipt"]

SHOWN_TEMPLATE = 4000
"""Characters of the text; the registry holds all of it."""


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
        if prompt.author:
            rows.append(("Author", prompt.author))
        for change in prompt.history:
            why = f": {change.why}" if change.why else ""
            rows.append((f"To {change.to_stage.value}", f"{change.when:%Y-%m-%d %H:%M} UTC by {change.who}{why}"))
        if prompt.url:
            rows.append(("In MLflow", Link(prompt.url)))
        rows += [("Next" if place == 0 else "", line) for place, line in enumerate(self.next_steps)]
        state = "Registered" if prompt.created else "Already registered"
        cells = [(label, value if isinstance(value, Link) else shortened(value)) for label, value in rows]
        title, notes = shortened(f"{state} {prompt.name} {prompt.version}"), [SIMULATED] if prompt.simulated else []
        return self._card(title, cells, notes)

    def _card(self, title: str, cells: Sequence[tuple[str, object]], notes: Sequence[str]) -> tuple[Markup, str]:
        """Return a table with the template below it; in text each of its lines stands behind a bar."""
        template = shortened(self.prompt.template, SHOWN_TEMPLATE)
        body = Markup("<pre style='white-space:pre-wrap;overflow-wrap:anywhere;margin:.25em 0'>{}</pre>").format(
            template
        )
        lines = [printable(title), plain_table(cells), *(f"| {printable(line)}" for line in template.split("\n"))]
        return card(title, markup_table(cells), body, notes=notes), "\n".join([*lines, *notes])
