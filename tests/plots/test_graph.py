"""Lanes, edges and what is kept of many versions."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st

from hokusai_nb.plots.graph import Graph

from .conftest import make_lineage


def lanes(values, parents):
    graph = Graph.of(make_lineage(values, parents=parents), None)
    return {node.entry.version: node.lane for node in graph.nodes}


def test_the_main_line_leads_to_the_newest_version():
    assert lanes(["1"] * 6, {"4": "2", "6": "3"}) == {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1, "6": 0}


def test_a_lane_is_used_again_when_its_branch_has_ended():
    found = lanes(["1"] * 6, {"3": "1", "4": "3", "6": "4"})
    assert found == {"1": 0, "2": 1, "3": 0, "4": 0, "5": 1, "6": 0}


def test_branches_at_the_same_time_lie_in_different_lanes():
    found = lanes(["1"] * 5, {"2": "1", "3": "1", "4": "1", "5": "1"})
    assert len(set(found.values())) == 4


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=40, deadline=None)
def test_no_two_lines_share_a_lane_at_the_same_time(data):
    size = data.draw(st.integers(2, 30))
    parents = {str(i): str(data.draw(st.integers(1, size))) for i in range(2, size + 1) if data.draw(st.booleans())}
    graph = Graph.of(make_lineage(["1"] * size, parents=parents), None)
    assert [node.column for node in graph.nodes] == list(range(size))
    for edge in graph.edges:
        assert edge.parent.column < edge.child.column
        between = [n for n in graph.nodes if edge.parent.column < n.column < edge.child.column]
        assert edge.child.lane not in {n.lane for n in between}, "an edge runs over a version it has nothing to do with"
    assert len(graph.lanes) == 1 + max(n.lane for n in graph.nodes)


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=10, deadline=None)
def test_thinning_keeps_descent(data):
    size = data.draw(st.integers(60, 200))
    parents = {str(i): str(data.draw(st.integers(1, i - 1))) for i in range(2, size + 1) if data.draw(st.booleans())}
    lineage = make_lineage(["1"] * size, parents=parents)
    graph = Graph.of(lineage, None)
    parent_of = {e.version: e.parent for e in lineage}
    assert len(graph.nodes) == 40
    for edge in graph.edges:
        ancestor = edge.child.entry.version
        for _ in range(edge.skipped + 1):
            ancestor = parent_of[ancestor]
        assert ancestor == edge.parent.entry.version
