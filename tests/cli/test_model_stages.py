from __future__ import annotations

import pytest


@pytest.mark.usefixtures("reader")
def test_a_model_is_promoted_step_by_step_and_rolled_back(shell, as_json):
    for version in ("1", "2"):
        assert as_json("model", "promote", "reader", version)["stage"] == "staging"
        moved = as_json("model", "promote", "reader", version, "--to", "production", "--why", f"release {version}")
        assert (moved["version"], moved["stage"], moved["kind"]) == (version, "production", "model")
    back = as_json("model", "rollback", "reader", "--why", "worse")
    assert (back["version"], back["stage"]) == ("1", "production")
    told = as_json("model", "history", "reader")["entries"]
    assert [e["why"] for e in told if e["to"] == "production"] == ["release 1", "release 2", "worse"]
    assert "worse" in shell("model", "history", "reader").stdout


@pytest.mark.usefixtures("reader")
def test_a_change_of_stage_says_which_registry_it_was_made_in(shell, store):
    assert shell("model", "promote", "reader").stderr == f"Registry: {store}\n"
    assert shell("model", "rollback", "reader", "--mlflow-uri", store).stderr == f"Registry: {store}\n"


@pytest.mark.usefixtures("reader")
def test_a_stage_cannot_be_skipped(shell):
    failed = shell("model", "promote", "reader", "2", "--to", "production", code=2)
    assert "Cannot promote directly from dev to production" in failed.stderr
    failed = shell("model", "promote", "reader", "--to", "live", code=2)
    assert "Invalid value for '--to': 'live' is not one of 'staging', 'production'." in failed.stderr


@pytest.mark.parametrize("command", ["promote", "rollback", "history"])
def test_what_does_not_exist_ends_with_exit_code_3(shell, command):
    failed = shell("model", command, "nothing", code=3)
    assert "Error: There is no " in failed.stderr
    assert failed.stdout == ""
