"""One metric over the versions of a model: the best so far, what each version gained, what is left out."""

from __future__ import annotations

import dataclasses
import functools
from decimal import Context, Decimal
from typing import TYPE_CHECKING

from hokusai_nb.plots.theme import fitted, thin
from hokusai_nb.schema.metrics import DELTA_ONE, Direction, Metric, find_metric, improvement, same_metric
from hokusai_nb.schema.values import ARITHMETIC

if TYPE_CHECKING:
    from hokusai_nb.schema.records import Lineage, LineageEntry

__all__ = [
    "Point",
    "Series",
    "counted",
    "declared_in_words",
    "described",
    "is_fraction",
    "nothing_to_draw",
    "power_of",
    "shortest",
]

LIMIT = 200
BESTS = 150
"""So many new bests are drawn at most, to leave room for the versions that were none."""
PLAIN_EXPONENTS = range(-4, 9)
SHORT = 10
_SIX_DIGITS = Context(prec=6, traps=[])


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A version with a value, and where it left the best so far; a value that is only declared leaves it as it was."""

    entry: LineageEntry
    value: Decimal
    best: Decimal | None
    """Best measured value up to and with this version, None before there is one; its own value where the metric has
    no direction."""
    gain: Decimal
    """How far it moved the best so far, positive where better; 0 where it did not."""


@dataclasses.dataclass(frozen=True)
class Series:
    """The versions that share the metric of the newest version with a measured value."""

    model: str
    """Name of the model, as it fits a title."""
    metric_name: str
    """As the newest version spells it, as it fits a title."""
    metric: Metric | None
    """None where no direction is declared: then nothing is better than anything."""
    points: tuple[Point, ...]
    other_metrics: int
    """How many versions have a value of another metric."""
    without_value: int
    """How many versions have no numeric value."""

    @functools.cached_property
    def measured(self) -> tuple[Point, ...]:
        """The points that count: at least one."""
        return tuple(p for p in self.points if not p.entry.is_declared)

    @property
    def declared(self) -> tuple[Point, ...]:
        """The points whose value nobody measured."""
        return tuple(p for p in self.points if p.entry.is_declared)

    @classmethod
    def of(cls, lineage: Lineage) -> Series | None:
        """Return the series of a lineage; None where no version has a measured value."""
        valued = [(entry, value) for entry in lineage if (value := entry.value) is not None]
        newest = next((entry for entry, _ in reversed(valued) if not entry.is_declared), None)
        if newest is None:
            return None
        name = newest.benchmark_metric or ""
        metric = find_metric(name)
        same = [(e, v) for e, v in valued if same_metric(e.benchmark_metric or "", name)]
        return cls(
            model=fitted(lineage.name, 60),
            metric_name=fitted(name, 40) or "benchmark value",
            metric=metric,
            points=_points(same, metric),
            other_metrics=len(valued) - len(same),
            without_value=len(lineage) - len(valued),
        )

    @property
    def baseline(self) -> Point:
        """The first version that was measured: what gains are measured from."""
        return self.measured[0]

    @functools.cached_property
    def best(self) -> Point:
        """The version that first reached the best value."""
        return next(p for p in reversed(self.measured) if p.gain > 0 or p is self.baseline)

    @property
    def total_gain(self) -> Decimal:
        """From the baseline to the best; 0 where there is no direction."""
        if self.metric is None:
            return Decimal(0)
        return improvement(self.metric, baseline=self.baseline.value, candidate=self.best.value)

    @property
    def is_fraction(self) -> bool:
        """Whether a percentage point means something: the metric lies between 0 and 1."""
        return is_fraction(self.metric)

    def target(self, best: Decimal) -> Decimal | None:
        """Return the value that is one DeltaOne better than ``best``; None where the metric has none.

        It may lie beyond the metric's range: then a whole DeltaOne can no longer be gained.
        """
        if self.metric is None or not self.is_fraction:
            return None
        step = DELTA_ONE if self.metric.direction is Direction.MAX else -DELTA_ONE
        return ARITHMETIC.add(best, step)

    def band_end(self, best: Decimal) -> Decimal | None:
        """Return how far the band of one DeltaOne reaches: `target`, or the end of the metric's range before it."""
        target = self.target(best)
        if target is None or self.metric is None or not self.metric.contains(best):
            return target
        return min(max(target, Decimal(0)), Decimal(1))

    @property
    def next_target(self) -> Decimal | None:
        """The value of the next DeltaOne; None where the metric has none, or no room for it."""
        target = self.target(self.best.value)
        return target if target == self.band_end(self.best.value) else None

    def scaled(self, value: Decimal) -> float:
        """Return the value as it is drawn: in a power of ten, so that floats do not run over."""
        return float(ARITHMETIC.scaleb(value, -self.exponent))

    @functools.cached_property
    def drawn(self) -> tuple[Point, ...]:
        """What a picture can show: of many versions the ends, the extremes and every new best first."""
        points = self.points
        ends = {0, len(points) - 1, *(i for i, p in enumerate(points) if p is self.best or p is self.baseline)}
        ends |= {f(range(len(points)), key=lambda i: points[i].value) for f in (min, max)}
        bests = [i for i, p in enumerate(points) if p.gain > 0]
        kept = [bests[i] for i in thin(len(bests), BESTS)]
        return tuple(points[i] for i in thin(len(points), LIMIT, ends, kept))

    @functools.cached_property
    def exponent(self) -> int:
        """Power of ten to draw in: 0 for ordinary values, else that of the largest, which may be the band's."""
        largest = max(DELTA_ONE if self.is_fraction else Decimal(0), *(abs(p.value) for p in self.points))
        return power_of(largest)

    @property
    def axis_title(self) -> str:
        """The metric, its direction and its unit."""
        return described(self.metric_name, self.metric, self.exponent)

    @property
    def outcome(self) -> str:
        """What became of the metric, in one sentence."""
        first, last, best, n = self.baseline, self.measured[-1], self.best, counted(len(self.measured), "version")
        start = f"{shortest(first.value)} (version {_number(first)})"
        if first is last:
            return f"One version: the baseline is {start}."
        if self.metric is None:
            return f"{n}, from {start} to {shortest(last.value)} (version {_number(last)})."
        if best is first:
            return f"{n}, none better than the baseline {start}."
        end = f"{shortest(best.value)} (version {_number(best)})"
        return f"{n}, from the baseline {start} to the best {end}: better by {shortest(self.total_gain)}."

    @property
    def remarks(self) -> list[str]:
        """Sentences on how to read the picture and on what it leaves out."""
        remarks = []
        if self.is_fraction:
            target = self.next_target
            remarks.append(f"Yellow: up to one DeltaOne ({DELTA_ONE}) better than the best so far.")
            where = "beyond the metric's range" if target is None else f"at {shortest(target)}"
            remarks[0] += f" The next DeltaOne is {where}."
        elif self.metric:
            remarks.append(f"No DeltaOne band: {self.metric_name} is not a fraction between 0 and 1.")
        if (drawn := len(self.drawn)) < len(self.points):
            remarks.append(f"{drawn:,} of {len(self.points):,} versions drawn, {self._kept}.")
        if self.declared:
            remarks.append(f"With a hole: {declared_in_words(len(self.declared))}.")
        return [*remarks, *self.omissions]

    @property
    def _kept(self) -> str:
        bests, drawn = (sum(p.gain > 0 for p in points) for points in (self.points, self.drawn))
        share = "every new best" if drawn == bests else f"{drawn:,} of {bests:,} new bests"
        return f"among them the first, the last and {share}"

    @property
    def omissions(self) -> list[str]:
        """Sentences on what the picture leaves out."""
        sentences = []
        reasons = [
            f"{self.other_metrics:,} of another metric" if self.other_metrics else "",
            f"{self.without_value:,} without a numeric value" if self.without_value else "",
        ]
        if left_out := self.other_metrics + self.without_value:
            sentences.append(f"{counted(left_out, 'version')} left out: {' and '.join(r for r in reasons if r)}.")
        if self.metric is None:
            sentences.append(
                f"No direction is declared for {self.metric_name}, so no version is best: see register_metric."
            )
        return sentences

    @property
    def no_gain(self) -> str:
        """The sentence that stands where there is no gain to share."""
        return " ".join([f"{self.model} has no gain to share yet.", self.outcome, *self.omissions])


def _points(valued: list[tuple[LineageEntry, Decimal]], metric: Metric | None) -> tuple[Point, ...]:
    points: list[Point] = []
    best: Decimal | None = None
    for entry, value in valued:
        gain = Decimal(0)
        if metric and best is not None and not entry.is_declared:
            gain = improvement(metric, baseline=best, candidate=value)
        if metric is None or (not entry.is_declared and (best is None or gain > 0)):
            best = value
        points.append(Point(entry, value, best, max(gain, Decimal(0))))
    return tuple(points)


def declared_in_words(count: int) -> str:
    """Say of how many versions the value was only declared, and what that means.

    >>> declared_in_words(1)
    'the value of 1 version was declared, not measured; it counts for nothing'
    """
    return f"the value of {counted(count, 'version')} was declared, not measured; it counts for nothing"


def _number(point: Point) -> str:
    return fitted(point.entry.version, 20)


def is_fraction(metric: Metric | None) -> bool:
    """Whether a metric lies between 0 and 1."""
    return metric is not None and metric.lower == 0 and metric.upper == 1


def power_of(largest: Decimal) -> int:
    """Return the power of ten to draw values in whose largest is given: 0 for ordinary ones."""
    size = largest.adjusted() if largest else 0
    return 0 if size in PLAIN_EXPONENTS else size


def described(name: str, metric: Metric | None, exponent: int) -> str:
    """Return a metric with its direction, its unit and the power of ten that it is drawn in.

    >>> described("answers", None, 12)
    'answers, direction not declared (× 1e+12)'
    """
    if metric is None:
        unit, direction = "", "direction not declared"
    else:
        unit, direction = metric.range_in_words, metric.direction.in_words
    unit = "fraction, 0 to 1" if is_fraction(metric) else unit
    shown = "; ".join(note for note in (unit, f"× 1e{exponent:+d}" if exponent else "") if note)
    return f"{name}, {direction}" + (f" ({shown})" if shown else "")


def nothing_to_draw(lineage: Lineage) -> str:
    """Return the sentence that stands where a picture of values cannot."""
    name = fitted(lineage.name, 60)
    if not lineage.entries:
        return f"{name} has no versions yet, so there is nothing to draw."
    who = "The only version" if len(lineage) == 1 else f"None of the {len(lineage):,} versions"
    has = "has no" if len(lineage) == 1 else "has a"
    kind = "measured" if any(e.value is not None for e in lineage) else "numeric"
    return f"{who} of {name} {has} {kind} benchmark value, so there is nothing to draw."


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    >>> counted(1, "version"), counted(1000, "version"), counted(2, "branch", "branches")
    ('1 version', '1,000 versions', '2 branches')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def shortest(value: Decimal) -> str:
    """Return a value as a label shows it: exact where it is short, else its first six digits.

    >>> shortest(Decimal("0.850")), shortest(Decimal("0.123456789")), shortest(Decimal("1E+300"))
    ('0.85', '0.123457', '1e+300')
    """
    plain = format(value.normalize(ARITHMETIC), "f") if abs(value.adjusted()) < SHORT else ""
    if plain and len(plain) <= SHORT:
        return plain
    return format(_SIX_DIGITS.create_decimal(value).normalize(), ".6g")
