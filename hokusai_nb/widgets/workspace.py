"""Where a form stands: the variables it can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Workspace"]


class Workspace:
    """A place without variables, for a form that is made in plain Python.

    `%hokusai_register` hands in the notebook instead. All but `registered` are called in threads.
    """

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
