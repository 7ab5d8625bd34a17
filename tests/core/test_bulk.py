from __future__ import annotations

import _thread
import asyncio
import threading

import pytest

from hokusai_nb.core import bulk
from hokusai_nb.core.bulk import verb_from_record
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.core.twins import twin
from hokusai_nb.errors import HokusaiError, ModelNotFoundError, RegistryError, ValidationError
from hokusai_nb.schema.records import RegisteredModel
from tests.conftest import both, train

FULL = {
    "model_uri": "models:/m-1", "name": "m", "token_id": "MSG-AI", "benchmark_metric": "accuracy",
    "benchmark_value": "0.9", "tags": {"gpu_type": "A100"}, "force_new": True,
}  # fmt: skip
SHORT = {"uri": "models:/m-1", "name": "m", "token_id": "msg-ai", "metric": "accuracy", "value": 0.9}


def record(made, name="m", value="0.9", **more):
    return {"uri": made.model_uri, "name": name, "token_id": "MSG-AI", "metric": "accuracy", "value": value, **more}


# What a record asks for


def test_a_record_has_the_methods_arguments_or_the_guides_short_names():
    full, short = verb_from_record(FULL), verb_from_record(SHORT)
    assert (full.model, full.name, full.token, full.metric, full.value) == (
        "models:/m-1", "m", "MSG-AI", "accuracy", "0.9",
    )  # fmt: skip
    assert (full.tags, full.force_new) == ({"gpu_type": "A100"}, True)
    assert (short.token, short.value, short.tags, short.force_new) == ("MSG-AI", "0.9", {}, False)


def test_the_helpers_names_are_understood_too():
    helper = {"model_uri": "models:/m-1", "model_name": "m", "token_id": "MSG-AI"}
    verb = verb_from_record({**helper, "metric_name": "accuracy", "baseline_value": "0.9"})
    assert (verb.name, verb.metric, verb.value) == ("m", "accuracy", "0.9")


def test_a_record_may_name_a_run_and_leave_the_value_to_it():
    verb = verb_from_record({"run_id": "r1", "name": "m", "token_id": "MSG-AI", "metric": "accuracy", "value": None})
    assert (verb.run, verb.model, verb.value) == ("r1", None, None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("models:/m-1", "A record must be a mapping: 'models:/m-1'"),
        (None, "A record must be a mapping: None"),
        ({**SHORT, "wieght": 1}, "A record has no key 'wieght'"),
        ({**SHORT, 5: 1}, "A record has no key 5"),
        ({**SHORT, "model_uri": "models:/m-2"}, "names the model twice: 'model_uri' says it again"),
        ({k: v for k, v in SHORT.items() if k != "uri"}, "A record names no model"),
        ({**SHORT, "uri": ""}, "A record names no model"),
        ({k: v for k, v in SHORT.items() if k != "token_id"}, "token is missing"),
        ({**SHORT, "token_id": "msg_ai"}, "Token ID format invalid"),
        ({**SHORT, "value": "high"}, "Benchmark value must be numeric"),
        ({**SHORT, "tags": {"benchmark_value": "1"}}, "cannot be set through tags"),
    ],
)
def test_a_record_that_cannot_be_understood_says_why(wrong, words):
    with pytest.raises(ValidationError) as caught:
        verb_from_record(wrong)
    assert words in str(caught.value)


# Many of them


@both
def test_results_come_in_order_and_a_bad_record_harms_no_other(sqlite_or_server, unique):
    registry, name = ModelRegistry(sqlite_or_server), unique("m")
    made = [train(sqlite_or_server, accuracy=0.5 + i / 10) for i in range(3)]
    gone = "models:/m-00000000000000000000000000000000"
    records = [
        record(made[0], name, "0.5"),
        record(made[1], name, "many"),
        {**record(made[1], name), "uri": gone},
        "nonsense",
        record(made[1], name, 0.6),
        {"run_id": made[2].run_id, "name": name, "token": "MSG-AI", "metric": "accuracy"},
    ]
    results = registry.register_many(records, max_workers=3, progress=False)
    assert [r.index for r in results] == [0, 1, 2, 3, 4, 5]
    assert [r.ok for r in results] == [True, False, False, False, True, True]
    assert [r.model.benchmark_value for r in results if r.ok] == ["0.5", "0.6", "0.7"]
    assert [type(r.error) for r in results if not r.ok] == [ValidationError, ModelNotFoundError, ValidationError]
    assert {m.run_id for m in registry.get_model_lineage(name)} == {m.run_id for m in made}


def test_the_same_call_again_registers_only_what_is_missing(registry, store):
    made = [train(store) for _ in range(6)]
    records = [record(m, f"m{i}") for i, m in enumerate(made)]
    registry.register_many(records[:4], progress=False)
    results = registry.register_many(records, progress=False)
    assert [r.model.created for r in results] == [False] * 4 + [True] * 2
    assert [m.version for m in registry.list_models()] == ["1"] * 6


def test_a_record_that_is_there_twice_is_registered_once(registry, trained):
    made = trained()
    results = registry.register_many([record(made)] * 8, max_workers=8, progress=False)
    assert {r.model.version for r in results} == {"1"}
    assert sum(r.model.created for r in results) == 1


def test_any_series_will_do(registry, store):
    made = [train(store) for _ in range(3)]
    results = registry.register_many((record(m) for m in made), progress=False)
    assert [r.model.run_id for r in results] == [m.run_id for m in made]
    assert registry.register_many([], progress=False) == []
    assert registry.register_many(iter(()), progress=True) == []


@pytest.mark.parametrize("single", [SHORT, "models:/m-1"])
def test_a_single_record_is_not_taken_for_a_series(registry, single):
    with pytest.raises(ValidationError, match="Records must be a series"):
        registry.register_many(single)


def test_no_worker_at_all_is_an_error(registry):
    with pytest.raises(ValueError, match="max_workers"):
        registry.register_many([], max_workers=0)


class Trap(dict):
    """A record that runs code."""

    def items(self):
        msg = "boom"
        raise OSError(msg)


def test_a_record_that_fails_in_a_way_nobody_foresaw_costs_no_other_result(registry, store):
    made = [train(store) for _ in range(2)]
    results = registry.register_many([record(made[0]), Trap(SHORT), record(made[1])], progress=False)
    assert [r.ok for r in results] == [True, False, True]
    assert isinstance(results[1].error, RegistryError)
    assert "Record 1 could not be registered: OSError: 'boom'" in results[1].error.what
    assert isinstance(results[1].error.__cause__, OSError)


def test_a_series_that_breaks_off_leaves_what_was_begun_and_can_be_called_again(registry, store):
    made = [train(store) for _ in range(3)]

    def breaking():
        yield record(made[0])
        yield record(made[1])
        msg = "no more"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="no more"):
        registry.register_many(breaking(), max_workers=1, progress=False)
    results = registry.register_many([record(m) for m in made], progress=False)
    assert all(r.ok for r in results)
    assert len(registry.list_models()) == 3


def fake(name):
    return RegisteredModel(
        name=name, version="1", token_id="T-1", benchmark_metric="accuracy", benchmark_value="1", tags={}
    )


def test_no_more_than_the_given_number_are_under_way_at_a_time():
    lock, now, most = threading.Lock(), [], []

    def register(verb):
        with lock:
            now.append(verb)
            most.append(len(now))
        threading.Event().wait(0.01)
        with lock:
            now.remove(verb)
        return fake(verb.name)

    records = [{**SHORT, "name": f"m{i}"} for i in range(20)]
    results = bulk.register_many(records, register, max_workers=3, progress=False)
    assert [r.model.name for r in results] == [f"m{i}" for i in range(20)]
    assert 1 < max(most) <= 3


def test_an_interrupt_finishes_what_has_begun_and_begins_no_more():
    begun, ended = [], []

    def register(verb):
        begun.append(verb.name)
        if len(begun) == 20:
            _thread.interrupt_main()  # as Ctrl-C does, or the kernel's stop button
        threading.Event().wait(0.02)
        ended.append(verb.name)
        return fake(verb.name)

    with pytest.raises(KeyboardInterrupt):
        bulk.register_many([{**SHORT, "name": f"m{i}"} for i in range(100)], register, max_workers=2, progress=False)
    assert 20 <= len(begun) < 100
    assert sorted(begun) == sorted(ended)


def test_a_cancelled_twin_finishes_what_has_begun_and_begins_no_more():
    begun, ended = [], []
    entered, released = threading.Event(), threading.Event()

    def register(verb):
        begun.append(verb.name)
        entered.set()
        assert released.wait(60)
        threading.Event().wait(0.02)
        ended.append(verb.name)
        return fake(verb.name)

    async def cancelled():
        records = [{**SHORT, "name": f"m{i}"} for i in range(100)]
        task = asyncio.create_task(twin(bulk.register_many)(records, register, max_workers=2, progress=False))
        await asyncio.to_thread(entered.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        released.set()

    asyncio.run(cancelled())  # it waits for its threads
    assert 0 < len(begun) < 100
    assert sorted(begun) == sorted(ended)


def test_a_bar_shows_the_progress_and_can_be_switched_off(capsys):
    records = [{**SHORT, "name": f"m{i}"} for i in range(3)]
    bulk.register_many(records, lambda verb: fake(verb.name), max_workers=1, progress=True)
    assert "Registering: 100%" in capsys.readouterr().err
    bulk.register_many(records, lambda verb: fake(verb.name), max_workers=1, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_result_of_each_kind_can_be_shown_and_sent(registry, trained):
    good, bad = registry.register_many([record(trained()), {}], progress=False)
    assert good.ok
    assert good.model.name == "m"
    assert not bad.ok
    assert isinstance(bad.error, HokusaiError)
    assert "ValidationError" in repr(bad)
