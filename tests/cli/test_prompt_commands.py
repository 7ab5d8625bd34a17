from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hokusai_nb.core.prompt_plan import promotable
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.schema.prompts import ModelStage
from tests.forked import hokusai
from tests.prompts import FULL

UNCLOSED = (
    "Invalid template format: expected '}' before end of string. "
    "Close the field with }. Write {{ and }} for braces themselves."
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write files below the current folder: ``files(name="a", template="…")`` makes ``prompts/a.yaml``."""
    monkeypatch.chdir(tmp_path)

    def write(path=None, text=None, **said):
        if text is None:
            said.setdefault("metadata", FULL)
            path, text = path or f"prompts/{said['name'].replace('/', '-')}.yaml", yaml.safe_dump(said, sort_keys=False)
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return path

    return write


def states(rows):
    return {row["name"]: (row["version"], row["state"], row["stage"]) for row in rows}


# validate


def test_validation_says_file_line_column_and_ends_with_2(shell, files):
    files(name="good", version="1.0.0", template="Hi {name}")
    files("prompts/hook.yaml", "name: hook\nversion: 1.0.0\ntemplate: |\n  Hi {name},\n    {cta\n")
    failed = shell("prompt", "validate", "prompts", code=2)
    assert failed.stdout.splitlines() == [
        f"prompts/hook.yaml:5:5: {UNCLOSED}",
        "      {cta",
        "      ^",
    ]
    assert failed.stderr == "1 prompt in 2 files: 1 error, 0 warnings.\n"


def test_what_is_right_is_silent_and_warnings_count_only_where_that_is_asked_for(shell, files):
    path = files(name="good", version="1.0.0", template="Hi {name}")
    assert shell("prompt", "validate", path).stdout == ""
    path = files(name="bare", version="1.0.0", template="Hi", metadata={"author": "a"})
    warned = shell("prompt", "validate", path)
    said = "prompts/bare.yaml:5:3: warning: Recommended metadata is missing: purpose, tested_on, performance_metrics"
    assert warned.stdout.strip() == said
    assert shell("prompt", "validate", path, "--strict", code=2).stdout == warned.stdout


def test_json_says_everything(shell, files):
    files(name="good", version="1.0.0", template="Hi {name}")
    files("prompts/n.ipynb", json.dumps({"cells": [
        {"cell_type": "code", "metadata": {}, "source": ["%%hokusai_prompt a 1.0.0\n", "Hi {"]}
    ]}))  # fmt: skip
    told = json.loads(shell("prompt", "validate", "prompts", "--format", "json", code=2).stdout)
    assert (told["errors"], told["warnings"]) == (1, 0)
    assert told["files"] == ["prompts/good.yaml", "prompts/n.ipynb"]
    assert [(p["name"], p["line"]) for p in told["prompts"]] == [("good", 1)]
    (problem,) = told["problems"]
    assert {k: problem[k] for k in ("file", "cell", "cell_line", "cell_column", "severity", "prompt", "field")} == {
        "file": "prompts/n.ipynb",
        "cell": 1,
        "cell_line": 2,
        "cell_column": 4,
        "severity": "error",
        "prompt": "a",
        "field": "template",
    }


def test_annotations_for_github_are_escaped(shell, files):
    path = files("prompts/a,b:100%.yaml", "name: a\nversion: 1.0.0\ntemplate: '100% {x'\n")
    failed = shell("prompt", "validate", path, "--format", "github", code=2)
    assert failed.stdout == (
        f"::error file=prompts/a%2Cb%3A100%25.yaml,line=3,col=17,title=Prompt a::{UNCLOSED}%0A100%25 {{x%0A     ^\n"
    )
    path = files(name="x", version="1.0.0", template="Hi", metadata={"author": "a"})
    warned = shell("prompt", "validate", path, "--format", "github").stdout
    assert warned.startswith("::warning file=prompts/x.yaml,line=5,col=3,title=Prompt x::Recommended metadata")


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_nothing_hostile_reaches_the_terminal(shell, files, form):
    evil = "\x1b[31m\x07\r\n::error::x"
    path = "prompts/a\x1b[2J\n::error file=b::c.json"
    files(path, json.dumps({"name": evil, "version": evil, "template": f"{evil}{{", evil: 1, "metadata": {evil: evil}}))
    shown = shell("prompt", "validate", path, "--format", form, code=2).output
    assert not set(shown) & {"\x1b", "\x07", "\r"}
    if form == "github":
        assert all(line.startswith("::error file=prompts/") for line in shown.splitlines()[:-1])
    if form == "text":
        assert not any(line.startswith("::") for line in shown.splitlines())


def test_many_files_on_one_line_are_checked_as_a_commit_hook_does(shell, files):
    hook = yaml.safe_load((Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text())[0]
    assert hook["entry"].split() == ["hokusai", "prompt", "validate"]
    paths = [files(name=f"p/n{i}", version="1.0.0", template="Hi {name}") for i in range(200)]
    paths += [files("prompts/README.md", "# Title\n"), files("prompts/ci.yml", "on: push\n")]
    assert shell("prompt", "validate", *hook["args"], *paths).stderr.startswith("200 prompts in 202 files: 0 errors")
    assert shell("prompt", "validate", *paths, code=2).stderr.startswith("200 prompts in 202 files: 4 errors")
    again = files("prompts/again.yaml", "name: p/n7\nversion: 1.0.0\ntemplate: other\n")
    assert "is in the files twice" in shell("prompt", "validate", *hook["args"], *paths, again, code=2).stdout


def test_the_hook_is_one_that_pre_commit_takes():
    manifest = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"
    pre_commit = [sys.executable, "-m", "pre_commit", "validate-manifest", str(manifest)]
    subprocess.run(pre_commit, check=True, capture_output=True)


def test_the_hook_takes_files_of_prompts_only():
    hook = yaml.safe_load((Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text())[0]
    taken = ["prompts/a.yaml", "x/prompts/y/a.md", "notes/a.ipynb"]
    assert all(re.search(hook["files"], path) for path in taken)
    assert not any(re.search(hook["files"], path) for path in ["ci.yaml", "myprompts/a.yaml", "prompts/a.py"])


def test_files_without_a_prompt_are_named(shell, files):
    files(name="good", version="1.0.0", template="Hi {name}")
    others = [files(f"prompts/{n}.md", "# Title\n") for n in range(12)]
    said = shell("prompt", "validate", "prompts").stderr.splitlines()
    assert said == [
        "1 prompt in 13 files: 0 errors, 0 warnings.",
        f"Passed over, without a prompt: {', '.join(sorted(others)[:10])} and 2 more.",
    ]
    assert len(json.loads(shell("prompt", "validate", "prompts", "--format", "json").stdout)["passed_over"]) == 12
    assert "Passed over, without a prompt: " in shell("prompt", "register", "prompts").stderr


@pytest.mark.parametrize("command", ["validate", "register"])
def test_paths_without_any_prompt_are_an_error_unless_others_are_to_be_passed_over(shell, files, command):
    files("docs/README.md", "# Title\n")
    assert "docs:1:1: There is no prompt in this folder." in shell("prompt", command, "docs", code=2).output
    passed = shell("prompt", command, "docs", "--skip-others").stderr
    assert "Passed over, without a prompt: docs/README.md." in passed


def completed(line):
    """What the shell's completion answers to a line that is not finished."""
    *words, begun = line.split(" ")
    env = {**os.environ, "COMP_WORDS": line, "COMP_CWORD": str(len(words)), "_HOKUSAI_COMPLETE": "bash_complete"}
    return hokusai(env=env).stdout.split(), begun


@pytest.mark.slow
def test_a_shell_completes_files_and_stages():
    assert completed("hokusai prompt validate pro")[0] == ["file,pro"]
    assert completed("hokusai prompt render a --values v")[0] == ["file,v"]
    for line in ("prompt promote x --to ", "prompt rollback x --stage ", "model promote x --to "):
        assert completed(f"hokusai {line}")[0] == ["plain,staging", "plain,production"]


# register


def test_prompts_are_registered_and_the_same_again_is_no_change(as_json, files):
    files(name="persona/hook", version="1.0.0", template="Hi {name}")
    files(name="auto", template="Hi {name}")
    files("prompts/front.md", "---\nname: front\nversion: 2.1.0\nmetadata: {n: 0.06}\n---\n\nHi\nyou\n")
    first = as_json("prompt", "register", "prompts")
    assert states(first) == {
        "auto": ("1.0.0", "registered", "dev"),
        "persona/hook": ("1.0.0", "registered", "dev"),
        "front": ("2.1.0", "registered", "dev"),
    }
    assert {row["mlflow_version"] for row in first} == {1}
    again = as_json("prompt", "register", "prompts")
    assert {row["state"] for row in again} == {"unchanged"}
    assert [row["before"] for row in again] == [row["before"] for row in first]
    front = PromptModel.load_from_registry("front")
    assert (front.template, front.metadata["n"], len(PromptModel.list())) == ("Hi\nyou", 0.06, 3)


def test_a_text_that_changed_is_the_next_version(as_json, files):
    files(name="auto", template="Hi {name}")
    files(name="step", template="Hi {name}", bump="patch")
    as_json("prompt", "register", "prompts")
    files(name="auto", template="Hi {name} {cta}")
    files(name="step", template="Ho {name}", bump="patch")
    assert states(as_json("prompt", "register", "prompts")) == {
        "auto": ("1.1.0", "registered", "dev"),
        "step": ("1.0.1", "registered", "dev"),
    }
    files(name="auto", template="Hi {name} {cta}!")
    assert states(as_json("prompt", "register", "prompts", "--bump", "major"))["auto"][0] == "2.0.0"


def test_versions_of_one_prompt_are_registered_in_their_order(as_json, files):
    text = "".join(f"- {{name: a, version: {v}, template: 'v{v}'}}\n" for v in ("1.10.0", "1.0.0", "1.2.0"))
    rows = as_json("prompt", "register", files("all.yaml", text), "--stage", "staging")
    assert [(row["version"], row["before"], row["stage"]) for row in rows] == [
        ("1.0.0", None, "dev"),
        ("1.2.0", "1.0.0", "dev"),
        ("1.10.0", "1.2.0", "staging"),
    ]
    again = as_json("prompt", "register", "all.yaml")
    assert [(row["version"], row["before"]) for row in again] == [(row["version"], row["before"]) for row in rows]


def test_one_wrong_file_keeps_all_from_being_registered(shell, files):
    files(name="good", version="1.0.0", template="Hi")
    bad = files("prompts/bad.yaml", "name: bad\ntemplate: '{'\n")
    failed = shell("prompt", "register", "prompts", code=2)
    assert "prompts/bad.yaml:2:12: Invalid template format" in failed.stderr
    assert failed.stderr.endswith("Nothing was registered.\n")
    assert len(PromptModel.list()) == 0
    assert failed.stdout == ""
    Path(bad).unlink()
    shell("prompt", "register", "prompts")


def test_what_the_registry_refuses_keeps_all_from_being_registered(shell, files):
    files(name="a", version="1.0.0", template="Hi {name}")
    shell("prompt", "register", "prompts")
    files(name="a", version="1.0.0", template="Ho {name}")
    files(name="b", version="1.0.0", template="new")
    failed = shell("prompt", "register", "prompts", code=2)
    assert "prompts/a.yaml:2:10: Version 1.0.0 of a is registered already, with other content." in failed.stderr
    assert "Did you mean 1.0.1?" in failed.stderr
    assert len(PromptModel.list()) == 1
    files(name="a", version="1.0.1", template="Hi {who}")
    failed = shell("prompt", "register", "prompts", code=2)
    assert "callers still pass name" in failed.stderr
    assert "--allow-breaking" in failed.stderr
    shell("prompt", "register", "prompts", "--allow-breaking")
    assert len(PromptModel.list()) == 3


def test_what_registers_says_where_and_shows_no_password(shell, files, store):
    files(name="a", version="1.0.0", template="Hi")
    assert shell("prompt", "register", "prompts").stderr == f"Registry: {store}\n"
    dead = "http://ann:s3cret@127.0.0.1:9"
    failed = shell("prompt", "register", "prompts", "--mlflow-uri", dead, code=6)
    assert failed.stderr.startswith("Registry: http://")
    assert "s3cret" not in failed.output


@pytest.mark.parametrize(
    "line",
    [
        ("prompt", "register", "prompts", "--yes"),
        ("prompt", "register", "prompts", "--dry-run"),
        ("prompt", "promote", "a", "--to", "staging"),
        ("prompt", "rollback", "a"),
        ("model", "promote", "a"),
        ("model", "rollback", "a"),
    ],
    ids=" ".join,
)
def test_in_ci_nothing_is_written_where_no_registry_is_named(shell, files, store, monkeypatch, line):
    files(name="a", version="1.0.0", template="Hi")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # as an unset variable of a workflow arrives
    monkeypatch.setenv("CI", "true")
    refused = shell(*line, code=2)
    assert "MLFLOW_TRACKING_URI is not set, or empty" in refused.stderr
    assert "Registry:" not in refused.stderr
    named = shell(*line[:3], "--mlflow-uri", store, "--yes") if line[1] == "register" else None
    assert named is None or f"Registry: {store}" in named.stderr


def test_outside_ci_the_default_is_used_and_said(shell, files, monkeypatch, tmp_path):
    files(name="a", version="1.0.0", template="Hi")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("CI", raising=False)
    said = shell("prompt", "register", "prompts").stderr
    assert said == f"Registry: sqlite:///{tmp_path / 'mlflow.db'}\n"


def test_a_dry_run_checks_everything_and_writes_nothing(shell, as_json, files):
    files(name="a", version="1.0.0", template="Hi {name}")
    assert states(as_json("prompt", "register", "prompts", "--dry-run")) == {"a": ("1.0.0", "new", "dev")}
    assert len(PromptModel.list()) == 0
    shell("prompt", "register", "prompts")
    files(name="a", version="0.9.0", template="x")
    assert "is not above 1.0.0" in shell("prompt", "register", "prompts", "--dry-run", code=2).stderr


def test_registering_for_staging_is_finished_later_but_takes_nothing_back(as_json, files):
    files(name="a", version="1.0.0", template="Hi")
    as_json("prompt", "register", "prompts")
    assert states(as_json("prompt", "register", "prompts", "--stage", "staging"))["a"] == (
        "1.0.0",
        "unchanged",
        "staging",
    )
    assert states(as_json("prompt", "register", "prompts", "--stage", "staging"))["a"][2] == "staging"
    model = PromptModel.load_from_registry("a", stage="staging")
    assert len(model.get_history()) == 1
    model.rollback(why="bad")
    assert states(as_json("prompt", "register", "prompts", "--stage", "staging"))["a"][2] == "dev"
    assert len(model.get_history()) == 2


def test_several_prompts_of_a_name_need_their_versions(shell, files):
    text = "- {name: a, template: one}\n- {name: a, template: two}\n"
    failed = shell("prompt", "register", files("all.yaml", text), code=2)
    assert "all.yaml:1:10: a stands in the files several times" in failed.stderr


# promote and rollback


def test_named_prompts_are_promoted_and_rolled_back(shell, as_json, files):
    for version, text in (("1.0.0", "one"), ("1.0.1", "two")):
        files(name="a", version=version, template=text)
        as_json("prompt", "register", "prompts")
        as_json("prompt", "promote", "a", "--to", "staging")
        (row,) = as_json("prompt", "promote", f"a@{version}", "--to", "production", "--why", f"release {version}")
        assert (row["version"], row["stage"], row["state"]) == (version, "production", "promoted")
    back = as_json("prompt", "rollback", "a", "--why", "worse")
    assert (back["version"], back["stage"], back["kind"]) == ("1.0.0", "production", "prompt")
    history = as_json("prompt", "history", "a")["entries"]
    assert [e["why"] for e in history if e["to"] == "production"] == ["release 1.0.0", "release 1.0.1", "worse"]
    assert "worse" in shell("prompt", "history", "a").stdout
    assert "had no version before" in shell("prompt", "rollback", "a", code=4).stderr


def test_a_promotion_that_is_asked_for_again_changes_nothing_in_both_groups(as_json, files):
    for name in ("a", "b"):
        files(name=name, version="1.0.0", template="one")
    as_json("prompt", "register", "prompts")
    for to, wanted in (("staging", "staging"), ("production", "production"), ("staging", "production")):
        for again in (wanted != to, True):
            (row,) = as_json("prompt", "promote", "a", "--to", to)
            assert (row["version"], row["stage"], row["state"]) == (
                "1.0.0",
                wanted,
                "unchanged" if again else "promoted",
            )
            told = as_json("model", "promote", "b", "--to", to)
            assert (told["version"], told["stage"], bool(told["changes"])) == ("1.0.0", wanted, not again)


def test_a_rollback_of_a_prompt_is_the_same_in_both_groups(shell, as_json, files):
    for name in ("a", "b"):
        files(name=name, version="1.0.0", template="one")
    as_json("prompt", "register", "prompts", "--stage", "staging")
    told = [as_json(group, "rollback", name, "--why", "w") for group, name in (("prompt", "a"), ("model", "b"))]
    assert [(one["stage"], one["version"], one["changes"][0]["to"]) for one in told] == [("staging", None, "dev")] * 2
    for group in ("prompt", "model"):
        failed = shell(group, "rollback", "a", code=2).stderr
        assert f"See its history with hokusai {group} history." in failed


def test_what_to_try_is_said_in_the_words_of_a_shell(shell):
    assert "See what there is with hokusai prompt list." in shell("prompt", "history", "nobody", code=3).stderr
    failed = shell("prompt", "promote", "nobody", "--to", "staging", code=3).stderr
    assert "See what there is with hokusai prompt list." in failed
    assert "hokusai model list and hokusai prompt list" in shell("model", "promote", "nobody", code=3).stderr


@pytest.mark.usefixtures("shell")
def test_an_older_version_is_not_offered_over_a_later_one():
    old = PromptModel("a", "one", "1.0.0", metadata=FULL).register()
    new = PromptModel("a", "two", "1.0.1", metadata=FULL).register()
    new.promote_to_staging().promote_to_production()
    old.promote_to_staging()
    assert promotable(ModelStage.PRODUCTION) == []


def test_what_cannot_be_promoted_is_told_and_harms_no_other(shell, as_json, files):
    files(name="a", version="1.0.0", template="one")
    files(name="b", version="1.0.0", template="one")
    as_json("prompt", "register", "prompts")
    failed = shell("prompt", "promote", "nobody", "a", "--to", "staging", code=3)
    assert "There is no prompt 'nobody'" in failed.stderr
    assert PromptModel.load_from_registry("a").stage is ModelStage.STAGING
    assert "from dev to production" in shell("prompt", "promote", "b@1.0.0", "--to", "production", code=2).stderr
    failed = shell("prompt", "promote", "a", "--to", "production", "--require", "ctr > 0.5", code=2)
    assert "Tests failed" in failed.stderr
    shell("prompt", "promote", "a", "--to", "production", "--require", "ctr > 0.05")


def test_without_names_all_that_can_be_is_promoted_after_a_question(shell, as_json, files):
    for name in ("x/a", "x/b", "y/c"):
        files(name=name, version="1.0.0", template="one")
    as_json("prompt", "register", "prompts")
    shell("prompt", "promote", "--to", "staging", input="n\n", code=1)
    assert "Give --yes" in shell("prompt", "promote", "--to", "staging", input="", code=2).stderr
    assert {v.stage.value for v in PromptModel.list()} == {"dev"}
    asked = shell("prompt", "promote", "--to", "staging", "--prefix", "x/", input="y\n")
    assert "Promote 2 to staging?" in asked.stderr
    moved = as_json("prompt", "promote", "--to", "production", "--yes")
    assert [row["name"] for row in moved] == ["x/a", "x/b"]
    assert "Nothing can be promoted" in shell("prompt", "promote", "--to", "production").stdout
    PromptModel.load_from_registry("y/c").promote_to_staging().rollback()
    assert as_json("prompt", "promote", "--to", "staging", "--yes") == []
    shell("prompt", "promote", "x/a", "--to", "staging", "--prefix", "x/", code=2)


@pytest.mark.slow
def test_a_workflow_validates_registers_and_promotes_on_a_server(server, files, unique):
    name = unique("flow")
    files(name=name, version="1.0.0", template="Hi {name}")
    env = {**os.environ, "MLFLOW_TRACKING_URI": server, "COLUMNS": "200"}

    def run(*words):
        done = hokusai("prompt", *words, env=env)
        assert done.returncode == 0, done.stderr
        return done

    assert run("validate", "prompts", "--format", "github").stdout == ""
    assert "registered" in run("register", "prompts", "--stage", "staging").stdout
    assert "unchanged" in run("register", "prompts", "--stage", "staging").stdout
    assert "promoted" in run("promote", name, "--to", "production", "--why", "merged").stdout
    assert run("render", name, "--stage", "production", "--set", "name=Ada").stdout == "Hi Ada\n"
