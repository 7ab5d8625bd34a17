"""Which variables hold a fitted estimator, told by their types without importing any library."""

from __future__ import annotations

import ast
import numbers
import types
from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow.flavors import SKLEARN, flavor_of, is_fitted
from hokusai_nb.errors import AmbiguousModelError
from hokusai_nb.log import logger
from hokusai_nb.magics.references import said
from hokusai_nb.schema.line_words import refuse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "find_object",
    "fitted_estimators",
    "is_data",
    "is_fitted_estimator",
    "new_estimators",
    "only_estimator",
]

_NAMING = (
    *(ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Constant, ast.Tuple, ast.UnaryOp),
    *(ast.expr_context, ast.unaryop),
)
_PLAIN = (str, bytes, numbers.Number, types.ModuleType, types.NoneType)


def is_fitted_estimator(value: object) -> bool:
    """Return whether a value is something that MLflow can store, that predicts and was fitted."""
    try:
        flavor = flavor_of(value)
        # A scikit-learn scaler is fitted too, but is no model.
        predicts = flavor is not None and (flavor is not SKLEARN or callable(getattr(type(value), "predict", None)))
        return predicts and is_fitted(value)
    except Exception:  # noqa: BLE001 - a class may answer any question about itself with an error
        logger.debug("%s cannot be inspected.", type(value), exc_info=True)
        return False


def is_data(value: object) -> bool:
    """Return whether a value may be input rows: a table, an array, a list or a mapping of columns."""
    kind = type(value)
    return not issubclass(kind, (*_PLAIN, type)) and (hasattr(kind, "__len__") or hasattr(kind, "shape"))


def fitted_estimators(namespace: Mapping[str, Any]) -> list[str]:
    """Return the names of the user's variables that hold fitted estimators."""
    return [name for name, value in list(namespace.items()) if not name.startswith("_") and is_fitted_estimator(value)]


def find_object(text: str | None, namespace: Mapping[str, Any]) -> Any:
    """Return the object that a variable's name leads to, attributes and items included.

    None where the text is no such name (it is then the name of a logged model, or a URI), or where
    the variable holds a number, or text that is no URI.

    Raises:
        UsageError: The variable exists, but it has no such attribute or item.
    """
    root = _root(text or "")
    if root is None or root not in namespace:
        return None
    try:
        found = eval(text or "", dict(namespace))  # noqa: S307 - a name of the user's, in their own cell
    except Exception as error:  # noqa: BLE001 - whatever the user's object raises
        refuse(
            f"{text} cannot be read: {type(error).__name__}: {said(error)}", "Name a variable that holds the object."
        )
    return None if issubclass(type(found), _PLAIN) and not _is_uri(found) else found


def _is_uri(value: object) -> bool:
    return isinstance(value, str) and ":/" in value


def _root(text: str) -> str | None:
    """Return the variable that a name with attributes and items begins with."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    # The text may be a model's name out of the registry: reading it must not call anything.
    if not all(isinstance(part, _NAMING) for part in ast.walk(node)):
        return None
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def new_estimators(
    before: Mapping[str, Any], namespace: Mapping[str, Any], refitted: Collection[str] = ()
) -> dict[str, Any]:
    """Return the fitted estimators that a cell left in variables; one under two names counts once.

    Args:
        before: The fitted estimators that there were before the cell ran; kept, and not only their
            identities, which Python gives out again.
        namespace: The variables now.
        refitted: Variables whose estimator the cell fitted again where it was.
    """
    found: dict[int, str] = {}
    for name in fitted_estimators(namespace):
        if name in refitted or before.get(name) is not namespace[name]:
            found.setdefault(id(namespace[name]), name)
    return {name: namespace[name] for name in found.values()}


def only_estimator(left: Mapping[str, Any]) -> Any:
    """Return the one estimator that a cell left; None if it left none.

    Raises:
        AmbiguousModelError: It left several.
    """
    if len(left) > 1:
        what = f"The cell leaves {len(left)} fitted estimators: {', '.join(left)}."
        raise AmbiguousModelError(what, f"Choose one with --model: --model {list(left)[-1]}", list(left))
    return next(iter(left.values()), None)
