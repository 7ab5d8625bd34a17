"""What every form does alike: it shows itself, and a receipt takes its place once it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import ipywidgets as widgets
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from hokusai_nb.schema.display import Shown
from hokusai_nb.widgets.fields import receipt_box, said

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Form"]

R = TypeVar("R", bound=Shown)


class Form(widgets.VBox, Generic[R]):
    """A form that is replaced by its receipt wherever it is shown, so that a saved notebook holds the result.

    Attributes:
        receipt: What came of it, or None before that.
    """

    def __init__(self) -> None:
        self.receipt: R | None = None
        self._handles: list[Any] = []
        self._status = widgets.HTML()
        super().__init__()
        self.add_class("hokusai-form")

    def static(self) -> tuple[Markup, str]:
        """Return the form as HTML and as text, for where no widget can live."""
        raise NotImplementedError  # pragma: no cover - every form says how it looks

    def say(self, kind: str, text: str) -> None:
        """Show a message beside the buttons: an ``error`` or a ``note``."""
        self._status.value = said(kind, text)

    def report(self, text: str) -> None:
        """Show an error, as the handlers of the form do with whatever was raised in them."""
        self.say("error", text)

    def hand_out(self, receipt: R) -> None:
        """Show the receipt in place of the form: on the screen, and in what is saved."""
        self.receipt = receipt
        self.children = [receipt_box(receipt)]
        for handle in self._handles:
            handle.update(receipt)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The live form, with HTML and text for where no widget can live; after success the receipt."""
        if self.receipt is not None:
            return self.receipt._repr_mimebundle_()
        html, text = self.static()
        return {**super()._repr_mimebundle_(**kwargs), "text/html": str(html), "text/plain": text}

    def _ipython_display_(self) -> None:
        """Show it where it can later be replaced: a saved notebook then holds the receipt."""
        bundle = self._repr_mimebundle_()
        if not InteractiveShell.initialized():  # there is no front end; display() would print the whole bundle
            print(bundle["text/plain"])  # noqa: T201
        elif self.receipt is not None:
            display(bundle, raw=True)
        else:
            self._handles.append(display(bundle, raw=True, display_id=True))
