"""How many prompts of a batch are under way at once, and what is left when nobody waits for the rest."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading

import mlflow
import pytest

from hokusai_nb.core.prompt_batches import apromote_prompts, aregister_prompts, promote_prompts, register_prompts
from hokusai_nb.core.prompts import PromptModel
from tests.core.test_prompt_batches import item


def names_of(unique, count):
    return [unique(f"p{i:02d}") for i in range(count)]


class Meeting:
    """Lets work go on when so many are at it, and counts them."""

    def __init__(self, parties):
        self.barrier = threading.Barrier(parties)
        self.lock = threading.Lock()
        self.inside = self.most = 0
        self.threads = set()

    def __call__(self, *_):
        with self.lock:
            self.threads.add(threading.get_ident())
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.barrier.wait(60)
        with self.lock:
            self.inside -= 1


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_as_many_prompts_as_were_asked_for_are_under_way_at_once_and_never_more(server, unique):
    mlflow.set_tracking_uri(server)
    names = names_of(unique, 12)
    registering, promoting = Meeting(3), Meeting(3)

    class Met(PromptModel):
        def validate(self):
            if not self.registered:
                registering()
            return super().validate()

    made = register_prompts([Met(**item(name)) for name in names], max_workers=3, progress=False)
    assert [r.error for r in made] == [None] * 12
    assert registering.most == len(registering.threads) == 3
    moved = promote_prompts(names, require=[promoting], max_workers=3, progress=False)
    assert [r.error for r in moved] == [None] * 12
    assert promoting.most == len(promoting.threads) == 3


@pytest.mark.usefixtures("store")
def test_a_sqlite_file_has_one_prompt_under_way_at_a_time(unique):
    meeting = Meeting(1)
    register_prompts([item(name) for name in names_of(unique, 6)], max_workers=6, progress=False)
    promote_prompts([v.name for v in PromptModel.list()], require=meeting, max_workers=6, progress=False)
    assert meeting.most == len(meeting.threads) == 1


@pytest.mark.usefixtures("store")
def test_an_interrupted_batch_finishes_what_is_under_way_and_begins_nothing_further():
    heard = threading.Event()

    def interrupt(*_):
        heard.set()
        raise KeyboardInterrupt

    class Interrupting(PromptModel):
        def validate(self):
            if self.version == "1.0.1" and not heard.is_set():
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                assert heard.wait(60)
            return super().validate()

    items = [Interrupting(**item(name, f"1.0.{v}", f"Hi {{name}} {v}")) for name in ("a", "b") for v in range(30)]
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            register_prompts(items, progress=False)
    finally:
        signal.signal(signal.SIGINT, before)
    done = [(v.name, v.version) for v in PromptModel.list()]
    assert done[:2] == [("a", "1.0.0"), ("a", "1.0.1")]
    assert len(done) < 30
    assert all(r.ok for r in register_prompts(items, progress=False))
    assert len(PromptModel.list()) == 60


@pytest.mark.usefixtures("store")
def test_a_cancelled_batch_finishes_what_is_under_way_and_begins_nothing_further():
    async def cancelled(batch, begun, released):
        task = asyncio.create_task(batch)
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        released.set()

    class Waiting(PromptModel):
        def validate(self):
            begun.set()
            assert released.wait(60)
            return super().validate()

    begun, released = threading.Event(), threading.Event()
    items = [Waiting(**item(name, f"1.0.{v}", f"Hi {{name}} {v}")) for name in ("a", "b") for v in range(3)]
    asyncio.run(cancelled(aregister_prompts(items, progress=False), begun, released))
    assert [(v.name, v.version) for v in PromptModel.list()] == [("a", "1.0.0")]
    register_prompts(items, progress=False)
    begun, released = threading.Event(), threading.Event()

    def waits(_):
        begun.set()
        assert released.wait(60)

    batch = apromote_prompts([("a", "1.0.0"), ("a", "1.0.1"), "b"], require=[waits], progress=False)
    asyncio.run(cancelled(batch, begun, released))
    assert [(v.name, v.version) for v in PromptModel.list() if v.stage == "staging"] == [("a", "1.0.0")]


@pytest.mark.usefixtures("store")
def test_twins_of_batches_do_what_the_batches_do_and_take_the_callers_context_along():
    user = contextvars.ContextVar("user")

    async def both_of_them():
        user.set("me")
        made = await aregister_prompts([item()], progress=False)
        return made, await apromote_prompts(["hook"], require=lambda _: user.get() == "me", progress=False)

    made, moved = asyncio.run(both_of_them())
    assert made[0].ok
    assert moved[0].error is None
    assert moved[0].prompt.stage == "staging"
