"""Prompts as records: versions with their stages, lists, lineage and history, frozen and able to show themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pydantic
from markupsafe import Markup, escape

from hokusai_nb.schema.display import (
    SIMULATED,
    Link,
    Shown,
    barred,
    card,
    grid,
    markup_table,
    plain_table,
    printable,
    shortened,
    text_block,
)
from hokusai_nb.schema.entries import SHOWN_ROWS, Entries
from hokusai_nb.schema.events import iso
from hokusai_nb.schema.frozen import FrozenDict
from hokusai_nb.schema.lifecycle import Utc
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.prompt_metadata import Metadata, thawed_json
from hokusai_nb.schema.renderers import OF_PROMPTS, drawn
from hokusai_nb.schema.templates import Template, parse_template, variables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hokusai_nb.schema.prompt_runs import PromptRun

__all__ = ["ModelStage", "PromptHistory", "PromptLineage", "PromptList", "PromptVersion", "StageChange", "text_card"]

SHOWN_TEMPLATE = 4000


class ModelStage(StrEnum):
    """How far a version has come; one version of a name at most is in each of the last two."""

    DEV = "dev"
    STAGING = "staging"
    PRODUCTION = "production"


class StageChange(pydantic.BaseModel, frozen=True, populate_by_name=True, serialize_by_alias=True):
    """One transition of a version: who moved it, when, from where to where, and why."""

    version: str
    """Semantic version that was moved."""
    from_stage: ModelStage = pydantic.Field(alias="from")
    to_stage: ModelStage = pydantic.Field(alias="to")
    who: str
    when: Utc
    why: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return ``version``, ``from``, ``to``, ``who``, ``when`` (ISO 8601, UTC) and ``why``."""
        return {
            "version": self.version,
            "from": self.from_stage.value,
            "to": self.to_stage.value,
            "who": self.who,
            "when": iso(self.when),
            "why": self.why,
        }


class PromptVersion(Shown, frozen=True):
    """One version of a prompt, as it is or would be registered.

    A registry may hold texts that are no templates of ours, because other clients write to it:
    they are kept as they are, and `parsed` refuses them.
    """

    name: str
    """With slashes: ``persona/entrepreneur/hook``."""
    version: str
    """Semantic version."""
    template: str
    stages: tuple[ModelStage, ...] = ()
    """Stages that point at this version; none is the same as dev."""
    metadata: Metadata = FrozenDict()
    """The user's, each value of the type that it was given with."""
    created_at: Utc | None = None
    """None until it is registered."""
    author: str | None = None
    parent_version: str | None = None
    """Version that it was made from."""
    mlflow_version: int | None = None
    """MLflow's own number; None until it is registered."""
    history: tuple[StageChange, ...] = ()
    """Its transitions, oldest first."""
    created: bool = True
    """False where the same version had been registered before and is returned."""
    url: str | None = None
    """Page of this version in MLflow's own UI, where a server has one."""
    simulated: bool = False
    """True in mock mode: nothing outlasts the process."""
    warnings: tuple[Problem, ...] = ()

    @property
    def stage(self) -> ModelStage:
        """The furthest of its stages."""
        order = list(ModelStage)
        return max(self.stages, key=order.index, default=ModelStage.DEV)

    @property
    def registered(self) -> bool:
        """Whether the registry holds it."""
        return self.mlflow_version is not None

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables of the template; none where it is not valid."""
        return variables_of(self.template)

    @property
    def parsed(self) -> Template:
        """The template, ready to render.

        Raises:
            ModelValidationError: It is not valid: some other client wrote it.
        """
        return parse_template(self.template)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that the record says as plain JSON values, which its owner may change."""
        return {
            "name": self.name,
            "version": self.version,
            "template": self.template,
            "variables": list(self.variables),
            "stage": self.stage.value,
            "metadata": thawed_json(self.metadata),
            "created_at": iso(self.created_at) if self.created_at else None,
            "author": self.author,
            "parent_version": self.parent_version,
            "mlflow_version": self.mlflow_version,
            "history": [change.to_dict() for change in self.history],
        }

    def lineage_entry(self) -> FrozenDict[str, Any]:
        """Return what a lineage says of it; ``created_at`` is ISO 8601 in UTC, ``stage`` a word."""
        told = self.to_dict()
        keys = ("version", "created_at", "parent_version", "author", "stage", "mlflow_version")
        return FrozenDict({key: told[key] for key in keys})

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("Stage", self.stage.value), ("Variables", ", ".join(self.variables) or "none")]
        if self.author:
            rows.append(("Author", self.author))
        if self.parent_version:
            rows.append(("Made from", self.parent_version))
        rows += [(key, str(value)) for key, value in self.metadata.items() if key != "author"]
        rows += [("Registered", moment(self))] if self.registered else []
        rows += [("MLflow", self.url)] if self.url else []
        return rows

    def _grid(self) -> tuple[Markup, str]:
        state = "registered" if self.registered else "not registered"
        notes = [SIMULATED] if self.simulated else []
        notes += [f"Warning: {p.sentence}" for p in self.warnings]
        return text_card(f"Prompt {self.name} {self.version} ({state})", self._rows(), self.template, notes)


def moment(version: PromptVersion) -> str:
    """Return when a version was registered, or a dash."""
    return f"{version.created_at:%Y-%m-%d %H:%M} UTC" if version.created_at else "–"


def text_card(
    title: str,
    rows: Sequence[tuple[str, object]],
    text: str,
    notes: Sequence[str] = (),
    *,
    marked: Callable[[str], Markup] = escape,
) -> tuple[Markup, str]:
    """Return a title, rows and a text of several lines, as HTML and as text.

    `marked` makes HTML of the text.
    """
    cells = [(shortened(label), value if isinstance(value, Link) else shortened(value)) for label, value in rows]
    text, title = shortened(text, SHOWN_TEMPLATE), shortened(title)
    notes = [shortened(note) for note in notes]
    lines = [printable(title), plain_table(cells), *barred(text)]
    lines += [printable(note) for note in notes]
    return card(title, markup_table(cells), text_block(marked(text)), notes=notes), "\n".join(lines)


def _notes(versions: Iterable[PromptVersion], hidden: int) -> list[str]:
    notes = [SIMULATED] if any(version.simulated for version in versions) else []
    return [*notes, f"… and {hidden:,} more."] if hidden > 0 else notes


class PromptList(Entries[PromptVersion], frozen=True):
    """Versions of prompts, by name and version."""

    title: str = "Prompts"

    def _grid(self) -> tuple[Markup, str]:
        head = ("Prompt", "Version", "Stage", "Variables", "Author", "Registered")
        rows = [
            (v.name, v.version, v.stage.value, ", ".join(v.variables) or "–", v.author or "–", moment(v))
            for v in self.entries[:SHOWN_ROWS]
        ]
        notes = _notes(self.entries, len(self) - len(rows))
        return grid(self.title, rows, head, notes if rows else [*notes, "Nothing found."])


class PromptHistory(Entries[StageChange], frozen=True):
    """The transitions of a prompt's versions, oldest first."""

    name: str

    def _grid(self) -> tuple[Markup, str]:
        head = ("When", "Version", "From", "To", "Who", "Why")
        shown = self.entries[-SHOWN_ROWS:]
        rows = [
            (f"{c.when:%Y-%m-%d %H:%M:%S} UTC", c.version, c.from_stage.value, c.to_stage.value, c.who, c.why or "–")
            for c in shown
        ]
        notes = [f"The newest {len(rows)} of {len(self):,}."] if len(rows) < len(self) else []
        return grid(f"History of {self.name}", rows, head, notes if rows else ["Nothing has been promoted."])


class PromptLineage(Entries[FrozenDict[str, Any]], frozen=True):
    """All versions of one prompt in order of version.

    Its entries are dictionaries of ``version``, ``created_at``, ``parent_version``, ``author``,
    ``stage`` and ``mlflow_version``; the records themselves are its ``versions``.
    """

    name: str
    versions: tuple[PromptVersion, ...]
    _find_runs: Callable[[], Sequence[PromptRun]] = pydantic.PrivateAttr(default=tuple)

    @classmethod
    def of(
        cls, name: str, versions: Iterable[PromptVersion], find_runs: Callable[[], Sequence[PromptRun]] = tuple
    ) -> PromptLineage:
        """Return the lineage of versions that are in order.

        Args:
            name: The prompt.
            versions: Its versions, each with its stages and its transitions.
            find_runs: Finds the runs that are tagged with one of them; called when a plot needs them.
        """
        versions = tuple(versions)
        made = cls(name=name, versions=versions, entries=tuple(v.lineage_entry() for v in versions))
        made._find_runs = find_runs
        return made

    def plot(self, metric: str | None = None) -> Any:
        """Draw the versions with their stages over time, and below a metric of the runs that are tagged with them.

        Args:
            metric: Name of the metric, as the runs spell it; the one that most versions have if left out.

        Raises:
            ConnectionFailedError: The store of the runs cannot be reached.
        """
        return drawn("lineage", self, self._find_runs(), metric, of=OF_PROMPTS)

    def _grid(self) -> tuple[Markup, str]:
        head = ("Version", "Made from", "Stage", "Variables", "Author", "Registered", "MLflow version")
        shown = self.versions[-SHOWN_ROWS:]
        rows = [
            (
                v.version,
                v.parent_version or "–",
                v.stage.value,
                ", ".join(v.variables) or "–",
                v.author or "–",
                moment(v),
                "–" if v.mlflow_version is None else str(v.mlflow_version),
            )
            for v in shown
        ]
        notes = _notes(self.versions, 0)
        if len(rows) < len(self):
            notes.append(f"The newest {len(rows)} of {len(self):,} versions.")
        return grid(f"Lineage of {self.name}", rows, head, notes if rows else [*notes, "Nothing found."])
