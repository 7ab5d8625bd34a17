"""Where a form stands: the variables it can name, and the cells that change them."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from IPython.core.interactiveshell import InteractiveShell

from hokusai_nb.errors import HokusaiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult

__all__ = ["AfterCells", "Lookup", "Workspace", "resume"]

EVENT = "post_run_cell"
MOST = 8
"""Forms that follow the cells of a shell at once; of more, the oldest stay behind."""
_paused: weakref.WeakSet[AfterCells] = weakref.WeakSet()


class AfterCells:
    """Does something after each cell, until it is ended.

    A cell that is run again opens its form anew, and the earlier one, which nobody sees any more, follows
    no more cells. Unloading the extension pauses it; when it is loaded again, it goes on.

    Args:
        shell: Where the cells are run; None where there are none.
        do: What to do; also when it stops to follow cells by itself, so that it can be known.

    Attributes:
        on: Whether every cell is followed by it.
    """

    def __init__(self, shell: InteractiveShell | None, do: Callable[[], None]) -> None:
        self._do = do
        self._opened_by: ExecutionInfo | None = None
        # Cells run in the main thread, and MLflow keeps a current run for each.
        self._shell = shell if threading.current_thread() is threading.main_thread() else None
        self.on = False
        self._follow()

    def __call__(self, result: ExecutionResult | None = None) -> None:
        """Do it, as IPython does after a cell."""
        info = result.info if result is not None else None
        if self._opened_by is None:
            self._opened_by = info  # the first cell that ends is the one that opened the form
        elif info is not None and info is not self._opened_by and _cell(info) == _cell(self._opened_by):
            self.end()
        self._do()

    def pause(self) -> None:
        """Follow no cells until it is resumed."""
        self._stop()
        if self._shell is not None:
            _paused.add(self)
        self._do()

    def resume(self, shell: InteractiveShell) -> None:
        """Go on, if it was paused in this shell."""
        if self._shell is shell:
            _paused.discard(self)
            self._follow()
            self._do()

    def end(self) -> None:
        """Do it no more."""
        self._stop()
        _paused.discard(self)
        self._shell = None

    def _follow(self) -> None:
        if self._shell is None:
            return
        self._shell.events.register(EVENT, self)
        self.on = True
        followed = [one for one in self._shell.events.callbacks[EVENT] if isinstance(one, AfterCells)]
        for one in followed[:-MOST]:
            one.end()
            one()

    def _stop(self) -> None:
        self.on = False
        if self._shell is not None and self in self._shell.events.callbacks[EVENT]:
            self._shell.events.unregister(EVENT, self)


def resume(shell: InteractiveShell) -> None:
    """Have the open forms of a shell follow its cells again."""
    for one in list(_paused):
        one.resume(shell)


def _cell(info: ExecutionInfo) -> object:
    """Return what tells a cell from others: its id where there is a notebook, else its text."""
    return info.cell_id or info.raw_cell


class Lookup:
    """What texts stand for, each looked up once: it may take its time, or be another object every time.

    Args:
        find: Returns what a text stands for, as `Workspace.find` does.
    """

    def __init__(self, find: Callable[[str | None], object]) -> None:
        self._find = find
        self._found: dict[str | None, tuple[object, HokusaiError | None]] = {}

    def __call__(self, text: str | None) -> object:
        """Return the object that a text stands for, or None.

        Raises:
            HokusaiError: What looking it up raised.
        """
        if text not in self._found:
            try:
                self._found[text] = self._find(text), None
            except HokusaiError as error:
                self._found[text] = None, error
        found, refusal = self._found[text]
        if refusal is not None:
            raise refusal.with_traceback(None)
        return found

    def forget(self) -> None:
        """Look everything up anew."""
        self._found = {}


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
