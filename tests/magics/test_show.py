"""The magics that show what is registered, on a real store."""

from __future__ import annotations

import json

import pytest

from hokusai_nb.schema.records import Comparison, Lineage, ModelList

HOSTILE = """<img src=x onerror=alert(1)> "it's" %s"""


@pytest.fixture(autouse=True)
def registered(registry, trained):
    """Two versions of one model and one of another, with a hostile name and tags."""
    for value in (0.85, 0.87):
        run = trained(accuracy=value, params={"depth": value})
        registry.register_run_model(run.run_id, "churn", "MSG-AI", "accuracy", tags={"gpu_type": HOSTILE})
    registry.register_run_model(trained(f1_score=0.5).run_id, HOSTILE, "IMG-001", "f1_score")


def test_models_lists_all_or_those_of_a_token_or_a_prefix(run):
    assert {(m.name, m.version) for m in run("%hokusai_models")} == {("churn", "1"), ("churn", "2"), (HOSTILE, "1")}
    assert {m.name for m in run("%hokusai_models --token img-001")} == {HOSTILE}
    assert {m.name for m in run("%hokusai_models chu")} == {"churn"}
    both = run("%hokusai_models chu --token MSG-AI")
    assert isinstance(both, ModelList)
    assert len(both) == 2
    assert len(run("%hokusai_models chu --token IMG-001")) == 0


@pytest.mark.parametrize(
    "line", ["%hokusai_models", "%hokusai_lineage $name", "%hokusai_compare churn 1 2", "%hokusai", "%hokusai_config"]
)
def test_every_record_shows_itself_as_escaped_html_and_as_text(run, shell, line):
    shell.user_ns["name"] = HOSTILE
    bundle = run(line)._repr_mimebundle_()
    assert bundle["text/plain"].strip()
    assert "<img" not in bundle["text/html"]


def test_lineage_is_a_sequence_with_improvements(run):
    found = run("%hokusai_lineage churn")
    assert isinstance(found, Lineage)
    assert [str(entry.improvement) for entry in found] == ["None", "0.02"]


def test_compare_shows_what_differs(run):
    found = run("%hokusai_compare churn 1 2")
    assert isinstance(found, Comparison)
    assert str(found.improvement) == "0.02"
    assert ("parameter", "depth", "0.85", "0.87") in found.differences()


@pytest.mark.parametrize(
    "line", ["%hokusai_models --json", "%hokusai_lineage churn --json", "%hokusai_compare churn 1 2 --json"]
)
def test_json_reads_back(run, line):
    assert json.loads(run(line))


@pytest.mark.parametrize(
    "line",
    ["%hokusai_improvement churn", "%hokusai_improvement churn --by-contributor", "%hokusai_lineage churn --graph"],
)
def test_pictures_come_as_a_bundle_that_every_front_end_can_show(run, line):
    bundle = run(line)._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert bundle["text/plain"]
    assert bundle["image/png"]
    assert "application/vnd.vegalite.v5+json" in bundle


@pytest.mark.parametrize(
    "line",
    [
        "%hokusai_lineage nope",
        "%hokusai_improvement nope",
        "%hokusai_compare churn 1 99",
        "%hokusai_compare churn one two",
        "%hokusai_compare churn",
        "%hokusai_lineage",
        "%hokusai_models a b",
        "%hokusai nothing",
    ],
)
def test_what_does_not_exist_or_is_missing_is_said_in_few_lines(refused, line):
    assert 1 <= len(refused(line)) <= 4


@pytest.mark.parametrize("line", ["%hokusai_models ;", "%hokusai_lineage churn;", "%hokusai ; # quiet"])
def test_a_closing_semicolon_silences(run, line):
    assert run(line) is None
