from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time

import mlflow
import pytest

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.core.twins import twin
from hokusai_nb.errors import ModelNotFoundError
from hokusai_nb.schema.verbs import Register
from tests.conftest import train

LOCAL = {"validate_hokusai_tags", "explain_hokusai_tags"}
VERBS = [
    name
    for name, member in inspect.getmembers(ModelRegistry, inspect.isfunction)
    if not name.startswith("_") and name not in LOCAL and not inspect.iscoroutinefunction(member)
]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_that_asks_the_registry_has_a_twin_of_the_same_signature(name):
    verb, other = getattr(ModelRegistry, name), getattr(ModelRegistry, f"a{name}")
    assert inspect.iscoroutinefunction(other)
    assert other.__name__ == f"a{name}"
    assert other.__qualname__ == f"{verb.__qualname__.rpartition('.')[0]}.a{name}"
    assert f"`{name}`" in other.__doc__
    assert inspect.signature(other) == inspect.signature(verb)


def test_there_is_no_twin_of_nothing():
    twins = {n for n, m in inspect.getmembers(ModelRegistry, inspect.iscoroutinefunction)}
    assert twins == {f"a{name}" for name in VERBS}
    assert len(twins) == 18


def test_twins_do_what_the_verbs_do(registry, trained):
    made = trained(accuracy=0.9)

    async def all_of_them():
        first = await registry.aregister_tokenized_model(made.model_uri, "m", "msg-ai", "accuracy", "0.9")
        await registry.aregister_run_model(made.run_id, "m", "MSG-AI", "accuracy", "0.95")
        results = await registry.aregister_many(
            [{"uri": made.model_uri, "name": "n", "token_id": "MSG-AI", "metric": "accuracy", "value": 0.5}],
            progress=False,
        )
        await registry.aupdate_model_tags("m", 2, {"gpu_type": "A100"})
        lineage, newest, model, models, of_token, comparison = await asyncio.gather(
            registry.aget_model_lineage("m"),
            registry.aget_latest_model_version("m"),
            registry.aget_tokenized_model("m", 1),
            registry.alist_models(prefix="m"),
            registry.alist_models_by_token("MSG-AI"),
            registry.acompare("m", 1, 2),
        )
        await registry.adelete_model_version("n", 1)
        assert (first.version, [r.ok for r in results]) == ("1", [True])
        assert (len(lineage), newest.tags["gpu_type"], model.version) == (2, "A100", "1")
        assert (len(models), len(of_token), str(comparison.improvement)) == (2, 3, "0.05")

    asyncio.run(all_of_them())
    assert len(registry.list_models()) == 2


def test_an_error_reaches_whoever_awaits(registry):
    with pytest.raises(ModelNotFoundError):
        asyncio.run(registry.aget_model_lineage("none"))


class Slow:
    """Something that blocks."""

    def verb(self, seconds, *, answer="yes"):
        """Block."""
        time.sleep(seconds)
        return answer

    averb = twin(verb)


def test_the_event_loop_goes_on_while_a_verb_blocks():
    async def ticking():
        ticks = 0
        waiting = asyncio.create_task(Slow().averb(0.3, answer="done"))
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks, await waiting

    ticks, answer = asyncio.run(ticking())
    assert answer == "done"
    assert ticks > 10


def test_verbs_run_side_by_side():
    met = threading.Barrier(4, timeout=30)

    class Meeting:
        def verb(self):
            return met.wait()

        averb = twin(verb)

    async def together():
        return await asyncio.gather(*(Meeting().averb() for _ in range(4)))

    assert sorted(asyncio.run(together())) == [0, 1, 2, 3]


def test_context_variables_go_along():
    user = contextvars.ContextVar("user")

    class Asks:
        def verb(self):
            return user.get()

        averb = twin(verb)

    async def ask():
        user.set("me")
        return await Asks().averb()

    assert asyncio.run(ask()) == "me"


def test_the_current_run_is_that_of_whoever_awaits(registry, store):
    with mlflow.start_run() as run:
        made = train(store, accuracy=0.9, run=run)
        # Training ended the run in the store; for MLflow it is still the active one.
        verb = Register.parse({"name": "m", "token": "MSG-AI", "metric": "accuracy"})
        registered = asyncio.run(registry.aregister(verb))
    assert (registered.run_id, registered.benchmark_value) == (made.run_id, "0.9")
    assert asyncio.run(registry.aregister(verb)).created is False
