"""Asynchronous twins of blocking verbs, without a second copy of their logic."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from hokusai_nb.backends.mlflow.runs import seen_from_here

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["given_up", "twin"]

P = ParamSpec("P")
T = TypeVar("T")

# Set where whoever awaits the twin that this context works for waits no longer.
_given_up: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("given up", default=None)


def given_up() -> bool:
    """Whether this is the work of a twin that was cancelled; work of many parts looks before each of them."""
    signal = _given_up.get()
    return signal is not None and signal.is_set()


def twin(verb: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return an ``async`` function that runs a blocking one in a thread; of a class method, wrap it as one again.

    MLflow has no asynchronous client, so a thread is what keeps the event loop free; context
    variables and the current run go along. Nothing stops a thread: what has begun when the twin is
    cancelled is done to its end, and nobody hears of it. A batch begins nothing further, by `given_up`.
    """
    function: Callable[P, T] = getattr(verb, "__func__", verb)  # what a class method holds

    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        signal = threading.Event()
        token = _given_up.set(signal)
        try:
            with seen_from_here():
                return await asyncio.to_thread(function, *args, **kwargs)
        except (asyncio.CancelledError, GeneratorExit):
            signal.set()
            raise
        finally:
            _given_up.reset(token)

    functools.update_wrapper(run, function)
    place, dot, _ = function.__qualname__.rpartition(".")
    run.__name__ = f"a{function.__name__}"
    run.__qualname__ = f"{place}{dot}{run.__name__}"
    run.__doc__ = f"Do what `{function.__name__}` does, without blocking the event loop."
    return run
