from __future__ import annotations

import json

import pytest


def test_a_token_is_created_listed_and_shown_with_its_history(shell, as_json):
    assert as_json("token", "create", "msg-ai")["model_status"] == "draft"
    shell("token", "create", "XRAY")
    assert [t["token_id"] for t in as_json("token", "list")["entries"]] == ["MSG-AI", "XRAY"]
    assert as_json("token", "list", "--status", "archived")["entries"] == []
    shown = shell("token", "show", "XRAY").stdout
    assert "Token XRAY" in shown
    assert "draft" in shown


def test_a_long_list_is_read_page_by_page(shell, as_json):
    for number in range(5):
        shell("token", "create", f"MSG-{number}")
    seen, cursor = [], []
    while True:
        page = as_json("token", "list", "--limit", 2, *cursor)
        seen += [t["token_id"] for t in page["entries"]]
        if page["next_cursor"] is None:
            break
        cursor = ["--cursor", page["next_cursor"]]
    assert seen == [f"MSG-{number}" for number in range(5)]
    assert "More with --cursor" in shell("token", "list", "--limit", 2).stderr


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (["create", "msg_ai"], 2, "Token ID format invalid"),
        (["create", "MSG-AI"], 4, "MSG-AI"),
        (["deploy", "MSG-AI"], 4, "is draft and cannot become deployed"),
        (["list", "--cursor", "nonsense"], 2, "cursor"),
    ],
)
def test_a_step_that_cannot_be_taken_is_refused_with_the_reason(shell, line, code, words):
    shell("token", "create", "MSG-AI")
    assert words in shell("token", *line, code=code).stderr


def test_an_archived_token_says_who_archived_it_and_why(shell, as_json):
    shell("token", "create", "MSG-AI")
    assert as_json("token", "archive", "MSG-AI", "--reason", "a mistake")["model_status"] == "archived"
    last = as_json("token", "show", "MSG-AI")["steps"][-1]
    assert last["reason"] == "a mistake"
    assert last["by"]
    assert "is archived" in shell("token", "archive", "MSG-AI", code=4).stderr


def test_a_deployed_token_is_told_of(shell, as_json, model_file):
    shell("token", "create", "XRAY")
    file = ["--model-path", model_file, "--metric", "auroc", "--baseline", "0.82", "--value", "0.9"]
    shell("model", "register", "--token-id", "XRAY", *file)
    shown = shell("token", "deploy", "XRAY")
    assert "deployed" in shown.stdout
    assert "model_deployed" in shown.stderr
    newest = as_json("events", "list", "--limit", 1)["entries"][0]
    assert newest["event"]["event_type"] == "model_deployed"
    assert newest["deliveries"][0]["state"] == "delivered"


def test_a_token_keeps_the_metadata_that_it_is_created_with(shell, as_json):
    assert as_json("token", "create", "XRAY", "--metadata", '{"network": "testnet"}')["metadata"] == {
        "network": "testnet"
    }
    for wrong in ("network=testnet", "[1]", ""):
        refused = shell("token", "create", "MRI", "--metadata", wrong, code=2).stderr
        assert "is no JSON object" in refused
        assert "Write it like" in refused


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(shell, as_json):
    made = shell("key", "create", "ci", "--scope", "read", "--expires-in", 30)
    text = made.stdout.strip()
    assert text.startswith("hk_")
    assert "not shown again" in made.stderr
    (listed,) = as_json("key", "list")["entries"]
    assert (listed["name"], listed["scope"]) == ("ci", "read")
    assert listed["expires_at"]
    assert text not in json.dumps(listed)
    assert as_json("key", "revoke", listed["key_id"])["revoked_at"]
    assert "revoked" in shell("key", "list").stdout.lower()


def test_a_webhook_that_is_down_leaves_its_events_waiting_and_does_not_fail_the_command(shell, model_file, monkeypatch):
    monkeypatch.setenv("HOKUSAI_WEBHOOK_ALLOW_PRIVATE", "true")
    shell("token", "create", "XRAY")
    file = ["--model-path", model_file, "--metric", "auroc", "--baseline", "0.82", "--value", "0.9"]
    shell("model", "register", "--token-id", "XRAY", *file, "--webhook-url", "http://127.0.0.1:9/hook?key=s3cret")
    waiting = shell("events", "list", "--state", "pending")
    assert waiting.stdout.count("webhook") == 2
    assert "s3cret" not in waiting.output
    assert shell("events", "deliver").stdout
    assert shell("events", "retry", "--all").stdout
    assert "--all" in shell("events", "retry", code=2).stderr


def test_the_settings_in_force_are_shown_without_secrets(shell, monkeypatch):
    monkeypatch.setenv("HOKUSAI_API_KEY", "hk_abc_s3cret")
    shown = shell("status", "--settings").stdout
    assert "hokusai.db" in shown
    assert "HOKUSAI_API_KEY" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize("line", [["serve"], ["key", "create", "ci"]])
def test_what_must_last_is_refused_in_mock_mode(shell, monkeypatch, line):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    refused = shell(*line, code=1)
    assert "in mock mode" in refused.stderr
    assert "Unset HOKUSAI_MOCK_MODE" in refused.stderr
    assert refused.stdout == ""
