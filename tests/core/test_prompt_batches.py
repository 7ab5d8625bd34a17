from __future__ import annotations

import asyncio
import sqlite3
import time

import mlflow
import pytest

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.core.prompt_batches import apromote_prompts, aregister_prompts, promote_prompts, register_prompts
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ModelNotFoundError, ModelValidationError, RegistryError
from hokusai_nb.schema.prompts import PromptVersion
from tests.conftest import both

DONE = {"author": "a", "purpose": "b", "tested_on": "c", "performance_metrics": {"ctr": 0.07}}


def item(name="hook", version="1.0.0", template="Hi {name}"):
    return {"name": name, "template": template, "version": version, "metadata": DONE}


@both
def test_results_come_in_order_and_a_bad_item_harms_no_other(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    a, b = unique("a"), unique("b")
    items = [
        item(a),
        item(b),
        item(a, "1.0.1", "Hi {name}!"),
        item(a, "1.0.2", "Hi {who}"),
        "nonsense",
        {**item(a), "wieght": 1},
        {"name": b},
        item(a, "1.0.0"),
        PromptModel(b, "Hi {name}", "1.1.0"),
        item(a, "1.0.2", "Hi {name}?"),
    ]
    results = register_prompts(items, progress=False)
    assert [r.index for r in results] == list(range(10))
    assert [r.ok for r in results] == [True, True, True, False, False, False, False, True, True, True]
    assert {type(r.error) for r in results if not r.ok} == {ModelValidationError}
    assert [r.prompt.mlflow_version for r in results if r.ok] == [1, 1, 2, 1, 2, 3]
    assert [len(r.warnings) for r in results if r.ok] == [0, 0, 0, 0, 4, 0]
    moved = promote_prompts([a, (b, "1.0.0"), "nobody", (b, "9.0.0"), 7], progress=False)
    assert [type(r.error) for r in moved] == [
        type(None),
        type(None),
        ModelNotFoundError,
        ModelNotFoundError,
        ModelValidationError,
    ]
    assert moved[0].prompt.version == "1.0.2"
    up = promote_prompts([a, b], "production", why="all", require=["ctr > 0.06"], progress=False)
    assert [r.prompt.stage for r in up] == ["production", "production"]
    assert [c.why for c in up[0].prompt.get_history()] == ["", "all"]


@pytest.mark.usefixtures("store")
def test_a_batch_again_registers_only_what_is_missing():
    items = [item(f"p{i}", f"1.0.{v}", f"Hi {{name}} {v}") for i in range(3) for v in range(3)]
    assert all(r.ok for r in register_prompts(items[:4], progress=False))
    again = register_prompts(items, progress=False)
    assert [r.prompt.mlflow_version for r in again] == [1, 2, 3] * 3
    assert len(PromptModel.list()) == 9


@pytest.mark.usefixtures("store")
def test_requirements_hold_for_each():
    good, bad = {**item("good")}, {**item("bad"), "metadata": {**DONE, "performance_metrics": {"ctr": 0.01}}}
    register_prompts([good, bad], progress=False)
    results = promote_prompts(["good", "bad"], require="ctr > 0.06", progress=False)
    assert [r.ok for r in results] == [True, False]
    assert "Tests failed: bad 1.0.0" in results[1].error.what


@pytest.mark.parametrize("call", [register_prompts, promote_prompts])
def test_a_single_item_is_not_taken_for_a_series(call):
    for single in (item(), "hook", PromptModel("hook", "Hi", "1.0.0")):
        with pytest.raises(ModelValidationError, match="Prompts must be a series"):
            call(single)


def test_nothing_is_promoted_to_dev():
    with pytest.raises(ModelValidationError, match="Nothing is promoted to dev"):
        promote_prompts([], "dev")


@pytest.mark.usefixtures("store")
def test_an_item_that_fails_in_a_way_nobody_foresaw_costs_no_other_result():
    class Odd(PromptModel):
        def validate(self):
            msg = "boom"
            raise OSError(msg)

    results = register_prompts([Odd("odd", "Hi", "1.0.0"), item()], progress=False)
    assert isinstance(results[0].error, RegistryError)
    assert "Item 0 failed: OSError: 'boom'" in results[0].error.what
    assert results[1].ok


@pytest.mark.usefixtures("store")
def test_a_bar_shows_the_progress_and_can_be_switched_off(capsys):
    register_prompts([item()], progress=True)
    promote_prompts(["hook"], progress=True)
    shown = capsys.readouterr().err
    assert "Registering: 100%" in shown
    assert "Promoting: 100%" in shown
    register_prompts([item()], progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("store")
def test_batches_leave_the_event_loop_free():
    async def both_of_them():
        made = await aregister_prompts([item()], progress=False)
        return made, await apromote_prompts(["hook"], progress=False)

    made, moved = asyncio.run(both_of_them())
    assert made[0].ok
    assert moved[0].prompt.stage == "staging"


def seed(store, names, versions):
    """Write versions as `prompts.create` would, by rows: a hundred times ten calls would take a while."""
    now = int(time.time() * 1000)
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        for name in names:
            row = (name, now, now)
            database.execute(
                "INSERT INTO registered_models(name, creation_time, last_updated_time) VALUES (?,?,?)", row
            )
            mark = (name, "mlflow.prompt.is_prompt", "true")
            database.execute("INSERT INTO registered_model_tags(name, key, value) VALUES (?,?,?)", mark)
            for number, version in enumerate(versions, 1):
                row = (name, number, now, now, "prompt-template", "None", "READY")
                database.execute(
                    "INSERT INTO model_versions(name, version, creation_time, last_updated_time, source, current_stage,"
                    " status) VALUES (?,?,?,?,?,?,?)",
                    row,
                )
                one = PromptVersion(name=name, version=version, template=f"Hi {{name}} {version}", metadata=DONE)
                tags = [(name, number, key, text) for key, text in prompts._tags(one).items()]
                database.executemany("INSERT INTO model_version_tags(name, version, key, value) VALUES (?,?,?,?)", tags)
    database.close()


def test_a_hundred_prompts_of_ten_versions_each_are_registered_promoted_and_listed(store):
    names = [f"prompt-{i:03d}" for i in range(100)]
    seed(store, names, [f"1.0.{v}" for v in range(9)])
    made = register_prompts([item(name, "1.0.9", "Hi {name} at last") for name in names], progress=False)
    assert [(r.ok, r.prompt.mlflow_version, r.prompt.parent_version) for r in made] == [(True, 10, "1.0.8")] * 100
    moved = promote_prompts(names, why="all of them", progress=False)
    assert [r.prompt.version for r in moved] == ["1.0.9"] * 100
    found = PromptModel.list("prompt-")
    assert len(found) == 1000
    assert [v.version for v in found if v.stage == "staging"] == ["1.0.9"] * 100
    assert [v.name for v in found][::10] == names
    assert [e["version"] for e in moved[42].prompt.get_lineage()] == [f"1.0.{v}" for v in range(10)]
