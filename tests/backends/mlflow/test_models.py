from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from mlflow.entities import LoggedModelStatus

from hokusai_nb.backends.mlflow import models, runs
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.errors import ModelNotFoundError, NoModelError, RegistryError, RunNotFoundError
from hokusai_nb.schema.runs import RunModel
from tests.conftest import MLMODEL, train
from tests.servers import scripted

SIGNATURE = "signature:\n  inputs: '{}'\n"


@pytest.fixture
def folder(tmp_path):
    """A saved model."""
    path = tmp_path / "saved model"
    path.mkdir()
    (path / "MLmodel").write_text(MLMODEL.format(name="saved"))
    return path


def artifact_run(store, folder, *paths):
    """A run with files only, as MLflow 2 logged a model."""
    client = mlflow.MlflowClient(store)
    run = client.create_run(client.get_experiment_by_name("tests").experiment_id)
    for path in paths:
        client.log_artifacts(run.info.run_id, str(folder), path)
    return run.info.run_id


def names(backend, run_id):
    return [m.name for m in models.models_of_run(backend, runs.get_run(backend, run_id))]


# The models of a run


def test_logged_models_come_newest_first(store, backend):
    first = train(store, name="a")
    run = mlflow.MlflowClient(store).get_run(first.run_id)
    second, third = train(store, name="b", run=run), train(store, name="a", run=run)
    found = models.models_of_run(backend, runs.get_run(backend, first.run_id))
    assert [(m.name, m.model_id) for m in found] == [
        ("a", third.model_id), ("b", second.model_id), ("a", first.model_id)
    ]  # fmt: skip
    assert found[0].uri == found[0].source == f"models:/{third.model_id}"
    assert found[0].run_id == first.run_id
    assert Path(found[0].location.removeprefix("file://")).joinpath("MLmodel").is_file()


def test_a_model_that_was_not_stored_completely_is_none(store, backend):
    made = train(store)
    client = mlflow.MlflowClient(store)
    run = client.get_run(made.run_id)
    half = client.create_logged_model(run.info.experiment_id, name="half", source_run_id=made.run_id)
    assert names(backend, made.run_id) == ["model"]
    with pytest.raises(NoModelError, match="not stored completely: it is pending"):
        models.find_model(backend, f"models:/{half.model_id}")
    client.finalize_logged_model(half.model_id, LoggedModelStatus.FAILED)
    assert names(backend, made.run_id) == ["model"]
    with pytest.raises(NoModelError, match="it is failed"):
        models.find_model(backend, f"models:/{half.model_id}")


def test_more_models_than_fit_one_page_are_found(store, backend, monkeypatch):
    monkeypatch.setattr(models, "PAGE", 3)
    made = train(store)
    run = mlflow.MlflowClient(store).get_run(made.run_id)
    for i in range(7):
        train(store, name=f"m{i}", run=run)
    assert names(backend, made.run_id) == [*(f"m{i}" for i in reversed(range(7))), "model"]


def test_models_of_mlflow_2_are_found_among_the_files(store, backend, folder):
    (folder.parent / "plots").mkdir()
    run_id = artifact_run(store, folder, "model", "other/model")
    mlflow.MlflowClient(store).log_artifacts(run_id, str(folder.parent / "plots"), "plots")
    found = models.models_of_run(backend, runs.get_run(backend, run_id))
    assert [(m.name, m.uri, m.run_id, m.model_id) for m in found] == [("model", f"runs:/{run_id}/model", run_id, None)]
    assert found[0].source == found[0].location
    assert Path(found[0].location.removeprefix("file://")).joinpath("MLmodel").is_file()


def test_a_run_without_a_model_has_none(store, backend):
    assert names(backend, artifact_run(store, None)) == []


# What a URI leads to


def test_a_logged_model_is_found_by_its_id_by_its_run_and_with_its_run(store, backend):
    made = train(store)
    by_id, by_run = models.find_model(backend, made.model_uri), models.find_model(backend, made.runs_uri)
    assert by_id == by_run
    assert by_id.model_id == made.model_id
    assert models.find_model(backend, f"runs:/{made.run_id}/{made.model_id}") == by_id
    for uri in (made.model_uri, made.runs_uri):
        model, run = models.find_model_and_run(backend, uri)
        assert (model, run().run_id) == (by_id, made.run_id)


def test_of_two_models_of_one_name_the_newest_is_meant(store, backend):
    first = train(store)
    second = train(store, run=mlflow.MlflowClient(store).get_run(first.run_id))
    assert models.find_model(backend, first.runs_uri).model_id == second.model_id
    assert models.find_model(backend, first.model_uri).model_id == first.model_id


def test_files_of_a_run_are_found_at_any_depth(store, backend, folder):
    run_id = artifact_run(store, folder, "model", "deep/er/model")
    for path in ("model", "deep/er/model", "deep//er/model", "/deep/er/model/", "./deep/er/model"):
        found = models.find_model(backend, f"runs:/{run_id}/{path}")
        assert found.uri == f"runs:/{run_id}/{'model' if path == 'model' else 'deep/er/model'}"
        assert found.run_id == run_id


def test_files_are_found_beside_logged_models(store, backend, folder):
    made = train(store)
    mlflow.MlflowClient(store).log_artifacts(made.run_id, str(folder), "old")
    assert models.find_model(backend, f"runs:/{made.run_id}/old").source.endswith("/old")


def test_a_path_that_holds_no_model_says_what_the_run_holds(store, backend):
    made = train(store)
    for path in ("", "/", "nothing", "../model", "..", "%2e%2e/model", "it's", "😀"):
        with pytest.raises(NoModelError) as caught:
            models.find_model(backend, f"runs:/{made.run_id}/{path}")
        assert made.run_id in caught.value.what
        assert caught.value.hint == "It holds: model."


def test_a_run_that_holds_nothing_says_so(store, backend):
    run_id = artifact_run(store, None)
    for uri in (f"runs:/{run_id}", f"runs:/{run_id}/model"):
        with pytest.raises(NoModelError, match="It holds no model at all"):
            models.find_model(backend, uri)


def test_the_run_of_a_uri_must_exist(store, backend):
    made = train(store)
    mlflow.MlflowClient(store).delete_run(made.run_id)
    with pytest.raises(RunNotFoundError, match="was deleted"):
        models.find_model(backend, made.runs_uri)
    with pytest.raises(RunNotFoundError, match="was deleted"):
        models.find_model_and_run(backend, made.model_uri)[1]()
    with pytest.raises(RunNotFoundError, match="does not exist"):
        models.find_model(backend, "runs:/0000/model")


def registered(store, name, source, run_id=None, alias=None):
    client = mlflow.MlflowClient(store)
    if not [m for m in client.search_registered_models() if m.name == name]:
        client.create_registered_model(name)
    version = client.create_model_version(name, source, run_id=run_id)
    if alias:
        client.set_registered_model_alias(name, alias, version.version)
    return version.version


@pytest.mark.parametrize("name", ["churn", "a@b", 'it\'s "x"', "a\\", "with space", "line\nbreak", "😀"])
def test_a_registered_version_is_found_by_number_alias_and_latest(store, backend, name):
    first, second = train(store), train(store)
    registered(store, name, first.model_uri, first.run_id, alias="champion")
    registered(store, name, second.model_uri, second.run_id)
    assert models.find_model(backend, f"models:/{name}/1").model_id == first.model_id
    assert models.find_model(backend, f"models:/{name}@champion").model_id == first.model_id
    assert models.find_model(backend, f"models:/{name}/latest").model_id == second.model_id
    model, run = models.find_model_and_run(backend, f"models:/{name}/2")
    assert (model.run_id, run().run_id, model.source) == (second.run_id, second.run_id, second.model_uri)


def test_a_version_that_was_made_from_the_models_folder_is_the_same_model(store, backend):
    made = train(store)
    location = models.find_model(backend, made.model_uri).location
    registered(store, "churn", location, made.run_id)
    assert models.find_model(backend, "models:/churn/1").model_id == made.model_id


def test_a_version_without_a_run_has_none(store, backend, folder):
    registered(store, "churn", str(folder))
    model, run = models.find_model_and_run(backend, "models:/churn/1")
    assert (model.run_id, run(), model.source) == (None, None, str(folder))


NOWHERE = [
    "models:/m-00000000000000000000000000000000", "models:/none/1", "models:/none/latest", "models:/none@champion",
    "models:/churn/2", "models:/churn@nobody", "models:/churn/Production", "models:/churn/99999999999999999999",
    "models:/churn", "models:/", "models:/churn/1/deep", "models:", "runs:", "runs:/",
]  # fmt: skip


def test_a_model_uri_that_leads_nowhere_is_quoted(store, backend):
    made = train(store)
    registered(store, "churn", made.model_uri, made.run_id)
    for uri in NOWHERE:
        with pytest.raises(ModelNotFoundError) as caught:
            models.find_model(backend, uri)
        assert repr(uri) in caught.value.what


def test_a_folder_is_found_by_any_of_its_names_and_kept_by_its_full_path(backend, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for uri in (str(folder), f"{folder}/", folder.as_uri(), "./saved model", f"../{folder.parent.name}/saved model"):
        found = models.find_model(backend, uri)
        assert (found.name, found.source, found.location) == ("saved model", str(folder), str(folder))
        assert (found.run_id, found.model_id) == (None, None)


@pytest.mark.parametrize(
    "uri", ["./none", "/", "file:///none", "/no/such/folder", "a\0/b", "x" * 5000 + "/", "/dev/null"]
)
def test_a_folder_without_a_model_is_none(backend, uri):
    with pytest.raises(NoModelError, match="There is no MLflow model"):
        models.find_model(backend, uri)


@pytest.mark.parametrize(
    "uri", ["foo:bar", "s3://no-such-bucket-of-ours/model", "http://127.0.0.1:1/model", "C://x", "ftp:"]
)
def test_a_place_that_cannot_be_looked_at_is_no_model(backend, uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(NoModelError) as caught:
        models.find_model(backend, uri)
    assert repr(uri) in caught.value.what


def test_what_a_server_cannot_tell_is_not_taken_for_missing():
    broken = (500, {"error_code": "INTERNAL_ERROR", "message": "disk"}, {})
    with scripted(lambda _, path: (200, "OK", {}) if path == "/health" else broken) as server:
        for uri in ("models:/m-1", "models:/churn/1", "models:/churn@champion", "models:/churn/latest", "runs:/a/b"):
            with pytest.raises(RegistryError, match="disk"):
                models.find_model(Backend.at(server.address), uri)


@pytest.mark.slow
def test_a_model_on_another_server_is_looked_at_there(server, backend, folder):
    client = mlflow.MlflowClient(server)
    run = client.create_run(client.create_experiment("elsewhere"))
    client.log_artifacts(run.info.run_id, str(folder), "model")
    place = f"{server}/api/2.0/mlflow-artifacts/artifacts/{run.info.artifact_uri.removeprefix('mlflow-artifacts:/')}"
    assert models.find_model(backend, f"{place}/model").source == f"{place}/model"
    with pytest.raises(NoModelError, match="There is no MLflow model at"):
        models.find_model(backend, place)


# The width of a signature


def width(folder, text=None):
    if text is not None:
        (folder / "MLmodel").write_text(text)
    return models.signature_width(RunModel(name="m", uri="u", source="s", location=folder.as_uri(), run_id=None))


def test_the_columns_of_a_signature_are_counted(folder):
    assert width(folder) == 2
    assert models.signature_width(RunModel(name="m", uri="u", source="s", location=str(folder), run_id=None)) == 2


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 13]}}]', 13),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, -1]}}]', None),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 28, 28]}}]', None),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}, "name": "a"}]', 2),
        ("not json", None),
        ("[1]", None),
        ("{}", None),
    ],
)
def test_a_tensor_has_as_many_features_as_columns(folder, inputs, expected):
    assert width(folder, SIGNATURE.format(inputs)) == expected


def test_a_signature_of_outputs_alone_has_no_features(folder):
    outputs = '[{"type": "double", "required": true}]'
    assert width(folder, f"signature:\n  outputs: '{outputs}'\n") is None


@pytest.mark.parametrize(
    "text", ["", "flavors: {}", "signature: null", "signature: 5", "[1, 2]", "{", "\0", "signature: {inputs: null}"]
)
def test_an_mlmodel_of_any_content_costs_the_width_alone(folder, text):
    assert width(folder, text) is None


def test_files_that_lie_elsewhere_are_not_looked_at(folder):
    assert width(folder.parent / "gone") is None
    for location in ("mlflow-artifacts:/1/models/m-1/artifacts", "s3://bucket/model", ""):
        assert models.signature_width(RunModel(name="m", uri="u", source="s", location=location, run_id=None)) is None


def test_an_address_with_a_password_is_named_without_it(store):
    with pytest.raises(NoModelError) as caught:
        models.find_model(Backend.at(store), "https://user:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in str(caught.value)
