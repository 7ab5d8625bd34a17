"""The cards of ``%hokusai`` and ``%hokusai_config``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydantic

from hokusai_nb.schema.display import Shown, grid
from hokusai_nb.schema.metrics import find_metric
from hokusai_nb.schema.runs import RunFacts, RunModel

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["OverviewCard", "Setting", "SettingsCard", "ShellOverview"]

SHOWN_FACTS = 8


class OverviewCard(Shown, frozen=True):
    """Where registrations go, what the current run is, and what can be typed next."""

    store: str
    """Tracking URI without credentials."""
    chosen_because: str
    """Why it is that one."""
    tokens: str = ""
    """The token store, without credentials."""
    trouble: str = ""
    """Why the store could not be asked; empty where all is well."""
    run: RunFacts | None = None
    """The current run; None where there is none, or where it could not be fetched."""
    models: tuple[RunModel, ...] = ()
    """What the run holds, newest first."""

    @property
    def next_steps(self) -> tuple[str, ...]:
        """Lines to type next; a metric of the run stands in them only if it is in the catalogue."""
        metric = next((name for name in (self.run.metrics if self.run else ()) if find_metric(name)), "accuracy")
        how = f"hokusai_register my-model --token MSG-AI --metric {metric}"
        line = how if self.models else f"{how} --model VARIABLE"
        first = f"%{line}" if self.run and self.run.status in ("RUNNING", "FINISHED") else f"%%{how}"
        return (first, "%hokusai_models", "%hokusai_lineage my-model", "%hokusai_register --help")

    def _grid(self) -> tuple[Markup, str]:
        rows = [("Writes to", f"{self.store} ({self.chosen_because})")]
        if self.tokens:
            rows.append(("Tokens", self.tokens))
        if self.trouble:
            rows.append(("Trouble", self.trouble))
        rows += self._about_run()
        rows += [("" if place else "Next", line) for place, line in enumerate(self.next_steps)]
        return grid("Hokusai", rows)

    def _about_run(self) -> list[tuple[str, str]]:
        if self.run is None:
            return [("Current run", "not known" if self.trouble else "none")]
        return [
            ("Current run", f"{self.run.name}, {self.run.status} ({self.run.run_id})"),
            ("Its metrics", _some([f"{name} = {value!r}" for name, value in self.run.metrics.items()])),
            ("Its models", _some(list(dict.fromkeys(model.name for model in self.models)))),
        ]


class ShellOverview(OverviewCard, frozen=True):
    """The same card for a shell, which has other lines to type next, and no current run."""

    @property
    def next_steps(self) -> tuple[str, ...]:
        """Commands to type next."""
        return (
            "hokusai model register-run my-model --token MSG-AI --metric accuracy --run RUN",
            "hokusai model register --help",
            "hokusai model list",
            "hokusai model lineage my-model",
        )


def _some(items: list[str]) -> str:
    hidden = len(items) - SHOWN_FACTS
    return ", ".join([*items[:SHOWN_FACTS], *([f"and {hidden} more"] if hidden > 0 else [])]) or "none"


class Setting(pydantic.BaseModel, frozen=True):
    """One setting in force."""

    name: str
    value: str
    """As text; a secret is only said to be set."""
    variable: str = ""
    """Environment variable that sets it."""


class SettingsCard(Shown, frozen=True):
    """The settings in force."""

    settings: tuple[Setting, ...]

    def _grid(self) -> tuple[Markup, str]:
        rows = [(s.name, s.value, s.variable) for s in self.settings]
        return grid("Settings", rows, ("Setting", "Value", "Variable"))
