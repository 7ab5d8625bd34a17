"""The graph of versions, laid out: which are drawn, in which lane each, and what was made from what."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hokusai_nb.plots.theme import thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hokusai_nb.schema.records import Lineage, LineageEntry

__all__ = ["Edge", "Graph", "Node"]

LIMIT = 40


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A version in its place."""

    entry: LineageEntry
    column: int
    lane: int
    """0 is the main line, which leads to the newest version; branches lie below."""


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """From a version to one that was made from it."""

    parent: Node
    child: Node
    skipped: int
    """How many versions between them are not drawn."""


@dataclasses.dataclass(frozen=True)
class Graph:
    """The versions that a picture can show, one per column, in lanes without crossings inside a lane."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    branches: int
    """How many versions are a second, third … child of their parent, drawn or not."""

    @classmethod
    def of(cls, lineage: Lineage, best: LineageEntry | None) -> Graph:
        """Lay out a lineage; of many versions the ends, the best, the aliased ones and the branchings first."""
        parents = _parents(lineage)
        kept = thin(len(parents), LIMIT, *_tiers(lineage, best, parents))
        column = {position: i for i, position in enumerate(kept)}
        links = [_nearest(position, parents, column) for position in kept]
        lanes = _lanes([None if link is None else column[link[0]] for link in links])
        nodes = tuple(Node(lineage[position], i, lanes[i]) for i, position in enumerate(kept))
        edges = tuple(
            Edge(nodes[column[link[0]]], node, link[1])
            for node, link in zip(nodes, links, strict=True)
            if link is not None
        )
        children = [parent for parent in parents if parent is not None]
        return cls(nodes, edges, len(children) - len(set(children)))

    @property
    def lanes(self) -> list[str]:
        """What each lane is: the main line, a branch, or versions without a parent that is known."""
        branches = {edge.child.lane for edge in self.edges if edge.child.lane != edge.parent.lane}
        others = range(1, 1 + max(node.lane for node in self.nodes))
        return ["main line" if others else "versions", *("branch" if lane in branches else "apart" for lane in others)]


def _parents(lineage: Lineage) -> list[int | None]:
    """Return each version's parent by position; None where it has none, or one that does not come before it.

    So a cycle is never followed.
    """
    position = {entry.version: i for i, entry in reversed(list(enumerate(lineage)))}
    found = [position.get(entry.parent) if entry.parent is not None else None for entry in lineage]
    return [parent if parent is not None and parent < i else None for i, parent in enumerate(found)]


def _tiers(lineage: Lineage, best: LineageEntry | None, parents: Sequence[int | None]) -> list[list[int]]:
    """Return the positions that a picture must not lose, the most important first."""
    children = [0] * len(parents)
    for parent in parents:
        if parent is not None:
            children[parent] += 1
    everything = range(len(parents))
    return [
        [0, len(parents) - 1, *(i for i in everything if lineage[i] is best)],
        [i for i in everything if lineage[i].aliases],
        [i for i in everything if children[i] != 1 or parents[i] is None],
    ]


def _nearest(position: int, parents: Sequence[int | None], drawn: dict[int, int]) -> tuple[int, int] | None:
    """Return the nearest drawn ancestor and how many versions lie between; parents come before, so this ends."""
    ancestor, skipped = parents[position], 0
    while ancestor is not None and ancestor not in drawn:
        ancestor, skipped = parents[ancestor], skipped + 1
    return None if ancestor is None else (ancestor, skipped)


def _lanes(parents: Sequence[int | None]) -> list[int]:
    """Return a lane for each node: 0 for the ancestry of the last, else the parent's or the first that is free."""
    main: set[int] = set()
    at: int | None = len(parents) - 1
    while at is not None:
        main.add(at)
        at = parents[at]
    last_child = list(range(len(parents)))
    for i, parent in enumerate(parents):
        if parent is not None:
            last_child[parent] = i
    lanes: list[int] = []
    tips: list[int] = [0]
    for i, parent in enumerate(parents):
        lane = 0 if i in main else _branch_lane(parent, i, lanes, tips, last_child)
        lanes.append(lane)
        tips[lane] = i
    return lanes


def _branch_lane(
    parent: int | None, node: int, lanes: Sequence[int], tips: list[int], last_child: Sequence[int]
) -> int:
    """Return the parent's lane if it ends there, else the first lane that is free from the parent on."""
    if parent is not None and lanes[parent] > 0 and tips[lanes[parent]] == parent:
        return lanes[parent]
    start = node if parent is None else parent + 1
    free = (k for k in range(1, len(tips)) if last_child[tips[k]] < start)
    if (lane := next(free, None)) is not None:
        return lane
    tips.append(node)
    return len(tips) - 1
