"""How a prompt came about: its versions and their stages over time, and what their runs measured."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import altair as alt

from hokusai_nb.plots.bundle import Plot
from hokusai_nb.plots.improvement import LONGEST
from hokusai_nb.plots.measured import Measured, metric_panel, metrics_of
from hokusai_nb.plots.series import counted, shortest
from hokusai_nb.plots.stages import CROWD, Lanes, moved, stage_scale, told
from hokusai_nb.plots.theme import (
    CARD,
    GREY,
    INK,
    LABEL_SIZE,
    SOFT,
    WIDTH,
    dressed,
    encoded,
    fitted,
    layered,
    rows_of,
    tooltips,
)
from hokusai_nb.schema.events import iso
from hokusai_nb.schema.prompts import ModelStage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hokusai_nb.plots.stages import Lane, Span
    from hokusai_nb.schema.prompt_runs import PromptRun
    from hokusai_nb.schema.prompts import PromptLineage

__all__ = ["prompt_lineage_plot"]

THICKNESS = {ModelStage.DEV: 2, ModelStage.STAGING: 11, ModelStage.PRODUCTION: 11}
STEP, CROWDED_STEP = 26, 17
"""Pixels from lane to lane, with a few versions and with more than `CROWD`."""
VERSION_FACTS = {
    "version": "Version",
    "now": "Stage now",
    "variables": "Variables",
    "parent": "Made from",
    "author": "Author",
    "registered": "Registered",
}
SPAN_FACTS = {
    "version": "Version",
    "stage": "Stage",
    "since": "Since",
    "until": "Until",
    "who": "By",
    "why": "Why",
}
FORMATS = ((60, "%H:%M:%S.%L"), (120, "%H:%M:%S"), (2 * 86_400, "%H:%M"), (2 * 366 * 86_400, "%d %b"))
"""How a time on the axis is written where all of it is shorter than so many seconds."""


def prompt_lineage_plot(lineage: PromptLineage, runs: Sequence[PromptRun] = (), metric: str | None = None) -> Plot:
    """Draw the versions with their stages over time, and below, by version, a metric of the runs that used them.

    Of many versions some 30 are drawn, those in a stage first. The subtitle says what is left out.

    Args:
        lineage: The versions with their transitions.
        runs: Runs that are tagged with one of them.
        metric: Which metric; the one that most versions have if left out.
    """
    name, metrics = fitted(lineage.name, 60), metrics_of(runs)
    wanted = metric if metric is not None else next(iter(metrics), None)
    measured = Measured.of(runs, wanted) if wanted is not None else None
    lanes = Lanes.of(lineage, measured.means if measured else ())
    if lanes is None:
        reason = "no versions" if not lineage.versions else "no version with a date"
        return Plot(None, f"{name} has {reason} yet, so there is nothing to draw.")
    notes = [_outcome(lineage), *_remarks(lanes)]
    if measured:
        notes += [measured.outcome, *_others(metrics, wanted)]
    elif metric is not None:
        notes.append(_not_measured(metric, metrics))
    title = f"Lineage of prompt {name}"
    text = " ".join([f"{title}: {notes[0]}", *notes[1:], *_means(measured)])
    return Plot(dressed(_Picture(lanes, measured).chart(), title, notes, text), text)


def _outcome(lineage: PromptLineage) -> str:
    placed = [
        f"{stage.value} is {fitted(version.version, 20)}"
        for stage in (ModelStage.PRODUCTION, ModelStage.STAGING)
        for version in lineage.versions
        if version.stage is stage
    ]
    where = ", ".join(placed[:4]) or "none in staging or production"
    moves = zip(moved(lineage.versions), ("promotion", "rollback"), strict=True)
    told = ", ".join(counted(n, noun) for n, noun in moves if n)
    return f"{counted(len(lineage.versions), 'version')}: {where}." + (f" {told}." if told else "")


def _remarks(lanes: Lanes) -> list[str]:
    remarks = []
    if len(lanes.drawn) < lanes.total - lanes.undated:
        remarks.append(f"{len(lanes.drawn):,} of {lanes.total:,} versions drawn, among them all that are in a stage.")
    if lanes.undated:
        remarks.append(f"{counted(lanes.undated, 'version')} without a date left out.")
    if unrecorded := sum(lane.unrecorded for lane in lanes.drawn):
        what = f"{counted(unrecorded, 'version')} changed stage without a record: since when is not known."
        remarks.append(what)
    return remarks


def _others(metrics: Sequence[str], drawn: str | None) -> list[str]:
    names = [fitted(name) for name in metrics if name != drawn]
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""  # noqa: PLR2004 - what fits a line
    return [f"Also measured: {', '.join(names[:3])}{more}."] if names else []


def _not_measured(metric: str, metrics: Sequence[str]) -> str:
    known = f"They have: {', '.join(fitted(name) for name in metrics[:5])}." if metrics else "See PromptModel.tag_run."
    return f"No run that is tagged with a version has a value of {fitted(metric, 40)}. {known}"


def _means(measured: Measured | None) -> list[str]:
    if measured is None:
        return []
    means = [f"{fitted(version, 20)} {shortest(mean)}" for version, mean in measured.means.items()]
    return [f"Means: {', '.join(means[:20])}{', …' if len(means) > 20 else ''}."]  # noqa: PLR2004 - as many as one hears


def _version_facts(lane: Lane) -> dict[str, str]:
    version = lane.version
    return {
        "version": lane.label,
        "now": lane.spans[-1].stage.value,
        "variables": fitted(", ".join(version.variables) or "none", LONGEST),
        "parent": fitted(version.parent_version or "–", LONGEST),
        "author": fitted(version.author or "–", LONGEST),
        "registered": told(lane.spans[0].since),
    }


def _span_facts(lane: Lane, span: Span) -> dict[str, str]:
    first = span is lane.spans[0]
    silent = "registered" if first else "set without a record"
    who = (lane.version.author if first else None) if span.change is None else span.change.who
    return {
        "version": lane.label,
        "stage": span.stage.value,
        "since": told(span.since) if span.change or first else "not known",
        "until": "now" if span.until is None else told(span.until),
        "who": fitted(who or "–", LONGEST),
        "why": fitted((span.change.why or "–") if span.change else silent, LONGEST),
    }


@dataclasses.dataclass(frozen=True)
class _Picture:
    """Two panels: the stages over time, and the metric over versions."""

    lanes: Lanes
    measured: Measured | None

    def chart(self) -> alt.VConcatChart:
        below = [metric_panel(self.measured, self.lanes)] if self.measured else []
        return alt.VConcatChart(vconcat=[self._stages(), *below], spacing=30)

    @property
    def _labels(self) -> list[str]:
        return [lane.label for lane in self.lanes.drawn]

    # The stages

    def _stages(self) -> alt.LayerChart:
        step = STEP if len(self.lanes.drawn) <= CROWD else CROWDED_STEP
        thin_bars = [s for s in self.lanes.stages if s is ModelStage.DEV]
        thick_bars = [s for s in self.lanes.stages if s is not ModelStage.DEV]
        layers = [self._origins(), self._bars("waiting", thin_bars), self._bars("stages", thick_bars)]
        layers += [self._registrations(), *self._ends()]
        return layered(*layers, width=WIDTH, height=step * len(self.lanes.drawn))

    def _x(self, field: str = "since_at") -> alt.X:
        start, end = self.lanes.frame
        seconds = (end - start).total_seconds()
        form = next((form for limit, form in FORMATS if seconds < limit), "%b %Y")
        scale = alt.Scale(type="utc", domain=[iso(start), iso(end)], nice=False)
        axis = alt.Axis(format=form, tickCount=6, labelOverlap="greedy", grid=True, domain=False)
        title = f"time, from {told(self.lanes.start)}"
        return alt.X(field, type="temporal", title=title, scale=scale, axis=axis)

    def _y(self, field: str = "lane") -> alt.Y:
        axis = alt.Axis(domain=False, ticks=False, labelColor=INK, labelFontSize=LABEL_SIZE, labelPadding=8)
        return alt.Y(field, type="nominal", title=None, scale=alt.Scale(domain=self._labels), axis=axis)

    def _origins(self) -> alt.Chart:
        """From the version that each was made from, down to it, at the time when it was registered."""
        lanes = {lane.version.version: lane for lane in reversed(self.lanes.drawn)}
        rows = [
            {"since_at": iso(lane.spans[0].since), "lane": lanes[parent].label, "to": lane.label}
            for lane in self.lanes.drawn
            if (parent := lane.version.parent_version) in lanes and parent != lane.version.version
        ]
        rules = rows_of(rows, "origins").mark_rule(color=GREY, strokeWidth=1)
        return encoded(rules, self._x(), self._y(), y2="to:N")

    def _bars(self, name: str, stages: Sequence[ModelStage]) -> alt.Chart:
        """A bar for each time in a stage; what still lasts reaches the right edge."""
        end = iso(self.lanes.frame[1])
        rows = [
            {
                "lane": lane.label,
                "since_at": iso(span.since),
                "until_at": end if span.until is None else iso(span.until),
                **_span_facts(lane, span),
            }
            for lane in self.lanes.drawn
            for span in lane.spans
            if span.stage in stages
        ]
        size = max((THICKNESS[stage] for stage in stages), default=1)
        # The stroke keeps what lasted a moment visible.
        bars = rows_of(rows, name).mark_bar(size=size, opacity=1, strokeWidth=1.5)
        legend = alt.Legend(title=None, symbolType="square", symbolStrokeWidth=0, offset=18)
        scale = stage_scale(self.lanes.stages)
        color, stroke = (
            alt.Color("stage:N", scale=scale, legend=legend),
            alt.Stroke("stage:N", scale=scale, legend=None),
        )
        lasting = encoded(bars, self._x(), self._y(), x2="until_at:T", color=color, stroke=stroke)
        return encoded(lasting, tooltip=tooltips(SPAN_FACTS))

    def _registrations(self) -> alt.Chart:
        rows = [
            {"lane": lane.label, "since_at": iso(lane.spans[0].since), **_version_facts(lane)}
            for lane in self.lanes.drawn
        ]
        dots = rows_of(rows, "versions").mark_point(
            filled=True, size=48, color=SOFT, stroke=CARD, strokeWidth=1, opacity=1
        )
        return encoded(dots, self._x(), self._y(), tooltip=tooltips(VERSION_FACTS))

    def _ends(self) -> list[alt.Chart]:
        """What stage each version is in now, to the right of its lane."""
        rows = [
            {"lane": lane.label, "text": lane.spans[-1].stage.value}
            for lane in self.lanes.drawn
            if lane.spans[-1].stage is not ModelStage.DEV
        ]
        texts = rows_of(rows, "now").mark_text(align="left", baseline="middle", fontWeight=600, color=INK)
        return [encoded(texts, self._y(), x=alt.value(WIDTH + 8), text="text:N")] if rows else []
