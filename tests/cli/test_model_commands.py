from __future__ import annotations

import pytest

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.usefixtures("reader")
def test_versions_are_listed_with_the_status_of_their_token(shell, as_json, sqlite_config, tmp_path):
    shell("token", "create", "MSG-AI")
    (tmp_path / "db.yaml").write_text(f"db_type: sqlite\ndatabase: {sqlite_config.database}\n")
    assert [m["version"] for m in as_json("model", "list")["entries"]] == ["1", "2"]
    listed = shell("model", "list", "--db-config", tmp_path / "db.yaml").stdout
    assert "Status" in listed
    assert listed.count("draft") == 2
    assert as_json("model", "list", "--token-id", "OTHER-01")["entries"] == []
    assert as_json("model", "list", "rea", "--token-id", "msg-ai")["entries"]
    assert as_json("model", "list", "x")["entries"] == []


@pytest.mark.usefixtures("reader")
def test_lineage_and_comparison_say_the_improvement(shell, as_json):
    assert [e["improvement"] for e in as_json("model", "lineage", "reader")["entries"]] == [None, "0.03"]
    assert as_json("model", "compare", "reader", "1", "2")["improvement"] == "0.03"
    assert "+0.03" in shell("model", "lineage", "reader").stdout
    assert "Improvement: +0.03" in shell("model", "compare", "reader", "1", "2").stdout


@pytest.mark.usefixtures("reader")
def test_a_lineage_is_drawn_into_a_file(shell, tmp_path):
    assert shell("model", "plot", "reader", tmp_path / "a.png").stdout.strip() == str(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    failed = shell("model", "plot", "reader", tmp_path / "a.txt", code=1)
    assert ".png" in failed.stderr


@pytest.mark.usefixtures("reader")
def test_tags_are_set_and_stay_valid(shell, as_json):
    assert as_json("model", "tag", "reader", "1", "gpu_type=A100", "note=a=b")["tags"]["note"] == "a=b"
    assert (
        "Benchmark value must be numeric" in shell("model", "tag", "reader", "1", "benchmark_value=high", code=2).stderr
    )
    assert as_json("model", "show", "reader", "1")["benchmark_value"] == "0.88"
    assert shell("model", "tag", "reader", "1", "alone", code=2).stderr


@pytest.mark.usefixtures("reader")
def test_a_version_is_deleted_after_a_question(shell, as_json):
    shell("model", "delete", "reader", "2", input="n\n", code=1)
    assert len(as_json("model", "list")["entries"]) == 2
    shell("model", "delete", "reader", "2", "--yes")
    assert [m["version"] for m in as_json("model", "list")["entries"]] == ["1"]


@pytest.mark.parametrize(
    "line",
    [
        ["model", "show", "nothing"],
        ["model", "lineage", "nothing"],
        ["model", "compare", "nothing", "1", "2"],
        ["model", "delete", "nothing", "1", "--yes"],
        ["model", "status", "--token-id", "NO-SUCH"],
        ["token", "show", "NO-SUCH"],
        ["token", "archive", "NO-SUCH"],
        ["events", "retry", "00000000-0000-4000-8000-000000000000"],
        ["key", "revoke", "nothing"],
    ],
    ids=" ".join,
)
def test_what_does_not_exist_ends_with_exit_code_3_and_a_hint(shell, line):
    failed = shell(*line, code=3)
    assert failed.stderr.startswith("Error: ")
    assert failed.stdout == ""


def test_the_status_of_a_failed_token_says_why_and_of_a_registered_one_which_model(shell, as_json, model_file):
    shell("token", "create", "XRAY")
    file = ["--token-id", "XRAY", "--model-path", model_file, "--metric", "auroc", "--baseline", "0.82"]
    shell("model", "register", *file, "--value", "0.8", code=5)
    shown = shell("model", "status", "--token-id", "XRAY").stdout
    assert "Status   failed\nWhy      Model performance does not meet baseline: 0.8 is below 0.82" in shown
    shell("model", "register", *file, "--value", "0.9")
    assert "Model      hokusai-xray version 1\n" in shell("model", "status", "--token-id", "xray").stdout
    shell("token", "deploy", "XRAY", "--reason", "it is good")
    found = as_json("model", "status", "--token-id", "XRAY")
    assert (found["model_status"], found["why"]) == ("deployed", "it is good")
    assert (found["model_name"], found["version"]) == ("hokusai-xray", "1")


@pytest.mark.parametrize(
    ("line", "code", "said", "unsaid"),
    [
        (["model", "status", "--token-id", "x y"], 2, "Did you mean X-Y?", "token create"),
        (["token", "show", "x y"], 3, "Did you mean X-Y?", "token create"),
        (["token", "show", "X-Y"], 3, "hokusai token create X-Y", "Did you mean"),
        (["model", "lineage", "nope"], 3, "hokusai model list", "%hokusai_lineage"),
        (["model", "compare", "nope", "1", "9"], 3, "hokusai model list", "%hokusai_lineage"),
        (
            ["model", "list", "--mlflow-uri", "http://127.0.0.1:1"],
            6,
            "--mlflow-uri or MLFLOW_TRACKING_URI",
            "Traceback",
        ),
        (
            ["model", "register-run", "m", "--token", "A-B", "--metric", "auroc", "--run", "deadbeef"],
            3,
            "Check the id in MLflow",
            "leave it out",
        ),
        (["model", "register-run", "m", "--token", "A-B", "--metric", "auroc"], 3, "--run", "Traceback"),
        (
            ["model", "register-run", "m", "--token", "A-B", "--metric", "auroc", "--model", "models:/m-0"],
            3,
            "Check the URI; where a run is current",
            "or leave it out",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_hint_can_be_followed_in_a_shell(shell, line, code, said, unsaid):
    hint = shell(*line, code=code).stderr
    assert said in hint
    assert unsaid not in hint


@pytest.mark.parametrize(
    ("changed", "code", "said", "unsaid"),
    [
        (["--run-id", "deadbeef"], 3, "mlflow runs list --experiment-id ID", "leave it out"),
        (["--metric", "sharpness"], 2, "A shell command knows the catalogue alone; in Python", "Traceback"),
    ],
    ids=["run", "metric"],
)
def test_a_hint_for_a_file_can_be_followed_in_a_shell(shell, model_file, changed, code, said, unsaid):
    shell("token", "create", "XRAY")
    file = ["--token-id", "XRAY", "--model-path", model_file, "--metric", "auroc", "--baseline", "0.82"]
    hint = shell("model", "register", *file, *changed, code=code).stderr
    assert said in hint
    assert unsaid not in hint
