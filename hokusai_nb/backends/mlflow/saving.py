"""An estimator as an MLflow model on disk, without MLflow's guesswork.

Left to itself, MLflow starts a subprocess that loads the model and watches what it imports, which
takes seconds. What a model needs is known sooner: pickling it once into nothing names every class,
function and module that it refers to.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib
import importlib.metadata
import io
import pickle
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import cloudpickle  # type: ignore[import-untyped]  # it ships no types
from mlflow.models import Model
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hokusai_nb.backends.mlflow.flavors import (
    KERAS,
    LIGHTGBM,
    PYFUNC,
    PYTORCH,
    SKLEARN,
    STATSMODELS,
    TRANSFORMERS,
    Flavor,
    top_level,
)
from hokusai_nb.errors import HokusaiError

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.models import ModelSignature

__all__ = ["save"]

# skops stores without pickle, so that loading runs no foreign code, but spends 0.3 ms on each object
# and array: 3 ms on a linear model or a small pipeline, 200 ms on a forest of 100 trees, which pickle
# stores in 3 ms at a third of the size. It is used while it costs no more than the rest of the call.
SKOPS_OBJECTS = 200
SKOPS_PACKAGES = {"lightgbm", "numpy", "scipy", "sklearn", "xgboost"}
# MLflow's own inference finds these in nearly every model, since its loaders import them.
_COMMON = {"numpy", "pandas", "scipy"}
_PICKLED = (LIGHTGBM, PYFUNC, SKLEARN, STATSMODELS)


@dataclass
class _References:
    """What a pickled object refers to."""

    packages: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    """Classes and functions, as ``module.name``."""
    objects: int = 0

    def add(self, obj: Any) -> None:
        self.objects += 1
        if isinstance(obj, types.ModuleType):
            self.packages.add(obj.__name__.partition(".")[0])
        elif isinstance(obj, types.CodeType):
            # A function of a notebook is stored with its code, which may import when it is called.
            imports = (i.argval for i in dis.get_instructions(obj) if i.opname == "IMPORT_NAME")
            self.packages.update(name.partition(".")[0] for name in imports)
        else:
            named = obj if hasattr(obj, "__name__") else type(obj)
            module = str(getattr(named, "__module__", None) or "builtins")
            self.packages.add(module.partition(".")[0])
            self.names.add(f"{module}.{named.__name__}")


class _Recorder(cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    """Pickles into nothing and notes every reference; arrays are passed by, not copied."""

    def __init__(self, references: _References) -> None:
        super().__init__(_Nowhere(), protocol=5, buffer_callback=_drop)
        self._references = references

    def reducer_override(self, obj: Any) -> Any:
        self._references.add(obj)
        return super().reducer_override(obj)


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def _drop(_: object) -> None:
    """Tell pickle that a buffer was taken care of."""


def _is_booster(obj: object) -> bool:
    """Whether it is XGBoost's or LightGBM's own model, which has a file format of its own."""
    return type(obj).__name__ == "Booster"


def _references(flavor: Flavor, obj: Any) -> _References:
    references = _References()
    if flavor in _PICKLED and not _is_booster(obj):
        _Recorder(references).dump(obj)
    elif flavor is PYTORCH:  # pickling it would copy its weights
        references.packages.update(top_level(type(layer)) for layer in obj.modules())
    else:
        references.packages.add(top_level(type(obj)))
    if flavor is KERAS:
        references.packages.add(sys.modules["keras"].config.backend())
    return references


@functools.cache
def _distributions() -> dict[str, set[str]]:
    found = importlib.metadata.packages_distributions()
    return {package: set(names) for package, names in found.items() if package not in sys.stdlib_module_names}


@functools.cache
def _version(distribution: str) -> str:
    """Return the installed version without its local part, such as ``+cpu``, which no index has."""
    return importlib.metadata.version(distribution).partition("+")[0]


def _requirements(flavor: Flavor, obj: Any, packages: set[str], **formats: bool) -> list[str]:
    """Return the flavour's own requirements and those of every other package, pinned as installed."""
    module = importlib.import_module(flavor.module)
    arguments = (getattr(obj, "model", obj),) if flavor is TRANSFORMERS else ()
    required = list(module.get_default_pip_requirements(*arguments, **formats))
    known = {canonicalize_name(Requirement(r).name) for r in required}
    # MLflow pins itself; the flavour's package may be installed under another name, as xgboost-cpu.
    wanted = (packages | (_COMMON & sys.modules.keys())) - {"mlflow", flavor.name}
    for package in sorted(wanted & _distributions().keys()):
        for name in sorted(_distributions()[package]):
            if (canonical := canonicalize_name(name)) not in known:
                known.add(canonical)
                required.append(f"{canonical}=={_version(name)}")
    return required


def _serialisations(flavor: Flavor, obj: Any, references: _References) -> list[dict[str, Any]]:
    """Return arguments of the flavour's ``save_model`` for each serialisation to try, safest first."""
    required = functools.partial(_requirements, flavor, obj, references.packages)
    if flavor is PYTORCH:  # its default traces the graph, for which it needs an example
        return [{"serialization_format": "pickle", "pip_requirements": required()}]
    if flavor not in (LIGHTGBM, SKLEARN) or _is_booster(obj):
        return [{"pip_requirements": required()}]
    pickled = {"serialization_format": "cloudpickle", "pip_requirements": required(include_cloudpickle=True)}
    foreign = references.packages - SKOPS_PACKAGES - sys.stdlib_module_names
    if foreign or references.objects > SKOPS_OBJECTS:
        return [pickled]
    safe = {
        "serialization_format": "skops",
        "skops_trusted_types": sorted(n for n in references.names if n.partition(".")[0] in SKOPS_PACKAGES),
        "pip_requirements": required(include_skops=True),
    }
    return [safe, pickled]


def save(
    flavor: Flavor, obj: Any, folder: Path, signature: ModelSignature | Literal[False] | None, example: object = None
) -> tuple[Path, Model]:
    """Write an object's files below a folder; return where they lie and the contents of MLmodel.

    Args:
        flavor: The object's flavour.
        obj: What to store.
        folder: An empty folder.
        signature: What goes in and comes out; False for none, None to leave it to the flavour.
        example: Some input, to be stored beside the model.

    Raises:
        HokusaiError: The flavour's package is missing, or the object cannot be serialised.
    """
    model = {"model": obj} if flavor is TRANSFORMERS and not hasattr(obj, "model") else obj
    arguments = {flavor.argument: model, "signature": signature, "input_example": example}
    arguments = {key: value for key, value in arguments.items() if value is not None}
    try:
        return _save(flavor, obj, folder, arguments)
    except ImportError as error:
        what = f"MLflow's flavour {flavor.name} cannot be used: {error}"
        missing = (error.name or flavor.name).partition(".")[0]
        raise HokusaiError(what, f"pip install {flavor.package if missing == flavor.name else missing}") from error
    except Exception as error:
        kind = f"{type(obj).__module__}.{type(obj).__qualname__}"
        what = f"{kind} cannot be stored as an MLflow model: {str(error).partition(chr(10))[0]}"
        raise HokusaiError(what, _advice(flavor, error)) from error


def _advice(flavor: Flavor, error: Exception) -> str:
    if isinstance(error, AttributeError | TypeError | pickle.PicklingError):
        return "Locks, open files and generators cannot be stored; leave them out of the estimator."
    if flavor is TRANSFORMERS:
        return "Give a pipeline, which knows its task and its tokenizer: transformers.pipeline(…)."
    return f"Log it with {flavor.module}.log_model, and register its run."


def _save(flavor: Flavor, obj: Any, folder: Path, arguments: dict[str, Any]) -> tuple[Path, Model]:
    module = importlib.import_module(flavor.module)
    *others, last = _serialisations(flavor, obj, _references(flavor, obj))
    for number, serialisation in enumerate(others):
        path, model = folder / str(number), Model()
        # Each library fails in its own way at what skops cannot do, and pickle still may.
        with contextlib.suppress(Exception):
            module.save_model(path=str(path), mlflow_model=model, **arguments, **serialisation)
            return path, model
    path, model = folder / "last", Model()
    path.mkdir()  # the Keras flavour forgets to
    module.save_model(path=str(path), mlflow_model=model, **arguments, **last)
    return path, model
