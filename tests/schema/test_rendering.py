"""Rendering: what `str.format` would write, and nothing that a hostile template or value wants."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import string
import sys
import time
import tracemalloc
import types
from decimal import Decimal
from typing import NamedTuple

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.rendering import MAX_OUTPUT, MAX_WIDTH, widest
from hokusai_nb.schema.templates import check_template, parse_template

modest = settings(max_examples=200, deadline=None)


def render(text, /, limit=MAX_OUTPUT, **values):
    return parse_template(text).render(values, limit=limit)


def refused(text, /, limit=MAX_OUTPUT, **values):
    """The error of a rendering that fails."""
    with pytest.raises(ModelValidationError) as caught:
        render(text, limit=limit, **values)
    return caught.value


class CodeRunError(AssertionError):
    """A value's own code was run to follow it."""


class Pair(NamedTuple):
    left: object
    right: object


@dataclasses.dataclass
class Product:
    price: float
    currency: str = "EUR"

    @property
    def dear(self):
        raise CodeRunError


class Slotted:
    __slots__ = ("filled", "unfilled")

    def __init__(self, filled):
        self.filled = filled


class Model(pydantic.BaseModel):
    name: str
    rows: list[int] = [1, 2]


class Stage(enum.StrEnum):
    DEV = "dev"


def test_the_forms_of_the_guides_render():
    assert render("{price:.2f}, {count:d}", price=3.14159, count=7) == "3.14, 7"
    assert render("{settings[api][key]}", settings={"api": {"key": "k"}}) == "k"
    assert render("{t:%Y-%m-%d}", t=dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)) == "2026-01-02"
    assert render("{x!r:>{width}}|{{literal}}", x="a", width=6) == "   'a'|{literal}"
    assert render("{a} {a}", a="🔥", unused=1) == "🔥 🔥"


def test_values_that_are_missing_are_all_named():
    error = refused("{a} {b} {c:{d}}", b=1)
    assert error.what == "Missing required variables: a, c, d"


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("{x.price:.1f} {x.currency}", Product(2), "2.0 EUR"),
        ("{x.left} {x[1]}", Pair("l", "r"), "l r"),
        ("{x.filled}", Slotted("full"), "full"),
        ("{x.name} {x.rows[1]}", Model(name="m"), "m 2"),
        ("{x.a.b}", types.SimpleNamespace(a=types.SimpleNamespace(b=1)), "1"),
        ("{x.year} {x.month:02d}", dt.date(2026, 1, 2), "2026 01"),
        ("{x.days}", dt.timedelta(days=3), "3"),
        ("{x.real} {x.imag}", 1 + 2j, "1.0 2.0"),
        ("{x.name} {x.value} {x}", Stage.DEV, "DEV dev dev"),
        ("{x[0]} {x[-1]}", {0: "zero", "-1": "text"}, "zero text"),
        ("{x[0]}", collections.deque(["first"]), "first"),
        ("{x[k]}", types.MappingProxyType({"k": "v"}), "v"),
        ("{x[1]}", "text", "e"),
        ("{x}", None, "None"),
    ],
)
def test_mappings_sequences_and_plain_attributes_are_followed(text, value, shown):
    assert render(text, x=value) == shown == text.format(x=value)


class Danger:
    shared = "default"

    def method(self):
        raise CodeRunError

    @property
    def computed(self):
        raise CodeRunError

    @functools.cached_property
    def cached(self):
        raise CodeRunError

    @staticmethod
    def static():
        raise CodeRunError

    def __getattr__(self, name):
        raise CodeRunError

    def __getitem__(self, key):
        raise CodeRunError


def generator():
    yield


async def coroutine():
    pass


async def stream():
    yield


def unstarted():
    """A coroutine that was closed, so that nobody misses its end."""
    made = coroutine()
    made.close()
    return made


def traceback():
    try:
        return Danger().computed
    except CodeRunError as error:
        return error.__traceback__


@pytest.mark.parametrize(
    ("text", "make", "words"),
    [
        ("{x.method}", Danger, "is computed, and templates run no code"),
        ("{x.computed}", Danger, "is computed"),
        ("{x.cached}", Danger, "is computed"),
        ("{x.static}", Danger, "is computed"),
        ("{x.dear}", lambda: Product(1), "is computed"),
        ("{x.model_fields_set}", lambda: Model(name="m"), "is computed"),
        ("{x.anything}", Danger, "has no attribute 'anything'"),
        ("{x[key]}", Danger, "no mapping or sequence"),
        ("{x.gi_frame}", generator, "of a generator are not followed"),
        ("{x.f_globals}", sys._getframe, "of a frame are not followed"),
        ("{x.modules}", lambda: sys, "of a module are not followed"),
        ("{x.mro}", lambda: int, "of a type are not followed"),
        ("{x.func_globals}", lambda: generator, "of a function are not followed"),
        ("{x.im_self}", lambda: Danger().method, "of a method are not followed"),
        ("{x.co_names}", lambda: generator.__code__, "of a code are not followed"),
        ("{x.tb_frame}", traceback, "of a traceback are not followed"),
        ("{x.cr_frame}", unstarted, "of a coroutine are not followed"),
        ("{x.ag_frame}", stream, "of a async_generator are not followed"),
        ("{x.cell_contents}", lambda: types.CellType(1), "of a cell are not followed"),
        ("{x.a.modules}", lambda: types.SimpleNamespace(a=sys), "of a module are not followed"),
        ("{x.nbytes}", lambda: memoryview(b"x"), "is computed"),
        ("{x.unfilled}", lambda: Slotted(1), "AttributeError"),
        ("{x[9]}", lambda: [1], "IndexError"),
        ("{x[key]}", lambda: [1], "TypeError"),
        ("{x[key]}", dict, "there is no item 'key'"),
        ("{x[key]}", lambda: {1, 2}, "no mapping or sequence"),
        ("{x:d}", lambda: "text", "ValueError"),
        ("{x:>5}", lambda: [1], "TypeError"),
    ],
)
def test_what_is_not_there_or_is_no_data_is_refused(text, make, words):
    error = refused(text, x=make())
    assert error.what.startswith("Cannot render {x")
    assert words in error.what
    assert error.hint


def test_a_default_of_a_class_is_data_and_what_is_cached_is_held():
    assert render("{x.shared}", x=Danger()) == "default"
    held = Danger()
    vars(held)["cached"] = "kept"
    assert render("{x.cached}", x=held) == "kept"


class Told(enum.Enum):
    ONE = 1

    @enum.property
    def value(self):
        raise CodeRunError


def test_an_enums_value_is_data_unless_its_class_computes_it():
    assert render("{x.name}", x=Told.ONE) == "ONE"
    assert "is computed" in refused("{x.value}", x=Told.ONE).what


def test_reading_a_mapping_changes_nothing_in_it():
    grown = collections.defaultdict(list)
    assert "no item 'key'" in refused("{x[key]}", x=grown).what
    assert grown == {}


def test_no_accepted_template_reaches_a_name_with_an_underscore():
    secret = types.SimpleNamespace(_hidden="secret", __dict__={"_hidden": "secret"}, open={"_hidden": "secret"})
    for text in ("{x._hidden}", "{x.__dict__}", "{x.open[_hidden]}", "{x.__class__.__init__.__globals__}", "{_x}"):
        assert check_template(text), text
        with pytest.raises(ModelValidationError):
            render(text, x=secret, _x=1)
    assert "secret" not in refused("{x:{y[0].a}}", x=1, y=[secret]).what


def hostile(raises):
    class Hostile:
        def __format__(self, spec):
            raise raises

        def __str__(self):
            raise raises

        def __repr__(self):
            raise raises

    return Hostile()


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


@pytest.mark.parametrize(
    "raises",
    [ValueError("no"), RuntimeError("{x}\x1b[31m"), RecursionError(), MemoryError(), UnspeakableError(), KeyError(1)],
)
@pytest.mark.parametrize("text", ["{x}", "{x!r}", "{x!s}", "{x!a}", "{x:>5}", "{x!r:>5}", "{y:{x}}"])
def test_whatever_a_value_raises_becomes_our_error(raises, text):
    error = refused(text, x=hostile(raises), y=1)
    assert error.what.isprintable()
    assert len(error.what) < 250
    assert error.__cause__ is raises


@pytest.mark.parametrize("raises", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_is_no_fault_of_a_value_and_passes(raises):
    with pytest.raises(raises):
        render("{x}", x=hostile(raises()))


def test_a_value_that_formats_as_something_else_than_text_is_refused():
    def five(*_):
        return 5

    class Odd:
        __format__ = __str__ = five

    assert "TypeError" in refused("{x}", x=Odd()).what
    assert "TypeError" in refused("{x!s}", x=Odd()).what


def test_a_text_of_another_class_is_taken_by_its_characters():
    class Sly(str):
        __slots__ = ()

        def __len__(self):
            return 0

        def __str__(self):
            return self

    class Formatted:
        def __format__(self, spec):
            return Sly("x" * 50)

    assert "more than 20 characters" in refused("{x}", limit=20, x=Sly("x" * 50)).what
    assert "more than 20 characters" in refused("{x}", limit=20, x=Formatted()).what
    assert type(render("{x}", x=Formatted())) is str


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{x:{w}}", {"w": MAX_WIDTH + 1}),
        ("{x:>{w}}", {"w": 10**100}),
        ("{x:.{w}f}", {"w": 99_999}),
        ("{x:{w}00}", {"w": 999}),
        ("{x:{w}}", {"w": "٩٩٩٩٩"}),
        ("{x:{w}}", {"w": "9" * 10_000}),
        ("{x:{w}}", {"w": "%>10001"}),
        ("{x:.{w}}", {"w": "10001%"}),
    ],
)
def test_a_width_or_precision_is_bounded_also_where_it_is_a_value(text, values):
    assert "width or precision is more than 10,000" in refused(text, x=1.5, **values).what


def test_the_widths_in_a_dates_specification_count_together_and_its_text_for_nothing():
    date = dt.date(2026, 1, 2)
    assert render("{d:%Y flight 12345}", d=date) == "2026 flight 12345"
    assert render("{d:%Y{more}}", d=date, more=" flight 12345") == "2026 flight 12345"
    assert render("{d:100%%12345 %6d}", d=date) == f"{date:100%%12345 %6d}"
    assert "width or precision is more than 10,000" in refused("{d:{s}}", d=date, s="%255Y" * 50).what


def test_a_specification_that_holds_values_is_bounded():
    date = dt.date(2026, 1, 2)
    assert render("{d:{s}}", d=date, s="%Y" * 500) == "2026" * 500
    error = refused("{d:{s}}", d=date, s="%Y" * 500 + "x")
    assert "format specification has 1,001 characters; 1,000 is the most" in error.what
    assert error.hint == "Give a shorter one."
    assert "has 900,000 characters" in refused("{d:{s}}", d=date, s="-" * 900_000).what


def test_widths_up_to_the_bound_are_taken_and_leading_zeros_count_for_nothing():
    assert len(render("{x:{w}}", x=1, w=MAX_WIDTH)) == MAX_WIDTH
    assert render("{x:0>5} {x:05d} {x:>0000000000000007}", x=1) == "00001 00001 0000001"
    assert widest("0" * 100) == 0


@pytest.mark.parametrize("text", ["1E+10000", "1E-10000", "12.5E+9999"])
def test_a_decimal_of_ten_thousand_zeros_is_written_out_and_one_of_more_is_not(text):
    value = Decimal(text)
    assert render("{x:f}", x=value) == f"{value:f}"
    more = value.scaleb(1 if value > 1 else -1)
    assert "exponent is more than 10,000" in refused("{x:f}", x=more).what


@pytest.mark.parametrize("exponent", ["1E+999999999", "-1E-999999999", "0E-999999999"])
def test_a_decimal_is_not_written_out_with_a_billion_zeros(exponent):
    with decimal.localcontext(Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN):
        value = Decimal(exponent)
        assert "exponent is more than 10,000" in refused("{x:f}", x=value).what
        assert render("{x}", x=value) == str(value)


def test_numbers_of_every_kind_format_as_python_formats_them():
    values = [10**50, Decimal("1.5"), Decimal("NaN"), Decimal("Infinity"), True, 1e300, float("nan")]
    for value in values:
        assert render("{x:>40}", x=value) == f"{value:>40}"
    assert render("{x}", x=fractions.Fraction(1, 3)) == "1/3"
    assert "ValueError" in refused("{x:d}", x=10**5000).what


def test_the_text_is_bounded():
    assert render("ab{x}", limit=5, x="cde") == "abcde"
    for text, value in [("ab{x}c", "cde"), ("{x:>6}", ""), ("{x!r}", "abcd"), ("abcdef", 1), ("{x:{x}}", 6)]:
        assert refused(text, limit=5, x=value).what == "The rendered template is too long: more than 5 characters."
    assert "more than 1,000,000 characters" in refused("{x}" * 11_000, x="y" * 100).what


def doubled(levels):
    """Lists of which each holds the next one twice, as an alias of YAML makes them."""
    return functools.reduce(lambda inner, _: [inner, inner], range(levels), "lol")


@pytest.mark.parametrize("text", ["{x}", "{x!r}", "{x!s}", "{x!a}", "{x!r:.5}", "{x[0]}", "{y:{x}}", "{z.left}", "{z}"])
def test_the_text_of_a_container_is_given_up_before_it_is_made(text):
    """It would have more characters than there are atoms."""
    what = "The rendered template is too long: more than 1,000 characters."
    assert refused(text, limit=1000, x=doubled(300), y=1, z=Pair(doubled(300), 1)).what == what


def test_a_container_of_no_more_than_the_limit_is_rendered():
    value = {"rows": doubled(3), "more": ("text", 1.5, None)}
    length = len(str(value))
    assert render("{x}", limit=length, x=value) == str(value)
    assert "too long" in refused("{x}", limit=length - 1, x=value).what


def test_memory_is_bounded_by_the_limit_and_not_by_the_values():
    rows, text = ["x" * 1000] * 10_000, "y" * 10_000_000
    tracemalloc.start()
    try:
        refused("{x}", limit=1000, x=rows)
        refused("{x!r:.5}", limit=1000, x=text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000


def seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def test_the_cost_is_bounded_also_where_little_of_what_is_made_is_shown():
    long = "y" * 900_000
    assert seconds(lambda: refused("{x!r:.1}" * 10_000, x=long)) < 2
    assert seconds(lambda: refused("{x:{w}}" * 10_000, x=1, w=MAX_WIDTH)) < 2
    assert seconds(lambda: refused("{x:{spec}}" * 5_000, x=dt.date(2026, 1, 2), spec="%Y" * 10_000)) < 2
    assert (
        seconds(lambda: render("{x[a][a][a][a]}" * 5_000, x=functools.reduce(lambda v, _: {"a": v}, "aaaa", "b"))) < 2
    )


literals = st.text(alphabet=string.printable + "🔥é模", max_size=6).map(
    lambda s: s.replace("{", "{{").replace("}", "}}")
)
numbers = st.integers(-(10**12), 10**12) | st.floats(allow_nan=True) | st.booleans()
texts = st.text(max_size=8)
leaves = numbers | texts | st.none() | st.dates() | st.decimals(allow_nan=False, allow_infinity=False, places=3)
leaves |= st.lists(texts | numbers, max_size=3) | st.dictionaries(texts, texts | numbers, max_size=3)
specs = st.sampled_from(
    ["", "", ":", ":>10", ":^8.3", ":+,.2f", ":d", ":08.3e", ":%Y-%m-%d", ":x", ":_", ":>{w}", ":.{w}"]
)
conversions = st.sampled_from(["", "", "", "!r", "!s", "!a"])
routes = st.sampled_from(["a", "b", "m[k]", "m[two words]", "m[list][1]", "o.at", "o.deep[k].at", "p.left", "d.year"])
fields = st.builds("{{{}{}{}}}".format, routes, conversions, specs)


def formatted(text, values):
    """What `str.format` makes of it: text, or what it raises."""
    try:
        return text.format(**values)
    except (ValueError, TypeError, OverflowError) as error:
        return error


@modest
@given(st.lists(literals | fields, max_size=8).map("".join), leaves, leaves, st.integers(0, 20))
def test_rendering_equals_str_format_for_every_template_that_is_accepted(text, first, second, width):
    deep = {"k": types.SimpleNamespace(at=second)}
    values = {
        "a": first,
        "b": second,
        "m": {"k": first, "two words": second, "list": [second, first]},
        "o": types.SimpleNamespace(at=first, deep=deep),
        "p": Pair(first, second),
        "d": dt.date(2026, 1, 2),
        "w": width,
    }
    if not text.strip():
        return
    assert check_template(text) == []
    expected = formatted(text, values)
    if isinstance(expected, str):
        assert render(text, **values) == expected
    else:
        assert type(expected).__name__ in refused(text, **values).what
