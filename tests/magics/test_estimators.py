"""Fitted estimators are recognised by their types."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hokusai_nb.errors import AmbiguousModelError, UsageError
from hokusai_nb.magics.estimators import (
    find_object,
    fitted_estimators,
    is_data,
    is_fitted_estimator,
    new_estimators,
    only_estimator,
)

X = np.array([[0.0], [1.0], [2.0], [3.0]] * 5)
Y = np.array([0, 0, 1, 1] * 5)


def forest(**params):
    return RandomForestClassifier(5, random_state=0, **params).fit(X, Y)


@pytest.mark.parametrize(
    "made",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2),
    ],
)
def test_an_estimator_counts_once_it_is_fitted(made):
    assert not is_fitted_estimator(made)
    assert is_fitted_estimator(made.fit(X, Y))


@pytest.mark.parametrize("value", [None, 5, "clf", X, [1], LogisticRegression, LogisticRegression.fit, np, object()])
def test_other_values_are_no_estimators(value):
    assert not is_fitted_estimator(value)


def test_a_fitted_scaler_is_no_model_but_a_clustering_is():
    assert not is_fitted_estimator(StandardScaler().fit(X))
    assert is_fitted_estimator(KMeans(2, n_init=1, random_state=0).fit(X))


def test_an_object_that_fails_every_question_is_no_estimator():
    class Rude(LogisticRegression):
        def __getattribute__(self, name):
            raise RuntimeError(name)

    assert not is_fitted_estimator(Rude())


def test_boosters_and_statistical_models_count_too():
    import lightgbm
    import statsmodels.api as sm
    import xgboost

    assert is_fitted_estimator(xgboost.train({}, xgboost.DMatrix(X, Y), 1))
    assert is_fitted_estimator(lightgbm.LGBMClassifier(n_estimators=1, verbose=-1).fit(X, Y))
    assert is_fitted_estimator(sm.OLS(Y, X).fit())
    assert not is_fitted_estimator(sm.OLS(Y, X))


def test_variables_are_found_by_what_they_hold_and_private_ones_are_not():
    assert fitted_estimators({"clf": forest(), "_hidden": forest(), "x": 1, "raw": LogisticRegression()}) == ["clf"]


@pytest.mark.parametrize(("value", "is_one"), [(X, True), ([1], True), ({"a": [1]}, True), ("text", False), (5, False)])
def test_data_is_a_table_an_array_or_a_list(value, is_one):
    assert is_data(value) is is_one


@pytest.mark.parametrize(
    "text", [None, "", "nope", "runs:/abc/model", "models:/m-1", "a b", "1 +", "(", "len(x)", "m-12", "\0"]
)
def test_what_is_no_variables_name_leads_to_no_object(text):
    assert find_object(text, {"m": 5, "x": [1]}) is None


def test_an_object_is_found_by_name_attribute_and_item_and_a_uri_by_the_text_that_holds_it():
    class Box:
        inner = X

    namespace = {"box": Box, "found": {"a": X}, "uri": "runs:/abc/m", "text": "model", "number": 5}
    assert find_object("box.inner", namespace) is X
    assert find_object("found['a']", namespace) is X
    assert find_object("uri", namespace) == "runs:/abc/m"
    assert find_object("text", namespace) is None
    assert find_object("number", namespace) is None


def test_a_missing_attribute_is_an_error_and_no_models_name():
    with pytest.raises(UsageError, match=r"x\.nope cannot be read: AttributeError"):
        find_object("x.nope", {"x": [1]})


def test_what_a_cell_leaves_is_what_it_bound_anew():
    old, new = forest(), forest()
    before = {"old": old, "rebound": old}
    assert list(new_estimators(before, {"old": old, "rebound": new, "same": new, "x": 1})) == ["rebound"]
    assert list(new_estimators(before, {"old": old, "rebound": old}, {"old"})) == ["old"]
    assert only_estimator({}) is None
    assert only_estimator({"clf": new}) is new
    with pytest.raises(AmbiguousModelError, match="2 fitted estimators: a, b"):
        only_estimator({"a": old, "b": new})
