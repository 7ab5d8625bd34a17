from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from hokusai_nb.cli.options import takes
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.arguments import arguments
from hokusai_nb.schema.registrations import RegisterFile
from hokusai_nb.schema.verbs import Compare, Register, ShowLineage

FILE = ["--token-id", "xray", "--model-path", "m.pkl", "--metric", "auroc", "--baseline", "0.82"]


def given(verb, *line):
    """The verb that a command line makes."""
    made = []
    command = click.command()(takes(verb)(lambda verb, **_: made.append(verb)))
    result = CliRunner().invoke(command, line, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return made[0]


def test_a_line_becomes_the_validated_verb():
    made = given(RegisterFile, *FILE, "--tag", "gpu_type=A100", "--tag", "note=a=b", "--dry-run")
    assert made.token == "XRAY"
    assert made.baseline == "0.82"
    assert made.tags == {"gpu_type": "A100", "note": "a=b"}
    assert made.dry_run
    assert made.value is None


def test_places_are_taken_in_the_fields_order():
    assert given(Compare, "m", "1", "2") == Compare(name="m", first="1", second="2")


def test_a_word_after_two_dashes_is_no_option():
    assert given(ShowLineage, "--", "--odd").name == "--odd"


@pytest.mark.parametrize("verb", [RegisterFile, Register, Compare, ShowLineage])
def test_the_help_has_every_field_but_those_of_a_notebook(verb):
    shown = CliRunner().invoke(click.command()(takes(verb)(lambda verb: None)), ["--help"]).output  # noqa: ARG005 - not called
    for argument in arguments(verb):
        named = argument.flag or argument.metavar
        assert (named in shown.split() or f"[{named}]" in shown.split()) is not argument.notebook


def test_the_functions_docstring_is_the_help_or_else_the_verbs():
    def documented(verb):
        """Do it well."""

    assert "Do it well." in CliRunner().invoke(click.command()(takes(Compare)(documented)), ["--help"]).output


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([*FILE, "--value", "high"], "Benchmark value must be numeric: 'high'"),
        ([*FILE, "--tag", "alone"], "--tag needs KEY=VALUE: 'alone'."),
        ([*FILE, "--tag", "a=1", "--tag", "a=2"], "--tag 'a' is given twice."),
        ([*FILE, "--tag", "benchmark_value=1"], "benchmark_value"),
        (["--token-id", "X_Y", *FILE[2:]], "Token ID format invalid: 'X_Y'"),
    ],
)
def test_a_wrong_value_is_refused_in_the_words_of_every_face(line, words):
    with pytest.raises(ValidationError, match=words.replace("(", r"\(")):
        given(RegisterFile, *line)


@pytest.mark.parametrize("line", [FILE[2:], [*FILE, "extra"], [*FILE, "--valu", "1"], [*FILE[:-1]]])
def test_what_click_refuses_is_wrong_usage(line):
    command = click.command()(takes(RegisterFile)(lambda verb: None))  # noqa: ARG005 - not called
    assert CliRunner().invoke(command, line).exit_code == 2
