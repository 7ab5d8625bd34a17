"""Everything that the description allows, and much that it does not, sent to the real server."""

import json
import re
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("response_headers_conformance", "negative_data_rejection", "missing_required_header"),
    *("unsupported_method", "allow_header_conformance", "ensure_resource_availability"),
)


@pytest.fixture
def filled(api, monkeypatch):
    """The server with what the examples speak of: a model of three versions, and a token."""
    import mlflow
    from mlflow.entities import LoggedModelStatus, Metric

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", api.keys["register"])
    client = mlflow.MlflowClient(api.mlflow, api.mlflow)
    for value in (0.8, 0.9, float("nan")):
        run = client.create_run("0").info.run_id
        client.log_batch(run, metrics=[Metric("accuracy", value, int(time.time() * 1000), 0)])
        model = client.create_logged_model("0", name="model", source_run_id=run)
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        body = {"name": "churn", "token": "MSG-AI", "metric": "accuracy", "value": "0.9", "run": run}
        assert api.ask("POST", "/api/v1/models", body).status == 201
    api.ask("POST", "/api/v1/tokens", {"token_id": "MSG-AI"})
    return api


def test_no_request_makes_the_server_fail_and_every_answer_is_as_described(filled, tmp_path):
    described = filled.ask("GET", "/openapi.json", key=None).json()
    for methods in described["paths"].values():
        for operation in methods.values():
            # One key for different requests is a conflict, and would hide what else is wrong with them.
            operation["parameters"] = [p for p in operation.get("parameters", []) if p["name"] != "Idempotency-Key"]
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", filled.url, "--no-color"]
    command += ["--header", f"Authorization: Bearer {filled.keys['admin']}", "--checks", ",".join(CHECKS)]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "5", "--seed", "7"]
    command += ["--continue-on-failure", "--generation-database", "none"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert re.search(r"Tested: 21", done.stdout)
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 500
    answered = [line for line in filled.lines() if line["message"] == "request"]
    assert max(line["status"] for line in answered) < 500
    assert not [line for line in filled.lines() if line["level"] == "error"]
