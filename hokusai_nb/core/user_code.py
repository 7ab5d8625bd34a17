"""Code of the user's own that ours calls: whatever it raises, and what it leaves to be awaited."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["message_of", "result_of"]

T = TypeVar("T")


def message_of(error: BaseException) -> str:
    """Return an exception's message, although its own ``__str__`` may fail."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - the message is the user's code too
        return f"(its message failed: {type(failure).__name__})"


def result_of(answer: Awaitable[T]) -> T:
    """Return what an awaitable comes to, or raise what it raises.

    It runs in a loop of a thread of its own, because a notebook's main thread has one that runs already. An
    interrupt of this thread cancels it.
    """
    work, found = _Awaiting(answer), None
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(work.run,), name="hokusai-awaiting", daemon=True
    )
    try:
        thread.start()
        found = work.ended.get()
    finally:
        if found is None and work.cancelled():
            thread.join()
    return found.result()


class _Awaiting(Generic[T]):
    """Waits for one awaitable in a loop of its own; another thread may cancel it at any time."""

    def __init__(self, answer: Awaitable[T]) -> None:
        self.answer = answer
        self.ended: SimpleQueue[Future[T]] = SimpleQueue()
        self.begun: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self.stopped = False

    def run(self) -> None:
        outcome: Future[T] = Future()
        try:
            outcome.set_result(asyncio.run(self._wait()))
        except BaseException as error:  # noqa: BLE001 - the other thread raises it
            outcome.set_exception(error)
        self.ended.put(outcome)

    async def _wait(self) -> T:
        task = asyncio.current_task()
        assert task
        self.begun = asyncio.get_running_loop(), task
        if self.stopped:
            raise asyncio.CancelledError
        return await self.answer

    def cancelled(self) -> bool:
        """Cancel it, and return whether it had begun; if not, it ends by itself as soon as it does."""
        self.stopped = True
        if self.begun:
            loop, task = self.begun
            with contextlib.suppress(RuntimeError):  # the loop has ended by now
                loop.call_soon_threadsafe(task.cancel)
        return self.begun is not None
