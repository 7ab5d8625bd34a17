"""The files of a model: what they require, and how they were serialised."""

import importlib.metadata
import sys
import threading

import mlflow
import numpy as np
import pytest
from mlflow.models import Model

from hokusai_nb.backends.mlflow import saving
from hokusai_nb.backends.mlflow.client import quiet
from hokusai_nb.backends.mlflow.flavors import flavor_of
from hokusai_nb.errors import HokusaiError

# MLflow hides this warning of its first import from users, but not from a filter that makes it an error.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")

DATA = np.random.default_rng(0).normal(size=(30, 3))
TARGET = (DATA[:, 0] > 0).astype(int)


def saved(obj, folder):
    with quiet():
        path, _ = saving.save(flavor_of(obj), obj, folder, None)
    return path


def required(path):
    pins = dict(line.split("==") for line in (path / "requirements.txt").read_text().splitlines())
    assert pins.pop("mlflow") == mlflow.__version__
    return pins


def serialisation(path):
    return Model.load(str(path)).flavors["sklearn"]["serialization_format"]


def forest(trees):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(trees, random_state=0).fit(DATA, TARGET)


def test_requirements_are_the_flavours_own_with_the_versions_installed_here(tmp_path):
    import scipy
    import sklearn

    pins = required(saved(forest(3), tmp_path))
    assert pins["scikit-learn"] == sklearn.__version__
    assert pins["numpy"] == np.__version__
    assert pins["scipy"] == scipy.__version__
    assert {"skops", "pandas"} <= pins.keys() <= {"scikit-learn", "numpy", "scipy", "skops", "pandas"}


def test_a_package_that_a_step_comes_from_is_required(tmp_path):
    import lightgbm
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(n_estimators=2, verbose=-1))
    assert required(saved(model.fit(DATA, TARGET), tmp_path))["lightgbm"] == lightgbm.__version__


def test_a_package_that_a_models_code_imports_when_called_is_required(tmp_path):
    class Escaping(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):  # noqa: ARG002 - MLflow's signature
            def escaped():
                import markupsafe

                return markupsafe.escape(str(model_input))

            return [escaped()]

    Escaping.__module__ = "__main__"
    sys.modules["__main__"].Escaping = Escaping
    pins = required(saved(Escaping(), tmp_path))
    assert pins["markupsafe"] == importlib.metadata.version("markupsafe")
    assert "cloudpickle" in pins


def test_a_flavours_package_is_required_once_whatever_name_it_was_installed_under(tmp_path):
    import xgboost

    pins = required(saved(xgboost.XGBClassifier(n_estimators=2).fit(DATA, TARGET), tmp_path))
    assert [name for name in pins if "xgboost" in name] == ["xgboost"]


def test_a_small_estimator_is_stored_without_pickle(tmp_path):
    for number, estimator in enumerate([forest(3), forest(3).estimators_[0]]):
        (tmp_path / str(number)).mkdir()
        assert serialisation(saved(estimator, tmp_path / str(number))) == "skops"


def test_a_large_forest_is_pickled_because_skops_would_take_long(tmp_path):
    assert serialisation(saved(forest(100), tmp_path)) == "cloudpickle"


def test_what_skops_cannot_store_is_pickled(tmp_path):
    from sklearn.linear_model import LinearRegression

    estimator = LinearRegression().fit(DATA, TARGET)
    estimator.note_ = range(3)  # skops knows no such type
    path = saved(estimator, tmp_path)
    assert serialisation(path) == "cloudpickle"
    assert mlflow.sklearn.load_model(str(path)).note_ == range(3)


def test_code_from_outside_the_trusted_packages_is_pickled(tmp_path):
    from sklearn.base import BaseEstimator

    class Foreign(BaseEstimator):
        def fit(self, data, target):
            self.n_features_in_ = data.shape[1]
            self.mean_ = np.mean(target)
            return self

        def predict(self, data):
            return np.full(len(data), self.mean_)

    assert serialisation(saved(Foreign().fit(DATA, TARGET), tmp_path)) == "cloudpickle"


def test_what_cannot_be_pickled_is_an_error_with_a_hint(tmp_path):
    from sklearn.linear_model import LinearRegression

    estimator = LinearRegression().fit(DATA, TARGET)
    estimator.lock_ = threading.Lock()
    with pytest.raises(HokusaiError, match="LinearRegression cannot be stored as an MLflow model") as caught:
        saved(estimator, tmp_path)
    assert "leave them out" in caught.value.hint


def test_a_flavour_whose_library_is_missing_is_an_error_that_names_it(tmp_path):
    keras_model = type("Model", (), {"__module__": "keras.src.models.model"})
    with pytest.raises(HokusaiError, match="flavour keras cannot be used") as caught:
        saved(keras_model(), tmp_path)
    assert caught.value.hint == "pip install keras"
