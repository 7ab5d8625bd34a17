"""Every supported kind of estimator: logged, loaded back by MLflow both ways, and asked to predict."""

import inspect
import threading
import time

import mlflow
import numpy as np
import pandas as pd
import pytest

from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.backends.mlflow.logging import log_estimator
from hokusai_nb.errors import HokusaiError, RegistryError, RunNotFoundError, ValidationError

# MLflow hides this warning of its first import from users, but not from a filter that makes it an error.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")

ROWS = 60


def frame():
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(ROWS, 3)), columns=["age", "income", "debt ratio"])
    data["rooms"] = rng.integers(0, 9, ROWS)
    return data


def labels():
    return (frame()["age"] > 0).astype(int).to_numpy()


def with_words():
    return frame().assign(city=["Oslo", "Rome", "Bern"] * (ROWS // 3))


def logistic():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(frame(), labels()), frame()


def forest():
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(20, random_state=0).fit(frame(), labels()), frame()


def large_forest():
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(120, max_depth=2, random_state=0).fit(frame(), labels()), frame()


def boosting():
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=10, random_state=0).fit(frame(), labels()), frame()


def histogram_boosting():
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=10).fit(frame(), labels()), frame()


def pipeline():
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer((OneHotEncoder(), ["city"]), remainder=StandardScaler())
    return make_pipeline(columns, LogisticRegression()).fit(with_words(), labels()), with_words()


def grid_search():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(RandomForestClassifier(5, random_state=0), {"max_depth": [1, 2]}, cv=2, scoring="accuracy")
    return search.fit(frame(), labels()), frame()


def lambda_step():
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    squared = FunctionTransformer(lambda data: data**2)
    return make_pipeline(squared, LinearRegression()).fit(frame(), labels()), frame()


def strings_as_labels():
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier().fit(frame(), np.where(labels(), "yes", "no")), frame()


def array_of_integers():
    from sklearn.linear_model import Ridge

    data = np.arange(30).reshape(10, 3)
    return Ridge().fit(data, data[:, 0]), data


def texts():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = pd.Series(["good wine", "bad wine", "good cheese", "bad bread"], index=[7, 3, 5, 9], name="text")
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(words, [1, 0, 1, 0]), words


def xgboost_classifier():
    import xgboost

    return xgboost.XGBClassifier(n_estimators=5).fit(frame(), labels()), frame()


def xgboost_with_numbered_columns():
    import xgboost

    data = frame().set_axis(range(4), axis=1)
    return xgboost.XGBClassifier(n_estimators=5).fit(data, labels()), data


def xgboost_booster():
    import xgboost

    data = xgboost.DMatrix(frame(), labels())
    return xgboost.train({"objective": "binary:logistic"}, data, num_boost_round=5), frame()


def xgboost_in_a_pipeline():
    import xgboost
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=5))
    return model.fit(frame(), labels()), frame()


def lightgbm_regressor():
    import lightgbm

    return lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(frame(), labels()), frame()


def lightgbm_booster():
    import lightgbm

    data = frame().rename(columns={"debt ratio": "debt"})  # LightGBM's own format has no blanks in names
    return lightgbm.train({"verbose": -1}, lightgbm.Dataset(data, labels()), num_boost_round=5), data


def lightgbm_with_categories():
    import lightgbm

    data = with_words().astype({"city": "category"})
    return lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, min_child_samples=2).fit(data, labels()), data


def ordinary_least_squares():
    import statsmodels.api

    data = statsmodels.api.add_constant(frame())
    return statsmodels.api.OLS(labels(), data).fit(), data


def python_model():
    class Doubling(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):  # noqa: ARG002 - MLflow's signature
            return model_input["age"] * 2

    return Doubling(), frame()


def typed_python_model():
    class Lengths(mlflow.pyfunc.PythonModel):
        def predict(self, model_input: list[str]) -> list[int]:
            return [len(text) for text in model_input]

    return Lengths(), ["one", "three"]


def model_of_records():
    class Totals(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):  # noqa: ARG002 - MLflow's signature
            return [sum(record.values()) for record in model_input]

    return Totals(), [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


KINDS = {
    "sklearn": [
        logistic,
        forest,
        large_forest,
        boosting,
        histogram_boosting,
        pipeline,
        grid_search,
        lambda_step,
        strings_as_labels,
        array_of_integers,
        texts,
        xgboost_in_a_pipeline,
    ],
    "xgboost": [xgboost_classifier, xgboost_with_numbered_columns, xgboost_booster],
    "lightgbm": [lightgbm_regressor, lightgbm_booster, lightgbm_with_categories],
    "statsmodels": [ordinary_least_squares],
    "pyfunc": [python_model, typed_python_model, model_of_records],
}
EVERY_KIND = [pytest.param(f, make, id=make.__name__) for f, makes in KINDS.items() for make in makes]


def native_prediction(flavor, model, data):
    if flavor == "xgboost" and type(model).__name__ == "Booster":
        import xgboost

        return model.predict(xgboost.DMatrix(data))
    if "context" in inspect.signature(model.predict).parameters:
        return model.predict(None, data)
    return model.predict(data)


@pytest.fixture
def finished(store):
    """Backend and a finished run with a metric, a parameter and nothing else."""
    with mlflow.start_run() as run:
        mlflow.log_metric("accuracy", 0.9)
        mlflow.log_param("depth", 3)
    return Backend.at(store), run.info.run_id


@pytest.mark.parametrize("given", ["example", "nothing"])
@pytest.mark.parametrize(("flavor", "make"), EVERY_KIND)
def test_a_logged_estimator_loads_both_ways_and_predicts_the_same(finished, flavor, make, given, capfd):
    backend, run_id = finished
    estimator, data = make()
    logged = log_estimator(backend, estimator, run_id=run_id, input_example=data if given == "example" else None)
    assert capfd.readouterr() == ("", "")
    expected = native_prediction(flavor, estimator, data)
    native = getattr(mlflow, flavor).load_model(logged.uri)
    np.testing.assert_array_equal(native_prediction(flavor, native, data), expected)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(logged.uri).predict(data), expected)


@pytest.mark.filterwarnings("ignore:.*ChatModel.. is deprecated:FutureWarning")  # MLflow tells whoever makes one
def test_a_chat_model_keeps_the_signature_that_mlflow_gives_it(finished):
    from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage

    class Echo(mlflow.pyfunc.ChatModel):
        def predict(self, context, messages, params):  # noqa: ARG002 - MLflow's signature
            return ChatCompletionResponse(choices=[ChatChoice(ChatMessage("assistant", messages[0].content))])

    backend, run_id = finished
    question = {"messages": [{"role": "user", "content": "Good morning"}]}
    for example in (None, question):
        logged = log_estimator(backend, Echo(), run_id=run_id, input_example=example)
        model = mlflow.pyfunc.load_model(logged.uri)
        assert "messages" in model.metadata.get_input_schema().input_names()
        assert model.predict(question)["choices"][0]["message"]["content"] == "Good morning"


def run_of(backend, run_id):
    return backend.client.get_run(run_id)


def models_in(backend, run_id):
    experiment = run_of(backend, run_id).info.experiment_id
    return backend.client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")


def test_a_finished_run_stays_as_it_ended(finished):
    backend, run_id = finished
    before = run_of(backend, run_id)
    log_estimator(backend, logistic()[0], run_id=run_id)
    after = run_of(backend, run_id)
    assert dict(after.info) == dict(before.info)
    assert after.data.to_dictionary() == before.data.to_dictionary()
    assert backend.client.get_metric_history(run_id, "accuracy") == before.data._metric_objs


def test_an_active_run_stays_active_and_the_users_session_is_not_touched(store, tmp_path):
    backend = Backend.at(store)
    with mlflow.start_run() as first:
        pass
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    with mlflow.start_run() as run:
        mlflow.set_tracking_uri(elsewhere)
        log_estimator(backend, logistic()[0], run_id=first.info.run_id)
        logged = log_estimator(backend, logistic()[0], run_id=run.info.run_id)
        assert mlflow.get_tracking_uri() == elsewhere
        mlflow.set_tracking_uri(store)
        assert mlflow.active_run().info.run_id == run.info.run_id
        assert run_of(backend, run.info.run_id).info.status == "RUNNING"
        assert mlflow.get_active_model_id() is None
    assert run_of(backend, run.info.run_id).info.status == "FINISHED"
    assert mlflow.last_active_run().info.run_id == run.info.run_id
    assert logged.run_id == run.info.run_id


def test_a_logged_model_is_tied_to_its_run_as_mlflow_would_tie_it(finished):
    backend, run_id = finished
    logged = log_estimator(backend, logistic()[0], run_id=run_id, name="churn")
    run, model = run_of(backend, run_id), backend.client.get_logged_model(logged.model_id)
    assert (logged.name, logged.uri, logged.run_id) == ("churn", f"models:/{model.model_id}", run_id)
    assert (model.name, model.status, model.source_run_id) == ("churn", "READY", run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert [(m.key, m.value, m.run_id) for m in model.metrics] == [("accuracy", 0.9, run_id)]
    assert model.params == {"depth": "3"}
    assert model.tags["mlflow.user"] == run.data.tags["mlflow.user"]
    info = mlflow.models.get_model_info(logged.uri)
    assert (info.run_id, info.model_id, info.model_uuid) == (run_id, model.model_id, model.model_id)


def test_metrics_of_a_trainings_later_steps_are_not_the_models(store):
    backend = Backend.at(store)
    with mlflow.start_run() as run:
        for step in range(3):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        mlflow.log_metric("accuracy", 0.9)
    logged = log_estimator(backend, logistic()[0], run_id=run.info.run_id)
    assert [m.key for m in backend.client.get_logged_model(logged.model_id).metrics] == ["accuracy"]


def test_an_example_is_stored_with_five_rows_and_its_signature(finished):
    backend, run_id = finished
    estimator, data = logistic()
    logged = log_estimator(backend, estimator, run_id=run_id, input_example=data)
    model = mlflow.pyfunc.load_model(logged.uri)
    pd.testing.assert_frame_equal(model.input_example, data.head(5), check_column_type=False)
    types = {spec["name"]: spec["type"] for spec in model.metadata.signature.inputs.to_dict()}
    assert types == {"age": "double", "income": "double", "debt ratio": "double", "rooms": "long"}


def test_logging_does_not_wait_for_mlflow_to_guess_requirements(finished):
    backend, run_id = finished
    estimator, data = forest()
    log_estimator(backend, estimator, run_id=run_id, input_example=data)
    start = time.perf_counter()
    log_estimator(backend, estimator, run_id=run_id, input_example=data)
    assert time.perf_counter() - start < 6  # MLflow's own way takes more than seven


def test_threads_log_to_their_own_runs_at_once(store):
    backend = Backend.at(store)
    runs = [
        backend.client.create_run(mlflow.get_experiment_by_name("tests").experiment_id).info.run_id for _ in range(8)
    ]
    estimator, data = forest()
    logged, failed = {}, []

    def log(run_id):
        try:
            logged[run_id] = log_estimator(backend, estimator, run_id=run_id, input_example=data)
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failed.append(error)

    threads = [threading.Thread(target=log, args=[run_id]) for run_id in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {model.run_id for model in logged.values()} == set(runs)
    for run_id, model in logged.items():
        assert [m.model_id for m in models_in(backend, run_id)] == [model.model_id]
        assert (mlflow.sklearn.load_model(model.uri).predict(data) == estimator.predict(data)).all()


@pytest.mark.slow
def test_a_server_takes_a_model_quietly_and_gives_it_back(server, capfd):
    backend = Backend.at(server)
    run = backend.client.create_run("0")
    backend.client.log_metric(run.info.run_id, "accuracy", 0.9)
    backend.client.set_terminated(run.info.run_id)
    before = run_of(backend, run.info.run_id).info
    estimator, data = forest()
    capfd.readouterr()
    logged = log_estimator(backend, estimator, run_id=run.info.run_id, input_example=data)
    assert capfd.readouterr() == ("", "")
    assert dict(run_of(backend, run.info.run_id).info) == dict(before)
    mlflow.set_tracking_uri(server)
    try:
        assert (mlflow.pyfunc.load_model(logged.uri).predict(data) == estimator.predict(data)).all()
    finally:
        mlflow.set_tracking_uri(None)


def unfitted():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def unpicklable():
    estimator, _ = logistic()
    estimator.lock_ = threading.Lock()
    return estimator


REFUSED = {
    "something else": (lambda: {"weights": [1, 2]}, "builtins.dict is no estimator", "mlflow.pyfunc.PythonModel"),
    "a class": (lambda: type(unfitted()), "LogisticRegression is a class", "the object that was fitted"),
    "unfitted": (unfitted, "LogisticRegression is not fitted", "Call its fit method"),
    "unpicklable": (unpicklable, "LogisticRegression cannot be stored", "Locks"),
}


@pytest.mark.parametrize(("make", "what", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_logged_is_an_error_with_a_hint_and_leaves_nothing(finished, make, what, hint):
    backend, run_id = finished
    with pytest.raises(HokusaiError) as caught:
        log_estimator(backend, make(), run_id=run_id)
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert models_in(backend, run_id) == []


def test_an_example_that_the_model_cannot_predict_leaves_nothing(finished):
    backend, run_id = finished
    estimator, data = logistic()
    with pytest.raises(ValidationError, match="cannot predict the input example"):
        log_estimator(backend, estimator, run_id=run_id, input_example=data[["age"]])
    assert models_in(backend, run_id) == []


@pytest.mark.parametrize("run_id", ["0" * 32, "no run's id"])
def test_a_run_that_does_not_exist_is_reported_before_anything_is_stored(store, run_id):
    with pytest.raises(RunNotFoundError, match="does not exist"):
        log_estimator(Backend.at(store), logistic()[0], run_id=run_id)


def test_a_deleted_run_takes_no_model(finished):
    backend, run_id = finished
    backend.client.delete_run(run_id)
    with pytest.raises(RunNotFoundError, match="was deleted"):
        log_estimator(backend, logistic()[0], run_id=run_id)
    assert models_in(backend, run_id) == []


def test_a_name_that_mlflow_refuses_is_an_error(finished):
    backend, run_id = finished
    with pytest.raises(HokusaiError, match="name"):
        log_estimator(backend, logistic()[0], run_id=run_id, name="a/b:c")
    assert models_in(backend, run_id) == []


def test_a_model_whose_files_cannot_be_written_is_marked_failed_and_not_tied_to_the_run(store, tmp_path):
    backend = Backend.at(store)
    (tmp_path / "occupied").write_text("a file where a folder should be")
    location = (tmp_path / "occupied" / "artifacts").as_uri()
    run = backend.client.create_run(backend.client.create_experiment("full", artifact_location=location))
    with pytest.raises(RegistryError, match=r"files cannot be written to file:.*occupied"):
        log_estimator(backend, logistic()[0], run_id=run.info.run_id)
    assert [m.status for m in models_in(backend, run.info.run_id)] == ["FAILED"]
    assert run_of(backend, run.info.run_id).outputs.model_outputs == []
