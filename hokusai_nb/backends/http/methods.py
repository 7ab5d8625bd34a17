"""How a client's methods are made of the calls that they make."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from hokusai_nb.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hokusai_nb.backends.http.call import Call, Page

__all__ = ["described", "following"]

T = TypeVar("T")
C = TypeVar("C", bound="Callable[..., Any]")


def described(method: C, describe: Callable[..., Call[Any]], answers: str = "") -> C:
    """Give a method the name, the text and the signature of the call that it makes.

    Args:
        method: The method.
        describe: What makes the call.
        answers: What help shows as the type of its answer; what the call reads if empty.
    """
    found = inspect.signature(describe)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    answers = answers or str(found.return_annotation).removeprefix("Call[").removesuffix("]")
    signature = found.replace(parameters=[own, *found.parameters.values()], return_annotation=answers)
    name, home = describe.__name__, method.__annotations__["self"]
    facts = {
        "__name__": name,
        "__qualname__": f"{home}.{name}",
        "__doc__": describe.__doc__,
        "__signature__": signature,
    }
    for attribute, value in facts.items():
        setattr(method, attribute, value)
    return method


def following(call: Call[T], page: Page[Any], seen: set[str]) -> Call[T] | None:
    """Return the call for the next page; None after the last one.

    Args:
        call: The call for the first page.
        page: The page that was read.
        seen: Where earlier pages began; this one's end is added.

    Raises:
        ServiceError: The pages go round in a circle.
    """
    cursor = page.next_cursor
    if cursor is None:
        return None
    if cursor in seen:
        msg = f"The pages of {call.path} go round in a circle."
        raise ServiceError(msg, "Check that client and server are of the same version.")
    seen.add(cursor)
    return call.at(cursor)
