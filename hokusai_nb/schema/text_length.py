"""How long the text of a value is at least, found without making it.

Thirty lists, each of which holds the next one twice, are small in memory and a thousand million
characters as text. What Python's own containers write is known, so it can be counted first and
given up in time. What another class writes is known to that class alone, and counts for nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pydantic

__all__ = ["is_longer"]

_EACH = 2
"""Characters that each item costs beside its own: a comma and a space, or one of the brackets."""
_BRIEF = frozenset((bool, float, types.NoneType))

Rule = Callable[[Any], "int | Iterator[object]"]
"""Returns the least length of a value's own text, or the items that the text is made of."""


def is_longer(value: object, most: int, conversion: str | None = "r") -> bool:
    """Return whether the text of a value is certainly longer than so many characters.

    It is never True of a text that is not. The work grows with ``most``, never with the text.

    Args:
        value: Whatever may be written.
        most: Characters.
        conversion: ``r``, ``s`` or ``a``; None for what `format` writes without a specification.

    >>> is_longer([1, 2], 6), is_longer([1, 2], 3)
    (False, True)
    """
    kind = type(value)
    if kind in _BRIEF or (conversion is None and kind.__format__ is not object.__format__):
        return False
    if not (rule := _EXACT.get(kind)):
        as_repr = conversion in ("r", "a") or kind.__str__ is object.__str__
        rule = _rule(kind.__repr__ if as_repr else kind.__str__)
    found = rule(value) if rule else 0
    return found > most if isinstance(found, int) else _are_longer(found, id(value), most)


def _are_longer(items: Iterator[object], within: int, left: int) -> bool:
    """Return whether items, with those inside them, take more than so many characters.

    Args:
        items: Of a container.
        within: The container's identity.
        left: Characters.
    """
    # Containers that are not written to their end: where one comes again inside itself, dots stand for it.
    unfinished = {within}
    around: list[tuple[Iterator[object], int]] = []
    while True:
        for item in items:
            left -= _EACH
            if left < 0:
                return True
            kind = type(item)
            if kind in _BRIEF or not (rule := _EXACT.get(kind) or _rule(kind.__repr__)):
                continue
            found = rule(item)
            if isinstance(found, int):
                left -= found
            elif id(item) not in unfinished:
                around.append((items, within))
                items, within = found, id(item)
                unfinished.add(within)
                break
        else:
            if not around:
                return left < 0
            unfinished.discard(within)
            items, within = around.pop()


def _rule(writer: object) -> Rule | None:
    """Return how to count what a class's ``__repr__`` or ``__str__`` writes; None where that is not known."""
    if type(writer) is types.WrapperDescriptorType:
        return _RULES.get(writer)
    if type(writer) is not types.FunctionType:
        return None
    if writer in (pydantic.BaseModel.__repr__, pydantic.BaseModel.__str__):
        return _of_model
    if writer.__code__ is _NAMED_TUPLE:
        return tuple.__iter__
    return _of_dataclass if writer.__code__ is _DATACLASS else None


def _digits(value: int) -> int:
    return int.bit_length(value) // 4


def _of_mapping(value: dict[object, object]) -> Iterator[object]:
    return itertools.chain(dict.keys(value), dict.values(value))


def _of_ordered(value: OrderedDict[object, object]) -> Iterator[object]:
    return itertools.chain.from_iterable(value.items())


def _of_namespace(value: object) -> Iterator[object]:
    return iter(vars(value).values())


def _of_dataclass(value: Any) -> Iterator[object]:
    return iter([getattr(value, f.name) for f in dataclasses.fields(value) if f.repr])


def _of_model(value: pydantic.BaseModel) -> Iterator[object]:
    kind = type(value)
    if any(getattr(kind, part) is not getattr(pydantic.BaseModel, part) for part in ("__repr_args__", "__repr_str__")):
        return iter(())
    fields = kind.model_fields
    return iter([item for name, item in vars(value).items() if name in fields and fields[name].repr])


class _NamedExample(NamedTuple):
    only: object


@dataclasses.dataclass
class _DataExample:
    only: object


# Each class of these two kinds has a function of its own, made of the same code.
_NAMED_TUPLE = _NamedExample.__repr__.__code__
_DATACLASS = _DataExample.__repr__.__code__
_RULES: dict[object, Rule] = {
    str.__repr__: str.__len__,
    bytes.__repr__: bytes.__len__,
    bytearray.__repr__: bytearray.__len__,
    int.__repr__: _digits,
    list.__repr__: list.__iter__,
    tuple.__repr__: tuple.__iter__,
    set.__repr__: iter,
    frozenset.__repr__: iter,
    deque.__repr__: iter,
    dict.__repr__: _of_mapping,
    OrderedDict.__repr__: _of_ordered,
    defaultdict.__repr__: _of_mapping,
    type({}.keys()).__repr__: iter,
    type({}.values()).__repr__: iter,
    type({}.items()).__repr__: iter,
    types.SimpleNamespace.__repr__: _of_namespace,
}
# Looked up once for the kinds that most values are of.
_EXACT: dict[type, Rule] = {kind: _RULES[kind.__repr__] for kind in (str, int, list, tuple, dict)}
