"""One call of a magic: read the line, do what it says, return what the cell shows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

from hokusai_nb.magics.parsing import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from hokusai_nb.magics import Magic
    from hokusai_nb.schema.verbs import Verb

__all__ = ["Call", "call"]

V = TypeVar("V", bound="Verb")


class Call:
    """What a magic's function is given.

    Attributes:
        shell: The shell that the line was typed in.
        request: The line, read but without the values of its variables.
        cell: The cell below the line, for a cell magic.
    """

    def __init__(self, magic: Magic, request: Request, cell: str | None, local_ns: Mapping[str, Any]) -> None:
        self.shell: InteractiveShell = magic.shell
        self.request = request
        self.cell = cell or ""
        self._magic = magic
        self._local_ns = local_ns

    @property
    def namespace(self) -> dict[str, Any]:
        """The variables as they are now: the calling function's, then the user's."""
        return {**self.shell.user_ns, **self._local_ns}

    def verb(self, kind: type[V]) -> V:
        """Return what the line asks for.

        Raises:
            ValidationError: A variable or a field is wrong.
        """
        made = self.request.make(self.namespace)
        assert isinstance(made, kind)
        return made

    def show_help(self) -> None:
        """Print how the magic is called."""
        print(self._magic.__doc__)  # noqa: T201 - --help prints


def call(magic: Magic, line: str, cell: str | None, local_ns: Mapping[str, Any]) -> Any:
    """Do what a line, or a line and a cell, asks for; None where the line ends in ``;``."""
    request = Request(magic.verb, line, magic.name)
    made = Call(magic, request, cell, local_ns)
    if request.wants_help:
        made.show_help()
        return None
    module, _, function = (magic.spec.line if cell is None else magic.spec.cell).partition(":")
    result = getattr(importlib.import_module(f"hokusai_nb.magics.{module}"), function)(made)
    return None if request.silent else result
