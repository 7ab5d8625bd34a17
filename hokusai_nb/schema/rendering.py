"""Rendering: a parsed template and values in, text out, whatever either of them holds.

Equal to `str.format` where both succeed, and stricter in four ways:

- An item is taken of a mapping or a sequence only, and of a mapping only if it is there: no
  ``__missing__`` runs.
- An attribute is taken where it is data that the value holds: its own ``__dict__``, a slot, a field
  of a named tuple, dataclass or pydantic model, a default of its class, what a date or a number is
  made of, an enum's name and value. Properties, methods and ``__getattr__`` are code and are not
  run; modules, classes, functions and frames, which lead to the rest of the program, are not entered.
- Widths and precisions are bounded, and so is the text: what is rendered, with what conversions
  make on the way, is at most ``limit`` characters. A container's text is estimated before it is
  made, so that the cost is linear in the limit, too. What a class's own code makes before it
  returns cannot be bounded from here.
- Whatever error a value raises while it is formatted becomes `ModelValidationError`. An
  interruption and the end of the program (`KeyboardInterrupt`, `SystemExit`) are no errors of a
  value and pass.
"""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, plain, quoted
from hokusai_nb.schema.text_length import is_longer

__all__ = ["CONVERSIONS", "MAX_OUTPUT", "MAX_WIDTH", "Field", "Piece", "Step", "render_pieces", "widest"]

MAX_OUTPUT = 1_000_000
"""Characters that a rendered template has at most, unless its caller says otherwise."""
MAX_WIDTH = 10_000
"""The largest width or precision of a field."""
MAX_SPEC = 1_000
"""Characters of a format specification that holds values."""

Step = tuple[bool, str | int]
"""One step from a value into it: whether it is an attribute, and the attribute's name or the item's key."""


@dataclass(frozen=True, slots=True)
class Field:
    """A replacement field of a template."""

    name: str
    """The variable it shows."""
    steps: tuple[Step, ...] = ()
    """The way from the variable's value to what is shown."""
    conversion: str | None = None
    """``r``, ``s`` or ``a``."""
    spec: str | tuple[Piece, ...] = ""
    """Format specification; in pieces where it has fields of its own."""
    source: str = ""
    """The name and steps as they are written, such as ``settings[api][key]``."""


Piece = str | Field

_NUMBERS = re.compile(r"\d+")
# Whatever a number or a text could take for a specification of its own: fill, sign, width, precision, type.
_OF_NUMBERS = re.compile(r"(?s:.?[<>=^])?[-+ ]?z?#?\d*[,_]?(?:\.\d*[,_]?)?.?", re.DOTALL)
# All others are of dates, where a width stands behind the sign and the rest is text.
_DATE_WIDTHS = re.compile(r"%(?:%|[-_0^#+]*(\d*))")
CONVERSIONS: Mapping[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}
_TUPLE_FIELD = type(vars(NamedTuple("_Single", [("only", Any)]))["only"])
_ENUM_DATA = (vars(enum.Enum)["name"], vars(enum.Enum)["value"])
_BUILTIN_DATA = (dt.date, dt.time, dt.datetime, dt.timedelta, int, float, complex)
"""Types whose attributes are computed in C from what the value is."""
_NOT_DATA = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.CellType,
)
_CAN_BE_FOLLOWED = "Mappings, sequences and plain attributes can be followed; pass anything else as its own variable."


_SMALLER = "Give a smaller one."


class _Refusal(Exception):  # noqa: N818 - never leaves this module
    """A sentence's end that says why a field cannot be rendered."""

    def __init__(self, why: str, hint: str = _CAN_BE_FOLLOWED) -> None:
        super().__init__(why)
        self.hint = hint


def widest(spec: str) -> int:
    """Return the largest width or precision in a format specification, or the sum of all widths in a date's.

    Only numbers that are one or the other count; a date's specification may hold any text.

    >>> widest(">20,.2f"), widest("%Y-%m-%d"), widest("%Y flight 12345"), widest("%6Y%6Y")
    (20, 0, 0, 12)
    """
    of_numbers = _OF_NUMBERS.fullmatch(spec)
    found = _NUMBERS.findall(spec) if of_numbers else _DATE_WIDTHS.findall(spec)
    # Digits of other scripts count as digits for `format` too.
    widths = [int(n) if len(n) <= len(str(MAX_WIDTH)) else MAX_WIDTH + 1 for run in found if (n := run.lstrip("0"))]
    return max(widths, default=0) if of_numbers else sum(widths)


def render_pieces(pieces: Sequence[Piece], values: Mapping[str, object], *, limit: int = MAX_OUTPUT) -> str:
    """Return the text of a template's pieces; every variable has a value.

    Raises:
        ModelValidationError: A value cannot be followed or formatted as its field says, or there
            would be more than ``limit`` characters.
    """
    return _Rendering(values, limit).text(pieces)


class _Rendering:
    """One rendering, with the characters that it may still make."""

    __slots__ = ("limit", "room", "values")

    def __init__(self, values: Mapping[str, object], limit: int) -> None:
        self.values = values
        self.limit = limit
        self.room = limit

    def text(self, pieces: Sequence[Piece]) -> str:
        out = []
        for piece in pieces:
            text = piece if isinstance(piece, str) else self.field(piece, self.values[piece.name])
            out.append(text)
            self.spend(len(text))
        return "".join(out)

    def spend(self, count: int) -> None:
        self.room -= count
        if self.room < 0:
            self.refuse()

    def refuse(self) -> NoReturn:
        what = f"The rendered template is too long: more than {self.limit:,} characters."
        raise ModelValidationError([Problem(field="values", what=what, hint="Pass shorter values.")])

    def spec(self, pieces: Sequence[Piece]) -> str:
        """Return a format specification that holds values; one without was checked when it was parsed."""
        spec = self.text(pieces)
        if widest(spec) > MAX_WIDTH:
            why = f"its width or precision is more than {MAX_WIDTH:,}."
            raise _Refusal(why, _SMALLER)
        if len(spec) > MAX_SPEC:
            why = f"its format specification has {len(spec):,} characters; {MAX_SPEC:,} is the most."
            raise _Refusal(why, "Give a shorter one.")
        return spec

    def field(self, field: Field, value: Any) -> str:
        if type(value) is str and not (field.steps or field.conversion or field.spec):
            return value
        try:
            for is_attribute, key in field.steps:
                value = _attribute(value, str(key)) if is_attribute else _item(value, key)
            if is_longer(value, self.room, field.conversion):
                self.refuse()
            if field.conversion:
                value = plain(CONVERSIONS[field.conversion](value))
            spec = field.spec if isinstance(field.spec, str) else self.spec(field.spec)
            if field.conversion and spec:  # the specification may cut off most of what was made
                self.spend(len(value))
            return _formatted(value, spec)
        except ModelValidationError:
            raise
        except _Refusal as refusal:
            _refuse(field, str(refusal), refusal.hint)
        except Exception as error:  # noqa: BLE001 - a value may raise anything
            _refuse(field, quoted(error), "Pass a value that fits the field.", error)


def _refuse(field: Field, why: str, hint: str, cause: Exception | None = None) -> NoReturn:
    what = f"Cannot render {{{quoted(field.source or field.name)[1:-1]}}}: {why}"
    raise ModelValidationError([Problem(field=field.name, what=what, hint=hint)]) from cause


def _formatted(value: Any, spec: str) -> str:
    # A short decimal may be written out with as many zeros as its exponent says.
    if spec and issubclass(type(value), Decimal) and value.is_finite() and abs(value.adjusted()) > MAX_WIDTH:
        why = f"the decimal's exponent is more than {MAX_WIDTH:,}."
        raise _Refusal(why, "Write it without a specification, or round it.")
    return plain(format(value, spec))


def _item(value: Any, key: str | int) -> Any:
    if issubclass(type(value), Mapping):
        if key not in value:
            why = f"there is no item {quoted(key)}."
            raise _Refusal(why)
        return value[key]
    if issubclass(type(value), Sequence):
        return value[key]
    why = f"{quoted(key)} would be taken of a {type(value).__name__}, which is no mapping or sequence."
    raise _Refusal(why)


def _attribute(value: Any, name: str) -> Any:
    kind = type(value)
    if issubclass(kind, _NOT_DATA):
        why = f"attributes of a {kind.__name__} are not followed."
        raise _Refusal(why)
    try:
        found = inspect.getattr_static(value, name)
    except AttributeError:
        why = f"a {kind.__name__} has no attribute {quoted(name)}."
        raise _Refusal(why) from None
    if _is_data(found):
        return found.__get__(value, kind)
    if hasattr(type(found), "__get__"):
        why = f"{quoted(name)} of a {kind.__name__} is computed, and templates run no code."
        raise _Refusal(why)
    return found


def _is_data(descriptor: Any) -> bool:
    """Whether a class's descriptor reads what the instance holds and does nothing else."""
    kind = type(descriptor)
    if kind is types.GetSetDescriptorType:
        return descriptor.__objclass__ in _BUILTIN_DATA
    return kind is types.MemberDescriptorType or kind is _TUPLE_FIELD or any(descriptor is e for e in _ENUM_DATA)
