"""What every form does alike: it shows itself, and a receipt takes its place once it is done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import ipywidgets as widgets
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from markupsafe import Markup

from hokusai_nb.core.background import Background
from hokusai_nb.schema.display import Shown
from hokusai_nb.widgets.fields import close_all, close_parts, receipt_box, said, saying
from hokusai_nb.widgets.kept import Place, hand_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Form"]

R = TypeVar("R", bound=Shown)

_KEEP_SECONDS = 0.5


class Form(widgets.VBox, Generic[R]):
    """A form that is replaced by its receipt wherever it is shown, so that a saved notebook holds the result.

    Args:
        static: Returns the form as HTML and as text, for where no widget can live.

    Attributes:
        receipt: What came of it, or None before that.
        failure: The error that is shown; empty once somebody has gone on.
    """

    def __init__(self, static: Callable[[], tuple[Markup, str]]) -> None:
        self._static = static
        self.receipt: R | None = None
        self.failure = ""
        self._places: list[Place] = []
        self._goes_on = False
        self._handed = 0
        self._placing = threading.Lock()
        self._keeper: Background[None, None] = Background(self._keep, lambda *_: None, pause=_KEEP_SECONDS)
        self._status = saying()
        self._shown_by = ""
        self.children: tuple[widgets.Widget, ...]
        super().__init__()
        self._id = str(self.model_id)
        self.add_class("hokusai-form")
        self.add_class(f"hokusai-live-{self._id}")

    def say(self, kind: str, text: str) -> None:
        """Show a message beside the buttons: an ``error`` or a ``note``."""
        self._status.value = said(kind, text)

    def report(self, text: str) -> None:
        """Show an error, as the handlers of the form do with whatever was raised in them."""
        self.failure = text
        if self.receipt is None or self._goes_on:
            self.say("error", text)
        elif self.comm is not None:  # the status went with the fields
            self._show_instead(receipt_box(self.receipt, self._shown_by), widgets.HTML(said("error", text)))

    def hand_out(self, receipt: R, line: str = "", *, further: Sequence[widgets.Widget] = ()) -> None:
        """Show the receipt in place of the form: on the screen, and in what is saved.

        Args:
            receipt: What came of it.
            line: The line that shows it again.
            further: Controls to go on with, where the form is not finished: it stays with these below the
                receipt. What is saved holds the receipt all the same.
        """
        self._shown_by = line
        self._handed += 1
        box = receipt_box(receipt, line, self._mark if further else "hokusai-none")
        with self._placing:
            self.receipt, self._goes_on = receipt, bool(further)
            if further:
                for place in self._places:
                    place.keep(self._texts()) if place.lives else place.show(receipt)
            else:
                hand_out(receipt, self._places)
        self._show_instead(box, *further)  # of a finished form, seen in Voila, where no output is replaced

    @property
    def _mark(self) -> str:
        return f"hokusai-handed-{self._id}-{self._handed}"

    def _texts(self) -> dict[str, str]:
        """What is saved of the form as long as it is not finished."""
        if self.receipt is None:
            html, text = self._static()
        else:
            html, text = self.receipt._html_(), self.receipt._text_()
            html = Markup('<div class="{}">{}</div>').format(self._mark, html)
        return {"text/html": str(html), "text/plain": text}

    def keep(self) -> None:
        """Have what stands in the form saved with the notebook, once the user pauses."""
        if self._places:
            self._keeper.put(None)

    def _keep(self, _: None) -> None:
        texts = self._texts()
        with self._placing:
            for place in self._places if self.receipt is None else ():
                place.keep(texts)

    def _show_instead(self, *shown: widgets.Widget) -> None:
        """Show these only; a widget that is not closed stays known to the front end for ever."""
        before, self.children = self.children, shown if self.comm is not None else ()
        for widget in {*before, *shown} - {*self.children}:
            close_all(widget)

    def close(self) -> None:
        """Close the form and everything in it; what is displayed again is its text."""
        if self.comm is None:
            return
        self._keeper.stop()
        self._goes_on = False
        close_parts(self)
        super().close()
        del self._repr_mimebundle_  # a closed widget would have none

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The live form, with HTML and text for where no widget can live; after success the receipt."""
        if self.receipt is not None and not self._goes_on:
            return self.receipt._repr_mimebundle_()
        live = {} if self.comm is None else super()._repr_mimebundle_(**kwargs)
        return {**live, **self._texts()}

    def _ipython_display_(self) -> None:
        """Show it where it can later be replaced: a saved notebook then holds the receipt."""
        bundle = self._repr_mimebundle_()
        if not InteractiveShell.initialized():  # there is no front end; display() would print the whole bundle
            print(bundle["text/plain"])  # noqa: T201
        elif self.receipt is not None and not self._goes_on:
            display(bundle, raw=True)
        else:
            self._places.append(Place(self._id, bundle))
