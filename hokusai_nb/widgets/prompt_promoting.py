"""What stays of the prompt form after registering: the way on to staging and production."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.widgets.fields import action_bar, saying
from hokusai_nb.widgets.prompt_fields import TextField
from hokusai_nb.widgets.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Promoting"]

_FURTHER = (ModelStage.STAGING, ModelStage.PRODUCTION)


class Promoting:
    """The buttons that promote a version, with the reason for the history.

    Args:
        stage: Where the version is now.
        promote: Called with the stage and the reason when a button is clicked.

    Attributes:
        why: The reason.
        status: The place for messages.
        widgets: Everything, in order.
    """

    def __init__(self, stage: ModelStage, promote: Callable[[ModelStage, str], None]) -> None:
        self._stage = stage
        self._promote = promote
        self.why = TextField("why", placeholder="the reason, for the history", tooltip="Why it is promoted.")
        self.status = saying()
        self._buttons = {to: self._button(to) for to in _FURTHER}
        bar = action_bar(self._next, *(b for b in self._buttons.values() if b is not self._next), self.status)
        self.widgets = (widgets.HTML(str(STYLE)), self.why, bar)
        self.resume()

    @property
    def _next(self) -> widgets.Button:
        return self._buttons[ModelStage.STAGING if self._stage is ModelStage.DEV else ModelStage.PRODUCTION]

    def _button(self, to: ModelStage) -> widgets.Button:
        button = widgets.Button(description=f"Promote to {to.value}", layout={"width": "auto"})
        button.add_class("hokusai-promote")
        button.on_click(lambda _: self._promote(to, self.why.value))
        return button

    def standing(self) -> str:
        """Return where the version is, and why a button cannot be pressed."""
        if self._stage is ModelStage.DEV:
            return "In dev; production comes after staging."
        return "In staging; the next step replaces what is in production."

    def pause(self) -> None:
        """Have nothing pressed while the registry works."""
        for button in self._buttons.values():
            button.disabled = True

    def resume(self) -> None:
        """Have the next stage chosen."""
        for button in self._buttons.values():
            button.disabled = button is not self._next
            button.button_style = "primary" if button is self._next else ""

    def focus(self) -> None:
        """Move the keyboard to the button that can be pressed."""
        self._next.focus()
