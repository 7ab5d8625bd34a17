"""Recognition by name: real estimators where the library is here, stand-ins of the right name where it is not."""

import subprocess
import sys

import pytest

from hokusai_nb.backends.mlflow.flavors import flavor_of, is_fitted

STAND_INS = [
    ("torch.nn.modules.module", "Module", "pytorch"),
    ("keras.src.models.model", "Model", "keras"),
    ("tf_keras.src.engine.training", "Model", "tensorflow"),
    ("tensorflow.python.module.module", "Module", "tensorflow"),
    ("transformers.pipelines.base", "Pipeline", "transformers"),
    ("transformers.modeling_utils", "PreTrainedModel", "transformers"),
    ("catboost.core", "CatBoost", "catboost"),
    ("xgboost.core", "Booster", "xgboost"),
    ("lightgbm.basic", "Booster", "lightgbm"),
    ("statsmodels.base.wrapper", "ResultsWrapper", "statsmodels"),
    ("mlflow.pyfunc.model", "PythonModel", "pyfunc"),
    ("sklearn.base", "BaseEstimator", "sklearn"),
]


def stand_in(module, name, *bases):
    return type(name, bases, {"__module__": module})


@pytest.mark.parametrize(("module", "name", "flavor"), STAND_INS, ids=[f"{m}.{n}" for m, n, _ in STAND_INS])
def test_a_class_is_recognised_by_its_base_without_an_import(module, name, flavor):
    base = stand_in(module, name)
    mine = stand_in("my_project.models", "Mine", base)
    assert flavor_of(base()).name == flavor
    assert flavor_of(mine()).name == flavor


def test_a_transformers_model_is_not_taken_for_a_mere_torch_module():
    torch_module = stand_in("torch.nn.modules.module", "Module")
    assert flavor_of(stand_in("transformers.modeling_utils", "PreTrainedModel", torch_module)()).name == "transformers"


def test_a_class_of_the_same_name_from_elsewhere_is_not_recognised():
    for module, name, _ in STAND_INS:
        assert flavor_of(stand_in(f"not_{module}", name)()) is None


@pytest.mark.parametrize("obj", [None, 3, "model", [], {}, object(), print, lambda: None, subprocess])
def test_what_is_no_model_has_no_flavour(obj):
    assert flavor_of(obj) is None


def test_a_class_whose_module_is_no_text_has_no_flavour():
    assert flavor_of(type("Odd", (), {"__module__": 3})()) is None


def test_recognising_imports_no_library():
    code = """
import sys
from hokusai_nb.backends.mlflow.flavors import flavor_of, is_fitted
names = [("torch.nn.modules.module", "Module"), ("keras.src.models.model", "Model"), ("sklearn.base", "BaseEstimator")]
for module, name in names:
    obj = type(name, (), {"__module__": module, "fit": None, "get_params": None})()
    assert flavor_of(obj) is not None
    assert is_fitted(obj)
loaded = {"sklearn", "xgboost", "lightgbm", "catboost", "statsmodels", "torch", "keras", "tensorflow", "transformers"}
print(sorted(loaded & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_boosters_scikit_learn_face_keeps_its_own_flavour():
    import lightgbm
    import xgboost
    from sklearn.model_selection import GridSearchCV

    assert flavor_of(xgboost.XGBClassifier()).name == "xgboost"
    assert flavor_of(lightgbm.LGBMRegressor()).name == "lightgbm"
    assert flavor_of(GridSearchCV(xgboost.XGBClassifier(), {})).name == "sklearn"


def test_a_boosting_class_from_a_notebook_is_stored_with_its_code():
    import xgboost

    mine = type("Mine", (xgboost.XGBClassifier,), {"__module__": "__main__"})
    assert flavor_of(mine()).name == "sklearn"


def test_fitted_and_unfitted_estimators_are_told_apart():
    import lightgbm
    import xgboost
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data, target = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]
    for estimator in [
        LinearRegression(),
        make_pipeline(StandardScaler(), LinearRegression()),
        GridSearchCV(LinearRegression(), {"fit_intercept": [True]}, cv=2),
        xgboost.XGBRegressor(n_estimators=1),
        lightgbm.LGBMRegressor(n_estimators=1, verbose=-1),
    ]:
        assert not is_fitted(estimator)
        assert is_fitted(estimator.fit(data, target))


def test_statsmodels_results_are_fitted_and_its_models_are_not():
    import statsmodels.api

    model = statsmodels.api.OLS([1.0, 2.0, 4.0], [[1.0], [2.0], [3.0]])
    assert not is_fitted(model)
    assert is_fitted(model.fit())


def test_catboost_is_asked_whether_it_was_fitted():
    base = stand_in("catboost.core", "CatBoost")
    base.is_fitted = lambda self: self.trees > 0
    model = base()
    model.trees = 0
    assert not is_fitted(model)
    model.trees = 5
    assert is_fitted(model)
