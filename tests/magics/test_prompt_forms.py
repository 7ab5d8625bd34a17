"""``%hokusai_prompt`` bare and with --form: the prompt form as the magics open it."""

from __future__ import annotations

import pytest

from hokusai_nb.core.prompts import PromptModel
from tests.prompts import FULL


@pytest.fixture(autouse=True)
def ready(store, shell):  # noqa: ARG001 - the store is set before the shell is used
    """A shell in which MLflow writes to the test's store; its forms are closed at the end."""
    yield shell
    for value in list(shell.user_ns.values()):
        if type(value).__name__ == "PromptForm":
            value.wait(20)
            value.close()


def test_a_bare_line_opens_an_empty_form(run):
    form = run("form = %hokusai_prompt\nform")
    assert [field.value for field in form.fields.values()] == ["", "", "", ""]


def test_a_line_opens_what_is_registered(run):
    PromptModel("hook", "Hi {name}", "1.0.0", metadata=FULL).register()
    form = run("form = %hokusai_prompt hook --form\nform")
    assert form.wait(20)
    assert form.fields["template"].value == "Hi {name}"


def test_a_cell_opens_the_form_with_everything_that_it_says(run):
    cell = (
        '%%hokusai_prompt hook --bump minor --meta target=0.06 --meta note="a b" --render name=Ada --form\nHi\n\n{name}'
    )
    form = run(cell)
    assert form.fields["template"].value == "Hi\n\n{name}"
    assert (form.fields["name"].value, form.fields["bump"].value) == ("hook", "minor")
    assert form.metadata.metadata == {"target": 0.06, "note": "a b"}
    assert form.rendered == "Hi\n\nAda"


def test_the_cell_that_the_form_shows_registers_what_the_form_would(run):
    form = run("form = %hokusai_prompt\nform")
    form.fields["name"].value, form.fields["template"].value = "a/b", "Hi {name},\n  {price:.2f} $ {{}}\n"
    form.values["price"].value = "3"
    for key, value in FULL.items():
        form.metadata.add(key, str(value))
    assert form.wait(20)
    run(form.magic_line())
    assert form.submit().version == "1.0.0"
    assert form.receipt._text_().startswith("Already registered a/b 1.0.0")


@pytest.mark.parametrize(
    ("line", "words"),
    [("hook --form --register", "--register and --form exclude each other"), ("hook --bump huge --form", "'huge'")],
)
def test_what_contradicts_the_form_is_refused(refused, line, words):
    assert words in "\n".join(refused(f"%hokusai_prompt {line}"))
