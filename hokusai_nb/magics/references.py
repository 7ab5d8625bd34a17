"""Values in a line: what ``$name`` and ``{expression}`` stand for."""

from __future__ import annotations

import ast
import numbers
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from hokusai_nb.schema.line_words import refuse
from hokusai_nb.schema.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hokusai_nb.schema.line_words import Reference, ValueOf

__all__ = ["in_namespace", "said"]

_AS_TEXT = "Write {{ and }} for braces that are text."
_AS_JSON = 'Write JSON as {"key": "text"}, with double quotes, true, false and null; {{ and }} stand for braces.'


def in_namespace(namespace: Mapping[str, Any]) -> ValueOf:
    """Return what says the value of a reference as text.

    It raises `UsageError` where there is no such variable, the expression fails, or its value is an object that has
    no plain text.

    Args:
        namespace: The variables.
    """
    return partial(_text, namespace)


def _text(namespace: Mapping[str, Any], reference: Reference) -> str:
    value, spec = _value(namespace, reference)
    plain = _plain(value, reference.shown)
    try:
        return format(plain, spec)
    except (TypeError, ValueError, OverflowError) as error:
        what = f"{_short(reference.shown)} cannot be formatted: {error}."
        refuse(what, "Use a format such as {x:.4f}, or none.")


def _value(namespace: Mapping[str, Any], reference: Reference) -> tuple[Any, str]:
    try:
        code, spec = _compiled(reference.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        hint = _AS_JSON if _is_data(reference.source) else _AS_TEXT
        refuse(f"{_short(reference.shown)} is no expression: {reason}.", hint)
    value, colon, _ = reference.source.rpartition(":")
    if colon and _is_data(value):
        refuse(f"{_short(reference.shown)} formats a value that is written out, and is no JSON.", _AS_JSON)
    try:
        return eval(code, dict(namespace)), spec  # noqa: S307 - the user's own code in their own cell
    except NameError as error:
        what = f"{_short(reference.shown)} cannot be read: {error}."
        refuse(what, "Run the cell that defines it, or write $$ or {{ }} for text.")
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
        what = f"{_short(reference.shown)} failed: {type(error).__name__}: {said(error)}"
        refuse(what, _AS_TEXT)


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


def _is_data(source: str) -> bool:
    """Return whether a source names nothing, such as that of one value or of pairs of a key and a value."""
    for text in (source.strip(), f"{{{source}}}"):
        try:
            ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return True
    return False


def _plain(value: object, shown: str) -> Any:
    """Return a value whose text is what the user means, and refuse any other.

    An estimator's text would be its ``repr``: never what an option wants.
    """
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (str, numbers.Number)):
        return value
    what = f"{_short(shown)} is no text and no number: {type(value).__name__}."
    hint = "Name an attribute of it, such as {run.info.run_id}; --model takes the variable's bare name."
    return refuse(what, hint)
