"""The kit that forms are made of: a field with its message and repair, a safe handler, a receipt."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup

from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.display import Shown, printable, shortened, visible
from hokusai_nb.widgets.style import SAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hokusai_nb.schema.problems import Problem

__all__ = [
    "INDENT",
    "LABEL_WIDTH",
    "Field",
    "Noted",
    "action_bar",
    "close_all",
    "close_parts",
    "guarded",
    "receipt_box",
    "said",
    "saying",
]

LABEL_WIDTH = "7em"
INDENT = f"0 0 .4em calc({LABEL_WIDTH} + 8px)"
_LONGEST_REPAIR = 60
# Once its page was loaded anew, JupyterLab replaces no output of a notebook: this box stays where it would
# otherwise be gone at once. Elsewhere, such as in Voila, nothing is kept. Where the form itself stays, the box
# is there only if what is kept beside it is not the receipt, which carries the mark.
_AGAIN = Markup(
    "<style>"
    ".hokusai-again{{display:none}}"
    ".jp-NotebookPanel:not(:has(.{mark})) .hokusai-again{{display:block;animation:hokusai-again 2s}}"
    "@keyframes hokusai-again{{0%,100%{{max-height:0;overflow:hidden;visibility:hidden}}}}"
    "</style>"
    "<div class='hokusai-again'>This receipt stands on the screen only. This line puts one into the notebook, "
    "and registers nothing twice:"
    "<pre style='white-space:pre-wrap;overflow-wrap:anywhere;user-select:all'>{line}</pre></div>"
)


def saying() -> widgets.HTML:
    """Return an empty place for messages; what is put there is read out by screen readers."""
    place = widgets.HTML()
    place.add_class(SAYS)
    return place


def said(kind: str, text: str) -> str:
    """Return a message as HTML; where no place for messages can be made, most screen readers announce an error.

    Args:
        kind: ``error``, ``warning`` or ``note``.
        text: Plain text; it is escaped.
    """
    role = "alert" if kind == "error" else "status"
    box = Markup('<div class="hokusai-said hokusai-{}" role="{}">{}</div>')
    return str(visible(box.format(kind, role, shortened(text)))) if text else ""


def guarded(report: Callable[[str], None], handler: Callable[..., Any]) -> Callable[..., None]:
    """Wrap a widget's handler, because ipywidgets would drop what it raises unseen.

    Args:
        report: Shows a message to the user.
        handler: What to do.
    """

    @functools.wraps(handler)
    def run(*args: Any) -> None:
        try:
            handler(*args)
        except HokusaiError as error:
            report(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            logger.exception("A form's handler failed.")
            report(f"This did not work: {type(error).__name__}: {redact(str(error))}")

    return run


def receipt_box(receipt: Shown, line: str = "", mark: str = "hokusai-none") -> widgets.HTML:
    """Return a record, such as a receipt, as a widget that only shows it.

    Args:
        receipt: The record.
        line: The line that shows it again, for where the notebook does not come to hold it.
        mark: Class of an element that is in the notebook if that does hold it.
    """
    again = _AGAIN.format(line=line, mark=mark) if line else ""
    box = widgets.HTML(str(Markup('<div role="status">{}{}</div>').format(receipt._html_(), again)))
    box.add_class(SAYS)
    box.add_class("hokusai-receipt")
    return box


def action_bar(*controls: Any) -> widgets.HBox:
    """Return the buttons that end a form, with what is said beside them.

    The first is disabled while it works and would lose the keyboard, which therefore waits beside it.
    """
    beside = widgets.Label(tabbable=False, layout={"width": "0", "margin": "0"})  # only code moves the keyboard there
    beside.add_class("hokusai-beside")
    controls[0].on_click(lambda _: beside.focus())
    bar = widgets.HBox([beside, *controls], layout={"align_items": "center", "flex_flow": "row wrap"})
    bar.add_class("hokusai-act")
    return bar


def close_all(widget: widgets.Widget) -> None:
    """Close a widget, everything in it, and its layout and style: by itself it would leave all of them open."""
    close_parts(widget)
    widget.close()


def close_parts(widget: widgets.Widget) -> None:
    """Close what is in a widget, and its layout and style."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "style", None), getattr(widget, "layout", None)):
        if isinstance(part, widgets.Widget):
            close_all(part)


class Noted(widgets.VBox):
    """Controls with a message below them and, where one is known, a button that repairs the value.

    Args:
        control: The controls.
        take: Puts a value into them.

    Attributes:
        problem: What is wrong now, or None.
    """

    def __init__(self, control: widgets.Widget, take: Callable[[str], None]) -> None:
        self._take = take
        self.problem: Problem | None = None
        self._note = ""
        self._said = saying()
        self._repair: widgets.Button | None = None
        self.children: tuple[widgets.Widget, ...]
        super().__init__([control, self._said])
        self.add_class("hokusai-field")

    @property
    def message(self) -> str:
        """What stands below: what is wrong and what to try, or else a note."""
        return self.problem.sentence if self.problem else self._note

    def show(self, problem: Problem | None, note: str = "") -> None:
        """Show a problem, or else a note."""
        if problem == self.problem and note == self._note:
            return
        self.problem, self._note = problem, note
        self._said.value = said(problem.severity if problem else "note", self.message)
        repair = problem.repair if problem else None
        if repair is not None:
            self._offer(f"Use {shortened(printable(repair), _LONGEST_REPAIR)}")
        elif self._repair is not None:
            self._repair.layout.display = "none"

    def _offer(self, text: str) -> None:
        """Show the button; it is made when it is first needed, because few fields ever need one."""
        if self._repair is None:
            layout = {
                "width": "auto",
                "margin": INDENT,
                "max_width": f"calc(100% - {LABEL_WIDTH} - 12px)",
                "align_self": "flex-start",
            }
            self._repair = widgets.Button(description=text, layout=layout)
            self._repair.on_click(lambda _: self._click_repair())
            self.children = (*self.children, self._repair)
        self._repair.description = text
        self._repair.layout.display = None

    def repair(self) -> None:
        """Take the proposed value; without a proposal nothing changes."""
        if self.problem and self.problem.repair is not None:
            self._take(self.problem.repair)

    def _click_repair(self) -> None:
        """Repair, and give the focus back to the input: it would be lost with the button."""
        self.repair()
        self.focus()


class Field(Noted):
    """A labelled input with a message below it.

    Attributes:
        key: Name of the verb's field.
        label: What the field is called on the screen; made of the key if left out.
        input: The input itself.
    """

    _INPUT: type[widgets.Widget] = widgets.Combobox

    def __init__(self, key: str, *, label: str = "", value: str = "", placeholder: str = "", tooltip: str = "") -> None:
        self.key = key
        self.label = label or key.replace("_", " ").capitalize()
        self.input = self._INPUT(
            value=value,
            description=self.label,
            placeholder=placeholder,
            tooltip=tooltip,
            continuous_update=True,
            style={"description_width": LABEL_WIDTH},
            layout={"width": "auto", "max_width": "42em"},
        )
        super().__init__(self.input, self._put)

    @property
    def value(self) -> str:
        """The text in the input."""
        return str(self.input.value)

    @value.setter
    def value(self, text: object) -> None:
        self._put(text)

    def _put(self, text: object) -> None:
        self.input.value = str(text)

    def focus(self) -> None:
        """Move the keyboard to the input."""
        self.input.focus()

    def suggest(self, options: Sequence[str]) -> None:
        """Offer these values while typing."""
        if tuple(options) != self.input.options:
            self.input.options = tuple(options)
