"""The forms that magics open, and what they know of the notebook they stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hokusai_nb.magics.completion import suggestions_of
from hokusai_nb.magics.estimators import find_object, fitted_estimators
from hokusai_nb.magics.prompting import ask, can_ask
from hokusai_nb.widgets.registration import RegistrationForm
from hokusai_nb.widgets.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from hokusai_nb.magics.calling import Call
    from hokusai_nb.schema.receipt import Receipt

__all__ = ["Notebook", "open_registration"]

_CONTRADICTIONS = {
    "dry_run": ("--dry-run", "the form shows what would be written before it writes"),
    "as_json": ("--json", "the form is no JSON text"),
}


class Notebook(Workspace):
    """The variables of a shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    @property
    def shell(self) -> InteractiveShell:
        """Where the form's cells are run."""
        return self._shell

    def find(self, text: str | None) -> object:
        """Return the object that a variable's name stands for, or None if the text is no such name.

        Raises:
            UsageError: The variable exists, but it has no such attribute or item.
        """
        return find_object(text, self._shell.user_ns)

    def estimators(self) -> Sequence[str]:
        """Return the names of the variables that hold fitted estimators."""
        return fitted_estimators(self._shell.user_ns)

    def registered(self) -> None:
        """Have the completion look again."""
        suggestions_of(self._shell).invalidate()


def open_registration(call: Call) -> RegistrationForm | Receipt | None:
    """Return the registration form with the line's options filled in; in a terminal, ask its questions.

    Raises:
        UsageError: A variable on the line does not exist, or an option contradicts the form.
    """
    values: dict[str, Any] = call.request.values(call.namespace)
    for field, (flag, reason) in _CONTRADICTIONS.items():
        if field in values:
            call.request.refuse(f"{flag} and --form exclude each other: {reason}.", "Leave one of them out.")
    rows = values.get("input_example")
    workspace = Notebook(call.shell)
    if rows is not None and workspace.find(rows) is None:
        call.request.refuse(f"There is no variable {rows!r} with input rows.", "Name one for --input-example.")
    form = RegistrationForm(values=values, workspace=workspace)
    if not can_ask(call.shell):
        return form
    try:
        return ask(form)
    finally:
        form.close()
