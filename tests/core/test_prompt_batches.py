from __future__ import annotations

from collections.abc import Mapping

import mlflow
import pytest

from hokusai_nb.core.prompt_batches import promote_prompts, register_prompts
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ModelNotFoundError, ModelValidationError, RegistryError
from tests.conftest import both
from tests.prompts import FULL


def item(name="hook", version="1.0.0", template="Hi {name}"):
    return {"name": name, "template": template, "version": version, "metadata": FULL}


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
    good, bad = {**item("good")}, {**item("bad"), "metadata": {**FULL, "performance_metrics": {"ctr": 0.01}}}
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


class Hostile(Mapping):
    """A mapping of another program's, which fails however it is asked."""

    def __init__(self, error):
        self.error = error

    def __getitem__(self, key):
        raise self.error

    def __iter__(self):
        return iter(["name", "template", "version"])

    def __len__(self):
        return 3


class Mute(Exception):  # noqa: N818 - what it is is all that it says
    def __str__(self):
        raise OSError


@pytest.mark.usefixtures("store")
def test_a_hostile_item_costs_no_other_result():
    errors = [RuntimeError("no"), Mute(), SystemExit(3)]
    results = register_prompts([item(), *map(Hostile, errors), item("other")], progress=False)
    assert [r.ok for r in results] == [True, False, False, False, True]
    assert "Item 1 failed: RuntimeError: 'no'" in results[1].error.what
    assert "its message failed: OSError" in results[2].error.what
    assert "Item 3 failed: SystemExit: '3'" in results[3].error.what
    assert [r.error.__cause__ for r in results[1:4]] == errors
    moved = promote_prompts([Hostile(errors[0]), (), [None, None], "hook"], progress=False)
    assert [r.ok for r in moved] == [False, False, False, True]


@pytest.mark.parametrize("call", [register_prompts, promote_prompts])
@pytest.mark.parametrize("workers", [0, -1, "x", None, 1.5, True])
def test_a_number_of_workers_that_cannot_be_is_refused(call, workers):
    with pytest.raises(ModelValidationError, match="max_workers must be a whole number from 1"):
        call([], max_workers=workers)


@pytest.mark.parametrize("call", [register_prompts, promote_prompts])
@pytest.mark.parametrize("items", [None, 5])
def test_what_is_no_series_is_refused(call, items):
    with pytest.raises(ModelValidationError, match="Prompts must be a series"):
        call(items)


def test_requirements_that_are_none_are_refused_at_once():
    with pytest.raises(ModelValidationError, match="must be a metric gate or callable"):
        promote_prompts(["hook"], require=[5])


@pytest.mark.usefixtures("store")
def test_requirements_may_be_an_iterator_or_one_callable():
    register_prompts([item("a"), item("b")], progress=False)
    results = promote_prompts(["a", "b"], require=iter(["ctr > 0.5"]), progress=False)
    assert [r.ok for r in results] == [False, False]
    assert all(r.ok for r in promote_prompts(["a", "b"], require=lambda m: "Hi" in m.template, progress=False))


# Promoting in order


@both
def test_versions_of_one_prompt_are_promoted_in_order_and_none_against_another(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    name = unique("hook")
    versions = [f"1.0.{v}" for v in range(4)]
    register_prompts([item(name, v, f"Hi {{name}} {v}") for v in versions], progress=False)
    moved = promote_prompts([(name, v) for v in versions], progress=False)
    assert [r.error for r in moved] == [None] * 4
    changes = [(c.version, c.to_stage) for c in moved[0].prompt.get_history() if c.to_stage == "staging"]
    assert changes == [(v, "staging") for v in versions]
    assert PromptModel.load_from_registry(name, stage="staging", refresh=True).version == "1.0.3"


@both
def test_a_version_that_is_given_twice_is_promoted_once_however_it_is_named(sqlite_or_server, unique):
    mlflow.set_tracking_uri(sqlite_or_server)
    name = unique("hook")
    first, second = (
        r.prompt for r in register_prompts([item(name), item(name, "1.0.1", "Hi, {name}")], progress=False)
    )
    again = PromptModel(**item(name, "1.0.1", "Hi, {name}"))
    wrong = PromptModel(**item(name, "1.0.1", "Hello {name}"))
    given = [(name, "1.0.0"), second, name, again, first, wrong, (name, "1.0.1"), [name, "1.0.0"]]
    moved = promote_prompts(given, why="once", progress=False)
    assert [r.index for r in moved] == list(range(8))
    assert [r.ok for r in moved] == [True, True, True, True, True, False, True, True]
    assert "with other content" in moved[5].error.what
    assert (moved[1].prompt, moved[3].prompt, again.stage) == (second, again, "staging")
    assert [c.version for c in second.get_history() if c.to_stage == "staging"] == ["1.0.0", "1.0.1"]


# Many


@pytest.mark.usefixtures("store")
def test_a_hundred_prompts_of_ten_versions_each_are_registered_promoted_and_listed():
    names = [f"prompt-{i:03d}" for i in range(100)]
    items = [item(name, f"1.0.{v}", f"Hi {{name}} {v}") for name in names for v in range(10)]
    made = register_prompts(items, progress=False)
    assert [r.error for r in made] == [None] * 1000
    parents = [None, *(f"1.0.{v}" for v in range(9))]
    assert [(r.prompt.mlflow_version, r.prompt.parent_version) for r in made] == [*enumerate(parents, 1)] * 100
    moved = promote_prompts(names, why="all of them", progress=False)
    assert [r.prompt.version for r in moved] == ["1.0.9"] * 100
    found = PromptModel.list("prompt-")
    assert len(found) == 1000
    assert [v.version for v in found if v.stage == "staging"] == ["1.0.9"] * 100
    assert [v.name for v in found][::10] == names
    assert [e["version"] for e in moved[42].prompt.get_lineage()] == [f"1.0.{v}" for v in range(10)]


@pytest.mark.usefixtures("store")
def test_a_name_alone_never_brings_an_older_version_to_a_stage():
    for version in ("1.0.0", "1.1.0"):
        register_prompts([item("hook", version, f"Hi {{name}} {version}")], progress=False)
        promote_prompts(["hook"], progress=False)
    (moved,) = promote_prompts(["hook"], "production", progress=False)
    assert (moved.moved, moved.prompt.version, moved.prompt.stage) == (True, "1.1.0", "production")
    for to in ("staging", "production"):
        (same,) = promote_prompts(["hook"], to, progress=False)
        assert (same.error, same.moved, same.prompt.version, same.prompt.stage) == (None, False, "1.1.0", "production")
    assert len(moved.prompt.get_history()) == 4
