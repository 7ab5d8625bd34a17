"""What goes into a model and comes out of it.

MLflow checks whatever a loaded model is given against its signature and converts it. A wrong
signature is therefore worse than none: it refuses, or changes, data that the model itself would
take. So a signature is written only where it lets the data pass that it was made from.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, infer_signature, validate_schema
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from hokusai_nb.backends.mlflow.flavors import (
    KERAS,
    PYFUNC,
    PYTORCH,
    TENSORFLOW,
    TRANSFORMERS,
    XGBOOST,
    Flavor,
    top_level,
)
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow.entities import Dataset

__all__ = ["as_rows", "first_rows", "signature_of"]

EXAMPLE_ROWS = 5
_LONG_BYTES = 8


def _is_array(data: object) -> TypeGuard[Any]:
    """Whether something is an array of numpy or a sparse matrix of scipy."""
    return isinstance(data, np.ndarray) or (hasattr(data, "shape") and top_level(type(data)) == "scipy")


def as_rows(flavor: Flavor, obj: Any, example: Any) -> Any:
    """Return an example as the model gets it when MLflow is given the same.

    Records, columns and rows of a table become a frame or an array; anything else stays as it is.

    Raises:
        ValidationError: It looks like a table and is none.
    """
    if flavor is PYFUNC:
        return example
    try:
        return _as_table(flavor, obj, example)
    except (TypeError, ValueError) as error:
        problem = Problem(
            field="input_example",
            what=f"The input example is no table: {error}",
            hint="Give a data frame, an array, or a list of records.",
        )
        raise ValidationError([problem]) from error


def _as_table(flavor: Flavor, obj: Any, example: Any) -> Any:
    if flavor in (KERAS, TENSORFLOW) and isinstance(example, pd.DataFrame):
        return example.to_numpy()  # their signatures know arrays only
    if isinstance(example, pd.Series) and list(example.index) == _feature_names(obj):
        return example.to_frame().T.infer_objects()
    if isinstance(example, dict):
        columns = all(isinstance(v, list | np.ndarray | pd.Series) for v in example.values())
        return pd.DataFrame(example if columns else [example])
    if isinstance(example, list | tuple) and example:
        rows = list(example)
        if isinstance(rows[0], dict):
            return pd.DataFrame(rows)
        if isinstance(rows[0], list | tuple | np.ndarray):
            return np.asarray(rows)
    return example


def first_rows(rows: Any) -> Any:
    """Return the part of an example that is stored with the model, None where it cannot be stored."""
    if isinstance(rows, pd.DataFrame):
        # MLflow compares the columns to a range, which pandas deprecates for its own texts.
        return rows.head(EXAMPLE_ROWS).set_axis(rows.columns.astype(object), axis=1)
    if isinstance(rows, pd.Series):
        return rows.head(EXAMPLE_ROWS).tolist()
    if isinstance(rows, list) or _is_array(rows):
        return rows[:EXAMPLE_ROWS]
    return rows if isinstance(rows, str | int | float | bool | dict) else None


def signature_of(
    flavor: Flavor, obj: Any, rows: Any = None, datasets: Iterable[Dataset] = ()
) -> ModelSignature | Literal[False] | None:
    """Return a model's signature; False where none is better, None where the flavour is to decide.

    Args:
        flavor: The object's flavour.
        obj: The fitted object.
        rows: An example, as `as_rows` returns it.
        datasets: Data sets logged to the run, which know their columns' types.

    Raises:
        ValidationError: The model cannot predict the example.
    """
    if flavor is PYFUNC and _has_own_signature(obj):
        return None
    if flavor is TRANSFORMERS:  # MLflow knows it from the pipeline's task
        return False
    if found := _from_features(obj, datasets) if rows is None else _from_rows(flavor, obj, rows):
        return found
    return None if flavor is KERAS else False  # Keras's cannot take False, and infers nothing


def _from_rows(flavor: Flavor, obj: Any, rows: Any) -> ModelSignature | None:
    # With a signature MLflow makes a frame of anything else, such as texts, that the model never saw in one.
    inputs = _schema(rows) if isinstance(rows, pd.DataFrame) or _is_array(rows) else None
    if inputs is None:
        return None
    try:
        validate_schema(rows, inputs)
    except MlflowException:
        return None
    return ModelSignature(inputs, _outputs(flavor, obj, rows[:EXAMPLE_ROWS]))


def _has_own_signature(obj: Any) -> bool:
    """Whether MLflow knows the signature: of its chat models, and of a ``predict`` with type hints."""
    chats = any(base.__name__ in ("ChatAgent", "ChatModel", "ResponsesAgent") for base in type(obj).__mro__)
    return chats or obj.predict_type_hints.input is not None


def _schema(data: Any) -> Schema | None:
    """Return MLflow's schema of a frame or an array, without the hint it prints for integer columns."""
    if not isinstance(data, pd.DataFrame):
        tensor: Schema | None = infer_signature(data).inputs
        return tensor
    frame = data.infer_objects()
    integers = {name: t for name, t in frame.dtypes.items() if isinstance(t, np.dtype) and t.kind in "iu"}
    if not frame.columns.is_unique:
        return None
    inferred = infer_signature(frame.astype(dict.fromkeys(integers, "float64"))).inputs
    columns = [
        ColSpec(_integer(integers[name]), spec.name, required=spec.required) if name in integers else spec
        for name, spec in zip(frame.columns, inferred.inputs, strict=False)
    ]
    return Schema(columns) if len(columns) == len(frame.columns) else None


def _integer(dtype: np.dtype[Any]) -> DataType:
    narrow = dtype.itemsize < _LONG_BYTES // 2 or (dtype.itemsize < _LONG_BYTES and dtype.kind == "i")
    return DataType.integer if narrow else DataType.long


def _outputs(flavor: Flavor, obj: Any, data: Any) -> Schema | None:
    """Return the schema of what a model predicts; None for models that cannot be asked here."""
    if flavor is PYTORCH or not hasattr(obj, "predict"):
        return None
    try:
        predicted = _predict(flavor, obj, data)
    except Exception as error:
        if flavor is PYFUNC:  # it may need the context that only loading gives
            return None
        problem = Problem(
            field="input_example",
            what=f"The model cannot predict the input example: {type(error).__name__}: {error}",
            hint="Give rows as the model's predict takes them.",
        )
        raise ValidationError([problem]) from error
    if isinstance(predicted, pd.Series):
        predicted = predicted.to_frame()
    if isinstance(predicted, list):
        predicted = np.asarray(predicted)
    return _schema(predicted) if isinstance(predicted, pd.DataFrame | np.ndarray) else None


def _predict(flavor: Flavor, obj: Any, data: Any) -> Any:
    if flavor is XGBOOST and type(obj).__name__ == "Booster":
        import xgboost  # noqa: PLC0415 - loaded already, as the model is one of its own

        return obj.predict(xgboost.DMatrix(data))
    if flavor is PYFUNC:
        has_context = "context" in inspect.signature(obj.predict).parameters
        return obj.predict(None, data) if has_context else obj.predict(data)
    if flavor in (KERAS, TENSORFLOW):
        return obj.predict(data, verbose=0)
    # scikit-learn warns where only one of training and prediction knew the features' names.
    names = _feature_names(obj)
    width = data.shape[1] if len(data.shape) > 1 else None
    if names and isinstance(data, np.ndarray) and len(names) == width:
        data = pd.DataFrame(data, columns=names)
    elif not names and isinstance(data, pd.DataFrame) and getattr(obj, "n_features_in_", None) == width:
        data = data.to_numpy()
    with np.errstate(all="ignore"):
        return obj.predict(data)


def _feature_names(obj: Any) -> list[str]:
    try:
        return list(obj.feature_names_in_)
    except Exception:  # noqa: BLE001 - a property that each library guards with an error of its own
        return []


def _from_features(obj: Any, datasets: Iterable[Dataset]) -> ModelSignature | None:
    """Return a signature of the features that a numeric estimator remembers from its fit.

    An estimator keeps its features' names and not their types. A data set logged to the run knows
    the types; otherwise they are declared as any, because MLflow refuses integers where a signature
    says double.
    """
    names = _feature_names(obj)
    fitted = getattr(obj, "best_estimator_", obj)
    if not names or not hasattr(fitted, "predict") or not _is_numeric(fitted):
        return None
    types = _logged_types(datasets, set(names))
    inputs = Schema([ColSpec(types.get(name, AnyType()), name) for name in names])
    try:
        with np.errstate(all="ignore"):
            predicted = obj.predict(pd.DataFrame(np.zeros((2, len(names))), columns=names))
    except Exception:  # noqa: BLE001 - zeros may lie where a model has nothing to say; what goes in is known all the same
        return ModelSignature(inputs)
    return ModelSignature(inputs, _schema(predicted) if isinstance(predicted, np.ndarray) else None)


def _is_numeric(obj: Any) -> bool:
    """Whether an estimator is known to take numbers only, no categories and no texts."""
    package = top_level(type(obj))
    if package == "xgboost":  # it spells out names that are numbers or pairs, and they cannot be told back
        return "c" not in (obj.get_booster().feature_types or ()) and all(map(str.isidentifier, _feature_names(obj)))
    # What other packages take is not known (LightGBM even changes the names), and what a pipeline
    # takes its first steps decide.
    if package != "sklearn" or any(hasattr(value, "get_params") for value in obj.get_params().values()):
        return False
    from sklearn.utils import get_tags  # noqa: PLC0415 - loaded already, as the estimator is one of its own

    tags = get_tags(obj)
    takes_more = tags.no_validation or tags.input_tags.categorical or tags.input_tags.string
    return not takes_more and getattr(obj, "is_categorical_", None) is None


def _logged_types(datasets: Iterable[Dataset], names: set[str]) -> dict[str, DataType]:
    """Return the columns' types from the first logged data set that has all of them."""
    for dataset in datasets:
        try:
            columns = json.loads(dataset.schema or "{}").get("mlflow_colspec") or []
            found = {c["name"]: DataType[c["type"]] for c in columns if c.get("name") in names}
        except (ValueError, KeyError, TypeError, AttributeError):  # a schema of some other kind of data set
            continue
        if len(found) == len(names):
            return found
    return {}
