"""The prompt form, as a magic opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from hokusai_nb.magics.forms import Notebook
from hokusai_nb.magics.typed import as_typed
from hokusai_nb.schema.arguments import typed_value
from hokusai_nb.schema.versioning import Bump
from hokusai_nb.widgets.prompt import PromptForm

if TYPE_CHECKING:
    from hokusai_nb.magics.calling import Call

__all__ = ["open_prompt"]


def open_prompt(call: Call) -> PromptForm:
    """Return the prompt form with what the line says filled in, and with the cell as its template.

    It is returned where no widget can live, too: it shows itself as text there, and can be driven from Python.

    Raises:
        UsageError: A variable on the line does not exist, there is no such step, or ``--register`` is given, too.
    """
    given = call.request.values(call.namespace)
    if given.get("register_it"):
        call.request.refuse("--register and --form exclude each other: the form registers.", "Leave one of them out.")
    bump = given.get("bump")
    if bump not in (None, *get_args(Bump)):
        call.request.refuse(f"There is no version step {bump!r}.", "Use major, minor or patch.")
    return PromptForm(
        given.get("name", ""),
        as_typed(call.shell, call.cell) if call.cell else "",
        given.get("version", ""),
        bump=bump,
        metadata={key: typed_value(text) for key, text in given.get("meta", {}).items()},
        values=given.get("render", {}),
        allow_breaking=bool(given.get("allow_breaking")),
        workspace=Notebook(call.shell),
    )
