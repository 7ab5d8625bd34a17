"""An estimator is known by what it has learnt."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier

from hokusai_nb.backends.mlflow.fingerprints import fingerprint

X = np.array([[0.0], [1.0], [2.0], [3.0]] * 5)
Y = np.array([0, 0, 1, 1] * 5)


def forest(**params):
    return RandomForestClassifier(5, random_state=0, **params).fit(X, Y)


def test_the_same_training_has_the_same_fingerprint_and_other_training_another():
    first = forest()
    print_before = fingerprint(first)
    first.predict(X)
    assert print_before == fingerprint(first) == fingerprint(forest())
    assert fingerprint(forest(max_depth=1)) != print_before


def test_a_class_written_in_a_notebook_changes_the_fingerprint_with_its_code():
    def define(code):
        namespace = {"__name__": "__main__"}
        exec(code, namespace)
        return fingerprint(namespace["Model"]())

    assert define("class Model:\n    def predict(self): return 1") != define(
        "class Model:\n    def predict(self): return 2"
    )


def test_what_cannot_be_pickled_has_no_fingerprint():
    assert fingerprint(i for i in X) is None


def test_a_search_is_known_by_what_it_found_and_not_by_the_seconds_it_took():
    def search(*values):
        return GridSearchCV(LogisticRegression(), {"C": list(values)}, cv=2).fit(X, Y)

    first = search(1, 2)
    assert fingerprint(first) == fingerprint(search(1, 2)) != fingerprint(search(1, 3))
    assert first.refit_time_ is not None


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_what_a_search_tree_counts_while_it_predicts_is_not_learnt(algorithm):
    def neighbours(x, y):
        return KNeighborsClassifier(3, algorithm=algorithm).fit(x, y)

    first = neighbours(X, Y)
    print_before = fingerprint(first)
    first.predict(X)
    assert fingerprint(first) == print_before == fingerprint(neighbours(X, Y))
    assert fingerprint(neighbours(X[1:], Y[1:])) != print_before


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_the_counters_stand_where_they_are_left_out(tree):
    made = tree(X)
    made.query(X, k=2)
    assert made.__reduce__()[2][7:11] == (*made.get_tree_stats(), made.get_n_calls())


def test_a_fingerprint_needs_no_scikit_learn():
    code = (
        "import sys; from hokusai_nb.backends.mlflow.fingerprints import fingerprint; "
        "print(len(fingerprint({'a': object})), 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "64 False\n"
