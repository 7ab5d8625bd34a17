"""Where everything in the picture of a lineage lies, in pixels from its upper left corner."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING

from hokusai_nb.plots.contributors import distinct
from hokusai_nb.plots.series import counted
from hokusai_nb.plots.theme import WIDTH, fitted, label_width

if TYPE_CHECKING:
    from hokusai_nb.plots.graph import Graph, Node
    from hokusai_nb.schema.records import Dataset

__all__ = ["RUNS", "Label", "Layout"]

MARGIN = 24
GAPS = (17.0, 90.0)
"""The least and the most between two versions."""
LEAST_WIDTH = 240
LANE = 46
PITCHED = 6
"""So many lanes keep their full distance; more lie closer."""
ROW = 24
LINE = 14
LINES = 4
"""So many lines of aliases find room above a lane."""
ALIASES_LENGTH = 28
DATA_SETS = 8
"""So many data sets have a row of their own."""
RUNS = "run"
"""Label of the row of runs."""


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """The aliases of a version, in the line above its lane where they are told apart from their neighbours'."""

    node: Node
    text: str
    line: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """Versions in lanes on top, one column each; below them a row for runs and one for each data set."""

    graph: Graph

    def x(self, node: Node) -> float:
        """Return the column of a version."""
        return MARGIN + self.gap * node.column

    def y(self, node: Node) -> float:
        """Return the lane of a version."""
        return self.lanes[node.lane]

    def above(self, label: Label) -> float:
        """Return the height of a label."""
        return self.y(label.node) - LINE * label.line - 17

    @functools.cached_property
    def gap(self) -> float:
        """From one version to the next."""
        least, most = GAPS
        return min(max(WIDTH / max(len(self.graph.nodes) - 1, 1), least), most)

    @functools.cached_property
    def width(self) -> float:
        """Of the whole, without the labels of the rows to its left."""
        return 2 * MARGIN + max(self.gap * (len(self.graph.nodes) - 1), LEAST_WIDTH)

    @functools.cached_property
    def height(self) -> float:
        """Of the whole."""
        return max([self.lanes[-1] + LANE / 2, *self.rows.values()]) + ROW / 2

    @functools.cached_property
    def lanes(self) -> list[float]:
        """The height of each lane, with room above it for the lines of its labels."""
        lines = [0] * len(self.graph.lanes)
        for label in self.labels:
            lines[label.node.lane] = max(lines[label.node.lane], label.line + 1)
        pitch = max(LANE / 2, min(LANE, PITCHED * LANE / len(lines)))
        return [y - pitch + ROW for y in itertools.accumulate(pitch + LINE * n for n in lines)]

    @functools.cached_property
    def labels(self) -> list[Label]:
        """What finds room of the aliases, the newest version's first."""
        taken: dict[tuple[int, int], float] = {}
        placed = []
        for node in reversed(self.graph.nodes):
            if not node.entry.aliases:
                continue
            text = fitted(", ".join(node.entry.aliases), ALIASES_LENGTH)
            left, right = (self.x(node) + sign * label_width(text) / 2 for sign in (-1, 1))
            line = next((n for n in range(LINES) if right < taken.get((node.lane, n), math.inf)), None)
            if line is not None:
                taken[node.lane, line] = left
                placed.append(Label(node, text, line))
        return placed

    @functools.cached_property
    def rows(self) -> dict[str, float]:
        """The height of each row below the lanes, by its label."""
        first = self.lanes[-1] + LANE + ROW / 4
        runs = [RUNS] if any(node.entry.run_id for node in self.graph.nodes) else []
        labels = [*runs, *dict.fromkeys(self._data_sets.values())]
        return {label: first + ROW * i for i, label in enumerate(labels)}

    def data_sets(self, node: Node) -> dict[str, list[Dataset]]:
        """Return a version's data sets by the label of their row."""
        found: dict[str, list[Dataset]] = {}
        for data in node.entry.datasets:
            found.setdefault(self._data_sets[data.name, data.digest], []).append(data)
        return found

    @functools.cached_property
    def _data_sets(self) -> dict[tuple[str, str], str]:
        """The row of each data set by name and digest; the least used share the last row."""
        used = Counter((d.name, d.digest) for node in self.graph.nodes for d in node.entry.datasets)
        ranked = {key for key, _ in used.most_common(DATA_SETS)}
        named = [key for key in used if key in ranked]
        texts = distinct((f"{fitted(name, 20)} {fitted(digest[:8])}" for name, digest in named), taken={RUNS})
        rest = counted(len(used) - len(named), "more data set")
        return dict(zip(named, texts, strict=True)) | {key: rest for key in used if key not in ranked}
