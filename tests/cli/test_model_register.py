from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

HOKUSAI = str(Path(sys.executable).with_name("hokusai"))


@pytest.fixture
def common(shell, model_file):
    """The options that every registration here has, for a token in draft."""
    shell("token", "create", "XRAY")
    return ["model", "register", "--token-id", "XRAY", "--model-path", model_file, "--metric", "auroc"]


def test_a_file_becomes_a_version_with_all_its_tags_and_the_token_is_registered(shell, as_json, common):
    printed = shell(*common, "--baseline", "0.82", "--value", "0.85", "--tag", "gpu_type=A100").stdout
    assert "Registered hokusai-xray version 1" in printed
    assert "auroc = 0.85" in printed
    version = as_json("model", "show", "hokusai-xray", "1")
    assert version["tags"]["hokusai_token_id"] == "XRAY"
    assert version["tags"]["benchmark_value"] == "0.85"
    assert version["tags"]["hokusai.baseline_requirement"] == "0.82"
    assert version["tags"]["gpu_type"] == "A100"
    assert as_json("model", "status", "--token-id", "xray")["model_status"] == "registered"
    told = [e["event"]["event_type"] for e in as_json("events", "list", "--token-id", "XRAY")["entries"]]
    assert sorted(told) == ["model_registered", "token_ready_for_deploy"]


def test_each_event_is_a_line_on_stderr(shell, common):
    shown = shell(*common, "--baseline", "0.82", "--value", "0.85")
    assert len(re.findall("model_registered", shown.stderr)) == 1
    assert len(re.findall("token_ready_for_deploy", shown.stderr)) == 1
    assert "model_registered" not in shown.stdout


def test_json_is_all_that_stands_on_stdout(shell, common):
    made = json.loads(shell(*common, "--baseline", "0.82", "--value", "0.85", "--json").stdout)
    assert made["improvement"] == "0.03"
    assert made["performance_source"] == "given"
    assert made["mlflow_run_id"]


def test_a_dry_run_writes_nothing(shell, as_json, common):
    printed = shell(*common, "--baseline", "0.82", "--value", "0.85", "--dry-run").stdout
    assert "Would register hokusai-xray version 1" in printed
    assert as_json("model", "list")["entries"] == []
    assert as_json("model", "status", "--token-id", "XRAY")["model_status"] == "draft"
    assert as_json("events", "list")["entries"] == []


def test_without_a_measured_value_the_command_says_that_the_baseline_was_declared(shell, as_json, common):
    shown = shell(*common, "--baseline", "0.82")
    assert "No measured auroc was found" in shown.stderr
    assert as_json("model", "show", "hokusai-xray")["tags"]["hokusai.performance_source"] == "declared"


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"--token-id": "NO-SUCH"}, 3, "Token not found"),
        ({"--metric": "nonsense"}, 2, "Metric Validation Failed"),
        ({"--baseline": "82"}, 2, "Metric Validation Failed"),
        ({"--value": "85"}, 2, "Metric Validation Failed"),
        ({"--value": "0.81"}, 5, "Model performance does not meet baseline"),
        ({"--model-path": "nowhere.bin"}, 2, "nowhere.bin"),
        ({"--mlflow-uri": "http://127.0.0.1:9"}, 6, "Failed to connect to MLflow"),
        ({"--db-config": "wrong.json"}, 6, "Database Connection Failed"),
        ({"--db-config": "missing.json"}, 2, "cannot be read"),
    ],
    ids=lambda value: next(iter(value)).strip("-") if isinstance(value, dict) else None,
)
def test_each_failure_has_its_name_its_exit_code_and_what_to_do(shell, common, tmp_path, changed, code, words):
    nowhere = {"db_type": "postgresql", "host": "127.0.0.1", "port": 9, "database": "x", "password": "s3cret"}
    (tmp_path / "wrong.json").write_text(json.dumps(nowhere))
    options = dict(zip(common[2::2], common[3::2], strict=True)) | {"--baseline": "0.82", "--value": "0.85"} | changed
    failed = shell("model", "register", *[word for pair in options.items() for word in pair], code=code)
    first, hint = failed.stderr.splitlines()[-2:]
    assert words in first
    assert hint
    assert failed.stdout == ""
    assert "s3cret" not in failed.output


def test_a_registered_token_is_not_registered_again(shell, common):
    shell(*common, "--baseline", "0.82", "--value", "0.85")
    again = shell(*common, "--baseline", "0.82", "--value", "0.86", code=4)
    assert "Token is not in Draft status" in again.stderr


def test_a_registration_that_failed_can_be_made_again(shell, as_json, common):
    shell(*common, "--baseline", "0.82", "--value", "0.5", code=5)
    assert as_json("model", "status", "--token-id", "XRAY")["model_status"] == "failed"
    assert [e["event"]["event_type"] for e in as_json("events", "list")["entries"]] == ["model_validation_failed"]
    shell(*common, "--baseline", "0.82", "--value", "0.85")
    steps = [s["after"] for s in as_json("token", "show", "XRAY")["steps"]]
    assert steps == ["draft", "registering", "failed", "registering", "registered"]


@pytest.mark.slow
def test_the_log_is_structured_and_keeps_secrets(common, monkeypatch):
    monkeypatch.setenv("HOKUSAI_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("HOKUSAI_API_KEY", "hk_abc_s3cret")
    environment = {**os.environ}
    line = [HOKUSAI, *(str(word) for word in common), "--baseline", "0.82", "--value", "0.85", "--yes"]
    asked = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    logged = [json.loads(row) for row in asked.stderr.splitlines() if row.startswith('{"time"')]
    assert {"time", "level", "logger", "message"} <= set(logged[0])
    assert "s3cret" not in asked.stderr + asked.stdout


def test_a_runs_model_is_registered_by_its_run_or_uri(as_json, trained):
    run = trained(accuracy=0.91)
    first = as_json("model", "register-run", "reader", "--token", "MSG-AI", "--metric", "accuracy", "--run", run.run_id)
    assert (first["version"], first["benchmark_value"], first["created"]) == ("1", "0.91", True)
    again = as_json(
        "model", "register-run", "reader", "--token", "msg-ai", "--metric", "accuracy", "--model", run.runs_uri
    )
    assert (again["version"], again["created"]) == ("1", False)


@pytest.mark.slow
def test_a_terminal_is_asked_first_and_a_notebooks_shell_escape_is_not(common, as_json, monkeypatch):
    line = [*(str(word) for word in common), "--baseline", "0.82", "--value", "0.85"]
    asked = pexpect.spawn(HOKUSAI, line, encoding="utf-8", timeout=120, use_poll=True)
    asked.expect("Register .*final_model.pkl for token XRAY")
    asked.sendline("n")
    asked.expect(pexpect.EOF)
    asked.close()
    assert asked.exitstatus == 1
    assert as_json("model", "status", "--token-id", "XRAY")["model_status"] == "draft"
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    escaped = pexpect.spawn(HOKUSAI, line, encoding="utf-8", timeout=120, use_poll=True)
    escaped.expect(pexpect.EOF)
    escaped.close()
    assert escaped.exitstatus == 0
    assert as_json("model", "status", "--token-id", "XRAY")["model_status"] == "registered"
