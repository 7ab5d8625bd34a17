from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading

import mlflow
import pytest

from hokusai_nb.core import prompt_batches, prompts
from hokusai_nb.core.prompt_batches import apromote_prompts, aregister_prompts
from hokusai_nb.core.prompt_cache import current_backend
from hokusai_nb.core.prompts import PromptModel, aload_prompt_template
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.core.twins import given_up, twin
from hokusai_nb.errors import HokusaiError, ModelNotFoundError
from hokusai_nb.schema.verbs import Register
from tests.conftest import train
from tests.servers import scripted

LOCAL = {
    ModelRegistry: {"validate_hokusai_tags", "explain_hokusai_tags"},
    PromptModel: {"validate", "get_template_variables", "render", "compare_with"},
    prompts: {"run_tests"},
    prompt_batches: set(),
}
"""Where verbs are, and which of them ask no registry."""


def functions_of(home):
    found = inspect.getmembers(home, inspect.isroutine)
    return {n: f for n, f in found if n in getattr(home, "__all__", [n]) and not n.startswith("_")}


VERBS = [
    (home, name)
    for home in LOCAL
    for name, function in functions_of(home).items()
    if name not in LOCAL[home] and not inspect.iscoroutinefunction(function)
]


@pytest.mark.parametrize(("home", "name"), VERBS)
def test_every_verb_that_asks_the_registry_has_a_twin_of_the_same_signature(home, name):
    verb, other = getattr(home, name), getattr(home, f"a{name}")
    assert inspect.iscoroutinefunction(other)
    assert other.__name__ == f"a{name}"
    place, dot, _ = verb.__qualname__.rpartition(".")
    assert other.__qualname__ == f"{place}{dot}a{name}"
    assert f"`{name}`" in other.__doc__
    assert inspect.signature(other) == inspect.signature(verb)
    assert getattr(other, "__func__", other).__code__ is Some.averb.__code__, "it is not made by twin()"


@pytest.mark.parametrize(("home", "count"), [(ModelRegistry, 18), (PromptModel, 12), (prompts, 1), (prompt_batches, 2)])
def test_there_is_no_twin_of_nothing(home, count):
    twins = {name for name, function in functions_of(home).items() if inspect.iscoroutinefunction(function)}
    assert twins == {f"a{name}" for place, name in VERBS if place is home}
    assert len(twins) == count


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


class Some:
    """Something with a twin."""

    def verb(self):
        """Block."""

    averb = twin(verb)


def draft():
    return PromptModel("hook", "Hi {name}", "1.0.0")


def registered():
    return PromptModel._of(current_backend(), draft().record.model_copy(update={"mlflow_version": 1}))


ASKING = {
    "apropose": lambda: PromptModel.apropose("hook", "Hi {name}"),
    "aregister": lambda: draft().aregister(),
    "apromote_to_staging": lambda: draft().apromote_to_staging(),
    "apromote_to_production": lambda: draft().apromote_to_production(),
    "arollback": lambda: draft().arollback(),
    "aload_from_registry": lambda: PromptModel.aload_from_registry("hook", stage="staging"),
    "alist": lambda: PromptModel.alist("hook"),
    "aget_lineage": lambda: draft().aget_lineage(),
    "aget_parent_version": lambda: draft().aget_parent_version(),
    "aget_history": lambda: draft().aget_history(),
    "atag_run": lambda: draft().atag_run("0" * 32),
    "ato_dict": lambda: registered().ato_dict(),
    "aload_prompt_template": lambda: aload_prompt_template("hook"),
    "aregister_prompts": lambda: aregister_prompts([draft()], progress=False),
    "apromote_prompts": lambda: apromote_prompts(["hook"], progress=False),
}


def test_each_twin_of_a_prompts_verb_is_called_here():
    assert sorted(ASKING) == sorted(f"a{name}" for home, name in VERBS if home is not ModelRegistry)


@pytest.mark.parametrize("name", ASKING)
def test_the_event_loop_goes_on_while_a_prompts_twin_waits_for_the_server(name):
    """The server answers when the loop has heard of the question: a loop that is blocked hears of it too late."""

    async def is_heard_of():
        asked, answer_now, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()

        def answer(*_):
            loop.call_soon_threadsafe(asked.set)
            answer_now.wait(3)
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}, {"Content-Type": "application/json"}

        with scripted(answer) as server:
            mlflow.set_tracking_uri(server.address)
            waiting = asyncio.create_task(ASKING[name]())
            await asked.wait()
            in_time = not waiting.done()
            answer_now.set()
            with contextlib.suppress(HokusaiError):
                await waiting
        return in_time

    try:
        assert asyncio.run(is_heard_of())
    finally:
        mlflow.set_tracking_uri(None)


def test_the_event_loop_goes_on_while_a_verb_blocks():
    released = threading.Event()

    class Waits:
        def verb(self, seconds, *, answer="yes"):
            return answer if released.wait(seconds) else "nobody came"

        averb = twin(verb)

    async def releasing():
        waiting = asyncio.create_task(Waits().averb(10, answer="done"))
        await asyncio.sleep(0)
        released.set()
        return await waiting

    assert asyncio.run(releasing()) == "done"


def test_functions_and_class_methods_have_twins_too():
    class Made:
        @classmethod
        def verb(cls, *words):
            return cls, threading.current_thread(), words

        averb = classmethod(twin(verb))

    class Further(Made):
        pass

    def alone(word, *, other=""):
        return word + other

    kind, thread, words = asyncio.run(Further.averb("a", "b"))
    assert (kind, words) == (Further, ("a", "b"))
    assert thread is not threading.current_thread()
    assert asyncio.run(twin(alone)("a", other="b")) == "ab"


def test_a_verb_can_see_that_nobody_waits_for_it_any_longer():
    begun, released, seen = threading.Event(), threading.Event(), []

    def verb():
        seen.append(given_up())
        begun.set()
        released.wait(30)
        seen.append(given_up())

    async def cancelled():
        waiting = asyncio.create_task(twin(verb)())
        await asyncio.to_thread(begun.wait, 30)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not given_up()
        released.set()

    asyncio.run(cancelled())
    assert seen == [False, True]
    asyncio.run(twin(verb)())
    assert seen[2:] == [False, False]
    assert not given_up()


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
