"""Benchmark values: decimal text in, exact arithmetic, decimal text out."""

from __future__ import annotations

import math
import numbers
import re
from decimal import Context, Decimal
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from hokusai_nb.schema.problems import Problem, checked, guess_or, plain, quoted, raise_for

__all__ = ["ARITHMETIC", "DecimalText", "check_decimal", "format_decimal", "parse_decimal", "to_decimal"]

MAX_LENGTH = 64
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_EXAMPLE = "Give a plain number in the metric's own unit, such as 0.1342."

ARITHMETIC = Context(prec=1500, traps=[])
"""Wide enough that adding and subtracting any two accepted values is exact, whatever the thread's own context says."""


def format_decimal(value: object) -> str:
    """Return the text that a value is stored as.

    Text is kept as given; a float becomes its shortest text that reads back as the same float.

    >>> format_decimal(0.1342), format_decimal("0.90"), format_decimal(Decimal("0.850"))
    ('0.1342', '0.90', '0.850')
    """
    if isinstance(value, float):
        return repr(float(value))
    return plain(value) if isinstance(value, str) else str(value)


def check_decimal(value: object, *, field: str = "value") -> list[Problem]:
    """Return what is wrong with a benchmark value; an empty list when it is a finite decimal."""
    text = _as_text(value)
    if _is_valid(text):
        return []
    repair = _repair(text)
    too_long = len(text) > MAX_LENGTH
    hint = f"It has {len(text):,} characters; {MAX_LENGTH} is the most." if too_long else guess_or(repair, _EXAMPLE)
    return [Problem(field=field, what=f"Benchmark value must be numeric: {quoted(value)}", hint=hint, repair=repair)]


def _is_valid(text: str) -> bool:
    return len(text) <= MAX_LENGTH and bool(_DECIMAL.fullmatch(text)) and math.isfinite(float(text))


def _as_text(value: object) -> str:
    """Return the text of a number or a string, numpy's included; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real, Decimal)):
        return ""
    try:
        return format_decimal(value)
    except ValueError:  # an integer of so many digits that Python does not write them
        return ""


def _repair(text: str) -> str | None:
    """Guess the number in white space, a percentage, a decimal comma, or digits of another script."""
    text = text.strip()
    body = text.removesuffix("%").rstrip()
    if len(text) > MAX_LENGTH or _THOUSANDS.fullmatch(body):  # 1,234 may be meant either way
        return None
    number = body.replace(",", ".") if _COMMA.fullmatch(body) else body
    if not _is_valid(number):
        number = str(Decimal(number, ARITHMETIC))  # reads 1_000 too, and answers NaN where there is no number
    if body != text and _is_valid(number):
        number = format(ARITHMETIC.scaleb(Decimal(number), -2), "f")
    return number if _is_valid(number) else None


def parse_decimal(value: object) -> Decimal:
    """Return the value as an exact decimal.

    Raises:
        ValidationError: ``Benchmark value must be numeric: …``.

    >>> parse_decimal("0.15") - parse_decimal(0.14)
    Decimal('0.01')
    """
    raise_for(check_decimal(value))
    return Decimal(format_decimal(value))


def to_decimal(text: str | None) -> Decimal | None:
    """Return stored text as a decimal, or None where another client wrote something else."""
    return Decimal(text) if text is not None and not check_decimal(text) else None


_SHAPE = r"^[+\-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+\-]?[0-9]{1,2})?$"
_AS_TEXT = {"type": "string", "maxLength": MAX_LENGTH, "pattern": _SHAPE}
DecimalText = Annotated[
    str,
    BeforeValidator(checked(check_decimal, format_decimal)),
    WithJsonSchema({"anyOf": [_AS_TEXT, {"type": "number"}]}, mode="validation"),
]
"""Decimal text, finite also as a float, as the user wrote it."""
