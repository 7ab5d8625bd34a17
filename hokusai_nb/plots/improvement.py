"""How a model improved: its benchmark over versions, and who gained how much of it."""

from __future__ import annotations

import dataclasses
import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import altair as alt

from hokusai_nb.plots.bundle import Plot
from hokusai_nb.plots.contributors import Contributors, distinct, identity
from hokusai_nb.plots.series import Point, Series, nothing_to_draw, shortest
from hokusai_nb.plots.theme import (
    BAND,
    BAND_INK,
    CARD,
    GREY,
    HEIGHT,
    INK,
    LABEL_SIZE,
    SOFT,
    WIDTH,
    dressed,
    encoded,
    fitted,
    label_width,
    layered,
    rows_of,
    spread,
    tooltips,
)
from hokusai_nb.schema.display import signed, when
from hokusai_nb.schema.values import ARITHMETIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hokusai_nb.schema.records import Lineage, LineageEntry

__all__ = ["FACTS", "HOLE", "LONGEST", "contribution_plot", "improvement_plot", "version_facts"]

NEXT = "next"
"""Stands on the axis after the last version: what a new version has to reach."""
EDGE = 22
"""Pixels between the frame and the first and the last position."""
RING = 75
"""Area of a point with a hole, in square pixels."""
HOLE = 0.4
"""Share of a point's area that is left open where its value is only declared."""
CROWD = 60
"""So many points are drawn small."""
LONGEST = 80
"""Characters of a text in a tooltip."""
FACTS = {
    "version": "Version",
    "value": "Value",
    "contributor": "Contributor",
    "over_parent": "Over parent",
    "over_best": "Over best before",
    "run": "Run",
    "date": "Registered",
}
"""What a tooltip says of a version, with its words."""


def improvement_plot(lineage: Lineage) -> Plot:
    """Draw the benchmark value over versions, with the best so far and what the next DeltaOne takes.

    One metric is drawn, that of the newest version with a measured value; of many versions some 200, among
    them every new best as long as those are fewer. The subtitle says what is left out.
    """
    series = Series.of(lineage)
    if series is None:
        return Plot(None, nothing_to_draw(lineage))
    picture = _Progress(series, series.drawn, Contributors.of([p.entry for p in series.points]))
    title = f"Improvement of {series.model}"
    notes = [series.outcome, *series.remarks]
    text = " ".join([f"{title}: {series.axis_title}.", *notes])
    return Plot(dressed(picture.chart(), title, notes, text), text)


def version_facts(entry: LineageEntry) -> dict[str, str]:
    """Return what a tooltip says of a version, under the keys of `FACTS`; texts of any length come out short."""
    return {
        "version": fitted(entry.version, 20),
        "value": f"{fitted(entry.benchmark_value or '–', LONGEST)}{' (declared)' if entry.is_declared else ''}",
        "contributor": fitted(entry.contributor or "–", LONGEST),
        "over_parent": signed(entry.improvement),
        "over_best": signed(entry.improvement_over_best),
        "run": fitted(entry.run.name if entry.run else entry.run_id or "–", LONGEST),
        "date": when(entry.creation_timestamp) if entry.creation_timestamp else "–",
    }


@dataclasses.dataclass(frozen=True)
class _Progress:
    """The picture of values over versions, layer by layer."""

    series: Series
    drawn: Sequence[Point]
    who: Contributors

    def chart(self) -> alt.LayerChart:
        data = alt.InlineData(values=self._rows(), name="versions")
        layers = [*self._levels(), self._baseline(), self._points(), *self._holes(), self._labels()]
        return layered(*layers, width=WIDTH, height=HEIGHT, data=data)

    def _rows(self) -> list[dict[str, Any]]:
        rows = [
            {
                **version_facts(p.entry),
                "y": self.series.scaled(p.value),
                "who": self.who.label(p.entry),
                "size": self._size(p),
                **({"hole": self._size(p) * HOLE} if p.entry.is_declared else {}),
                **self._levels_at(p.best),
            }
            for p in self.drawn
        ]
        return [*rows, {"version": NEXT, **self._levels_at(self.series.best.value)}] if self.series.metric else rows

    def _levels_at(self, best: Decimal | None) -> dict[str, float]:
        if best is None:
            return {}
        end = self.series.band_end(best)
        levels = {"best": self.series.scaled(best)} if self.series.metric else {}
        return levels if end is None else {**levels, "target": self.series.scaled(end)}

    def _ends(self) -> tuple[float, float]:
        """The ends of the value axis: close around what is drawn, not down to zero."""
        values = [self.series.scaled(p.value) for p in self.drawn]
        best_value = self.series.best.value
        end = self.series.band_end(best_value)
        if end is None:
            return padded(values, 0.08)
        far, best = self.series.scaled(end), self.series.scaled(best_value)
        low, high = padded([*values, far], 0.08)
        # Where the values lie closer together than the band is wide, it takes no more than two thirds.
        room = abs(far - best) / 2
        return (min(low, best - room), high) if far > best else (low, max(high, best + room))

    def _x(self) -> alt.X:
        """Evenly spaced, whatever the versions' numbers, with as many of them as fit."""
        names = [fitted(p.entry.version, 20) for p in self.drawn] + ([NEXT] if self.series.metric else [])
        step = (WIDTH - 2 * EDGE) / max(len(names) - 1, 1)
        every = 1 + int(max(map(label_width, names)) / step)
        axis = alt.Axis(values=names[::every], labelAngle=0, grid=False)
        scale = alt.Scale(type="point", padding=EDGE / step)
        return alt.X("version:O", title="version", sort=None, scale=scale, axis=axis)

    def _y(self, field: str) -> alt.Y:
        scale = alt.Scale(domain=self._ends(), nice=False, zero=False)
        return alt.Y(field, type="quantitative", title=self.series.axis_title, scale=scale, stack=None)

    def _levels(self) -> list[alt.Chart]:
        """The band up to the next DeltaOne and the line of the best so far; neither without a direction."""
        if self.series.metric is None:
            return []
        line = alt.Chart().mark_line(interpolate="step-after", color=INK, strokeWidth=1.8)
        best = encoded(line, self._x(), self._y("best"))
        if not self.series.is_fraction:
            return [best]
        band = alt.Chart().mark_area(interpolate="step-after", color=BAND, opacity=1, line=False)
        return [encoded(band, self._x(), self._y("best"), y2="target:Q"), best]

    def _baseline(self) -> alt.Chart:
        rows = [{"level": self.series.scaled(self.series.baseline.value)}]
        return encoded(rows_of(rows, "baseline").mark_rule(color=GREY, strokeDash=[5, 4]), self._y("level"))

    def _points(self) -> alt.Chart:
        stroke = 1 if len(self.drawn) <= CROWD else 0.5
        points = alt.Chart().mark_point(filled=True, opacity=1, stroke=CARD, strokeWidth=stroke)
        return encoded(
            points.transform_filter("isValid(datum.y)"),
            self._x(),
            self._y("y"),
            size=alt.Size("size:Q", scale=None),
            color=self.who.color(f"contributor{' (large: a new best)' if self.series.metric else ''}"),
            tooltip=tooltips(FACTS),
        )

    def _holes(self) -> list[alt.Chart]:
        """What makes a ring of the point of a value that is only declared."""
        if not any(p.entry.is_declared for p in self.drawn):
            return []
        holes = alt.Chart().mark_point(filled=True, opacity=1, color=CARD).transform_filter("isValid(datum.hole)")
        size = alt.Size("hole:Q", scale=None)
        return [encoded(holes, self._x(), self._y("y"), size=size, tooltip=tooltips(FACTS))]

    def _size(self, point: Point) -> int:
        """Area in square pixels: large for a new best, with room for a hole where there is one, smaller in a crowd."""
        large = self.series.metric is None or point.gain > 0 or point is self.series.baseline
        return (RING if point.entry.is_declared else 110 if large else 45) // (1 if len(self.drawn) <= CROWD else 2)

    def _labels(self) -> alt.Chart:
        """The names of the levels, to the right of the frame and apart from each other."""
        baseline, best = self.series.baseline, self.series.best
        levels = [("baseline", baseline.value, SOFT)]
        if self.series.metric:
            levels = [("baseline, best", best.value, INK)] if best is baseline else [*levels, ("best", best.value, INK)]
            if self.series.next_target is not None:
                levels.append(("DeltaOne", self.series.next_target, BAND_INK))
        low, high = self._ends()
        gap = (high - low) * (LABEL_SIZE + 4) / HEIGHT
        places = spread([self.series.scaled(v) for _, v, _ in levels], gap)
        rows = [
            {"place": place, "label": f"{name} {shortest(v)}", "colour": colour}
            for (name, v, colour), place in zip(levels, places, strict=True)
        ]
        text = rows_of(rows, "levels").mark_text(align="left", baseline="middle")
        x, color = alt.value(WIDTH + 8), alt.Color("colour:N", scale=None)
        return encoded(text, self._y("place"), x=x, text="label:N", color=color)


def padded(values: Sequence[float], share: float) -> tuple[float, float]:
    """Return the range of the values with some room on both sides, also where they are all equal."""
    low, high = min(values), max(values)
    room = (high - low) * share or abs(high) * 0.05 or 1.0
    return low - room, high + room


def contribution_plot(lineage: Lineage) -> Plot:
    """Draw the way from the baseline to the best so far, one step for what each contributor gained.

    A contributor's step is the sum of how far their versions moved the best so far; versions that
    did not move it count nothing.
    """
    series = Series.of(lineage)
    if series is None:
        return Plot(None, nothing_to_draw(lineage))
    if not series.total_gain:
        return Plot(None, series.no_gain)
    winners = [p for p in series.points if p.gain > 0]
    weights: dict[str | None, Decimal] = {}
    for p in winners:
        weights[identity(p.entry)] = weights.get(identity(p.entry), Decimal(0)) + p.gain
    who = Contributors.of([p.entry for p in series.points], weights)
    steps = _steps(series, winners, who)
    title = f"Who improved {series.model}"
    shares = "; ".join(f"{s['who']} {s['gain']} ({s['share']})" for s in steps)
    notes = [series.outcome, "A bar is how far the contributor's versions moved the best so far.", *series.omissions]
    text = " ".join([f"{title}: {series.axis_title}.", *notes, f"Gains: {shares}."])
    return Plot(dressed(_waterfall(series, steps, who), title, notes, text), text)


def _steps(series: Series, winners: Sequence[Point], who: Contributors) -> list[dict[str, Any]]:
    """Return one row per contributor, in the order of first gains, each starting where the one before ended."""
    by_label: dict[str, list[Point]] = {}
    for point in winners:
        by_label.setdefault(who.label(point.entry), []).append(point)
    toward = 1 if series.best.value > series.baseline.value else -1
    level, rows = series.baseline.value, []
    for label, points in by_label.items():
        gain = sum((p.gain for p in points), Decimal(0))
        start, level = level, ARITHMETIC.add(level, toward * gain)
        people = {identity(p.entry): p.entry.contributor or "–" for p in points}
        rows.append(
            {
                "who": label,
                "contributor": fitted(", ".join(people.values()), LONGEST),
                "start": series.scaled(start),
                "end": series.scaled(level),
                "gain": f"+{shortest(gain)}",
                "share": f"{float(gain / series.total_gain):.0%}",
                "versions": fitted(", ".join(p.entry.version for p in points[:LONGEST]), LONGEST),
            }
        )
    return rows


def _waterfall(series: Series, steps: Sequence[dict[str, Any]], who: Contributors) -> alt.LayerChart:
    """From top to bottom: the baseline, a bar for each contributor, the best; names need no turned head."""
    values = f"baseline {shortest(series.baseline.value)}", f"best {shortest(series.best.value)}"
    first, last = distinct(values, taken=set(who.colours))
    stops = [{"who": first, "end": steps[0]["start"]}, *steps, {"who": last, "end": steps[-1]["end"]}]
    links = [{"who": a["who"], "to": b["who"], "start": a["end"]} for a, b in itertools.pairwise(stops)]
    ends = [{"who": stop["who"], "start": stop["end"]} for stop in (stops[0], stops[-1])]
    y = alt.Y("who:N", title=None, scale=alt.Scale(domain=[s["who"] for s in stops], padding=0.25))
    up = steps[-1]["end"] > steps[0]["start"]
    low, high = padded([stop["end"] for stop in stops], 0.06)
    room = (high - low) * 0.28  # for the words beside the last bar
    scale = alt.Scale(domain=(low, high + room) if up else (low - room, high), nice=False, zero=False)
    x = alt.X("start:Q", title=series.axis_title, scale=scale, axis=alt.Axis(tickCount=6))
    facts = {"contributor": "Contributor", "gain": "Gain", "share": "Share of the gain", "versions": "By version"}
    words = [{"who": s["who"], "start": s["end"], "label": f"{s['gain']}  ({s['share']})"} for s in steps]
    beside: dict[str, Any] = {"align": "left", "dx": 7} if up else {"align": "right", "dx": -7}
    return layered(
        rows_of(links, "links").mark_rule(color=GREY, strokeDash=[3, 3]).encode(x=x, y=y, y2="to:N"),
        rows_of(steps, "steps").mark_bar().encode(x=x, x2="end:Q", y=y, color=who.color(None), tooltip=tooltips(facts)),
        rows_of(ends, "ends").mark_tick(color=INK, thickness=3, opacity=1).encode(x=x, y=y),
        rows_of(words, "gains").mark_text(baseline="middle", **beside).encode(x=x, y=y, text="label:N"),
        width=WIDTH,
        height=34 * len(stops),
    )
