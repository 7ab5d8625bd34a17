from __future__ import annotations

import logging
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hokusai_nb
from hokusai_nb import config
from hokusai_nb.core import ModelRegistry, register_tokenized_model
from hokusai_nb.errors import (
    HokusaiWarning,
    ModelNotFoundError,
    NoModelError,
    RunNotFoundError,
    ValidationError,
)
from hokusai_nb.schema.names import check_model_name
from hokusai_nb.schema.tags import KEY_TAG, METRIC_TAG, TOKEN_TAG, VALUE_TAG, check_extra_tags
from hokusai_nb.schema.tokens import check_token
from tests.conftest import MLMODEL, both, train
from tests.rows import add_prompt, add_versions, row_counts

REQUIRED = {TOKEN_TAG: "MSG-AI", METRIC_TAG: "accuracy", VALUE_TAG: "0.9"}
HOSTILE = "it's \"<script>\" \\ 100% _ `x`\n😀 -- ' OR 1=1"


def saved_model(path):
    path.mkdir(parents=True)
    (path / "MLmodel").write_text(MLMODEL.format(name=path.name))
    return path


# Registering


@both
def test_the_method_registers_with_all_tags_and_returns_the_version(sqlite_or_server, unique):
    registry, name = ModelRegistry(sqlite_or_server), unique("m")
    made = train(sqlite_or_server, accuracy=0.9)
    found = registry.register_tokenized_model(
        made.model_uri, name, "msg-ai", "accuracy", "0.90", {"gpu_type": "A100", "epochs": 3}
    )
    assert (found.name, found.version, found.created, found.dry_run) == (name, "1", True, False)
    assert (found.token_id, found.benchmark_metric, found.benchmark_value) == ("MSG-AI", "accuracy", "0.90")
    assert (found.run_id, found.model_id) == (made.run_id, made.model_id)
    stored = mlflow.MlflowClient(sqlite_or_server).get_model_version(name, found.version)
    assert stored.tags == dict(found.tags)
    assert {k: stored.tags[k] for k in (*REQUIRED, "gpu_type", "epochs")} == {
        **REQUIRED, VALUE_TAG: "0.90", "gpu_type": "A100", "epochs": "3",
    }  # fmt: skip
    assert len(stored.tags[KEY_TAG]) == 64
    assert found.creation_timestamp == stored.creation_timestamp > 0
    assert registry.get_tokenized_model(name, 1) == found


def test_the_helper_registers_where_mlflow_is_set_to_write(store, trained):
    made = trained(reply_rate=0.1342)
    found = register_tokenized_model(made.runs_uri, "MSG-AI", "msg-ai", "reply_rate", 0.1342)
    assert (found.version, found.token_id, found.benchmark_value) == ("1", "MSG-AI", "0.1342")
    by_name = hokusai_nb.register_tokenized_model(
        model_uri=made.runs_uri, model_name="MSG-AI", token_id="MSG-AI", metric_name="reply_rate",
        baseline_value="0.1342", tags={"gpu_type": "A100"},
    )  # fmt: skip
    assert by_name.version == "2"
    assert mlflow.MlflowClient(store).get_model_version("MSG-AI", "2").tags["gpu_type"] == "A100"


def test_a_runs_model_is_registered_with_the_value_that_the_run_measured(registry, trained):
    made = trained(accuracy=0.87, auc=0.9, val_accuracy=0.5)
    assert registry.register_run_model(made.run_id, "m", "MSG-AI", "accuracy").benchmark_value == "0.87"
    assert registry.register_run_model(made.run_id, "m", "MSG-AI", "roc_auc").benchmark_value == "0.9"
    assert registry.register_run_model(made.run_id, "m", "MSG-AI", "accuracy", "0.5").benchmark_value == "0.5"
    assert registry.register_run_model(made.run_id, "m", "MSG-AI", "accuracy", model="model").version == "1"


@both
def test_the_same_model_by_any_of_its_names_is_one_registration(sqlite_or_server, unique):
    registry, name = ModelRegistry(sqlite_or_server), unique("m")
    made = train(sqlite_or_server, accuracy=0.9)
    first = registry.register_tokenized_model(made.runs_uri, name, "MSG-AI", "accuracy", "0.9")
    mlflow.MlflowClient(sqlite_or_server).set_registered_model_alias(name, "champion", "1")
    assert first.created
    again = [
        registry.register_tokenized_model(uri, name, "msg-ai", "accuracy", "0.9")
        for uri in (made.runs_uri, made.model_uri, f"models:/{name}/1", f"models:/{name}@champion")
    ]
    again += [
        registry.register_run_model(made.run_id, name, "MSG-AI", "accuracy"),
        registry.register_tokenized_model(made.model_uri, name, "MSG-AI", "accuracy", 0.9),
    ]
    assert [(m.version, m.created) for m in again] == [("1", False)] * 6
    assert len(registry.get_model_lineage(name)) == 1


def test_whatever_differs_makes_a_new_version(registry, trained):
    made, other = trained(), trained()
    versions = [
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", "0.9").version,
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", "0.90").version,
        registry.register_tokenized_model(made.model_uri, "m", "OTHER-1", "accuracy", "0.9").version,
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "precision", "0.9").version,
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", "0.9", {"a": "1"}).version,
        registry.register_tokenized_model(other.model_uri, "m", "MSG-AI", "accuracy", "0.9").version,
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", "0.9", force_new=True).version,
        registry.register_tokenized_model(made.model_uri, "n", "MSG-AI", "accuracy", "0.9").version,
    ]
    assert versions == ["1", "2", "3", "4", "5", "6", "7", "1"]


def test_a_model_of_mlflow_2_and_one_in_a_folder_are_registered(store, registry, tmp_path):
    folder = saved_model(tmp_path / "saved")
    client = mlflow.MlflowClient(store)
    run = client.create_run(client.get_experiment_by_name("tests").experiment_id)
    client.log_artifacts(run.info.run_id, str(folder), "deep/model")
    deep = registry.register_tokenized_model(f"runs:/{run.info.run_id}/deep/model", "deep", "MSG-AI", "mse", "0.1")
    assert (deep.run_id, deep.model_id) == (run.info.run_id, None)
    assert deep.tags["feature_count"] == "2"
    loose = registry.register_tokenized_model(folder.as_uri(), "loose", "MSG-AI", "mse", "0.1")
    assert (loose.run_id, loose.source) == (None, str(folder))
    assert registry.register_tokenized_model(str(folder), "loose", "MSG-AI", "mse", "0.1").created is False
    assert mlflow.artifacts.list_artifacts(artifact_uri="models:/deep/1")
    assert mlflow.artifacts.list_artifacts(artifact_uri="models:/loose/1")


@pytest.mark.slow
def test_a_model_of_mlflow_2_on_a_server_is_registered_from_any_depth(server, tmp_path, unique):
    registry, name, folder = ModelRegistry(server), unique("m"), saved_model(tmp_path / "saved")
    made = train(server, accuracy=0.9)
    mlflow.MlflowClient(server).log_artifacts(made.run_id, str(folder), "deep/model")
    found = registry.register_tokenized_model(f"runs:/{made.run_id}/deep/model", name, "MSG-AI", "accuracy", "0.9")
    assert (found.run_id, found.model_id) == (made.run_id, None)
    assert found.source.startswith("mlflow-artifacts:")
    assert found.url == f"{server}/#/models/{name}/versions/1"


def test_two_registries_at_once_and_neither_is_mlflows_own(store, tmp_path, migrated_database):
    uris = []
    for i in range(2):
        shutil.copy(migrated_database, tmp_path / f"registry{i}.db")
        uris.append(f"sqlite:///{tmp_path / f'registry{i}.db'}")
    before = row_counts(store)

    def work(uri):
        registry = ModelRegistry(uri)
        made = [train(uri, accuracy=i / 10) for i in range(4)]
        for m in made:
            registry.register_tokenized_model(m.model_uri, "m", "MSG-AI", "accuracy", "0.5")
            registry.register_tokenized_model(m.runs_uri, "n", "MSG-AI", "accuracy", "0.5")
        return (
            {m.run_id for m in made},
            {v.run_id for v in registry.get_model_lineage("m")},
            len(registry.list_models()),
        )

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, uris))
    for trained_runs, registered_runs, count in results:
        assert trained_runs == registered_runs
        assert count == 8
    assert not results[0][0] & results[1][0]
    assert row_counts(store) == before
    assert mlflow.get_tracking_uri() == store


def test_a_registry_set_apart_in_mlflow_takes_the_versions(store, tmp_path, migrated_database, trained):
    shutil.copy(migrated_database, tmp_path / "registry.db")
    mlflow.set_registry_uri(f"sqlite:///{tmp_path / 'registry.db'}")
    made = trained(accuracy=0.9)
    registry = ModelRegistry()
    found = registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", "0.9")
    assert (found.version, found.model_id) == ("1", made.model_id)
    assert [e.run.metrics for e in registry.get_model_lineage("m")] == [{"accuracy": 0.9}]
    assert row_counts(store)["model_versions"] == 0
    assert [m.name for m in mlflow.MlflowClient().search_registered_models()] == ["m"]


# Refusals, each of which writes nothing

GOOD = {"name": "m", "token_id": "MSG-AI", "benchmark_metric": "accuracy", "benchmark_value": "0.9"}


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"token_id": "msg_ai"}, ValidationError, "Token ID format invalid: 'msg_ai'"),
        ({"token_id": "XRAY"}, ValidationError, "Token ID format invalid"),
        ({"token_id": None}, ValidationError, "Token ID format invalid"),
        ({"benchmark_value": "high"}, ValidationError, "Benchmark value must be numeric: 'high'"),
        ({"benchmark_value": float("nan")}, ValidationError, "Benchmark value must be numeric"),
        ({"benchmark_value": "87"}, ValidationError, "Did you mean 0.87?"),
        ({"benchmark_value": None}, ValidationError, "has no metric 'accuracy'"),
        ({"benchmark_metric": "Accuracy!"}, ValidationError, "Metric name invalid"),
        ({"name": "a/b"}, ValidationError, "Model name invalid: 'a/b'"),
        ({"name": ""}, ValidationError, "Model name invalid"),
        ({"name": "m" * 257}, ValidationError, "it has 257 characters"),
        ({"tags": {"benchmark_value": "0.99"}}, ValidationError, "cannot be set through tags"),
        ({"tags": {"hokusai.x": "1"}}, ValidationError, "is reserved"),
        ({"tags": {"mlflow.prompt.is_prompt": "true"}}, ValidationError, "is reserved"),
        ({"tags": {"a": None}}, ValidationError, "must be text or a number"),
        ({"tags": "gpu"}, ValidationError, "Tags must be a mapping"),
        ({"tags": []}, ValidationError, "Tags must be a mapping"),
        ({"tags": {"contributor": "me"}}, ValidationError, "Contributor address invalid"),
        ({"model_uri": "models:/m-0000"}, ModelNotFoundError, "'models:/m-0000' does not exist"),
        ({"model_uri": "models:/none/1"}, ModelNotFoundError, "'models:/none/1' does not exist"),
        ({"model_uri": "models:/none"}, ModelNotFoundError, "is not complete"),
        ({"model_uri": "runs:/0000/model"}, RunNotFoundError, "Run '0000' does not exist"),
        ({"model_uri": "./nowhere"}, NoModelError, "There is no MLflow model at './nowhere'"),
        ({"model_uri": "foo:bar"}, NoModelError, "cannot be read"),
        ({"model_uri": ""}, ValidationError, "model_uri is missing"),
        ({"model_uri": " "}, ValidationError, "model_uri is missing"),
        ({"model_uri": None}, ValidationError, "model_uri is missing"),
        ({"model_uri": 5}, ValidationError, "model_uri must be text: 5"),
    ],
)
def test_what_cannot_be_registered_is_refused_and_nothing_is_written(store, registry, trained, change, kind, words):
    made, before = trained(), row_counts(store)
    with pytest.raises(kind) as caught:
        registry.register_tokenized_model(**{"model_uri": made.model_uri, **GOOD, **change})
    assert words in str(caught.value)
    assert caught.value.hint
    assert row_counts(store) == before


def test_a_model_whose_run_is_gone_is_refused_and_nothing_is_written(store, registry, trained):
    made = trained()
    mlflow.MlflowClient(store).delete_run(made.run_id)
    before = row_counts(store)
    for uri in (made.model_uri, made.runs_uri):
        with pytest.raises(RunNotFoundError, match="was deleted"):
            registry.register_tokenized_model(uri, "m", "MSG-AI", "accuracy", "0.9")
    with pytest.raises(RunNotFoundError, match="was deleted"):
        registry.register_run_model(made.run_id, "m", "MSG-AI", "accuracy", "0.9")
    assert row_counts(store) == before


def test_a_prompts_name_is_refused_and_nothing_is_written(store, registry, trained):
    add_prompt(store, "hook")
    made, before = trained(), row_counts(store)
    with pytest.raises(ValidationError, match="'hook' is the name of a prompt"):
        registry.register_tokenized_model(made.model_uri, "hook", "MSG-AI", "accuracy", "0.9")
    assert row_counts(store) == before


@pytest.mark.parametrize("run_id", [None, "", " "])
def test_registering_a_runs_model_takes_a_run(registry, run_id):
    with pytest.raises(ValidationError, match="run_id is missing"):
        registry.register_run_model(run_id, "m", "MSG-AI", "accuracy")


# Silence


def test_nothing_is_printed_while_a_version_is_made(registry, trained, capfd):
    made = trained(accuracy=0.9)
    for name in ("new", "new", "other"):
        registry.register_tokenized_model(made.model_uri, name, "MSG-AI", "accuracy", "0.9")
        registry.register_tokenized_model(made.runs_uri, name, "MSG-AI", "accuracy", "0.9", force_new=True)
    registry.get_model_lineage("new")
    with pytest.raises(ModelNotFoundError):
        registry.get_tokenized_model("none")
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_while_a_fresh_file_is_migrated(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    registry = ModelRegistry(f"sqlite:///{tmp_path / 'fresh.db'}")
    folder = saved_model(tmp_path / "saved")
    assert registry.register_tokenized_model(str(folder), "m", "MSG-AI", "accuracy", "0.9").version == "1"
    assert capfd.readouterr() == ("", "")


def test_what_mlflow_says_in_other_threads_is_heard(registry, trained, capfd):
    made, stop = trained(), threading.Event()
    heard = []

    def talk():
        while not stop.is_set():
            heard.append(1)
            logging.getLogger("mlflow.tests").warning("theirs")

    thread = threading.Thread(target=talk)
    thread.start()
    for _ in range(5):
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "accuracy", "0.9", force_new=True)
    stop.set()
    thread.join()
    assert capfd.readouterr().err.count("theirs") == len(heard)


def test_a_python_caller_is_warned_in_its_own_line(registry, trained):
    made = trained()
    with pytest.warns(HokusaiWarning, match="my_score is not in the catalogue") as caught:
        registry.register_tokenized_model(made.model_uri, "m", "MSG-AI", "my_score", "0.9")
    assert Path(caught[0].filename) == Path(__file__)
    with pytest.warns(HokusaiWarning, match="my_score") as caught:
        hokusai_nb.register_tokenized_model(made.model_uri, "m", "MSG-AI", "my_score", "0.8")
    assert Path(caught[0].filename) == Path(__file__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = registry.register_many(
            [{"uri": made.model_uri, "name": "m", "token_id": "MSG-AI", "metric": "my_score", "value": 1}],
            progress=False,
        )
    assert [p.field for p in results[0].model.warnings] == ["metric"], "in bulk they stand in the results"


# Reading


def test_the_latest_is_what_no_version_means(registry, store, trained):
    for value in ("0.5", "0.6"):
        registry.register_tokenized_model(trained().model_uri, "m", "MSG-AI", "accuracy", value)
    mlflow.MlflowClient(store).set_registered_model_alias("m", "champion", "2")
    for found in (registry.get_tokenized_model("m"), registry.get_latest_model_version("m")):
        assert (found.version, found.benchmark_value, found.aliases) == ("2", "0.6", ("champion",))
    assert [registry.get_tokenized_model("m", v).version for v in (1, "1", 2, "2")] == ["1", "1", "2", "2"]


def test_a_version_without_a_token_is_no_tokenized_model(store, registry):
    add_versions(store, [{"name": "plain", "version": 1, "tags": {}}])
    assert registry.get_latest_model_version("plain").token_id is None
    for version in (None, 1):
        with pytest.raises(ModelNotFoundError, match="carries no Hokusai token"):
            registry.get_tokenized_model("plain", version)


@pytest.mark.parametrize("version", [None, 1, "1", 0, -1, "x", "", "latest", 10**30])
def test_a_model_that_does_not_exist_is_named_with_what_to_do(registry, version):
    with pytest.raises(ModelNotFoundError) as caught:
        registry.get_tokenized_model("no-such-model", version)
    assert "no-such-model" in caught.value.what
    assert "list_models()" in caught.value.hint


@both
def test_a_token_lists_its_versions_and_no_one_elses(sqlite_or_server, unique):
    registry, stem = ModelRegistry(sqlite_or_server), unique("L").upper()
    made = train(sqlite_or_server)
    for name in (f"{stem} it's", f'{stem} "x"', f"{stem} 100% \\ _"):
        registry.register_tokenized_model(made.model_uri, name, f"{stem}-AI", "accuracy", "0.9", {"note": HOSTILE})
    registry.register_tokenized_model(made.model_uri, f"{stem} other", f"{stem}-OTHER", "accuracy", "0.9")
    client = mlflow.MlflowClient(sqlite_or_server)
    client.create_registered_model(f"{stem} older")
    client.create_model_version(
        f"{stem} older", made.model_uri, made.run_id, model_id=made.model_id,
        tags={TOKEN_TAG: f"{stem}-ai".lower(), METRIC_TAG: "accuracy", VALUE_TAG: "0.8"},
    )  # fmt: skip
    found = registry.list_models_by_token(f"{stem}-AI")
    assert [m.name for m in found] == sorted([f"{stem} it's", f'{stem} "x"', f"{stem} 100% \\ _", f"{stem} older"])
    assert {m.token_id for m in found} == {f"{stem}-AI"}
    assert [m.name for m in registry.list_models_by_token(f"{stem}-ai".lower())] == [m.name for m in found]
    assert [m.name for m in registry.list_models(f"{stem} ")] == sorted([*(m.name for m in found), f"{stem} other"])
    assert [m.name for m in registry.list_models(f"{stem} it's")] == [f"{stem} it's"]
    assert [m.name for m in registry.list_models(f"{stem} 100% \\")] == [f"{stem} 100% \\ _"]
    assert len(registry.list_models(f"{stem}%")) == 0


@pytest.mark.slow
def test_listing_a_token_is_one_search(proxy, unique):
    registry, token = ModelRegistry(proxy.address), unique("T").upper()
    made = train(proxy.address)
    for i in range(5):
        registry.register_tokenized_model(made.model_uri, unique(f"m{i}"), token, "accuracy", "0.9")
    proxy.requests.clear()
    assert len(registry.list_models_by_token(token)) == 5
    assert [path for _, path in proxy.requests] == ["/api/2.0/mlflow/model-versions/search"]


@pytest.mark.parametrize("token", [None, 5, b"MSG-AI", ["MSG-AI"]])
def test_a_token_to_list_must_be_text(registry, token):
    with pytest.raises(ValidationError, match="Token ID format invalid"):
        registry.list_models_by_token(token)


def test_lists_say_what_they_are_of(registry):
    assert registry.list_models().title == "Models"
    assert registry.list_models("churn").title == "Models that begin with churn"
    assert registry.list_models_by_token("MSG-AI").title == "Models of MSG-AI"


# Changing


def registered(registry, trained, **tags):
    return registry.register_tokenized_model(trained().model_uri, "m", "MSG-AI", "accuracy", "0.9", tags)


@both
def test_tags_are_changed_and_the_rest_stays(sqlite_or_server, unique):
    registry, name = ModelRegistry(sqlite_or_server), unique("m")
    made = registry.register_tokenized_model(
        train(sqlite_or_server).model_uri, name, "MSG-AI", "accuracy", "0.9", {"gpu_type": "A100"}
    )
    changed = registry.update_model_tags(name, 1, {"note": HOSTILE, "training_hours": 2.5, VALUE_TAG: 0.95})
    assert dict(changed.tags) == {**made.tags, "note": HOSTILE, "training_hours": "2.5", VALUE_TAG: "0.95"}
    assert changed == registry.get_tokenized_model(name, "1")
    assert registry.update_model_tags(name, 1, {TOKEN_TAG: "new-1"}).tags[TOKEN_TAG] == "NEW-1"
    assert dict(registry.update_model_tags(name, 1, {}).tags)[TOKEN_TAG] == "NEW-1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({VALUE_TAG: "high"}, "must be numeric"),
        ({VALUE_TAG: "9"}, "accuracy must be between 0 and 1"),
        ({METRIC_TAG: "perplexity"}, "perplexity must be at least 1"),
        ({TOKEN_TAG: "msg_ai"}, "Token ID format invalid"),
        ({TOKEN_TAG: None}, "Token ID format invalid"),
        ({"training_hours": "long"}, "must be a number of hours"),
        ({"major_version": "2"}, "full_version is '1.4.0'"),
        ({KEY_TAG: "x"}, "is reserved"),
        ({"mlflow.prompt.is_prompt": "true"}, "is reserved"),
        ({"a`b": "x"}, "Tag key invalid"),
        ({5: "x"}, "Tag key invalid"),
        (None, "Tags must be a mapping"),
        ("gpu", "Tags must be a mapping"),
    ],
)
def test_when_one_tag_is_wrong_none_is_changed(registry, trained, change, words):
    made = registered(registry, trained, full_version="1.4.0")
    both_ways = change if not isinstance(change, dict) else {"note": "first", **change}
    with pytest.raises(ValidationError) as caught:
        registry.update_model_tags("m", 1, both_ways)
    assert words in str(caught.value)
    assert registry.get_tokenized_model("m").tags == made.tags


def test_what_another_client_left_wrong_does_not_stand_in_the_way(store, registry):
    add_versions(store, [{"name": "m", "version": 1, "tags": {**REQUIRED, "training_hours": "long", "a/../b": "x"}}])
    assert registry.update_model_tags("m", 1, {"gpu_type": "A100"}).tags["gpu_type"] == "A100"
    with pytest.raises(ValidationError, match="must be a number of hours"):
        registry.update_model_tags("m", 1, {"training_hours": "longer"})
    assert registry.update_model_tags("m", 1, {"training_hours": "3"}).tags["training_hours"] == "3"


def test_a_version_that_lacks_a_required_tag_gets_it_first(store, registry):
    add_versions(store, [{"name": "m", "version": 1, "tags": {TOKEN_TAG: "MSG-AI", METRIC_TAG: "accuracy"}}])
    with pytest.raises(ValidationError, match="Tag benchmark_value is missing"):
        registry.update_model_tags("m", 1, {"gpu_type": "A100"})
    found = registry.update_model_tags("m", 1, {"gpu_type": "A100", VALUE_TAG: "0.5"})
    assert (found.tags["gpu_type"], found.benchmark_value) == ("A100", "0.5")


def test_tags_of_a_version_that_does_not_exist_cannot_be_changed(registry):
    with pytest.raises(ModelNotFoundError, match="has no version '1'"):
        registry.update_model_tags("none", 1, {"gpu_type": "A100"})


@both
def test_a_deleted_version_is_gone_and_the_others_stay(sqlite_or_server, unique):
    registry, name = ModelRegistry(sqlite_or_server), unique("m")
    for value in ("0.5", "0.6"):
        registry.register_tokenized_model(train(sqlite_or_server).model_uri, name, "MSG-AI", "accuracy", value)
    registry.delete_model_version(name, 2)
    assert [v.version for v in registry.get_model_lineage(name)] == ["1"]
    assert registry.get_tokenized_model(name).version == "1"
    with pytest.raises(ModelNotFoundError, match="has no version '2'"):
        registry.delete_model_version(name, "2")
    with pytest.raises(ModelNotFoundError, match="has no version '2'"):
        registry.get_tokenized_model(name, 2)


# Checking


def test_tags_are_valid_or_not_and_can_be_explained():
    assert ModelRegistry.validate_hokusai_tags(REQUIRED) is True
    assert ModelRegistry.explain_hokusai_tags(REQUIRED) == []
    warned = {**REQUIRED, METRIC_TAG: "my_score"}
    assert ModelRegistry.validate_hokusai_tags(warned) is True
    assert [p.severity for p in ModelRegistry.explain_hokusai_tags(warned)] == ["warning"]
    wrong = {TOKEN_TAG: "msg_ai", METRIC_TAG: "accuracy"}
    assert ModelRegistry.validate_hokusai_tags(wrong) is False
    assert [(p.field, p.repair) for p in ModelRegistry.explain_hokusai_tags(wrong)] == [
        (VALUE_TAG, None), (TOKEN_TAG, "MSG-AI"),
    ]  # fmt: skip


@pytest.mark.parametrize("tags", [None, {}, "x", 5, [], {1: 2}, {TOKEN_TAG: object()}])
def test_whatever_is_asked_about_gets_an_answer(tags):
    assert ModelRegistry.validate_hokusai_tags(tags) is False
    assert ModelRegistry.explain_hokusai_tags(tags)


def test_a_registry_shows_where_it_writes_and_no_password():
    assert repr(ModelRegistry("postgresql://me:s3cret@db/x")) == "ModelRegistry('postgresql://***@db/x')"


def test_a_registry_is_cheap_and_contacts_nothing(tmp_path):
    ModelRegistry(f"sqlite:///{tmp_path / 'none.db'}")
    ModelRegistry("http://127.0.0.1:9")
    assert not (tmp_path / "none.db").exists()


# Whatever the schema accepts

plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=24)
awkward = st.text("'\"\\%_`\n ;-=AND", min_size=1, max_size=12)
names = (plain | awkward).filter(lambda name: not check_model_name(name))
tokens = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,5}(-[A-Za-z0-9]{1,5}){1,3}", fullmatch=True)
keys = st.text("abcXYZ019_.-/ :", min_size=1, max_size=12)
extra = st.dictionaries(keys, plain | awkward | st.just(""), max_size=3).filter(lambda tags: not check_extra_tags(tags))


@given(name=names, token=tokens, more=extra)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_schema_accepts_is_registered_found_and_comes_back_unchanged(store, name, token, more):
    assert not check_token(token)
    registry = ModelRegistry(store)
    model = Path(store.removeprefix("sqlite:///")).parent / "saved"
    if not model.exists():
        saved_model(model)
    made = registry.register_tokenized_model(str(model), name, token, "accuracy", "0.9", more, force_new=True)
    assert (made.name, made.token_id) == (name, token.upper())
    assert {k: made.tags[k] for k in more} == more
    assert registry.get_tokenized_model(name, made.version) == made
    assert registry.get_tokenized_model(name).version == made.version
    assert (name, made.version) in [(e.name, e.version) for e in registry.get_model_lineage(name)]
    assert (name, made.version) in [(m.name, m.version) for m in registry.list_models_by_token(token.lower())]
    assert (name, made.version) in [(m.name, m.version) for m in registry.list_models(name)]
    assert {m.token_id for m in registry.list_models_by_token(token)} == {token.upper()}


@pytest.fixture(autouse=True)
def _settings_as_they_were():
    yield
    config.configure(**dict.fromkeys(config.Settings.model_fields))


def test_the_latest_tokenized_model_is_the_newest_that_carries_a_token(registry, trained):
    made = trained(accuracy=0.9)
    registry.register_run_model(made.run_id, "shared", "MSG-AI", "accuracy")
    mlflow.MlflowClient().create_model_version("shared", made.model_uri, run_id=made.run_id)
    assert registry.get_tokenized_model("shared").version == "1"
    assert registry.get_latest_model_version("shared").version == "2"
