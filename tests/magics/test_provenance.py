"""Where a registration was made is recorded where it can be known, and costs next to nothing."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from hokusai_nb.config import configure
from hokusai_nb.magics import provenance
from hokusai_nb.magics.provenance import git_facts, notebook_path, notebook_tags, work_tree


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch, tmp_path):
    """Start each test in an empty folder, with nothing remembered."""
    monkeypatch.setattr(provenance, "_seen", {})
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def repository(tmp_path):
    """A git work tree with one commit."""
    root = tmp_path / "repo"
    (root / "deep").mkdir(parents=True)
    (root / "file.txt").write_text("one")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    return root


def git(root, *command):
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
    return subprocess.run(
        ["git", *identity, *command], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_outside_of_a_work_tree_there_are_kernel_and_digest_only(shell):
    assert set(notebook_tags(shell)) == {"hokusai.notebook.kernel", "hokusai.notebook.history_digest"}


def test_switched_off_there_is_nothing(shell):
    configure(notebook_provenance=False)
    assert notebook_tags(shell) == {}


def test_the_commit_and_whether_files_differ_from_it_are_recorded(shell, repository, monkeypatch):
    monkeypatch.chdir(repository / "deep")
    tags = notebook_tags(shell)
    assert tags["hokusai.notebook.git_commit"] == git(repository, "rev-parse", "HEAD")
    assert tags["hokusai.notebook.git_dirty"] == "false"
    (repository / "file.txt").write_text("two")
    provenance._seen.clear()
    assert notebook_tags(shell)["hokusai.notebook.git_dirty"] == "true"


def test_a_work_tree_without_a_commit_has_none(tmp_path):
    git(tmp_path, "init", "--quiet")
    assert git_facts(tmp_path) == {}


def test_a_folder_that_only_looks_like_a_work_tree_has_no_commit(tmp_path):
    (tmp_path / ".git").mkdir()
    assert git_facts(tmp_path) == {}


def test_without_git_there_is_no_commit(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_facts(repository) == {}


def test_git_is_asked_once_in_a_while(repository, monkeypatch):
    asked = []
    real = provenance._ask_git
    monkeypatch.setattr(provenance, "_ask_git", lambda root: asked.append(root) or real(root))
    assert git_facts(repository) == git_facts(repository) != {}
    assert len(asked) == 1


def test_a_git_that_hangs_costs_seconds_at_most_and_nothing_is_claimed(repository, tmp_path, monkeypatch):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(provenance, "GIT_SECONDS", 0.3)
    started = time.monotonic()
    assert git_facts(repository) == {}
    assert time.monotonic() - started < 30


def test_where_comparing_takes_too_long_the_commit_is_recorded_alone(repository, tmp_path, monkeypatch):
    head = git(repository, "rev-parse", "HEAD")
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ncase "$*" in *status*) exec sleep 60;; *) echo {head};; esac\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(provenance, "GIT_SECONDS", 0.3)
    assert git_facts(repository) == {"git_commit": head}


def test_a_repositorys_own_settings_start_no_program(repository, tmp_path):
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path / 'sprung'}\n")
    trap.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(trap))
    assert git_facts(repository)["git_commit"]
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"])
def test_the_path_is_taken_from_what_the_front_end_leaves(shell, tmp_path, name):
    shell.user_ns[name] = str(tmp_path / "a b.ipynb")
    assert notebook_path(shell) == tmp_path / "a b.ipynb"


def test_the_path_is_taken_from_jupyters_server(shell, tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "n.ipynb"))
    assert notebook_path(shell) == tmp_path / "n.ipynb"


@pytest.mark.parametrize("value", ["console-1", "a\0.ipynb", "", 5, None, "3f0c-uuid"])
def test_what_is_no_notebook_is_no_path(shell, value):
    shell.user_ns["__vsc_ipynb_file__"] = value
    assert notebook_path(shell) is None


def test_inside_a_work_tree_the_path_is_relative_to_it_and_names_no_home(shell, repository):
    shell.user_ns["__vsc_ipynb_file__"] = str(repository / "deep" / "n.ipynb")
    tags = notebook_tags(shell)
    assert tags["hokusai.notebook.path"] == "deep/n.ipynb"
    assert tags["hokusai.notebook.git_commit"] == git(repository, "rev-parse", "HEAD")


def test_the_digest_changes_with_every_input_and_with_nothing_else(shell):
    digests = [notebook_tags(shell)["hokusai.notebook.history_digest"] for _ in range(2)]
    shell.run_cell("1 + 1", store_history=True)
    digests.append(notebook_tags(shell)["hokusai.notebook.history_digest"])
    assert digests[0] == digests[1] != digests[2]


def test_the_root_is_found_from_any_depth_without_starting_git(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert work_tree(repository / "deep" / "n.ipynb") == repository
    assert work_tree(repository.parent / "n.ipynb") is None
    monkeypatch.chdir(repository)
    assert work_tree(None) == work_tree(repository / "gone" / "n.ipynb") == repository


def test_a_working_folder_that_is_gone_is_no_reason_to_fail(shell, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "hokusai.notebook.kernel" in notebook_tags(shell)
    os.chdir(tmp_path)


def test_every_tag_can_be_stored(shell, repository):
    from hokusai_nb.schema.tags import check_tags

    shell.user_ns["__vsc_ipynb_file__"] = str(repository / "n\udcff.ipynb")
    required = {"hokusai_token_id": "A-B", "benchmark_metric": "accuracy", "benchmark_value": "0.5"}
    assert check_tags({**required, **notebook_tags(shell)}) == []
