"""What the runs of a prompt's versions measured: one metric, summed up by version."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import altair as alt

from hokusai_nb.plots.improvement import LONGEST, padded
from hokusai_nb.plots.series import counted, described, power_of, shortest
from hokusai_nb.plots.stages import CROWD, stage_scale, told
from hokusai_nb.plots.theme import (
    CARD,
    GREY,
    INK,
    WIDTH,
    encoded,
    fitted,
    label_width,
    layered,
    rows_of,
    thin,
    tooltips,
)
from hokusai_nb.schema.metrics import Direction, Metric, find_metric
from hokusai_nb.schema.values import ARITHMETIC

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hokusai_nb.plots.stages import Lanes
    from hokusai_nb.schema.prompt_runs import PromptRun

__all__ = ["Measured", "metric_panel", "metrics_of"]

LIMIT = 200
HEIGHT = 130
RUN_FACTS = {"version": "Version", "value": "Value", "run": "Run", "started": "Started"}
MEAN_FACTS = {"version": "Version", "value": "Mean", "runs": "Runs"}
NAME = 40
DIGITS = Context(prec=4, traps=[])
"""A mean is given in four digits: more would claim what a few runs cannot show."""


def metrics_of(runs: Sequence[PromptRun]) -> list[str]:
    """Return the metrics with a value: that of most versions first, then those whose direction is known."""
    found = {(name, run.version, run.run_id) for run in runs for name in run.metrics if run.measured(name) is not None}
    versions = Counter(name for name, _ in {(name, version) for name, version, _ in found})
    counts = Counter(name for name, _, _ in found)
    return sorted(versions, key=lambda n: (-versions[n], find_metric(n) is None, -counts[n], n))


@dataclasses.dataclass(frozen=True)
class Measured:
    """The values of one metric."""

    name: str
    """As it fits a title."""
    metric: Metric | None
    """None where no direction is declared: then no version is best."""
    points: tuple[tuple[PromptRun, Decimal], ...]
    """Every run with a value, oldest first."""

    @classmethod
    def of(cls, runs: Sequence[PromptRun], metric: str) -> Measured | None:
        """Return what the runs measured of a metric; None where none has a value."""
        valued = [(run, Decimal(repr(value))) for run in runs if (value := run.measured(metric)) is not None]
        return cls(fitted(metric, NAME), find_metric(metric), tuple(valued)) if valued else None

    @functools.cached_property
    def means(self) -> dict[str, Decimal]:
        """The mean over the runs of each version that has any."""
        values: dict[str, list[Decimal]] = {}
        for run, value in self.points:
            values.setdefault(run.version, []).append(value)
        return {version: _mean(found) for version, found in values.items()}

    @property
    def best(self) -> str | None:
        """The version with the best mean, where several are compared and there is a direction."""
        if self.metric is None or len(self.means) == 1:
            return None
        choose = max if self.metric.direction is Direction.MAX else min
        return choose(self.means, key=lambda version: self.means[version])

    def scaled(self, value: Decimal) -> float:
        """Return the value as it is drawn: in a power of ten, so that floats do not run over."""
        return float(ARITHMETIC.scaleb(value, -self.exponent))

    @functools.cached_property
    def exponent(self) -> int:
        """Power of ten to draw in."""
        return power_of(max(abs(value) for _, value in self.points))

    @property
    def axis_title(self) -> str:
        """The metric, its direction and its unit."""
        return described(self.name, self.metric, self.exponent)

    def drawn(self, versions: Collection[str]) -> list[tuple[PromptRun, Decimal]]:
        """Return the runs that a picture of some versions can show; of many, the newest of each version first."""
        shown = [point for point in self.points if point[0].version in versions]
        newest = {run.version: i for i, (run, _) in enumerate(shown)}
        return [shown[i] for i in thin(len(shown), LIMIT, newest.values())]

    @property
    def outcome(self) -> str:
        """What was measured, in one sentence."""
        runs, versions = counted(len(self.points), "run"), counted(len(self.means), "version")
        best = self.best
        if best is None:
            ending = "" if len(self.means) > 1 else f", {shortest(next(iter(self.means.values())))} on average"
        else:
            ending = f"; best on average: {fitted(best, 20)} with {shortest(self.means[best])}"
        direction = self.metric.direction.in_words if self.metric else "direction not declared"
        return f"Below: {self.name} ({direction}) in {runs} of {versions}{ending}."


def _mean(values: Sequence[Decimal]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = ARITHMETIC.add(total, value)
    return ARITHMETIC.divide(total, Decimal(len(values))).normalize(DIGITS)


def metric_panel(measured: Measured, lanes: Lanes) -> alt.LayerChart:
    """Draw a metric over the versions that have lanes: a dot for each run, a bar for the mean, a line through means.

    A dot has the colour of the stage that its version is in now.
    """
    labels = {lane.version.version: lane.label for lane in lanes.drawn if lane.version.version in measured.means}
    runs = [
        {"y": measured.scaled(value), "stage": lane.spans[-1].stage.value, **_run_facts(run, lane.label, value)}
        for run, value in measured.drawn(labels)
        for lane in lanes.drawn
        if lane.version.version == run.version
    ]
    means = [_mean_row(measured, version, label) for version, label in labels.items()]
    scale = alt.Scale(domain=padded([row["y"] for row in (*runs, *means)], 0.15), nice=False, zero=False)
    y = alt.Y("y:Q", title=None, scale=scale, axis=alt.Axis(tickCount=4, domain=False, ticks=False))
    across, color = _across(list(labels.values())), alt.Color("stage:N", scale=stage_scale(lanes.stages), legend=None)
    line = rows_of(means, "means").mark_line(color=GREY, strokeWidth=1.2)
    size = 60 if len(labels) <= CROWD else 30
    dots = rows_of(runs, "runs").mark_point(filled=True, size=size, opacity=0.9, stroke=CARD, strokeWidth=0.8)
    bars = rows_of([row for row in means if row["runs"] != "1"], "averages")
    bars = bars.mark_tick(color=INK, thickness=2, size=min(30.0, 0.6 * WIDTH / len(labels)), opacity=1)
    layers = [
        encoded(line, across, y),
        encoded(dots, across, y, color=color, tooltip=tooltips(RUN_FACTS)),
        encoded(bars, across, y, tooltip=tooltips(MEAN_FACTS)),
    ]
    look: dict[str, Any] = {"fontSize": 12, "fontWeight": "normal", "color": INK, "offset": 8}
    head = alt.TitleParams(text=measured.axis_title, **look)
    return layered(*layers, width=WIDTH, height=HEIGHT, title=head)


def _across(labels: Sequence[str]) -> alt.X:
    """Evenly spaced versions, with as many of their labels as fit; the newest always has its own."""
    every = 1 + int(max(map(label_width, labels)) * len(labels) / WIDTH)
    axis = alt.Axis(values=list(labels[::-1][::every]), labelAngle=0, grid=False)
    scale = alt.Scale(type="point", padding=0.5, domain=list(labels))
    return alt.X("version:N", title="version (dot: a run; bar: the mean)", scale=scale, axis=axis, sort=None)


def _run_facts(run: PromptRun, label: str, value: Decimal) -> dict[str, str]:
    started = told(run.started) if run.started else "–"
    return {"version": label, "value": shortest(value), "run": fitted(run.name, LONGEST), "started": started}


def _mean_row(measured: Measured, version: str, label: str) -> dict[str, Any]:
    mean = measured.means[version]
    runs = sum(run.version == version for run, _ in measured.points)
    return {"y": measured.scaled(mean), "version": label, "value": shortest(mean), "runs": f"{runs:,}"}
