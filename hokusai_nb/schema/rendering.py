"""Rendering: a parsed template and values in, text out, whatever either of them holds.

Equal to `str.format` where both succeed, and stricter in four ways:

- An item is taken of a mapping or a sequence only, and of a mapping only if it is there: no
  ``__missing__`` runs.
- An attribute is taken where it is data that the value holds: its own ``__dict__``, a slot, a field
  of a named tuple, dataclass or pydantic model, a default of its class, what a date or a number is
  made of, an enum's name and value. Properties, methods and ``__getattr__`` are code and are not
  run; modules, classes, functions and frames, which lead to the rest of the program, are not entered.
- Widths and precisions are bounded, and so is the text: what is rendered, with what conversions
  make on the way, is at most ``limit`` characters, so that the cost is linear in that.
- Whatever a value raises while it is formatted becomes `ModelValidationError`.
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

__all__ = ["CONVERSIONS", "MAX_OUTPUT", "MAX_WIDTH", "Field", "Piece", "Step", "render_pieces", "widest"]

MAX_OUTPUT = 1_000_000
"""Characters that a rendered template has at most, unless its caller says otherwise."""
MAX_WIDTH = 10_000
"""The largest width or precision of a field."""

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

_DIGITS = re.compile(r"\d+")
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


class _Refusal(Exception):  # noqa: N818 - never leaves this module
    """A sentence's end that says why a field cannot be rendered."""


def widest(spec: str) -> int:
    """Return the largest number in a format specification: no width or precision in it is larger.

    >>> widest(">20,.2f"), widest("%Y-%m-%d")
    (20, 0)
    """
    numbers = (run.lstrip("0") for run in _DIGITS.findall(spec))
    # Digits of other scripts count as digits for `format` too.
    return max((int(n) if len(n) <= len(str(MAX_WIDTH)) else MAX_WIDTH + 1 for n in numbers if n), default=0)


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
            what = f"The rendered template is too long: more than {self.limit:,} characters."
            raise ModelValidationError([Problem(field="values", what=what, hint="Pass shorter values.")])

    def spec(self, pieces: Sequence[Piece]) -> str:
        """Return a format specification that holds values; one without was checked when it was parsed."""
        spec = self.text(pieces)
        if widest(spec) > MAX_WIDTH:
            why = f"its width or precision is more than {MAX_WIDTH:,}."
            raise _Refusal(why)
        return spec

    def field(self, field: Field, value: Any) -> str:
        if type(value) is str and not (field.steps or field.conversion or field.spec):
            return value
        try:
            for is_attribute, key in field.steps:
                value = _attribute(value, str(key)) if is_attribute else _item(value, key)
            if field.conversion:
                value = plain(CONVERSIONS[field.conversion](value))
            spec = field.spec if isinstance(field.spec, str) else self.spec(field.spec)
            if field.conversion and spec:  # the specification may cut off most of what was made
                self.spend(len(value))
            return _formatted(value, spec)
        except ModelValidationError:
            raise
        except _Refusal as refusal:
            _refuse(field, str(refusal), _CAN_BE_FOLLOWED)
        except Exception as error:  # noqa: BLE001 - a value may raise anything
            _refuse(field, quoted(error), "Pass a value that fits the field.", error)


def _refuse(field: Field, why: str, hint: str, cause: Exception | None = None) -> NoReturn:
    what = f"Cannot render {{{quoted(field.source or field.name)[1:-1]}}}: {why}"
    raise ModelValidationError([Problem(field=field.name, what=what, hint=hint)]) from cause


def _formatted(value: Any, spec: str) -> str:
    # A short decimal may be written out with as many zeros as its exponent says.
    if spec and issubclass(type(value), Decimal) and value.is_finite() and abs(value.adjusted()) > MAX_WIDTH:
        why = f"the decimal's exponent is more than {MAX_WIDTH:,}."
        raise _Refusal(why)
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
