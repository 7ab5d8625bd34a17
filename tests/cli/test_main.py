from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hokusai_nb.cli.main import COMMANDS, main
from hokusai_nb.errors import NotFoundError, UsageError
from hokusai_nb.schema.problems import Problem

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
    heavy = ("mlflow", "pandas", "pydantic", "altair", "IPython", "nbclient", "nbconvert", "numpy")
    code = (
        "import sys, hokusai_nb.cli.main as m\n"
        "m.main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, env=PLAIN, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_every_command_exists_and_says_what_it_does():
    listed = CliRunner().invoke(main, ["--help"])
    assert listed.exit_code == 0
    for name in COMMANDS:
        help_text = CliRunner().invoke(main, [name, "--help"])
        assert help_text.exit_code == 0
        assert name in listed.output
        assert len(help_text.output.splitlines()) > 4


@pytest.mark.parametrize("line", [["nope"], ["demo", "--nope"], ["demo", "--folder"]])
def test_wrong_usage_ends_with_exit_code_2(line):
    assert CliRunner().invoke(main, line).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("There is no model 'x'.", "Run %hokusai_models."), 1),
        (UsageError([Problem(field="name", what="There is no model 'x'.", hint="Run %hokusai_models.")]), 2),
    ],
)
def test_an_error_of_ours_is_two_lines_and_an_exit_code(error, code, monkeypatch):
    @click.command()
    def failing() -> None:
        raise error

    module = type(sys)("hokusai_nb_failing_command")
    module.failing = failing
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "failing", f"{module.__name__}:failing")
    result = CliRunner().invoke(main, ["failing"])
    assert result.exit_code == code
    assert result.stderr == "Error: There is no model 'x'.\nRun %hokusai_models.\n"
    assert result.stdout == ""
