from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hokusai_nb import errors
from hokusai_nb.cli.groups import EXIT_CODES, LazyGroup, Member, exit_code
from hokusai_nb.cli.main import main
from hokusai_nb.log import logger
from hokusai_nb.schema.problems import Problem

pytestmark = pytest.mark.usefixtures("_log_as_it_was")

HOKUSAI = str(Path(sys.executable).with_name("hokusai"))
# Coverage's own start-up is not what is measured here.
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def test_help_takes_at_most_150_ms_of_processor_time():
    def seconds() -> float:
        before = os.times()
        subprocess.run([HOKUSAI, "--help"], check=True, stdout=subprocess.DEVNULL, env=PLAIN)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(5)) <= 0.150


def test_listing_the_commands_imports_nothing_heavy():
    heavy = (
        "mlflow",
        "pandas",
        "pydantic",
        "altair",
        "IPython",
        "nbclient",
        "nbconvert",
        "numpy",
        "sqlalchemy",
        "httpx",
        "fastapi",
    )
    code = (
        "import sys, hokusai_nb.cli.main as m\n"
        "m.main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, env=PLAIN, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"


def walk(group, path=()):
    for name, member in group.members.items():
        command = group.get_command(None, name)
        yield (*path, name), member, command
        if isinstance(command, LazyGroup):
            yield from walk(command, (*path, name))


EVERY = list(walk(main))


@pytest.mark.parametrize(("path", "member", "command"), EVERY, ids=[" ".join(path) for path, _, _ in EVERY])
def test_every_command_exists_and_says_what_it_does(path, member, command):
    listed = CliRunner().invoke(main, [*path[:-1], "--help"])
    assert f"  {path[-1]} " in listed.output
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    assert len(shown.output.splitlines()) > 4
    # The line in the list is written by hand, so that listing imports nothing; it must not drift.
    assert member.help.endswith(".")
    assert command.name == path[-1]


@pytest.mark.parametrize("line", [["nope"], ["demo", "--nope"], ["demo", "--folder"]])
def test_wrong_usage_ends_with_exit_code_2(line):
    assert CliRunner().invoke(main, line).exit_code == 2


def problem_of(kind):
    return kind([Problem(field="name", what="There is no model 'x'.", hint="List them.")])


def said(kind):
    return kind("There is no model 'x'.", "List them.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (said(errors.HokusaiError), 1),
        (said(errors.RegistryError), 1),
        (said(errors.DatabaseError), 1),
        (problem_of(errors.ValidationError), 2),
        (problem_of(errors.UsageError), 2),
        (problem_of(errors.MetricValidationError), 2),
        (said(errors.TokenNotFoundError), 3),
        (said(errors.NoCurrentRunError), 3),
        (said(errors.TokenStatusError), 4),
        (said(errors.TokenBusyError), 4),
        (said(errors.BaselineError), 5),
        (said(errors.ConnectionFailedError), 6),
        (said(errors.DatabaseConnectionError), 6),
        (said(errors.DatabaseBusyError), 6),
        (said(errors.ServiceConnectionError), 6),
        (said(errors.AccessError), 7),
        (said(errors.ReadOnlyError), 7),
        (said(errors.RegistryAccessError), 7),
        (said(errors.RegistryBusyError), 6),
        (said(errors.DatabaseAccessError), 7),
        (problem_of(errors.FileAccessError), 7),
        (said(errors.SettingsError), 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_of_ours_is_two_lines_and_the_exit_code_of_its_kind(error, code, monkeypatch):
    @click.command()
    def failing() -> None:
        raise error

    module = type(sys)("hokusai_nb.cli.failing_command")
    module.failing = failing
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(main.members, "failing", Member("failing_command:failing", "Fail."))
    result = CliRunner().invoke(main, ["failing"])
    assert result.exit_code == code == exit_code(error)
    assert result.stderr == "Error: There is no model 'x'.\nList them.\n"
    assert result.stdout == ""


def test_the_exit_codes_are_documented_where_users_look():
    shown = CliRunner().invoke(main, ["--help"]).output
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for code, meaning, _ in EXIT_CODES:
        assert f"{code}  {meaning}" in shown
        assert f"| {code} | {meaning} |" in readme


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion_script(shell):
    made = CliRunner().invoke(main, ["completion", shell])
    assert made.exit_code == 0
    assert "_HOKUSAI_COMPLETE" in made.output


def test_each_line_of_the_completions_help_stands_whole():
    shown = [line.strip() for line in CliRunner().invoke(main, ["completion", "--help"]).output.splitlines()]
    for shell, place in {
        "bash": "~/.local/share/bash-completion/completions/hokusai",
        "zsh": '"${fpath[1]}/_hokusai"',
        "fish": "~/.config/fish/completions/hokusai.fish",
    }.items():
        assert f"{shell + ':':<7}hokusai completion {shell} > {place}" in shown
    assert not any("\\b" in line for line in shown)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"), [(["mo"], "model"), (["model", "reg"], "register"), (["token", "li"], "list")], ids=str
)
def test_the_script_of_bash_completes_a_line(words, expected):
    script = subprocess.run([HOKUSAI, "completion", "bash"], check=True, capture_output=True, text=True).stdout
    line = f'{script}\nCOMP_WORDS=(hokusai "$@"); COMP_CWORD=$#; _hokusai_completion hokusai; echo "${{COMPREPLY[@]}}"'
    env = {**PLAIN, "PATH": f"{Path(HOKUSAI).parent}{os.pathsep}{PLAIN['PATH']}"}
    command = ["bash", "-c", line, "bash", *words]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    assert expected in done.stdout.split()
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "words", "last", "expected"),
    [
        ("zsh", "hokusai mo", "1", "plain\nmodel\nRegister, list, compare and trace models.\n"),
        ("zsh", "hokusai model register --metric au", "4", "plain\nauc\n_\nplain\nauroc\n_\n"),
        ("fish", "hokusai mo", "mo", "plain,model\tRegister, list, compare and trace models.\n"),
        ("fish", "hokusai model register --metric au", "au", "plain,auc\nplain,auroc\n"),
    ],
)
def test_what_the_scripts_of_zsh_and_fish_ask_is_answered_in_their_form(shell, words, last, expected):
    env = {**PLAIN, "_HOKUSAI_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": last}
    assert subprocess.run([HOKUSAI], env=env, check=True, capture_output=True, text=True).stdout == expected


@pytest.mark.slow
def test_bash_completes_commands_options_and_metrics():
    def proposed(*words: str) -> str:
        env = {**PLAIN, "_HOKUSAI_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["hokusai", *words])}
        asked = subprocess.run(
            [HOKUSAI], env={**env, "COMP_CWORD": str(len(words))}, check=True, capture_output=True, text=True
        )
        return asked.stdout

    assert "plain,model" in proposed("mo")
    assert "plain,register" in proposed("model", "reg")
    assert "plain,--baseline" in proposed("model", "register", "--ba")
    assert "plain,auroc" in proposed("model", "register", "--metric", "au")


@pytest.fixture
def _log_as_it_was():
    before = logger.handlers[0].formatter
    yield
    logger.handlers[0].setFormatter(before)
