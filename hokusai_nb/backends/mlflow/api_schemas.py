"""What a stored model states of itself in its ``MLmodel`` file: its run, and its signature as JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydantic
import yaml  # type: ignore[import-untyped]
from mlflow.models import ModelSignature
from mlflow.types import DataType
from mlflow.types.schema import Array, ColSpec, Map, Object, TensorSpec

from hokusai_nb.backends.mlflow.models import MLMODEL
from hokusai_nb.errors import ValidationError
from hokusai_nb.log import logger
from hokusai_nb.schema.frozen import Frozen
from hokusai_nb.schema.problems import Problem, quoted_path

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.types import Schema

__all__ = ["Description", "json_schema", "read_description"]

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCALARS: dict[DataType, dict[str, str]] = {
    DataType.boolean: {"type": "boolean"},
    DataType.integer: {"type": "integer"},
    DataType.long: {"type": "integer"},
    DataType.float: {"type": "number"},
    DataType.double: {"type": "number"},
    DataType.string: {"type": "string"},
    DataType.binary: {"type": "string", "contentEncoding": "base64"},
    DataType.datetime: {"type": "string", "format": "date-time"},
}
_KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "U": "string", "S": "string", "M": "string"}


class Description(pydantic.BaseModel, frozen=True):
    """What an ``MLmodel`` file says."""

    run_id: str | None = None
    """The run that logged the model, wherever that was."""
    api_schema: Frozen[str, Any] | None = None
    """``inputSchema`` and ``outputSchema``; None where it states no signature."""


def read_description(folder: Path) -> Description:
    """Return what a folder's ``MLmodel`` file says; nothing that it names is imported.

    Raises:
        ValidationError: It is no such file.
    """
    try:
        with (folder / MLMODEL).open(encoding="utf-8") as file:
            stated = yaml.load(file, Loader=_YAML)  # noqa: S506 - both loaders are safe ones
        flavors = stated["flavors"]
        if not isinstance(flavors, dict) or not flavors:
            raise TypeError  # noqa: TRY301 - the same as a list in its place
    except (OSError, ValueError, yaml.YAMLError, RecursionError, TypeError, KeyError) as error:
        what = f"{quoted_path(folder / MLMODEL)} does not describe an MLflow model."
        hint = "Save the model again with mlflow.<flavor>.save_model, or remove the file to register plain files."
        raise ValidationError([Problem(field="path", what=what, hint=hint)]) from error
    run_id = stated.get("run_id")
    return Description(
        run_id=run_id if isinstance(run_id, str) else None, api_schema=_api_schema(stated.get("signature"))
    )


def _api_schema(stated: Any) -> dict[str, Any] | None:
    if not stated:
        return None
    try:
        signature = ModelSignature.from_dict(stated)
        return {"inputSchema": json_schema(signature.inputs), "outputSchema": json_schema(signature.outputs)}
    except Exception:  # noqa: BLE001 - anybody may have written the file, and the model can be registered without
        logger.warning("The signature in the model's %s cannot be read and is left out.", MLMODEL)
        logger.debug("This is why.", exc_info=True)
        return None


def json_schema(schema: Schema | None) -> dict[str, Any]:
    """Return a side of a model's signature as JSON Schema: of one row, or of a whole array.

    >>> from mlflow.types import ColSpec, Schema
    >>> json_schema(Schema([ColSpec("double", "age"), ColSpec("string", "name", required=False)]))["required"]
    ['age']
    """
    if schema is None:
        return {}
    columns = list(schema.inputs)
    if all(column.name is None for column in columns):
        kinds = [_of_column(column) for column in columns]
        if len(kinds) == 1:
            return kinds[0]
        return {"type": "array", "prefixItems": kinds, "minItems": len(kinds), "maxItems": len(kinds)}
    return {
        "type": "object",
        "properties": {str(column.name): _of_column(column) for column in columns},
        "required": [str(column.name) for column in columns if column.required],
    }


def _of_column(column: ColSpec | TensorSpec) -> dict[str, Any]:
    return _of_tensor(column) if isinstance(column, TensorSpec) else _of_type(column.type)


def _of_type(kind: Any) -> dict[str, Any]:
    if isinstance(kind, DataType):
        return dict(_SCALARS.get(kind, {}))
    if isinstance(kind, Array):
        return {"type": "array", "items": _of_type(kind.dtype)}
    if isinstance(kind, Map):
        return {"type": "object", "additionalProperties": _of_type(kind.value_type)}
    if isinstance(kind, Object):
        return {
            "type": "object",
            "properties": {p.name: _of_type(p.dtype) for p in kind.properties},
            "required": sorted(p.name for p in kind.properties if p.required),
        }
    return {}  # anything goes


def _of_tensor(tensor: TensorSpec) -> dict[str, Any]:
    """Return nested arrays; a dimension of any length, such as the batch, has no limits."""
    word = _KINDS.get(np.dtype(tensor.type).kind)
    inner: dict[str, Any] = {"type": word} if word else {}
    for length in reversed(tensor.shape):
        limits = {"minItems": int(length), "maxItems": int(length)} if length >= 0 else {}
        inner = {"type": "array", "items": inner, **limits}
    return inner
