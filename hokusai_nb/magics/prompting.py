"""The registration form as questions in a terminal, where no widget can live."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.display import printable
from hokusai_nb.schema.problems import errors_in

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from hokusai_nb.schema.receipt import Receipt
    from hokusai_nb.widgets.fields import Field
    from hokusai_nb.widgets.registration import RegistrationForm

__all__ = ["ask", "can_ask"]

LOOK_SECONDS = 6.0
"""A server that is down is noticed sooner."""
OFFERED = 8


def can_ask(shell: InteractiveShell) -> bool:
    """Return whether a person sits at the terminal that the shell runs in."""
    if type(shell).__name__ != "TerminalInteractiveShell" or sys.stdin is None or sys.stdout is None:
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(form: RegistrationForm) -> Receipt | None:
    """Ask the form's questions one by one and register; None where the person declines.

    An empty answer keeps what stands in brackets. Ctrl-C or Ctrl-D ends it, and nothing is written.

    Raises:
        ValidationError: Something stayed wrong that no answer mends, such as a run without a model.
    """
    _say("Register a model under a token. Enter keeps the value in brackets, Ctrl-C leaves.")
    try:
        for field in form.fields.values():
            _answer(field, form)
        _ask_tags(form)
        form.wait(LOOK_SECONDS)
        _say("", *form.summary(), f"  {form.magic_line()}")
        if not form.can_register:
            raise ValidationError(errors_in(form.problems))
        if not _agrees("Register?"):
            _say("Nothing was registered.")
            return None
    except (KeyboardInterrupt, EOFError):
        _say("", "Nothing was registered.")
        return None
    form.submit()
    return form.receipt


def _say(*lines: str) -> None:
    for line in lines:
        # What a registry says must not steer the terminal.
        print(printable(line))  # noqa: T201 - a dialogue


def _agrees(question: str) -> bool:
    return input(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")


def _answer(field: Field, form: RegistrationForm) -> None:
    """Ask for one field until its value is right."""
    form.wait(LOOK_SECONDS)
    if offered := field.input.options[:OFFERED]:
        more = " …" if len(field.input.options) > OFFERED else ""
        _say(f"  {', '.join(offered)}{more}")
    while True:
        default = printable(field.value)
        text = input(f"{field.label}{f' [{default}]' if default else ''}: ").strip()
        if text or not field.value:
            form.answer(field.key, text or field.value)
        _say_of(field)
        # What a repair made is looked at like any other answer.
        while (repair := _proposal(field)) is not None and _agrees(f"  Use {printable(repair)}?"):
            field.repair()
            _say_of(field)
        problem = field.problem
        # Without a run there is no model to name; whether that can be mended is seen when all is answered.
        unmended = field.key == "model" and not text and (problem is None or problem.repair is None)
        if problem is None or problem.severity == "warning" or unmended:
            return


def _say_of(field: Field) -> None:
    if field.message:
        _say(f"  {field.message}")


def _proposal(field: Field) -> str | None:
    """Return what would mend an answer that is wrong, where that is known."""
    problem = field.problem
    return problem.repair if problem is not None and problem.severity == "error" else None


def _ask_tags(form: RegistrationForm) -> None:
    """Ask for further tags until one is left out."""
    while text := input("Tag KEY=VALUE (Enter for none): ").strip():
        key, _, value = text.partition("=")
        row = form.tags.add(key.strip(), value.strip())
        problem = row.problem
        if problem is None:
            continue
        _say(f"  {row.message}")
        if problem.severity == "error":
            form.tags.remove(row)
