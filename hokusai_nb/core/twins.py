"""Asynchronous twins of blocking methods, without a second copy of their logic."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from hokusai_nb.backends.mlflow.runs import seen_from_here

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["twin"]

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


def twin(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Return an ``async`` method that runs a blocking one in a thread.

    MLflow has no asynchronous client, so a thread is what keeps the event loop free; context
    variables and the current run go along.
    """

    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with seen_from_here():
            return await asyncio.to_thread(method, self, *args, **kwargs)

    functools.update_wrapper(run, method)
    run.__name__ = f"a{method.__name__}"
    run.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.a{method.__name__}"
    run.__doc__ = f"Do what `{method.__name__}` does, without blocking the event loop."
    return run
