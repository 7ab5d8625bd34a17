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


def test_where_a_key_was_made_is_said(shell, sqlite_config, tmp_path):
    assert f"known to the server of sqlite:///{sqlite_config.database}." in shell("key", "create", "ci").stderr
    (tmp_path / "db.yaml").write_text(f"db_type: sqlite\ndatabase: {tmp_path / 'other.db'}\n")
    elsewhere = shell("key", "create", "ci", "--db-config", tmp_path / "db.yaml")
    assert f"known to the server of sqlite:///{tmp_path / 'other.db'}." in elsewhere.stderr
    assert elsewhere.stdout.startswith("hk_")


@pytest.mark.parametrize("line", [["create", "ci"], ["list"], ["revoke", "KEY"]], ids=" ".join)
def test_with_an_api_key_keys_are_asked_of_a_named_database_only(shell, as_json, monkeypatch, tmp_path, line):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOKUSAI_API_KEY", "hk_abc_s3cret")
    assert as_json("key", "list")["entries"] == [], "the variables name a database"
    for name in ("HOKUSAI_DB_TYPE", "HOKUSAI_DB_NAME"):
        monkeypatch.delenv(name)
    refused = shell("key", *line, code=2)
    assert refused.stderr.startswith("Error: HOKUSAI_API_KEY is set, but a server's keys are in its own database")
    assert "--db-config" in refused.stderr
    assert refused.stdout == ""
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("line", "said", "unsaid"),
    [
        (["key", "create"], "keys are not made through the API", "else with HOKUSAI_API_KEY the Hokusai API"),
        (["key", "list"], "the server's own database", "else with HOKUSAI_API_KEY the Hokusai API"),
        (["serve"], "the server's database of tokens, events and API keys", "HOKUSAI_API_KEY"),
        (["events", "deliver"], "The Hokusai API delivers its own.", "HOKUSAI_API_KEY"),
        (["token", "list"], "else with HOKUSAI_API_KEY the Hokusai API", "server's"),
    ],
    ids=str,
)
def test_the_help_says_which_database_is_meant_where_none_is_named(shell, line, said, unsaid):
    shown = " ".join(shell(*line, "--help").stdout.split())
    assert said in shown
    assert unsaid not in shown


def test_the_overview_and_the_settings_are_one_json_document(as_json):
    both = as_json("status", "--settings")
    assert sorted(both) == ["overview", "settings"]
    assert both["overview"] == as_json("status")
    assert "HOKUSAI_API_KEY" in [setting["variable"] for setting in both["settings"]]


def test_the_next_steps_of_a_shell_are_commands_of_it(shell):
    shown = shell("status").stdout
    assert "Next         hokusai model register-run my-model --token MSG-AI" in shown
    assert "%hokusai" not in shown


@pytest.mark.parametrize("line", [["serve"], ["key", "create", "ci"]])
def test_what_must_last_is_refused_in_mock_mode(shell, monkeypatch, line):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    refused = shell(*line, code=1)
    assert "in mock mode" in refused.stderr
    assert "Unset HOKUSAI_MOCK_MODE" in refused.stderr
    assert refused.stdout == ""
