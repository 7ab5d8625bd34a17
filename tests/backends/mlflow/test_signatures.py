"""A signature lets everything pass that the model itself takes, or there is none."""

import json

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import validate_schema

from hokusai_nb.backends.mlflow.flavors import flavor_of
from hokusai_nb.backends.mlflow.signatures import as_rows, first_rows, signature_of
from hokusai_nb.errors import ValidationError

# MLflow hides this warning of its first import from users, but not from a filter that makes it an error.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")


def table():
    return pd.DataFrame({"age": [1.5, 2.5, 3.5, 4.5], "rooms": [1, 2, 3, 4], "new": [True, False, True, False]})


def fitted(data=None):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(table() if data is None else data, [0, 1, 0, 1])


def signature(obj, example=None, datasets=()):
    flavor = flavor_of(obj)
    return signature_of(flavor, obj, None if example is None else as_rows(flavor, obj, example), datasets)


def columns(schema):
    return {spec["name"]: spec["type"] for spec in schema.to_dict()}


def logged(data):
    return mlflow.data.from_pandas(data, name="training", digest="1a2b")._to_mlflow_entity()


def test_columns_keep_their_types_and_integers_bring_no_warning():
    found = signature(fitted(), table())
    assert columns(found.inputs) == {"age": "double", "rooms": "long", "new": "boolean"}
    assert found.outputs.to_dict()[0]["tensor-spec"] == {"dtype": "int64", "shape": (-1,)}


@pytest.mark.parametrize(
    ("dtype", "name"), [("int8", "integer"), ("int32", "integer"), ("uint32", "long"), ("int64", "long")]
)
def test_integers_are_named_by_their_width(dtype, name):
    data = table().astype({"rooms": dtype})
    assert columns(signature(fitted(data), data).inputs)["rooms"] == name


def test_a_column_with_missing_values_is_optional():
    from sklearn.ensemble import HistGradientBoostingRegressor

    data = table().assign(age=[1.5, None, 3.5, 4.5])
    found = signature(HistGradientBoostingRegressor(max_iter=2).fit(data, [1, 2, 3, 4]), data)
    assert {spec.name for spec in found.inputs.inputs if not spec.required} == {"age"}


@pytest.mark.parametrize(
    "example",
    [
        table().to_dict(orient="records"),
        table().to_dict(orient="list"),
        table().to_dict(orient="records")[0],
        table().iloc[0],
    ],
    ids=["records", "columns", "one record", "one row"],
)
def test_any_form_of_a_table_gives_the_tables_signature(example):
    assert list(columns(signature(fitted(), example).inputs)) == ["age", "rooms", "new"]


def test_rows_of_numbers_are_an_array():
    from sklearn.linear_model import LinearRegression

    found = signature(LinearRegression().fit([[1.0, 2.0], [2.0, 3.0]], [1.0, 2.0]), [[1.0, 2.0]])
    assert found.inputs.to_dict()[0]["tensor-spec"] == {"dtype": "float64", "shape": (-1, 2)}


@pytest.mark.parametrize("example", [{"age": [1.0, 2.0], "rooms": [1]}, [[1.0, 2.0], [1.0]]])
def test_a_ragged_table_is_an_error(example):
    with pytest.raises(ValidationError, match="The input example is no table"):
        signature(fitted(), example)


def test_a_sparse_matrix_has_a_signature():
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    data = csr_matrix(np.eye(4))
    found = signature(LogisticRegression().fit(data, [0, 1, 0, 1]), data)
    assert found.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 4)


def test_prediction_with_names_unlike_the_fits_brings_no_warning():
    from sklearn.linear_model import LinearRegression

    data = table().astype(float)
    assert signature(LinearRegression().fit(data, [1, 2, 3, 4]), data.to_numpy())
    assert signature(LinearRegression().fit(data.to_numpy(), [1, 2, 3, 4]), data)


def test_outputs_of_frames_and_lists_are_described():
    class Framed(mlflow.pyfunc.PythonModel):
        def predict(self, model_input):
            return pd.DataFrame({"class": [1] * len(model_input)})

    class Listed(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):  # noqa: ARG002 - MLflow's signature
            return [1.5] * len(model_input)

    assert columns(signature(Framed(), table()).outputs) == {"class": "long"}
    assert signature(Listed(), table()).outputs.to_dict()[0]["tensor-spec"]["dtype"] == "float64"


@pytest.mark.parametrize(
    "data",
    [
        table().astype({"rooms": "category"}),
        table().astype({"rooms": "uint64"}),
        table().set_axis(["age", "age", "new"], axis=1),
    ],
    ids=["categories", "unsigned", "the same name twice"],
)
def test_a_frame_that_mlflow_would_refuse_has_no_signature(data):
    assert signature(fitted(table().to_numpy(float)), data) is False


@pytest.mark.parametrize("texts", [["good", "bad"], pd.Series(["good", "bad"], index=[4, 2]), "good"])
def test_texts_have_no_signature_because_mlflow_would_make_a_frame_of_them(texts):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    assert signature(make_pipeline(CountVectorizer(), MultinomialNB()).fit(["good", "bad"], [1, 0]), texts) is False


def test_records_reach_an_untyped_python_model_as_they_are():
    class Counting(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):  # noqa: ARG002 - MLflow's signature
            return [len(model_input)]

    records = [{"a": 1}]
    assert signature(Counting(), records) is False
    assert as_rows(flavor_of(Counting()), Counting(), records) is records


def test_a_python_models_type_hints_are_left_to_mlflow():
    class Typed(mlflow.pyfunc.PythonModel):
        def predict(self, model_input: list[str]) -> list[str]:
            return model_input

    assert signature(Typed(), ["text"]) is None


def test_a_python_model_that_needs_its_context_has_inputs_only():
    class Loaded(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):
            return context.artifacts["weights"] @ model_input

    found = signature(Loaded(), table())
    assert list(columns(found.inputs)) == ["age", "rooms", "new"]
    assert found.outputs is None


def test_an_example_that_the_model_cannot_predict_is_an_error():
    with pytest.raises(ValidationError, match="cannot predict the input example") as caught:
        signature(fitted(), table().drop(columns="age"))
    assert caught.value.problems[0].field == "input_example"


def test_without_an_example_the_features_are_named_and_any_number_passes():
    found = signature(fitted())
    assert columns(found.inputs) == {"age": "any", "rooms": "any", "new": "any"}
    assert found.outputs.to_dict()[0]["tensor-spec"]["dtype"] == "int64"
    for dtype in ("float64", "float32", "int64", "bool"):
        validate_schema(table().astype(dtype), found.inputs)


@pytest.mark.filterwarnings("ignore:Hint. Inferred schema contains integer")  # from MLflow, as the data set is made
def test_a_data_set_logged_to_the_run_tells_the_features_types():
    other, data = logged(table()[["age"]]), logged(table().assign(bought=1.0))
    assert columns(signature(fitted(), datasets=[other, data]).inputs) == {
        "age": "double",
        "rooms": "long",
        "new": "boolean",
    }


@pytest.mark.parametrize(
    "schema", [None, "", "no json", "[]", "null", '{"mlflow_colspec": [{"name": "age"}]}', '{"mlflow_tensorspec": {}}']
)
def test_a_data_set_with_another_schema_is_passed_over(schema):
    data = logged(table())
    data._schema = schema
    assert set(columns(signature(fitted(), datasets=[data]).inputs).values()) == {"any"}


def test_a_search_has_the_signature_of_its_best_estimator():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2).fit(table(), [0, 0, 1, 1])
    assert list(columns(signature(search).inputs)) == ["age", "rooms", "new"]


def test_what_may_take_texts_or_categories_has_no_signature_without_an_example():
    import lightgbm
    import xgboost
    from sklearn.base import BaseEstimator
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
    from sklearn.pipeline import make_pipeline

    class Foreign(BaseEstimator):
        feature_names_in_ = ("age", "rooms", "new")

        def predict(self, data):
            return data

    data, target = table(), [0, 1, 0, 1]
    categories = data.astype({"rooms": "category"})
    for estimator in [
        make_pipeline(fitted()),
        VotingClassifier([("one", fitted())]).fit(data, target),
        DummyClassifier().fit(data, target),
        HistGradientBoostingClassifier(max_iter=2).fit(categories, target),
        xgboost.XGBClassifier(n_estimators=1, enable_categorical=True).fit(categories, target),
        lightgbm.LGBMClassifier(n_estimators=1, verbose=-1).fit(data, target),
        fitted(data.to_numpy()),
        Foreign(),
    ]:
        assert signature(estimator) is False
    assert signature(xgboost.XGBClassifier(n_estimators=1).fit(data.set_axis([0, 1, 2], axis=1), target)) is False
    assert signature(xgboost.XGBClassifier(n_estimators=1).fit(data, target))


def test_a_model_that_has_nothing_to_say_about_zeros_still_names_its_features():
    from sklearn.neighbors import RadiusNeighborsClassifier

    found = signature(RadiusNeighborsClassifier(radius=0.1).fit(table() + 100.0, [0, 1, 0, 1]))
    assert list(columns(found.inputs)) == ["age", "rooms", "new"]
    assert found.outputs is None


def test_five_rows_of_an_example_are_stored():
    many = pd.concat([table()] * 5)
    assert len(first_rows(many)) == len(first_rows(many.to_numpy())) == len(first_rows(many["age"])) == 5
    assert first_rows([1, 2, 3, 4, 5, 6]) == [1, 2, 3, 4, 5]
    assert first_rows("text") == "text"
    assert first_rows(object()) is None
    assert json.dumps(first_rows(many["age"]))
