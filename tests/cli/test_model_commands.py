from __future__ import annotations

import pytest

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def reader(as_json, trained):
    """A model with two versions, 0.88 and 0.91."""
    for value in (0.88, 0.91):
        run = trained(accuracy=value)
        as_json("model", "register-run", "reader", "--token", "MSG-AI", "--metric", "accuracy", "--run", run.run_id)


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
