"""Benchmark values: the text is kept, it is a finite decimal, and arithmetic is exact."""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.values import (
    ARITHMETIC,
    DecimalText,
    check_decimal,
    format_decimal,
    parse_decimal,
    to_decimal,
)

modest = settings(max_examples=100, deadline=None)
anything = st.one_of(
    st.text(),
    st.text(alphabet="0123456789.,%eE+-_ \u0663\n", max_size=20),
    st.floats() | st.integers() | st.decimals() | st.fractions() | st.complex_numbers(),
    st.none() | st.booleans() | st.binary() | st.lists(st.integers()),
)
finite_floats = st.floats(allow_nan=False, allow_infinity=False)
decimal_texts = st.from_regex(r"[+-]?([0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,12})([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@pytest.mark.parametrize(
    "text", ["0.1342", "0.90", "1", "-0.5", "+3", ".5", "5.", "1e-3", "1E+5", "0", "-0.0", "1e-400"]
)
def test_the_text_that_a_user_gave_is_kept(text):
    assert pydantic.TypeAdapter(DecimalText).validate_python(text) == text
    assert parse_decimal(text) == Decimal(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1342, "0.1342"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1, "1"),
        (Decimal("0.850"), "0.850"),
        (-0.0, "-0.0"),
        (np.float64(0.91), "0.91"),
        (np.float32(0.1), "0.1"),
        (np.float16(0.1), "0.1"),
        (np.int64(3), "3"),
        (np.str_("0.90"), "0.90"),
    ],
)
def test_a_number_becomes_its_shortest_text(value, text):
    stored = pydantic.TypeAdapter(DecimalText).validate_python(value)
    assert stored == text
    assert type(stored) is str


@pytest.mark.parametrize(
    "value",
    [
        "high", "nan", "inf", "-Infinity", "", " ", "1e999999", "1e309", "0x10", "1 2", "--1", "1e", "e5", "1.2.3",
        "9" * 65, None, True, False, np.True_, math.nan, math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"),
        np.float64("nan"), 1j, b"0.5", [0.5], Fraction(1, 3), 10**400, object(),
    ],
)  # fmt: skip
def test_what_is_no_finite_decimal_is_refused(value):
    (problem,) = check_decimal(value)
    assert problem.what.startswith("Benchmark value must be numeric: ")
    assert (problem.field, problem.severity) == ("value", "error")
    assert problem.hint
    assert len(problem.what) < 150
    with pytest.raises(ValidationError, match="Benchmark value must be numeric"):
        parse_decimal(value)


@pytest.mark.parametrize(
    ("text", "repair"),
    [
        ("13.4%", "0.134"),
        ("13,4 %", "0.134"),
        ("91%", "0.91"),
        ("0,91", "0.91"),
        ("0,913", "0.913"),
        (" 0.90\n", "0.90"),
        ("1_000", "1000"),
        ("\u0660.\u0669\u0661", "0.91"),
        ("1,234", None),
        ("1,234,567", None),
        ("5%%", None),
        ("abc%", None),
    ],
)
def test_a_slip_is_guessed_but_never_corrected_silently(text, repair):
    (problem,) = check_decimal(text)
    assert problem.repair == repair
    if repair:
        assert problem.hint == f"Did you mean {repair}?"


def test_an_integer_that_python_does_not_write_out_is_refused_like_any_other():
    (problem,) = check_decimal(10**5000)
    assert problem.what == "Benchmark value must be numeric: <int>"


def test_the_difference_of_two_values_is_exact():
    assert parse_decimal("0.15") - parse_decimal("0.14") == Decimal("0.01")
    assert parse_decimal(0.15) - parse_decimal(0.14) == Decimal("0.01")


def test_arithmetic_is_exact_whatever_the_thread_has_set():
    with decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact])):
        assert ARITHMETIC.subtract(Decimal("0.123456"), Decimal(1000)) == Decimal("-999.876544")
        assert check_decimal("12.3456789%")[0].repair == "0.123456789"


@modest
@given(decimal_texts, decimal_texts)
def test_a_difference_added_back_gives_the_value_itself(first, second):
    a, b = parse_decimal(first), parse_decimal(second)
    assert ARITHMETIC.add(b, ARITHMETIC.subtract(a, b)) == a


def test_the_widest_accepted_values_are_subtracted_without_loss():
    largest, smallest = Decimal("9" * 10 + "e298"), Decimal("1." + "1" * 50 + "e-999")
    difference = ARITHMETIC.subtract(largest, smallest)
    assert ARITHMETIC.add(difference, smallest) == largest
    assert difference != largest


@modest
@given(finite_floats)
def test_a_float_reads_back_as_the_same_float(number):
    text = pydantic.TypeAdapter(DecimalText).validate_python(number)
    assert float(text) == number
    assert parse_decimal(number) == Decimal(text)


@modest
@given(decimal_texts)
def test_formatting_what_was_parsed_changes_nothing(text):
    assert format_decimal(text) == text
    number = parse_decimal(text)
    assert parse_decimal(format_decimal(number)) == number


@modest
@given(anything)
def test_no_input_breaks_the_check_and_every_repair_is_valid(value):
    problems = check_decimal(value)
    for problem in problems:
        assert problem.repair is None or check_decimal(problem.repair) == []
    if problems:
        with pytest.raises(ValidationError):
            parse_decimal(value)
    else:
        assert math.isfinite(float(parse_decimal(value)))


def test_stored_text_of_another_client_that_is_no_number_reads_as_none():
    assert [to_decimal(text) for text in (None, "high", "nan", "0.5")] == [None, None, None, Decimal("0.5")]
