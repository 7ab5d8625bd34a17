from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.schema.templates import parse_template
from hokusai_nb.widgets.prompt_values import render_texts
from tests.prompts import FULL

HOKUSAI = [sys.executable, "-c", "from hokusai_nb.cli.main import main; main(prog_name='hokusai')"]


@pytest.fixture
def hook(shell):
    """A prompt with three versions; the first is in production, the second in staging."""
    del shell  # it sets the store
    made = []
    for version, text in (("1.0.0", "Hi {name}"), ("1.1.0", "Hi {name}, {cta}"), ("1.1.1", "Hey {name}, {cta}")):
        made.append(PromptModel("persona/hook", text, version, metadata=FULL).register())
    made[0].promote_to_staging().promote_to_production("first")
    made[1].promote_to_staging("second")
    return "persona/hook"


def test_versions_are_compared_by_number_and_by_stage(shell, as_json, hook):
    assert "+Hi {name}, {cta}" in shell("prompt", "diff", hook, "1.0.0", "1.1.0").stdout
    told = as_json("prompt", "diff", hook, "production", "staging")
    assert (told["from"], told["to"], told["version_step"]) == ("1.0.0", "1.1.0", "minor")
    assert told["template_diff"]["variables_added"] == ["cta"]
    assert as_json("prompt", "diff", hook, "1")["to"] == "1.1.1"
    newest = as_json("prompt", "diff", hook)
    assert (newest["from"], newest["to"]) == ("1.1.0", "1.1.1")
    assert "has no version 9.0.0" in shell("prompt", "diff", hook, "9.0.0", code=3).stderr
    PromptModel("only", "x", "1.0.0", metadata=FULL).register()
    assert "is the first version" in shell("prompt", "diff", "only", code=2).stderr


def test_a_file_is_compared_with_the_registry(shell, as_json, hook, tmp_path):
    path = tmp_path / "hook.yaml"
    path.write_text(f"name: {hook}\ntemplate: 'Hey {{name}}'\nmetadata: {json.dumps(FULL)}\n")
    (told,) = as_json("prompt", "diff", path)
    assert (told["from"], told["to"]) == ("1.1.1", "2.0.0")
    assert told["template_diff"]["variables_removed"] == ["cta"]
    (told,) = as_json("prompt", "diff", path, "production")
    assert told["from"] == "1.0.0"
    assert "-Hi {name}" in shell("prompt", "diff", path, "1.0.0").stdout
    path.write_text("name: a\ntemplate: '{'\n")
    assert "hook.yaml:2:12" in shell("prompt", "diff", path, code=2).stderr
    shell("prompt", "diff", path, "1.0.0", "1.1.0", code=2)


def test_a_prompt_that_is_not_registered_is_all_new_beside_one_that_is(shell, as_json, hook, tmp_path):
    path = tmp_path / "mix.yaml"
    path.write_text(f"- {{name: {hook}, version: 1.2.0, template: Hi}}\n- {{name: new, template: 'a\n\n  {{x}}'}}\n")
    known, new = as_json("prompt", "diff", path)
    assert (known["from"], known["to"], new["from"], new["to"]) == ("1.1.1", "1.2.0", None, "1.0.0")
    assert new["template_diff"]["variables_added"] == ["x"]
    shown = shell("prompt", "diff", path).stdout
    assert "-Hey {name}, {cta}" in shown
    assert shown.endswith("new 1.0.0 is new: there is no version to compare it with.\n"
                          "--- nothing\n+++ 1.0.0\n@@ -0,0 +1,2 @@\n+a\n+{x}\n")  # fmt: skip
    assert "Prompt 'new' has no version 1.0.0" in shell("prompt", "diff", path, "1.0.0", "--name", "new", code=3).stderr


@pytest.mark.parametrize(
    ("template", "pairs", "shown"),
    [
        ("{c:s}", ["c=3"], "3"),
        ("{a} {v}", ["a=1.10", "v=1e5"], "1.10 1e5"),
        ("{x}", ["x=1e400"], "1e400"),
        ("{x}|", ["x="], "|"),
        ("{n:.1f} {n}", ["n=2"], "2.0 2"),
        ("{day:%Y}", ["day=2026-01-31"], "2026"),
        ("{who[name]} {who}", ['who={"name": "Ada"}'], "Ada {'name': 'Ada'}"),
    ],
)
def test_a_value_is_text_or_what_its_field_needs_as_in_a_notebook(shell, tmp_path, template, pairs, shown):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"name": "a", "template": template}))
    words = [word for pair in pairs for word in ("--set", pair)]
    assert shell("prompt", "render", path, *words).stdout == f"{shown}\n"
    sample = render_texts(parse_template(template), dict(pair.split("=", 1) for pair in pairs))
    assert "" in dict(pair.split("=", 1) for pair in pairs).values() or sample.text == shown


def test_a_value_that_does_not_fit_or_is_given_twice_is_refused(shell, tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"name": "a", "template": "{n:d}"}')
    assert "{n:d} needs a whole number: 'x'" in shell("prompt", "render", path, "--set", "n=x", code=2).stderr
    twice = shell("prompt", "render", path, "--set", "n=1", "--set", "n=2", code=2).stderr
    assert "--set 'n' is given twice." in twice


def test_rendering_prints_the_text_and_nothing_else(shell, hook):
    assert shell("prompt", "render", hook, "--set", "name=Ada", "--set", "cta=now").stdout == "Hey Ada, now\n"
    old = shell("prompt", "render", hook, "--version", "1.0.0", "--set", "name=Ada=1")
    assert (old.stdout, old.stderr) == ("Hi Ada=1\n", "")
    assert shell("prompt", "render", hook, "--stage", "production", "--set", "name=Ada").stdout == "Hi Ada\n"
    failed = shell("prompt", "render", hook, code=2)
    assert (failed.stdout, "Missing required variables: name, cta" in failed.stderr) == ("", True)
    shell("prompt", "render", hook, "--set", "name", code=2)


def test_a_file_is_rendered_without_a_registry(shell, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    path = tmp_path / "a.yaml"
    path.write_text("- {name: a, template: '{price:.2f} for {who[name]} {n:>{w}}\n\n'}\n- {name: b, template: B}\n")
    values = tmp_path / "values.json"
    values.write_text('{"price": 1, "who": {"name": "Ada"}, "n": 5}')
    line = ["prompt", "render", path, "--name", "a", "--values", values]
    assert shell(*line, "--set", "price=2.5", "--set", "w=4").stdout == "2.50 for Ada    5\n"
    assert "holds several prompts" in shell("prompt", "render", path, code=2).stderr
    assert "It holds: a, b." in shell("prompt", "render", path, "--name", "c", code=2).stderr
    shell("prompt", "render", path, "--version", "1.0.0", code=2)
    values.write_text("[1]")
    assert "holds no JSON object" in shell(*line, code=2).stderr
    assert "cannot be read" in shell("prompt", "render", path, "--values", "nothing.json", code=2).stderr


def test_prompts_their_lineage_and_history_are_listed(shell, as_json, hook):
    PromptModel("other", "x", "1.0.0", metadata=FULL).register()
    assert [p["version"] for p in as_json("prompt", "list", "persona/")["entries"]] == ["1.0.0", "1.1.0", "1.1.1"]
    assert len(as_json("prompt", "list")["entries"]) == 4
    assert not any("history" in version for version in as_json("prompt", "list")["entries"])
    assert [len(v["history"]) for v in as_json("prompt", "lineage", hook)["versions"]] == [2, 1, 0]
    assert "production" in shell("prompt", "list").stdout
    lineage = as_json("prompt", "lineage", hook)["entries"]
    assert [e["parent_version"] for e in lineage] == [None, "1.0.0", "1.1.0"]
    assert "1.1.0" in shell("prompt", "lineage", hook).stdout
    assert [e["why"] for e in as_json("prompt", "history", hook)["entries"]] == ["", "first", "second"]
    for command in ("lineage", "history", "render", "diff", "rollback"):
        assert shell("prompt", command, "nobody", code=3).stdout == ""


@pytest.mark.usefixtures("hook")
def test_the_store_can_be_named(shell, store, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'nowhere/else.db'}")
    assert "1.1.1" in shell("prompt", "list", "--mlflow-uri", store).stdout


@pytest.mark.slow
def test_a_terminal_gets_no_control_characters_of_a_template(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text('name: a\ntemplate: "\\e[31mred {x}\\nnext"\n')
    line = [*HOKUSAI, "prompt", "render", str(path), "--set", "x=\x1b[2J"]
    piped = subprocess.run(line, check=True, capture_output=True)
    assert piped.stdout == b"\x1b[31mred \x1b[2J\nnext\n"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(line, stdout=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while b"next" not in shown and (data := os.read(ours, 1000)):
        shown += data
    assert process.wait(30) == 0
    os.close(ours)
    assert shown.startswith(b"\\x1b[31mred \\x1b[2J\r\nnext")
