"""The two cards say what they must, escaped, and no longer than a card may be."""

from __future__ import annotations

import json

import pytest

from hokusai_nb.schema.display import as_json
from hokusai_nb.schema.overview import OverviewCard, Setting, SettingsCard, ShellOverview
from hokusai_nb.schema.runs import RunFacts, RunModel

HOSTILE = """<script>alert("it's")</script> %s\n\x1b[31m😀"""


def a_run(**changes):
    facts = {"run_id": "r1", "name": "calm-fox", "experiment_id": "0", "status": "FINISHED", "metrics": {"rmse": 0.5}}
    return RunFacts(**{**facts, **changes})


def a_model(name="model"):
    return RunModel(name=name, uri="models:/m-1", source="models:/m-1", location="/x", run_id="r1")


def card(**given):
    return OverviewCard(store="sqlite:///a.db", chosen_because="set in MLflow", **given)


def test_without_a_run_the_first_step_is_a_cell_that_makes_one():
    shown = card()._repr_mimebundle_()["text/plain"]
    assert "Current run  none" in shown
    assert card().next_steps[0].startswith("%%hokusai_register")


def test_a_run_is_shown_with_figures_and_models_and_its_metric_is_in_the_next_step():
    full = card(run=a_run(), models=(a_model(), a_model()))
    shown = full._repr_mimebundle_()["text/plain"]
    assert "calm-fox, FINISHED (r1)" in shown
    assert "rmse = 0.5" in shown
    assert "Its models   model\n" in shown
    assert full.next_steps[0] == "%hokusai_register my-model --token MSG-AI --metric rmse"


def test_a_run_without_a_model_is_told_to_name_a_variable():
    assert card(run=a_run()).next_steps[0].endswith("--model VARIABLE")


def test_a_failed_run_is_no_base_for_a_registration():
    assert card(run=a_run(status="FAILED")).next_steps[0].startswith("%%")


def test_trouble_is_said_and_the_run_is_not_called_none():
    shown = card(trouble="It is down.")._repr_mimebundle_()["text/plain"]
    assert "Trouble      It is down." in shown
    assert "Current run  not known" in shown


def test_a_hostile_registry_is_escaped_and_stays_on_its_line():
    run = a_run(name=HOSTILE, metrics={HOSTILE: 1.0})
    shown = card(run=run, models=(a_model(HOSTILE),), trouble=HOSTILE)._repr_mimebundle_()
    assert "<script>" not in shown["text/html"]
    assert "\x1b" not in shown["text/plain"]
    assert HOSTILE not in "".join(card(run=run).next_steps), "a line to type holds no hostile name"
    assert len(shown["text/plain"].splitlines()) == 10


def test_in_a_shell_the_next_steps_are_commands():
    shown = ShellOverview(**dict(card()))
    assert all(line.startswith("hokusai ") for line in shown.next_steps)
    assert shown.model_dump() == card().model_dump()


def test_many_metrics_are_cut_and_counted():
    shown = card(run=a_run(metrics={f"m{i:02}": 1.0 for i in range(100)}))._repr_mimebundle_()["text/plain"]
    assert "and 92 more" in shown


@pytest.mark.parametrize(
    "record", [card(run=a_run(), models=(a_model(),)), SettingsCard(settings=(Setting(name=HOSTILE, value=HOSTILE),))]
)
def test_both_cards_read_back_from_json_and_escape(record):
    assert type(record).model_validate(json.loads(as_json(record))) == record
    bundle = record._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"]
    assert bundle["text/plain"]
