"""How long each version of a prompt was in which stage: one lane of spans for each."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

import altair as alt

from hokusai_nb.plots.contributors import distinct
from hokusai_nb.plots.theme import PALETTE, fitted, thin
from hokusai_nb.schema.prompts import ModelStage

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hokusai_nb.schema.prompts import PromptLineage, PromptVersion, StageChange

__all__ = ["CROWD", "Lane", "Lanes", "Span", "moved", "stage_scale", "told"]

LIMIT = 30
ROOM = 0.04
"""Share of the time that is left free before the first moment and after the last."""
MOMENT = dt.timedelta(hours=1)
"""What is drawn around a single moment."""
LABEL = 16
CROWD = 12
"""So many lanes are drawn close together."""
COLOURS = {ModelStage.DEV: "#949494", ModelStage.STAGING: PALETTE[1], ModelStage.PRODUCTION: PALETTE[0]}
"""Dev is as light as a mark on white may be."""


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A time in one stage."""

    stage: ModelStage
    since: dt.datetime
    until: dt.datetime | None
    """None where it still lasts."""
    change: StageChange | None = None
    """What began it; None for the registration, and for what another client did without a word."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lane:
    """A version with its label and its spans, the last of which still lasts."""

    version: PromptVersion
    label: str
    spans: tuple[Span, ...]

    @property
    def unrecorded(self) -> bool:
        """Whether it is in a stage that its history does not know of."""
        return len(self.spans) > 1 and self.spans[-1].change is None

    def held(self, stage: ModelStage) -> bool:
        """Whether it ever was in a stage."""
        return any(span.stage is stage for span in self.spans)


@dataclasses.dataclass(frozen=True)
class Lanes:
    """The lanes that a picture can show, in order of version, and the ends of their time."""

    drawn: tuple[Lane, ...]
    total: int
    undated: int
    """How many versions have no date, and are left out."""
    start: dt.datetime
    end: dt.datetime

    @classmethod
    def of(cls, lineage: PromptLineage, measured: Collection[str]) -> Lanes | None:
        """Return the lanes of a lineage; None where no version has a date.

        Of many versions the ends and those in a stage come first, then those that were in production, those that
        were in staging, and those that were measured.
        """
        dated = [version for version in lineage.versions if version.created_at is not None]
        if not dated:
            return None
        labels = distinct((fitted(version.version, LABEL) for version in dated), taken=set())
        lanes = [Lane(version, label, _spans(version)) for version, label in zip(dated, labels, strict=True)]
        everything = range(len(lanes))
        tried = [i for i in everything if lanes[i].version.version in measured]
        placed = [i for i in everything if lanes[i].spans[-1].stage is not ModelStage.DEV]
        kept = thin(
            len(lanes),
            LIMIT,
            [0, len(lanes) - 1, *placed, *tried[:1], *tried[-1:]],
            [i for i in everything if lanes[i].held(ModelStage.PRODUCTION)],
            [i for i in everything if lanes[i].held(ModelStage.STAGING)],
            tried,
        )
        moments = [span.since for i in kept for span in lanes[i].spans]
        return cls(tuple(lanes[i] for i in kept), len(lineage), len(lineage) - len(dated), min(moments), max(moments))

    @property
    def stages(self) -> list[ModelStage]:
        """The stages that occur, in order."""
        return [stage for stage in ModelStage if any(lane.held(stage) for lane in self.drawn)]

    @property
    def frame(self) -> tuple[dt.datetime, dt.datetime]:
        """The ends of the axis: some room around the moments that are drawn."""
        room = (self.end - self.start) * ROOM or MOMENT
        return _moved(self.start, -room), _moved(self.end, room)


def _moved(moment: dt.datetime, by: dt.timedelta) -> dt.datetime:
    """Return another moment; a registry may name one so far away that there is none beyond it."""
    try:
        return moment + by
    except OverflowError:
        return moment


def _spans(version: PromptVersion) -> tuple[Span, ...]:
    """Return the spans of a version without gaps; clocks that differ never lead back in time."""
    assert version.created_at is not None
    begins: list[tuple[ModelStage, dt.datetime, StageChange | None]] = [(ModelStage.DEV, version.created_at, None)]
    for change in version.history:
        begins.append((change.to_stage, max(change.when, begins[-1][1]), change))
    if begins[-1][0] is not version.stage:
        begins.append((version.stage, begins[-1][1], None))
    ends = [since for _, since, _ in begins[1:]]
    return tuple(
        Span(stage, since, until, change) for (stage, since, change), until in zip(begins, [*ends, None], strict=True)
    )


def moved(versions: Sequence[PromptVersion]) -> tuple[int, int]:
    """Return how many promotions there were, and how many rollbacks.

    What is changed at once has the same moment. Where a version leaves a stage that an earlier one enters, or
    nothing does, it is rolled back.
    """
    changes = [(i, change) for i, version in enumerate(versions) for change in version.history]
    entered: dict[tuple[dt.datetime, ModelStage], int]
    entered = {(c.when, c.to_stage): i for i, c in changes if c.to_stage is not ModelStage.DEV}
    left = {(c.when, c.from_stage): i for i, c in changes if c.to_stage is ModelStage.DEV}
    back = [key for key, i in left.items() if entered.get(key, -1) < i]
    return len(entered) - sum(key in entered for key in back), len(back)


def stage_scale(stages: Sequence[ModelStage]) -> alt.Scale:
    """Return the colours of stages."""
    return alt.Scale(domain=[stage.value for stage in stages], range=[COLOURS[stage] for stage in stages])


def told(when: dt.datetime) -> str:
    """Return a moment as a tooltip says it."""
    return f"{when:%Y-%m-%d %H:%M} UTC"
