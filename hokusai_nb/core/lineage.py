"""What each version was made from, and how far it got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.schema.metrics import Metric, find_metric, improvement
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.records import Comparison, Lineage, LineageEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from hokusai_nb.schema.records import RegisteredModel, RunFacts

__all__ = ["build_lineage", "compare_versions", "gain"]

PARENT_TAG = "previous_version"


def gain(candidate: RegisteredModel, baseline: RegisteredModel | None) -> Decimal | None:
    """Return the candidate's improvement, exact; None where the two cannot be compared, or one was not measured."""
    metric = _metric(candidate)
    if baseline is None or metric is None or metric != _metric(baseline):
        return None
    before, after = baseline.measured, candidate.measured
    return None if before is None or after is None else improvement(metric, baseline=before, candidate=after)


def _metric(model: RegisteredModel) -> Metric | None:
    return find_metric(model.benchmark_metric or "")


def build_lineage(name: str, versions: Sequence[RegisteredModel], runs: Mapping[str, RunFacts]) -> Lineage:
    """Return the lineage of a model.

    Args:
        name: Registered model name.
        versions: All its versions, in order.
        runs: The versions' runs by id; a run that is gone is missing.
    """
    by_version = {v.version: v for v in versions}
    parents, problems = _parents(versions)
    best: dict[str, RegisteredModel] = {}
    entries = []
    for version in versions:
        metric = _metric(version)
        leader = best.get(metric.name) if metric else None
        over_best = gain(version, leader)
        is_best = metric is not None and version.measured is not None and (leader is None or (over_best or 0) > 0)
        if metric and is_best:
            best[metric.name] = version
        parent = parents.get(version.version)
        entries.append(
            LineageEntry(
                **dict(version),
                parent=parent,
                improvement=gain(version, _measured_ancestor(parent, parents, by_version)),
                improvement_over_best=over_best,
                is_best=is_best,
                run=runs.get(version.run_id or ""),
            )
        )
    return Lineage(name=name, entries=tuple(entries), problems=tuple(problems))


def _measured_ancestor(
    parent: str | None, parents: Mapping[str, str], by_version: Mapping[str, RegisteredModel]
) -> RegisteredModel | None:
    """Return a parent, or in place of one whose value is only declared the nearest above it whose value is not.

    Args:
        parent: The version to begin with.
        parents: Parents without cycles.
        by_version: All versions.
    """
    while parent is not None and by_version[parent].is_declared:
        parent = parents.get(parent)
    return None if parent is None else by_version[parent]


def _parents(versions: Sequence[RegisteredModel]) -> tuple[dict[str, str], list[Problem]]:
    """Return each version's parent, and what is wrong with the stated ones."""
    known = {v.version for v in versions}
    parents: dict[str, str] = {}
    problems = []
    before: str | None = None
    for version in versions:
        stated = version.tags.get(PARENT_TAG)
        parent = stated if stated is not None else before
        if parent is not None and parent not in known:
            what = f"Version {version.version} names the parent {quoted(parent)}, which does not exist."
            problems.append(
                Problem(field=PARENT_TAG, what=what, hint="It is shown without a parent.", severity="warning")
            )
        elif parent is not None:
            parents[version.version] = parent
        before = version.version
    return parents, [*problems, *_cut_cycles(parents)]


def _cut_cycles(parents: dict[str, str]) -> list[Problem]:
    """Remove the parents that form a cycle and report each cycle once; linear in the versions."""
    problems = []
    settled: set[str] = set()
    for start in list(parents):
        path: dict[str, None] = {}  # a set that keeps its order
        current: str | None = start
        while current is not None and current not in settled and current not in path:
            path[current] = None
            current = parents.get(current)
        if current is not None and current in path:
            cycle = list(path)
            cycle = cycle[cycle.index(current) :]
            for version in cycle:
                parents.pop(version, None)
            what = f"Versions {', '.join(cycle)} name each other as parents in a cycle."
            problems.append(
                Problem(field=PARENT_TAG, what=what, hint="They are shown without parents.", severity="warning")
            )
        settled.update(path)
    return problems


def compare_versions(first: LineageEntry, second: LineageEntry) -> Comparison:
    """Return two versions side by side, with the second's improvement over the first."""
    return Comparison(first=first, second=second, improvement=gain(second, first))
