"""What a user is handed after a registration: the version, what it gained, and where to go on."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from hokusai_nb.schema.display import SIMULATED, Link, Shown, grid, signed
from hokusai_nb.schema.lines import word
from hokusai_nb.schema.metrics import delta_one_of, find_metric
from hokusai_nb.schema.records import RegisteredModel

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Receipt"]


class Receipt(Shown, frozen=True):
    """A registered version, what it gained, and the commands to go on with.

    Gains are exact, in the metric's own unit, positive where this version is better, and None
    where there is nothing to compare with.
    """

    model: RegisteredModel
    last: str | None = None
    """Version before this one, whatever its metric."""
    last_metric: str | None = None
    """Its benchmark metric; None where some other client made it without one."""
    last_value: str | None = None
    """Its benchmark value, as it was written."""
    over_last: Decimal | None = None
    best: str | None = None
    """Best earlier version of the same metric."""
    over_best: Decimal | None = None
    trouble: str = ""
    """Why the versions before it are not known; empty where they are."""

    @property
    def version(self) -> str:
        """Registry version."""
        return self.model.version

    @property
    def last_in_words(self) -> str:
        """The version before this one with its benchmark, such as ``version 3: accuracy = 0.9``."""
        if self.last is None:
            return ""
        if self.last_metric is None or self.last_value is None:
            return f"version {self.last}, which has no benchmark"
        return f"version {self.last}: {self.last_metric} = {self.last_value}"

    @property
    def over_last_in_words(self) -> str:
        """The gain over the last version, or why there is none."""
        if self.trouble:
            return "not known"
        if self.last is None:
            return "first version: it is the baseline"
        gained = "not comparable" if self.over_last is None else signed(self.over_last)
        return f"{gained} ({self.last_in_words})"

    @property
    def over_best_in_words(self) -> str:
        """The gain over the best version of the same metric, or why there is none."""
        if self.trouble:
            return "not known"
        if self.best:
            return f"{signed(self.over_best)} (version {self.best})"
        metric = self.model.benchmark_metric
        if find_metric(metric or "") is None:
            return f"no direction is declared for {metric}: see register_metric"
        return f"first version with {metric}"

    @property
    def delta_one_hint(self) -> str:
        """Whether the gain over the best is a whole DeltaOne, one percentage point, in a sentence."""
        metric = find_metric(self.model.benchmark_metric or "")
        step = delta_one_of(metric) if metric else None
        if step is None:
            return "DeltaOne is told of metrics between 0 and 1 only."
        if self.trouble:
            return f"One DeltaOne is {step} better than the best version."
        if self.over_best is None:
            return f"It is the baseline: a version that beats it by {step} is one DeltaOne better."
        if self.over_best >= step:
            whole = int(self.over_best / step)
            return f"{whole} DeltaOne{'s' if whole > 1 else ''} ({step} each) better than the best before it."
        return f"One DeltaOne is {step}; it is {signed(self.over_best)} against the best before it."

    @property
    def next_steps(self) -> tuple[str, str]:
        """Two lines to type next."""
        name = word(self.model.name)
        return f"%hokusai_improvement {name}", f"%hokusai_lineage {name}"

    def _grid(self) -> tuple[Markup, str]:
        model = self.model
        metric = find_metric(model.benchmark_metric or "")
        direction = f" ({metric.direction.in_words})" if metric else ""
        rows: list[tuple[str, object]] = [
            ("Token", model.token_id or "–"),
            ("Benchmark", f"{model.benchmark_metric or '–'} = {model.benchmark_value or '–'}{direction}"),
            ("Over the last", self.over_last_in_words),
            ("Over the best", self.over_best_in_words),
            ("DeltaOne", self.delta_one_hint),
        ]
        if model.contributor:
            rows.append(("Contributor", model.contributor))
        if model.url:
            rows.append(("In MLflow", Link(model.url)))
        rows += [("Next" if place == 0 else "", line) for place, line in enumerate(self.next_steps)]
        state = "Registered" if model.created else "Already registered"
        notes = [*([SIMULATED] if model.simulated else []), *(f"Warning: {p.sentence}" for p in model.warnings)]
        if self.trouble:
            notes.append(f"The versions before it could not be read: {self.trouble}")
        return grid(f"{state} {model.name} version {model.version}", rows, notes=notes)
