"""A figure of ours beside a peer's, both taken in the same run and in turns, and the table of them."""

from __future__ import annotations

import dataclasses
import gc
import json
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HEADINGS = ("Figure", "Ours", "Peer", "Ratio", "Target", "Met", "Peer, and remarks")
RIGHT = (1, 2, 3)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    ours: float
    peer: float | None = None
    unit: str = "ms"
    target: float | None = None
    """What the ratio should not exceed."""
    limit: float | None = None
    """What our own figure should not exceed, in its unit."""
    note: str = ""
    """What the peer is, and what to know of the figures."""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """Whether all targets are met; None where there is none."""
        checks = []
        if self.target is not None:
            checks.append(self.ratio is not None and self.ratio <= self.target)
        if self.limit is not None:
            checks.append(self.ours <= self.limit)
        return all(checks) if checks else None

    def cells(self) -> tuple[str, ...]:
        wanted = [f"ratio ≤ {self.target:g}"] if self.target is not None else []
        wanted += [f"≤ {self.limit:g} {self.unit}"] if self.limit is not None else []
        return (
            self.name,
            amount(self.ours, self.unit),
            "" if self.peer is None else amount(self.peer, self.unit),
            "" if self.ratio is None else f"{self.ratio:.{2 if self.ratio >= 0.1 else 4}f}",
            ", ".join(wanted),
            {True: "yes", False: "NO", None: ""}[self.met],
            self.note,
        )


def amount(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def milliseconds(work: Callable[[], object]) -> float:
    """Time one call, with the collector of garbage out of the way."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) * 1000
    finally:
        gc.enable()


def in_turns(rows: Iterable[Sequence[Callable[[], object]]], clock: Callable[..., float] = milliseconds) -> list[float]:
    """Return the median of each column; within a row the columns are called forwards and backwards in turn.

    What else the machine does, and what one column leaves in a cache, then falls on all of them.
    """
    taken: list[list[float]] = []
    for turn, row in enumerate(rows):
        taken = taken or [[] for _ in row]
        for column in range(len(row)) if turn % 2 == 0 else reversed(range(len(row))):
            taken[column].append(clock(row[column]))
    return [statistics.median(column) for column in taken]


def table(rows: Sequence[Row]) -> str:
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    shown = [
        "  ".join(c.rjust(w) if i in RIGHT else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    shown.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(line.rstrip() for line in shown)


def markdown(rows: Sequence[Row]) -> str:
    rule = ["---:" if i in RIGHT else "---" for i in range(len(HEADINGS))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [HEADINGS, rule, *(row.cells() for row in rows)])


def as_json(rows: Sequence[Row]) -> str:
    values = [{**dataclasses.asdict(row), "ratio": row.ratio, "met": row.met} for row in rows]
    return json.dumps(values, indent=2, ensure_ascii=False)


def from_json(text: str) -> list[Row]:
    names = {f.name for f in dataclasses.fields(Row)}
    return [Row(**{k: v for k, v in values.items() if k in names}) for values in json.loads(text)]
