"""Where a form stands: the variables it can name, and the cells that change them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from IPython.core.interactiveshell import InteractiveShell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["AfterCells", "Workspace"]

EVENT = "post_run_cell"


class AfterCells:
    """Does something after each cell, until it is ended; unloading the extension ends it too.

    Args:
        shell: Where the cells are run; None where there are none.
        do: What to do.

    Attributes:
        on: Whether every cell is followed by it.
    """

    def __init__(self, shell: InteractiveShell | None, do: Callable[[], None]) -> None:
        self._do = do
        # Cells run in the main thread, and MLflow keeps a current run for each.
        self._shell = shell if threading.current_thread() is threading.main_thread() else None
        self.on = self._shell is not None
        if self._shell is not None:
            self._shell.events.register(EVENT, self)

    def __call__(self, result: object = None) -> None:
        """Do it, as IPython does after a cell."""
        del result
        self._do()

    def end(self) -> None:
        """Do it no more."""
        self.on = False
        if self._shell is not None and self in self._shell.events.callbacks[EVENT]:
            self._shell.events.unregister(EVENT, self)


class Workspace:
    """A place without variables, for a form that is made in plain Python.

    `%hokusai_register` hands in the notebook instead. `find` and `estimators` are called in threads.
    """

    @property
    def shell(self) -> InteractiveShell | None:
        """Where the form's cells are run; None in plain Python."""
        return InteractiveShell.instance() if InteractiveShell.initialized() else None

    def find(self, text: str | None) -> object:
        """Return the object that a variable's name stands for, or None if the text is no such name.

        Raises:
            HokusaiError: It begins as one and leads nowhere.
        """
        del text
        return None

    def estimators(self) -> Sequence[str]:
        """Return the names of the variables that hold fitted estimators."""
        return ()

    def registered(self) -> None:
        """Take note that something was registered."""
