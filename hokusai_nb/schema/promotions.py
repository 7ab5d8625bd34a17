"""What a promotion or a rollback did, as a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hokusai_nb.schema.display import SIMULATED, Link, Shown, grid
from hokusai_nb.schema.prompts import ModelStage, StageChange

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Promotion"]


class Promotion(Shown, frozen=True):
    """What a promotion or a rollback moved, and what stands in the stage now."""

    name: str
    kind: Literal["model", "prompt"]
    version: str | None
    """What the stage points at now; None where it is empty after a rollback."""
    stage: ModelStage
    """The stage that was changed."""
    changes: tuple[StageChange, ...]
    """What was moved at once; nothing where the version was in the stage already."""
    rollback: bool = False
    uri: str | None = None
    """Where MLflow loads the stage's version from, such as ``models:/churn@production``."""
    url: str | None = None
    """Page of the version in MLflow's own UI, where a server has one."""
    simulated: bool = False
    """True in mock mode: nothing outlasts the process."""

    @property
    def title(self) -> str:
        """What happened, in one sentence."""
        if self.version is None:
            return f"Rolled back {self.kind} {self.name}: {self.stage.value} is empty"
        if self.rollback:
            return f"Rolled back {self.kind} {self.name}: {self.stage.value} has {self.version} again"
        state = "is in" if not self.changes else "promoted to"
        return f"{self.kind.capitalize()} {self.name} {self.version} {state} {self.stage.value}" + (
            "" if self.changes else " already"
        )

    def _grid(self) -> tuple[Markup, str]:
        head = ("Version", "From", "To", "Who", "When", "Why")
        rows = [
            (c.version, c.from_stage.value, c.to_stage.value, c.who, f"{c.when:%Y-%m-%d %H:%M:%S} UTC", c.why or "–")
            for c in self.changes
        ]
        notes: list[object] = [SIMULATED] if self.simulated else []
        notes += [f"MLflow loads it as {self.uri}"] if self.uri and self.version else []
        notes += [Link(self.url)] if self.url else []
        return grid(self.title, rows, head, notes)
