"""Models over HTTP; runs are logged by MLflow's own client through the same server."""

import json
import time
import urllib.parse

import pytest

pytestmark = pytest.mark.slow


def quoted(name):
    return urllib.parse.quote(name, safe="")


@pytest.fixture
def client(api, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", api.keys["register"])
    return mlflow.MlflowClient(api.mlflow, api.mlflow)


@pytest.fixture
def train(client):
    """Make a finished run that holds a logged model: ``train(accuracy=0.9)`` returns its ids."""
    from mlflow.entities import LoggedModelStatus, Metric

    def make(**metrics):
        run = client.create_run("0").info.run_id
        client.log_batch(run, metrics=[Metric(k, v, int(time.time() * 1000), 0) for k, v in metrics.items()])
        model = client.create_logged_model("0", name="model", source_run_id=run)
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        client.set_terminated(run)
        return run, model.model_id

    return make


@pytest.fixture
def register(api, unique):
    """Register under a new name: ``register(run=…)`` returns the answer."""
    name = unique("churn")

    def ask(**given):
        body = {"name": name, "token": "MSG-AI", "metric": "accuracy", **given}
        return api.ask("POST", "/api/v1/models", body, key="register")

    return ask


def test_a_run_is_registered_with_its_own_metric_and_again_is_the_same_version(train, register):
    run, model_id = train(accuracy=0.9134)
    first, again = register(run=run), register(run=run)
    assert (first.status, again.status) == (201, 200)
    made, found = first.json(), again.json()
    assert (made["version"], made["benchmark_value"], made["run_id"], made["model_id"]) == (
        "1",
        "0.9134",
        run,
        model_id,
    )
    assert made["tags"]["hokusai.registered_by"] == "register-key"
    assert (made["created"], found["created"], found["version"]) == (True, False, "1")


def test_a_dry_run_makes_nothing(api, train, register):
    run, _ = train(accuracy=0.9)
    answer = register(run=run, dry_run=True)
    assert (answer.status, answer.json()["dry_run"]) == (200, True)
    assert api.ask("GET", f"/api/v1/models/{quoted(answer.json()['name'])}").status == 404


@pytest.mark.parametrize(
    ("given", "status", "error"),
    [
        ({}, 422, "ValidationError"),
        ({"run": "no-such-run"}, 404, "RunNotFoundError"),
        ({"model": "runs:/no-such-run/model"}, 404, "RunNotFoundError"),
        ({"model": "models:/m-nothing"}, 404, "ModelNotFoundError"),
        ({"model": "models:/no-such/1"}, 404, "ModelNotFoundError"),
        ({"model": "/etc"}, 422, "ValidationError"),
        ({"run": "r", "token": "msg_ai"}, 422, "ValidationError"),
        ({"run": "r", "value": "13%"}, 422, "ValidationError"),
        ({"run": "r", "tags": {"hokusai_token_id": "A-B"}}, 422, "ValidationError"),
        ({"run": "r", "colour": "red"}, 422, "ValidationError"),
    ],
)
def test_what_cannot_be_registered_is_refused_in_the_words_used_everywhere(register, given, status, error):
    answer = register(**given)
    assert (answer.status, answer.json()["error"]) == (status, error)
    assert answer.json()["what"]


def test_a_run_without_a_model_and_a_metric_that_is_missing_are_told_apart(client, train, register):
    run = client.create_run("0").info.run_id
    assert register(run=run).json()["error"] == "NoModelError"
    answer = register(run=train(f1=0.5)[0])
    assert answer.status == 422
    assert answer.json()["problems"][0]["field"] == "value"


def test_a_name_may_hold_what_mlflow_allows(api, train, register, unique):
    name = unique("größe 'x\" %2F;?&# \N{ROCKET}")
    assert register(name=name, run=train(accuracy=0.5)[0]).status == 201
    for path in ("", "/lineage", "/versions/1", "/compare?first=1&second=1"):
        assert api.ask("GET", f"/api/v1/models/{quoted(name)}{path}", key="read").status == 200, path
    page = api.ask("GET", f"/api/v1/models?prefix={quoted(name)}").json()
    assert [m["name"] for m in page["entries"]] == [name]


def test_lineage_and_comparison_say_the_improvement_exactly(api, train, register):
    for value in (0.14, 0.15):
        name = register(run=train(accuracy=value)[0]).json()["name"]
    lineage = api.ask("GET", f"/api/v1/models/{name}/lineage", key="read").json()
    assert [(e["version"], e["parent"], e["improvement"]) for e in lineage["entries"]] == [
        ("1", None, None),
        ("2", "1", "0.01"),
    ]
    found = api.ask("GET", f"/api/v1/models/{name}/compare?first=1&second=2", key="read").json()
    assert found["improvement"] == "0.01"
    assert found["second"]["run"]["metrics"] == {"accuracy": 0.15}


def test_tags_are_set_and_the_whole_set_stays_valid(api, train, register):
    name = register(run=train(accuracy=0.5)[0]).json()["name"]
    path = f"/api/v1/models/{name}/versions/1/tags"
    answer = api.ask("PATCH", path, {"tags": {"dataset_version": 7, "gpu_type": "A100"}}, key="register")
    assert answer.status == 200
    assert {k: answer.json()["tags"][k] for k in ("dataset_version", "gpu_type")} == {
        "dataset_version": "7",
        "gpu_type": "A100",
    }
    for tags in ({"benchmark_value": "much"}, {"hokusai.made_up": "1"}, {"a/../b": "1"}, {}, {"a": None}, {"a": [1]}):
        assert api.ask("PATCH", path, {"tags": tags}, key="register").status == 422, tags
    assert api.ask("PATCH", f"/api/v1/models/{name}/versions/9/tags", {"tags": {"a": "b"}}).status == 404


def test_a_version_is_deleted_once_and_by_an_administrator(api, train, register):
    name = register(run=train(accuracy=0.5)[0]).json()["name"]
    path = f"/api/v1/models/{name}/versions/1"
    assert api.ask("DELETE", path, key="register").status == 403
    answer = api.ask("DELETE", path)
    assert (answer.status, answer.content) == (204, b"")
    assert api.ask("DELETE", path).status == 404
    assert api.ask("GET", path).status == 404


@pytest.mark.parametrize("version", ["0", "2", "999999999", "x", "1.0", "-1", "9999999999", "%00"])
def test_a_version_that_is_not_there_is_no_failure(api, train, register, version):
    name = register(run=train(accuracy=0.5)[0]).json()["name"]
    for path in (f"versions/{version}", f"compare?first=1&second={version}"):
        assert api.ask("GET", f"/api/v1/models/{name}/{path}").status in (404, 422)


def test_models_are_listed_a_page_at_a_time(api, train, register, unique):
    run, prefix = train(accuracy=0.5)[0], unique("page")
    for n in range(5):
        register(run=run, name=f"{prefix}-{n}", token="XRAY-AI" if n == 4 else "MSG-AI")
    found, query = [], f"/api/v1/models?limit=2&prefix={prefix}"
    cursor = ""
    while cursor is not None:
        page = api.ask("GET", query + (f"&cursor={cursor}" if cursor else ""), key="read").json()
        found += [m["name"] for m in page["entries"]]
        cursor = page["next_cursor"]
    assert found == [f"{prefix}-{n}" for n in range(5)]
    mine = api.ask("GET", f"/api/v1/models?prefix={prefix}&token=xray-ai").json()
    assert [m["name"] for m in mine["entries"]] == [f"{prefix}-4"]


def test_an_answer_does_not_say_where_the_server_keeps_its_data(api):
    document = api.ask("GET", "/api/v1/models/no-such", key="read").content.decode()
    assert "sqlite" not in document
    assert "does not exist in the registry" in document


def test_numbers_that_are_none_are_told_as_text(api, train, register):
    run, _ = train(accuracy=0.5, loss=float("nan"))
    name = register(run=run).json()["name"]
    answer = api.ask("GET", f"/api/v1/models/{name}/lineage")
    (entry,) = json.loads(answer.content, parse_constant=pytest.fail)["entries"]
    assert entry["run"]["metrics"] == {"accuracy": 0.5, "loss": "NaN"}


def test_the_server_can_do_its_work_and_says_so(api):
    answer = api.ask("GET", "/api/v1/ready", key=None)
    assert (answer.status, answer.json()) == (200, {"status": "ok"})
