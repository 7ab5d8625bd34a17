"""Registrations that are reported; the versions are made by MLflow's own client, as another system would."""

import pytest

PATH = "/api/models/tokenized-registration-events"
pytestmark = pytest.mark.slow


@pytest.fixture
def client(api, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", api.keys["register"])
    return mlflow.MlflowClient(api.mlflow, api.mlflow)


@pytest.fixture
def version(api, client, unique):
    """Make a version: ``version(hokusai_token_id="MSG-AI", …)`` returns what a report of it says."""
    api.ask("POST", "/api/v1/tokens", {"token_id": "XRAY"})  # there from now on, whoever runs first

    def make(metric="auroc", baseline="0.82", **tags):
        run = client.create_run("0").info.run_id
        name = unique("reported")
        client.create_registered_model(name)
        made = client.create_model_version(name, f"runs:/{run}/model", run_id=run, tags=tags)
        return {
            "model_name": name,
            "version": str(made.version),
            "token_id": "XRAY",
            "proposal_identifier": "p-1",
            "metric_name": metric,
            "baseline_value": baseline,
            "mlflow_run_id": run,
            "tags": {},
            "model_uri": f"runs:/{run}/model",
        }

    return make


def tagged(value="0.85", metric="auroc", token="XRAY-AI"):
    return {"hokusai_token_id": token, "benchmark_metric": metric, "benchmark_value": value}


def test_a_registration_is_told_once_with_what_the_version_reached(api, version):
    told = {**version(**tagged()), "token_id": "xray-ai"}
    first, again = (api.ask("POST", PATH, told, key="register") for _ in range(2))
    assert (first.status, again.status) == (201, 200)
    assert (first.json()["published"], again.json()["published"]) == (True, False)
    assert first.json()["event_id"] == again.json()["event_id"]
    events = api.ask("GET", "/api/v1/events?token_id=xray-ai&limit=1000").json()["entries"]
    (mine,) = [e["event"] for e in events if e["event"]["payload"]["mlflow_run_id"] == told["mlflow_run_id"]]
    assert (mine["event_id"], mine["event_type"]) == (first.json()["event_id"], "model_registered")
    payload = mine["payload"]
    assert payload.pop("timestamp") == mine["timestamp"]
    assert payload == {
        "token_id": "XRAY-AI",
        "mlflow_run_id": told["mlflow_run_id"],
        "metric_name": "auroc",
        "metric_value": 0.85,
        "baseline_value": 0.82,
        "improvement": 0.03,
    }


def test_a_version_without_tags_is_told_with_its_baseline(api, version):
    answer = api.ask("POST", PATH, version(), key="register")
    assert answer.status == 201
    (entry,) = api.ask("GET", "/api/v1/events?limit=1").json()["entries"]
    assert entry["event"]["event_id"] == answer.json()["event_id"]
    assert (entry["event"]["payload"]["metric_value"], entry["event"]["payload"]["improvement"]) == (0.82, 0.0)


def test_the_status_of_the_token_stays_as_it_is(api, version, unique):
    token = unique("T").upper()
    api.ask("POST", "/api/v1/tokens", {"token_id": token})
    assert api.ask("POST", PATH, {**version(), "token_id": token}).status == 201
    assert api.ask("GET", f"/api/v1/tokens/{token}").json()["model_status"] == "draft"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"token_id": "OTHER-AI"}, "token_id"),
        ({"metric_name": "f1"}, "metric_name"),
        ({"mlflow_run_id": "another"}, "mlflow_run_id"),
        ({"baseline_value": "0.80"}, "baseline_value"),
        ({"tags": {"dataset_version": "2"}}, "tags.dataset_version"),
        ({"tags": {"benchmark_value": "0.86"}}, "tags.benchmark_value"),
        ({"tags": {"hokusai_token_id": "OTHER-AI", "note": "x"}}, "tags.hokusai_token_id"),
        ({"model_uri": "runs:/another/model"}, "model_uri"),
        ({"model_uri": "models:/nothing/1"}, "model_uri"),
        ({"baseline_value": "82"}, "baseline_value"),
        ({"baseline_value": "much"}, "value"),  # what a decimal text is called everywhere
        ({"version": "x"}, "version"),
        ({"api_schema": {"inputSchema": {}}}, "api_schema.outputSchema"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_the_version_does_not_bear_out_is_refused(api, version, changes, field):
    tags = {**tagged(), "hokusai.baseline_requirement": "0.82", "dataset_version": "1"}
    told = {**version(**tags), "token_id": "XRAY-AI", **changes}
    answer = api.ask("POST", PATH, told, key="register")
    assert answer.status == 422
    assert [p["field"] for p in answer.json()["problems"]] == [field]


def test_what_the_version_says_in_other_words_is_borne_out(api, version):
    tags = {**tagged(), "hokusai.baseline_requirement": "0.82", "dataset_version": "1"}
    told = {**version(baseline="0.820", **tags), "token_id": "XRAY-AI"}
    again = {
        "hokusai_token_id": "xray-ai",
        "benchmark_value": "0.850",
        "benchmark_metric": "auc",
        "dataset_version": "1",
    }
    told["tags"] = {**again, "not_carried": "x"}
    name, run = told["model_name"], told["mlflow_run_id"]
    for uri in (f"runs:/{run}/elsewhere", f"models:/{name}/1", f"models:/{name}@champion", "s3://bucket/x", ""):
        answer = api.ask("POST", PATH, {**told, "model_uri": uri}, key="register")
        assert answer.status in (200, 201), (uri, answer.content)


def test_a_version_may_be_told_to_be_made_from_one_of_the_same_source_only(api, version, client):
    first, other = version(**tagged()), version(**tagged())
    name, run = first["model_name"], first["mlflow_run_id"]
    again = client.create_model_version(name, f"runs:/{run}/model", run_id=run, tags=tagged())
    told = {**first, "token_id": "XRAY-AI", "version": str(again.version)}
    uris = (f"models:/{name}/1", f"models:/{other['model_name']}/1")
    answers = [api.ask("POST", PATH, {**told, "model_uri": uri}, key="register") for uri in uris]
    assert [a.status for a in answers] == [201, 422]
    assert answers[1].json()["problems"][0]["field"] == "model_uri"


def test_a_version_of_a_logged_model_is_told_with_that_model_only(api, client, unique):
    run = client.create_run("0").info.run_id
    model = client.create_logged_model("0", source_run_id=run)
    name = unique("reported")
    client.create_registered_model(name)
    client.create_model_version(name, f"models:/{model.model_id}", run_id=run, tags=tagged(), model_id=model.model_id)
    told = {
        "model_name": name,
        "version": "1",
        "token_id": "XRAY-AI",
        "proposal_identifier": "p",
        "tags": {},
        "metric_name": "auroc",
        "baseline_value": "0.82",
        "mlflow_run_id": run,
    }
    uris = ("models:/m-0", f"models:/{model.model_id}")
    assert [api.ask("POST", PATH, {**told, "model_uri": u}, key="register").status for u in uris] == [422, 201]


@pytest.mark.parametrize("token", ["UNHEARD", "msg_ai", "x" * 100, "größe", "A-B" * 40])
def test_a_token_that_is_none_is_refused(api, version, token):
    answer = api.ask("POST", PATH, {**version(), "token_id": token}, key="register")
    assert (answer.status, answer.json()["problems"][0]["field"]) == (422, "token")


def test_an_alias_of_the_metric_is_the_metric(api, version):
    told = {**version(metric="auc", **tagged()), "token_id": "XRAY-AI"}
    assert api.ask("POST", PATH, told, key="register").status == 201


def test_a_version_that_is_not_there_cannot_be_told_of(api, version):
    answer = api.ask("POST", PATH, {**version(), "version": "9"}, key="register")
    assert (answer.status, answer.json()["error"]) == (404, "ModelNotFoundError")


def test_an_improvement_of_too_many_digits_is_refused_and_no_failure(api, version):
    told = version(metric="custom_score", baseline="1e-300", **tagged(value="1e300", metric="custom_score"))
    answer = api.ask("POST", PATH, {**told, "token_id": "XRAY-AI"}, key="register")
    assert answer.status == 201  # a metric that is not declared has no direction, so no improvement
    told = version(metric="mse", baseline="1e300", **tagged(value="1e-300", metric="mse"))
    answer = api.ask("POST", PATH, {**told, "token_id": "XRAY-AI"}, key="register")
    assert (answer.status, answer.json()["error"]) == (422, "ValidationError")


def test_the_webhook_is_told_in_the_shape_of_the_site(api, version):
    from hokusai_nb.backends.sql.database import Database
    from hokusai_nb.backends.sql.tables import event_order

    schema = {"inputSchema": {"type": "object"}, "outputSchema": {"type": "number"}}
    told = {**version(**tagged()), "token_id": "XRAY-AI", "api_schema": schema}
    event_id = api.ask("POST", PATH, told, key="register").json()["event_id"]
    with Database.at(api.database).reading() as connection:
        query = event_order.select().where(event_order.c.event_id == event_id)
        body = connection.execute(query).mappings().one()["site_body"]
    assert body["model"] == {
        "id": "xray-ai",
        "name": told["model_name"],
        "status": "registered",
        "version": told["version"],
        "run_id": told["mlflow_run_id"],
        "api_schema": schema,
    }


def test_numbers_and_truth_values_are_taken_for_their_texts(api, version):
    told = {**version(**tagged()), "token_id": "XRAY-AI"}
    loose = {**told, "version": int(told["version"]), "tags": {"layers": 3, "rate": 0.5, "tuned": True, "note": "x"}}
    first, again = (api.ask("POST", PATH, body, key="register") for body in (loose, told))
    assert (first.status, again.status) == (201, 200), first.content
    for wrong in ({"version": True}, {"version": 1.5}, {"tags": {"a": None}}, {"tags": {"a": [1]}}):
        assert api.ask("POST", PATH, {**told, **wrong}, key="register").status == 422


def test_a_registration_that_its_token_was_changed_by_is_not_told_again(api, version, unique):
    token = unique("T").upper()
    api.ask("POST", "/api/v1/tokens", {"token_id": token})
    told = {**version(), "token_id": token}
    facts = {
        "mlflow_run_id": told["mlflow_run_id"],
        "model_name": told["model_name"],
        "version": told["version"],
        "metric_name": "auroc",
        "metric_value": "0.85",
        "baseline_value": "0.82",
        "improvement": "0.03",
    }
    steps = (
        {"to": "registering", "owner": "a", "lease_seconds": 60},
        {"to": "registered", "owner": "a", "facts": facts},
    )
    for step in steps:
        assert api.ask("POST", f"/api/v1/tokens/{token}/changes", step, key="register").status == 200
    answer = api.ask("POST", PATH, told, key="register")
    assert (answer.status, answer.json()["published"]) == (200, False)
    events = api.ask("GET", f"/api/v1/events?token_id={token}").json()["entries"]
    (mine,) = [e["event"] for e in events if e["event"]["event_type"] == "model_registered"]
    assert mine["event_id"] == answer.json()["event_id"]


def test_two_models_of_one_run_and_version_number_are_told_of_both(api, version, client, unique):
    first = version()
    name = unique("reported")
    client.create_registered_model(name)
    made = client.create_model_version(name, first["model_uri"], run_id=first["mlflow_run_id"])
    second = {**first, "model_name": name}
    assert str(made.version) == first["version"]
    answers = [api.ask("POST", PATH, told, key="register") for told in (first, second, first, second)]
    assert [(a.status, a.json()["published"]) for a in answers] == [(201, True)] * 2 + [(200, False)] * 2
    ids = [a.json()["event_id"] for a in answers]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2
