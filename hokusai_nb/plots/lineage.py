"""Where a model comes from: its versions and branches, their runs, data sets, contributors and aliases."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import altair as alt

from hokusai_nb.plots.bundle import Plot
from hokusai_nb.plots.contributors import Contributors, identity
from hokusai_nb.plots.graph import Graph
from hokusai_nb.plots.improvement import FACTS, HOLE, LONGEST, version_facts
from hokusai_nb.plots.layout import RUNS, Layout
from hokusai_nb.plots.series import Series, counted, declared_in_words, nothing_to_draw, shortest
from hokusai_nb.plots.theme import (
    CARD,
    FAINT,
    GREY,
    INK,
    SOFT,
    dressed,
    encoded,
    fitted,
    label_width,
    layered,
    rows_of,
    tooltips,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hokusai_nb.schema.records import Dataset, Lineage, LineageEntry

__all__ = ["lineage_plot"]

DISC = 190
"""Area of a version, in square pixels."""
VERSION_FACTS = {**FACTS, "metric": "Metric", "parent": "Made from", "aliases": "Aliases", "datasets": "Data sets"}


def lineage_plot(lineage: Lineage) -> Plot:
    """Draw the versions as a graph, and below each its run and the data sets that were logged to it.

    Of many versions some 40 are drawn: the ends, the best, the aliased ones and the branchings
    first. The subtitle says so.
    """
    if not lineage.entries:
        return Plot(None, nothing_to_draw(lineage))
    series = Series.of(lineage)
    best = series.best.entry if series and series.metric else None
    picture = _Picture(Layout(Graph.of(lineage, best)), Contributors.of(lineage.entries), best)
    title = f"Lineage of {fitted(lineage.name, 60)}"
    notes = [_contents(lineage, picture.place.graph), *_remarks(lineage, picture.place)]
    if series and series.metric and best:
        value = f"{series.metric_name} {shortest(series.best.value)}, {series.metric.direction.in_words}"
        notes.insert(1, f"Ringed: the best, version {fitted(best.version, 20)}: {value}.")
    text = " ".join([f"{title}: {notes[0]}", *notes[1:], *_aliases(lineage)])
    return Plot(dressed(picture.chart(), title, notes, text), text)


def _contents(lineage: Lineage, graph: Graph) -> str:
    people = {identity(e) for e in lineage} - {None}
    runs = {e.run_id for e in lineage} - {None}
    data = {(d.name, d.digest) for e in lineage for d in e.datasets}
    branches = counted(graph.branches, "branch", "branches")
    counts = [(len(people), "contributor"), (len(runs), "run"), (len(data), "data set")]
    parts = [
        counted(len(lineage), "version"),
        *([branches] if graph.branches else []),
        *(counted(n, noun) for n, noun in counts if n),
    ]
    return ", ".join(parts) + "."


def _remarks(lineage: Lineage, place: Layout) -> list[str]:
    remarks = []
    nodes = place.graph.nodes
    if len(nodes) < len(lineage):
        remarks.append(f"{len(nodes):,} of {len(lineage):,} versions drawn; a dashed line passes over the others.")
    if declared := sum(node.entry.is_declared for node in nodes):
        remarks.append(f"With a hole: {declared_in_words(declared)}.")
    if any(node.entry.run_id and not node.entry.run for node in nodes):
        remarks.append("Hollow: the run is gone.")
    if hidden := sum(bool(node.entry.aliases) for node in nodes) - len(place.labels):
        remarks.append(f"The aliases of {counted(hidden, 'version')} find no room here: they are in the tooltips.")
    if lineage.problems:
        more = f" And {counted(len(lineage.problems) - 1, 'more problem')}." if len(lineage.problems) > 1 else ""
        remarks.append(fitted(lineage.problems[0].what, 160) + more)
    return remarks


def _aliases(lineage: Lineage) -> list[str]:
    named = [f"{fitted(a)} is version {fitted(e.version, 20)}" for e in lineage for a in e.aliases]
    return [f"Aliases: {', '.join(named[:20])}."] if named else []


@dataclasses.dataclass(frozen=True)
class _Picture:
    """The picture of a lineage, layer by layer."""

    place: Layout
    who: Contributors
    best: LineageEntry | None

    def chart(self) -> alt.LayerChart:
        layers = [self._guides(), self._lines(), self._runs(), self._data_sets(), self._versions()]
        layers += [*self._holes(), *self._texts()]
        return layered(*layers, width=self.place.width, height=self.place.height)

    def _at(self) -> tuple[alt.X, alt.Y]:
        across = alt.Scale(domain=[0, self.place.width], nice=False, zero=False)
        down = alt.Scale(domain=[self.place.height, 0], nice=False, zero=False)
        return alt.X("x:Q", axis=None, scale=across), alt.Y("y:Q", axis=None, scale=down)

    def _guides(self) -> alt.Chart:
        """Faint lines: along each row, and from each version down to its run and data."""
        place = self.place
        rows = [{"x": 0.0, "to_x": place.width, "y": y, "to_y": y} for y in place.rows.values()]
        columns = []
        for node in place.graph.nodes:
            labels = [*([RUNS] if node.entry.run_id else []), *place.data_sets(node)]
            ends = {"y": place.y(node), "to_y": max((place.rows[label] for label in labels), default=place.y(node))}
            columns.append({"x": place.x(node), "to_x": place.x(node), **ends})
        guides = rows_of([*rows, *columns], "guides").mark_rule(color=FAINT)
        return encoded(guides, *self._at(), x2="to_x:Q", y2="to_y:Q")

    def _lines(self) -> alt.Chart:
        """From each version to those made from it: a branch leaves at once, then keeps to its lane."""
        points = []
        for i, edge in enumerate(self.place.graph.edges):
            start, end, y = self.place.x(edge.parent), self.place.x(edge.child), self.place.y(edge.child)
            corners = [(start, self.place.y(edge.parent)), (min(start + self.place.gap, end), y), (end, y)]
            over = "others" if edge.skipped else "nothing"
            points += [{"edge": i, "x": x, "y": y, "over": over} for x, y in dict.fromkeys(corners)]
        styles = alt.Scale(domain=["nothing", "others"], range=[[1, 0], [3, 3]])
        dash = alt.StrokeDash("over:N", scale=styles, legend=None)
        lines = rows_of(points, "edges").mark_line(color=GREY, strokeWidth=2)
        return encoded(lines, *self._at(), detail="edge:N", strokeDash=dash)

    def _runs(self) -> alt.Chart:
        """A square for each run, hollow where the run is gone."""
        marks = [
            {
                "x": self.place.x(node),
                "y": self.place.rows[RUNS],
                "fill": SOFT if node.entry.run else CARD,
                "run": fitted(node.entry.run.name if node.entry.run else node.entry.run_id, LONGEST),
                "status": node.entry.run.status if node.entry.run else "gone",
            }
            for node in self.place.graph.nodes
            if node.entry.run_id
        ]
        squares = rows_of(marks, "runs").mark_point(shape="square", size=56, stroke=SOFT, strokeWidth=1.5, opacity=1)
        fill = alt.Fill("fill:N", scale=None)
        return encoded(squares, *self._at(), fill=fill, tooltip=tooltips({"run": "Run", "status": "Status"}))

    def _data_sets(self) -> alt.Chart:
        """A dot for each data set that a run was given."""
        marks = [
            {
                "x": self.place.x(node),
                "y": self.place.rows[label],
                "names": fitted(", ".join(fitted(d.name) for d in data[:4]), LONGEST),
                "detail": _described(data),
            }
            for node in self.place.graph.nodes
            for label, data in self.place.data_sets(node).items()
        ]
        dots = rows_of(marks, "data_sets").mark_point(filled=True, size=56, color=SOFT, opacity=1)
        return encoded(dots, *self._at(), tooltip=tooltips({"names": "Data set", "detail": "Detail"}))

    def _versions(self) -> alt.Chart:
        rows = [
            {
                "x": self.place.x(node),
                "y": self.place.y(node),
                "who": self.who.label(node.entry),
                "ring": INK if node.entry is self.best else CARD,
                **_facts(node.entry),
            }
            for node in self.place.graph.nodes
        ]
        discs = rows_of(rows, "versions").mark_point(filled=True, size=DISC, strokeWidth=2.2, opacity=1)
        color, ring = self.who.color("contributor"), alt.Stroke("ring:N", scale=None)
        return encoded(discs, *self._at(), color=color, stroke=ring, tooltip=tooltips(VERSION_FACTS))

    def _holes(self) -> list[alt.Chart]:
        """What makes a ring of the disc of a version whose value is only declared."""
        rows = [
            {"x": self.place.x(node), "y": self.place.y(node), **_facts(node.entry)}
            for node in self.place.graph.nodes
            if node.entry.is_declared
        ]
        holes = rows_of(rows, "holes").mark_point(filled=True, size=DISC * HOLE, opacity=1, color=CARD)
        return [encoded(holes, *self._at(), tooltip=tooltips(VERSION_FACTS))] if rows else []

    def _texts(self) -> list[alt.Chart]:
        """Versions below their discs, aliases above, and what each row is to the left."""
        place = self.place
        names = [(node, f"v{fitted(node.entry.version, 12)}") for node in place.graph.nodes]
        every = 1 + int(max(label_width(text) for _, text in names) / place.gap)
        numbers = [{"x": place.x(n), "y": place.y(n) + 18, "text": text} for n, text in names[::-1][::every]]
        aliases = [{"x": place.x(label.node), "y": place.above(label), "text": label.text} for label in place.labels]
        rows = [*zip(place.graph.lanes, place.lanes, strict=True), *place.rows.items()]
        left = [{"x": -8.0, "y": y, "text": label} for label, y in rows]
        return [
            *self._text(numbers, "numbers", fontSize=11, color=SOFT),
            *self._text(aliases, "aliases", fontWeight=600, color=INK),
            *self._text(left, "rows", align="right", color=SOFT),
        ]

    def _text(self, rows: Sequence[dict[str, Any]], name: str, **look: Any) -> list[alt.Chart]:
        """Texts, each before a halo of its own, so that no line strikes one through."""
        halo = {**look, "stroke": CARD, "strokeWidth": 3}
        marks = [rows_of(rows, name).mark_text(baseline="middle", **style) for style in (halo, look)]
        return [encoded(mark, *self._at(), text="text:N") for mark in marks]


def _facts(entry: LineageEntry) -> dict[str, str]:
    data_sets = ", ".join(fitted(d.name) for d in entry.datasets[:4])
    return {
        **version_facts(entry),
        "metric": fitted(entry.benchmark_metric or "–", LONGEST),
        "parent": fitted(entry.parent or "–", LONGEST),
        "aliases": fitted(", ".join(entry.aliases) or "–", LONGEST),
        "datasets": fitted(data_sets or "–", LONGEST),
    }


def _described(data: Sequence[Dataset]) -> str:
    first = data[0]
    parts = [
        f"digest {fitted(first.digest)}",
        fitted(first.context or ""),
        "" if first.rows is None else counted(first.rows, "row"),
        f"and {len(data) - 1:,} more" if len(data) > 1 else "",
    ]
    return ", ".join(part for part in parts if part)
