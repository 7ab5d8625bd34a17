"""Which of MLflow's flavours an object belongs to, told by name alone.

A class is compared by the names in its method resolution order, never by ``isinstance``: that would
import every library in the table to ask about an object that can only come from one of them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["Flavor", "flavor_of", "is_fitted", "top_level"]


@dataclass(frozen=True)
class Flavor:
    """One of MLflow's flavours and how it is told to save a model."""

    name: str
    """As MLflow spells it: the key in an MLmodel file."""
    package: str
    """What has to be installed, as pip calls it."""
    argument: str
    """Name of the model's parameter of the flavour's ``save_model``."""

    @property
    def module(self) -> str:
        """Module with the flavour's ``save_model`` and ``load_model``."""
        return f"mlflow.{self.name}"


XGBOOST = Flavor("xgboost", "xgboost", "xgb_model")
LIGHTGBM = Flavor("lightgbm", "lightgbm", "lgb_model")
CATBOOST = Flavor("catboost", "catboost", "cb_model")
STATSMODELS = Flavor("statsmodels", "statsmodels", "statsmodels_model")
TRANSFORMERS = Flavor("transformers", "transformers", "transformers_model")
PYTORCH = Flavor("pytorch", "torch", "pytorch_model")
KERAS = Flavor("keras", "keras", "model")
TENSORFLOW = Flavor("tensorflow", "tensorflow", "model")
PYFUNC = Flavor("pyfunc", "mlflow", "python_model")
SKLEARN = Flavor("sklearn", "scikit-learn", "sk_model")

# Most specific first: a booster's scikit-learn face is a BaseEstimator too, and a transformers
# model is a torch module. The names are those of base classes, wherever in the package they live.
_TABLE = (
    (XGBOOST, "xgboost", {"Booster", "XGBModel"}),
    (LIGHTGBM, "lightgbm", {"Booster", "LGBMModel"}),
    (CATBOOST, "catboost", {"CatBoost"}),
    (STATSMODELS, "statsmodels", {"Model", "Results", "ResultsWrapper"}),
    (TRANSFORMERS, "transformers", {"FlaxPreTrainedModel", "Pipeline", "PreTrainedModel", "TFPreTrainedModel"}),
    (PYTORCH, "torch", {"Module"}),
    (KERAS, "keras", {"Model"}),
    (TENSORFLOW, "tf_keras", {"Model"}),
    (TENSORFLOW, "tensorflow", {"Model", "Module"}),
    (PYFUNC, "mlflow", {"PythonModel"}),
    (SKLEARN, "sklearn", {"BaseEstimator"}),
)


def top_level(cls: type) -> str:
    """Return the package that a class comes from, without its submodules."""
    return str(getattr(cls, "__module__", "")).partition(".")[0]


def flavor_of(obj: object) -> Flavor | None:
    """Return the flavour that can store an object, or None; nothing is imported.

    >>> flavor_of("text") is None
    True
    """
    cls = type(obj)
    ancestry = {(top_level(base), base.__name__) for base in cls.__mro__}
    for flavor, package, names in _TABLE:
        # XGBoost's loader looks a class up by name; one that was written in a notebook has none, and
        # goes on to scikit-learn's row, where it is stored with its code.
        if flavor is XGBOOST and top_level(cls) == "__main__":
            continue
        if any((package, name) in ancestry for name in names):
            return flavor
    return None


def is_fitted(obj: Any) -> bool:
    """Return False where it is cheap to see that an object was never fitted, else True.

    Neural networks and MLflow's Python models count as fitted: nobody but their author can tell.
    """
    flavor = flavor_of(obj)
    if flavor is STATSMODELS:
        return any(base.__name__ in ("Results", "ResultsWrapper") for base in type(obj).__mro__)
    if flavor is CATBOOST:
        return bool(obj.is_fitted())
    validation = sys.modules.get("sklearn.utils.validation")
    if validation is None or not hasattr(obj, "get_params") or not hasattr(obj, "fit"):
        return True
    try:
        validation.check_is_fitted(obj)
    except sys.modules["sklearn.exceptions"].NotFittedError:
        return False
    return True
