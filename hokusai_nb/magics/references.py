"""Values in a line: ``$name`` and ``{expression}``."""

from __future__ import annotations

import ast
import numbers
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from hokusai_nb.errors import UsageError
from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Reference", "refuse", "said"]


def refuse(what: str, hint: str = "") -> NoReturn:
    """Raise the error for a line that cannot be understood."""
    raise UsageError([Problem(field="line", what=what, hint=hint)]) from None


@dataclass(frozen=True)
class Reference:
    """A variable or an expression that stands in a word.

    Attributes:
        source: Python source of the expression.
        shown: How it was typed, such as ``$name`` or ``{a + b}``.
    """

    source: str
    shown: str

    def text(self, namespace: Mapping[str, Any]) -> str:
        """Return the value as text.

        Raises:
            UsageError: There is no such variable, the expression fails, or its value is an object
                that has no plain text.
        """
        value, spec = self._value(namespace)
        plain = _plain(value, self.shown)
        try:
            return format(plain, spec)
        except (TypeError, ValueError, OverflowError) as error:
            what = f"{_short(self.shown)} cannot be formatted: {error}."
            refuse(what, "Use a format such as {x:.4f}, or none.")

    def _value(self, namespace: Mapping[str, Any]) -> tuple[Any, str]:
        try:
            code, spec = _compiled(self.source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            hint = "Write {{ and }} for braces that are text."
            refuse(f"{_short(self.shown)} is no expression: {reason}.", hint)
        try:
            return eval(code, dict(namespace)), spec  # noqa: S307 - the user's own code in their own cell
        except NameError as error:
            what = f"{_short(self.shown)} cannot be read: {error}."
            refuse(what, "Run the cell that defines it, or write $$ or {{ }} for text.")
        except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
            what = f"{_short(self.shown)} failed: {type(error).__name__}: {said(error)}"
            refuse(what, "Write {{ and }} for braces that are text.")


def said(error: Exception) -> str:
    """Return an exception's message, although its own ``__str__`` may fail."""
    try:
        return _short(str(error))
    except Exception as failure:  # noqa: BLE001 - the message is the user's code too
        return f"(its message failed: {type(failure).__name__})"


def _short(text: str) -> str:
    return quoted(text)[1:-1]


def _compiled(source: str) -> tuple[Any, str]:
    """Return the code and the format of ``expression`` or ``expression:format``."""
    text = source.strip()
    try:
        return compile(ast.parse(text, mode="eval"), "<magic line>", "eval"), ""
    except SyntaxError:
        expression, colon, spec = text.rpartition(":")
        if not colon:
            raise
        return compile(ast.parse(expression.strip(), mode="eval"), "<magic line>", "eval"), spec


def _plain(value: object, shown: str) -> Any:
    """Return a value whose text is what the user means, and refuse any other.

    An estimator's text would be its ``repr``: never what an option wants.
    """
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (str, numbers.Number)):
        return value
    kind = type(value).__name__
    what = f"{_short(shown)} is no text and no number: {kind}."
    refuse(what, "Name an attribute of it, such as {run.info.run_id}; --model takes the variable's bare name.")
