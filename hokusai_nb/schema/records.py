"""What the registry answers with: frozen, typed, and able to show itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pydantic

from hokusai_nb.errors import HokusaiError
from hokusai_nb.schema.display import SIMULATED, Shown, grid, short_address, shortened, signed, tag_rows, when
from hokusai_nb.schema.entries import SHOWN_ROWS, Entries
from hokusai_nb.schema.frozen import Frozen, FrozenDict
from hokusai_nb.schema.metrics import find_metric
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.registrations import SOURCE_TAG
from hokusai_nb.schema.renderers import drawn
from hokusai_nb.schema.runs import Dataset, RunFacts, RunModel
from hokusai_nb.schema.tags import CONTRIBUTOR_TAGS, KEY_TAG, NOTEBOOK_PREFIX, REQUIRED_TAGS
from hokusai_nb.schema.values import to_decimal

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

__all__ = [
    "BulkResult",
    "Comparison",
    "Dataset",
    "Lineage",
    "LineageEntry",
    "ModelList",
    "RegisteredModel",
    "RunFacts",
    "RunModel",
]


# Digests that differ between any two registrations and tell a reader nothing.
_BOOKKEEPING = (KEY_TAG, f"{NOTEBOOK_PREFIX}history_digest")
SHOWN_VALUE = 80
_ALL = "to_frame(), or --json in a shell, has them all"


def _is_shown(tag: str) -> bool:
    """Whether a version's card has a row for what the tag says, or it is of use to programs only."""
    return tag in (*REQUIRED_TAGS, *CONTRIBUTOR_TAGS) or tag.startswith(("hokusai.", "mlflow."))


def _simulated(models: Sequence[RegisteredModel]) -> list[str]:
    """Return the note that a card of mock mode begins with."""
    return [SIMULATED] if any(model.simulated for model in models) else []


class RegisteredModel(Shown, frozen=True):
    """One version of a registered model and the token it is rewarded with."""

    name: str
    version: str
    """Registry version, as text: MLflow's own answers differ by store."""
    token_id: str | None
    """Canonical token id; None on a version that some other client made without one."""
    benchmark_metric: str | None
    benchmark_value: str | None
    """Decimal text in the metric's own unit, as the user wrote it."""
    tags: Frozen[str, str]
    run_id: str | None = None
    model_id: str | None = None
    """MLflow's logged-model id (``m-…``), where the version was made from one."""
    source: str = ""
    creation_timestamp: int = 0
    """Milliseconds since the epoch, UTC."""
    aliases: tuple[str, ...] = ()
    created: bool = True
    """False where the same registration had been made before and its version is returned."""
    dry_run: bool = False
    """True where nothing was written: ``version`` is then the one that would follow, or a later one after deletions."""
    simulated: bool = False
    """True in mock mode: nothing outlasts the process."""
    warnings: tuple[Problem, ...] = ()
    url: str | None = None
    """Page of this version in MLflow's own UI, where a server has one."""

    @property
    def value(self) -> Decimal | None:
        """The benchmark value as an exact decimal; None if it is no number."""
        return to_decimal(self.benchmark_value)

    @property
    def is_declared(self) -> bool:
        """Whether nobody measured the value: it is the baseline, recorded where nothing else was found."""
        return self.tags.get(SOURCE_TAG) == "declared"

    @property
    def measured(self) -> Decimal | None:
        """The value if it counts: a number, and not only declared."""
        return None if self.is_declared else self.value

    @property
    def shown_value(self) -> str:
        """The benchmark value as a table says it: a dash where there is none, marked where it is declared."""
        return f"{self.benchmark_value or '–'}{' (declared)' if self.is_declared else ''}"

    @property
    def contributor(self) -> str | None:
        """Address of the contributor, under either of its tags."""
        return next((self.tags[key] for key in CONTRIBUTOR_TAGS if key in self.tags), None)

    @property
    def notebook(self) -> str | None:
        """Path of the notebook that registered this version, where it was recorded."""
        return self.tags.get(f"{NOTEBOOK_PREFIX}path")

    def _grid(self) -> tuple[Markup, str]:
        state = "Would register" if self.dry_run else "Registered" if self.created else "Already registered"
        rows: list[tuple[str, object]] = [
            ("Token", self.token_id or "–"),
            ("Benchmark", f"{self.benchmark_metric or '–'} = {self.shown_value}"),
        ]
        if self.contributor:
            rows.append(("Contributor", self.contributor))
        rows.append(("Run", self.run_id or "–"))
        extra = [f"{key}={shortened(value, SHOWN_VALUE)}" for key, value in tag_rows(self.tags) if not _is_shown(key)]
        if extra:
            rows.append(("Tags", ", ".join(extra)))
        if self.url:
            rows.append(("MLflow", self.url))
        notes = [*_simulated([self]), *(f"Warning: {p.sentence}" for p in self.warnings)]
        return grid(f"{state} {self.name} version {self.version}", rows, notes=notes)


class LineageEntry(RegisteredModel, frozen=True):
    """A version with what it was made from and how far it got.

    Improvements are exact, in the metric's own unit, positive where this version is better by
    the metric's direction, and None where the two versions' metrics differ, have no declared
    direction or are no numbers. A value that is only declared has no improvement, and others have
    none over it: theirs are over the measured versions before it.
    """

    parent: str | None = None
    """Version this one was made from: tag ``previous_version``, else the version before."""
    improvement: Decimal | None = None
    """Over the parent, or the nearest of its own that was measured."""
    improvement_over_best: Decimal | None = None
    """Over the best earlier version of the same metric."""
    is_best: bool = False
    """Whether it was the best version of its metric when it was registered."""
    run: RunFacts | None = None
    """None where the version names no run, or the run is gone."""

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """Data sets logged to the run."""
        return self.run.datasets if self.run else ()


class ModelList(Entries[RegisteredModel], frozen=True):
    """Versions found in the registry, by name and version."""

    title: str = "Models"
    statuses: Frozen[str, str] | None = None
    """Status of each token, where a token store was asked."""

    def with_statuses(self, statuses: Mapping[str, str]) -> ModelList:
        """Return the same list with the status of each token beside its versions."""
        return self.model_copy(update={"statuses": FrozenDict(statuses)})

    def _grid(self) -> tuple[Markup, str]:
        head: tuple[str, ...] = ("Model", "Version", "Token", "Metric", "Value", "Contributor", "Registered")
        rows: list[tuple[str, ...]] = [
            (
                m.name,
                m.version,
                m.token_id or "–",
                m.benchmark_metric or "–",
                m.shown_value,
                short_address(m.contributor or "–"),
                when(m.creation_timestamp),
            )
            for m in self.entries[:SHOWN_ROWS]
        ]
        if self.statuses is not None:
            head = (*head, "Status")
            told = (self.statuses.get(m.token_id or "", "–") for m in self.entries)
            rows = [(*row, str(status)) for row, status in zip(rows, told, strict=False)]
        hidden = len(self) - len(rows)
        notes = [] if rows else ["Nothing found."]
        if hidden:
            notes.append(f"… and {hidden:,} more; {_ALL}.")
        return grid(self.title, rows, head, [*_simulated(self.entries), *notes])

    def to_frame(self) -> pd.DataFrame:
        """Return one row per version; ``value`` is a float for plotting, the text stays beside it."""
        return _frame(self.entries, [])


class Lineage(Entries[LineageEntry], frozen=True):
    """All versions of one model in order, each with its parent and its improvement."""

    name: str
    problems: tuple[Problem, ...] = ()
    """Parents that do not exist and cycles, which are reported and not followed."""

    @property
    def baseline(self) -> LineageEntry | None:
        """The first version that has a measured benchmark value."""
        return next((e for e in self.entries if e.measured is not None), None)

    @property
    def best(self) -> LineageEntry | None:
        """The best version by the metric of the newest one that has a measured value."""
        newest = next((e for e in reversed(self.entries) if e.measured is not None), None)
        metric = find_metric(newest.benchmark_metric or "") if newest else None
        leaders = (e for e in reversed(self.entries) if e.is_best)
        return next((e for e in leaders if metric and find_metric(e.benchmark_metric or "") == metric), None)

    def _grid(self) -> tuple[Markup, str]:
        head = ("Version", "Parent", "Metric", "Value", "Over parent", "Over best", "Contributor", "Aliases", "Run")
        shown = self.entries[-SHOWN_ROWS:]
        rows = [
            (
                e.version,
                e.parent or "–",
                e.benchmark_metric or "–",
                e.shown_value,
                signed(e.improvement),
                signed(e.improvement_over_best),
                short_address(e.contributor or "–"),
                ", ".join(e.aliases) or "–",
                e.run.name if e.run else "–",
            )
            for e in shown
        ]
        hidden = len(shown) < len(self)
        notes = [f"The newest {len(shown)} of {len(self):,} versions; {_ALL}."] if hidden else []
        metric = find_metric(shown[-1].benchmark_metric or "") if shown else None
        if metric:
            notes.append(f"{metric.name}: {metric.direction.in_words}.")
        if any(e.is_declared for e in shown):
            notes.append("Declared: nobody measured the value, so it is no improvement and nothing is measured by it.")
        notes += [p.sentence for p in self.problems]
        return grid(f"Lineage of {self.name}", rows, head, [*_simulated(self.entries), *notes])

    def to_frame(self) -> pd.DataFrame:
        """Return one row per version; values and improvements are floats, the text stays beside them."""
        return _frame(self.entries, ["parent", "improvement", "improvement_over_best", "is_best", "is_declared"])

    def plot(self, kind: str = "improvement") -> Any:
        """Draw the lineage.

        Args:
            kind: Name of a renderer in the entry-point group ``hokusai_nb.plots``:
                ``improvement`` (values over versions), ``waterfall`` (gain by contributor) or
                ``lineage`` (graph of versions, runs, data sets and contributors).

        Raises:
            HokusaiError: No such renderer is installed.
        """
        return drawn(kind, self)


def _frame(entries: Sequence[RegisteredModel], more: list[str]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - heavy, and few tables become frames

    columns = ["name", "version", "token_id", "benchmark_metric", "benchmark_value", "contributor", "run_id", *more]
    rows = [
        {**{c: getattr(e, c) for c in columns}, "value": e.value, "created_at": e.creation_timestamp} for e in entries
    ]
    frame = pd.DataFrame(rows, columns=[*columns, "value", "created_at"])
    frame["created_at"] = pd.to_datetime(frame["created_at"], unit="ms", utc=True, errors="coerce")
    for column in ("value", "improvement", "improvement_over_best"):
        if column in frame:
            frame[column] = frame[column].astype(float)
    return frame


class Comparison(Shown, frozen=True):
    """Two versions of one model side by side."""

    first: LineageEntry
    second: LineageEntry
    improvement: Decimal | None
    """Of the second over the first, positive where better; None where it cannot be said."""

    def differences(self) -> list[tuple[str, str, str, str]]:
        """Return (kind, key, first, second) for every tag, metric and parameter that differs."""
        sides = [self._facts(e) for e in (self.first, self.second)]
        keys = sorted(set(sides[0]) | set(sides[1]))
        rows = [(kind, key, sides[0].get((kind, key), "–"), sides[1].get((kind, key), "–")) for kind, key in keys]
        return [row for row in rows if row[2] != row[3]]

    @staticmethod
    def _facts(entry: LineageEntry) -> dict[tuple[str, str], str]:
        run = entry.run
        metrics = {k: repr(v) for k, v in run.metrics.items()} if run else {}
        tags = {k: v for k, v in entry.tags.items() if k not in _BOOKKEEPING}
        kinds = {"tag": tags, "metric": metrics, "parameter": dict(run.params) if run else {}}
        return {(kind, key): value for kind, facts in kinds.items() for key, value in facts.items()}

    def _grid(self) -> tuple[Markup, str]:
        head = ("", "Key", f"Version {self.first.version}", f"Version {self.second.version}")
        title = f"{self.first.name}: version {self.first.version} and {self.second.version}"
        metric = find_metric(self.second.benchmark_metric or "")
        direction = f" ({metric.name}, {metric.direction.in_words})" if metric else ""
        notes = [*_simulated([self.first]), f"Improvement: {signed(self.improvement)}{direction}"]
        rows = self.differences()
        return grid(title, rows, head, notes if rows else ["They do not differ.", *notes])


class BulkResult(pydantic.BaseModel, frozen=True, arbitrary_types_allowed=True):
    """What became of one record of a bulk registration."""

    index: int
    """Position in the records that were given."""
    model: RegisteredModel | None = None
    error: HokusaiError | None = None

    @property
    def ok(self) -> bool:
        """Whether the record is registered."""
        return self.error is None

    @pydantic.field_serializer("error", when_used="json-unless-none")
    def _error_as_json(self, error: HokusaiError) -> dict[str, str]:
        return {"type": type(error).__name__, "what": error.what, "hint": error.hint}

    @pydantic.field_validator("error", mode="before")
    @classmethod
    def _error_from_json(cls, error: object) -> object:
        """An error comes back as one that says the same."""
        return HokusaiError(error["what"], error["hint"]) if isinstance(error, Mapping) else error
