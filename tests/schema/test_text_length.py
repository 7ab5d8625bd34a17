"""The least length of a value's text: counted without making it, and never more than the text has."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import types
from decimal import Decimal
from typing import Any, NamedTuple

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.schema.text_length import is_longer

modest = settings(max_examples=200, deadline=None)


class Pair(NamedTuple):
    left: object
    right: object


@dataclasses.dataclass(frozen=True)
class Node:
    left: object
    right: object


class Model(pydantic.BaseModel):
    left: Any
    right: Any


def doubled(both, levels=200):
    """A value in which each level holds the next one twice: far too many characters for any memory."""
    value = "end"
    for _ in range(levels):
        value = both(value)
    return value


NESTING = {
    "list": lambda v: [v, v],
    "tuple": lambda v: (v, v),
    "dict": lambda v: {"a": v, "b": v},
    "set": lambda v: frozenset([(v, 1), (v, 2)]),
    "deque": lambda v: collections.deque([v, v]),
    "ordered dictionary": lambda v: collections.OrderedDict(a=v, b=v),
    "default dictionary": lambda v: collections.defaultdict(list, a=v, b=v),
    "view of values": lambda v: {"a": v, "b": v}.values(),
    "view of items": lambda v: {"a": v, "b": v}.items(),
    "namespace": lambda v: types.SimpleNamespace(a=v, b=v),
    "named tuple": lambda v: Pair(v, v),
    "dataclass": lambda v: Node(v, v),
    "model": lambda v: Model.model_construct(left=v, right=v),
    "list of its own class": lambda v: type("Own", (list,), {})([v, v]),
}
HASHED = ("set",)  # one of that depth would be hashed for ever, too


@pytest.mark.parametrize("kind", NESTING)
@pytest.mark.parametrize("conversion", ["r", "s", "a", None])
def test_what_would_be_endless_text_is_given_up_in_time(kind, conversion):
    levels = 18 if kind in HASHED else 200
    assert is_longer(doubled(NESTING[kind], levels), 100_000, conversion)
    small = doubled(NESTING[kind], 3)
    assert not is_longer(small, len(repr(small)), conversion)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.decimals(),
    st.just(10**300),
    st.builds(bytearray, st.binary(max_size=3)),
)


def test_keys_are_counted_too():
    assert is_longer({doubled(NESTING["tuple"], 18): 0}, 100_000)


keyed = st.integers() | st.text(max_size=3)
WRAPPED = [make for name, make in NESTING.items() if name not in HASHED]


def containers(inner):
    return st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner),
        st.dictionaries(keyed, inner, max_size=3),
        st.sets(keyed, max_size=3),
        st.frozensets(keyed, max_size=3),
        st.builds(lambda make, value: make(value), st.sampled_from(WRAPPED), inner),
        st.builds(Pair, inner, inner),
        st.builds(Node, inner, inner),
    )


values = st.recursive(leaves, containers, max_leaves=8)


@modest
@given(values)
def test_a_text_is_never_thought_to_be_longer_than_it_is(value):
    for conversion, made in (("r", repr(value)), ("s", str(value)), ("a", ascii(value)), (None, format(value))):
        assert not is_longer(value, len(made), conversion)


@pytest.mark.parametrize(
    "value",
    ["x" * 998, b"x" * 997, list("abc") * 200, dict.fromkeys(range(100), "x"), tuple(range(300, 500)), 2**4000],
)
def test_a_long_text_is_found_to_be_long(value):
    assert is_longer(value, len(repr(value)) // 2)


def test_work_is_no_more_than_the_bound_asks_for():
    taken = 0

    class Counted:
        def __iter__(self):
            return self

        def __next__(self):
            nonlocal taken
            taken += 1
            return 1

    class Endless(set):
        def __iter__(self):
            return Counted()

    assert is_longer(Endless(), 1000)
    assert taken < 1000


def itself(make, put):
    value = make()
    put(value, value)
    put(value, [value, value])
    return value


@pytest.mark.parametrize(
    "value",
    [
        itself(list, list.append),
        itself(collections.deque, collections.deque.append),
        itself(dict, lambda v, item: v.update({len(v): item})),
        itself(types.SimpleNamespace, lambda v, item: setattr(v, f"a{len(vars(v))}", item)),
    ],
)
def test_what_holds_itself_is_written_with_dots_and_counted_so(value):
    assert not is_longer(value, len(repr(value)))
    assert is_longer([value] * 100, 100)


def test_a_depth_beyond_pythons_own_is_counted_too():
    value = []
    for _ in range(100_000):
        value = [value]
    assert is_longer(value, 1000)
    assert not is_longer(value, 1_000_000)


class Terse(list):
    __slots__ = ()

    def __repr__(self):
        return "-"


class Spoken(list):
    __slots__ = ()

    def __str__(self):
        return "-"


class Formatted(list):
    __slots__ = ()

    def __format__(self, spec):
        return "-"


class Quiet(pydantic.BaseModel):
    rows: list[int]

    def __repr_args__(self):
        return []


class Few(pydantic.BaseModel):
    rows: list[int] = pydantic.Field(repr=False)


class Named(frozenset, enum.Enum):
    ONE = frozenset(range(1000))


@dataclasses.dataclass
class Hidden:
    rows: list[int] = dataclasses.field(repr=False)


@dataclasses.dataclass(repr=False)
class Silent:
    rows: list[int]

    def __repr__(self):
        return "-"


MANY = list(range(1000))


@pytest.mark.parametrize(
    ("value", "conversion"),
    [
        (Terse(MANY), "r"),
        (Terse(MANY), None),
        ([Terse(MANY)], "r"),
        (Spoken(MANY), "s"),
        (Spoken(MANY), None),
        (Formatted(MANY), None),
        (Quiet(rows=MANY), "r"),
        (Few(rows=MANY), "s"),
        (Named.ONE, "s"),
        (Hidden(MANY), "r"),
        (Silent(MANY), "r"),
        (dt.date(2026, 1, 2), "r"),
        (Decimal("1e1000"), "s"),
        (types.MappingProxyType({"a": MANY}), "r"),
        (object, "s"),
    ],
)
def test_a_class_that_writes_itself_is_not_counted(value, conversion):
    assert not is_longer(value, 60, conversion)
    assert is_longer(Spoken(MANY), 60, "r")
    assert is_longer(Terse(MANY), 60, "s") is False
