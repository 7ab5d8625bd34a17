"""The kit that forms are made of: a field with its message and repair, rows of tags, a safe handler, a receipt."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup

from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.display import Shown, printable, shortened
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.tags import check_extra_tags, known_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Field", "Noted", "TagRow", "TagRows", "action_bar", "close_all", "guarded", "receipt_box", "said"]

_LABEL_WIDTH = "7em"
_INDENT = f"0 0 .4em calc({_LABEL_WIDTH} + 8px)"
_LONGEST_REPAIR = 60


def said(kind: str, text: str) -> str:
    """Return a message as HTML; an error is announced by screen readers, a note waits its turn.

    Args:
        kind: ``error``, ``warning`` or ``note``.
        text: Plain text; it is escaped.
    """
    role = "alert" if kind == "error" else "status"
    box = Markup('<div class="hokusai-said hokusai-{}" role="{}">{}</div>')
    return str(box.format(kind, role, shortened(text))) if text else ""


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


def receipt_box(receipt: Shown) -> widgets.HTML:
    """Return a record, such as a receipt, as a widget that only shows it."""
    return widgets.HTML(str(Markup('<div role="status">{}</div>').format(receipt._html_())))


def action_bar(*controls: widgets.Widget) -> widgets.HBox:
    """Return the buttons that end a form, with what is said beside them."""
    bar = widgets.HBox(controls, layout={"align_items": "center", "flex_flow": "row wrap"})
    bar.add_class("hokusai-act")
    return bar


def close_all(widget: widgets.Widget) -> None:
    """Close a widget and everything in it; a box by itself would leave its children open."""
    for child in getattr(widget, "children", ()):
        close_all(child)
    widget.close()


class Noted(widgets.VBox):
    """Controls with a message below them and, where one is known, a button that repairs the value.

    Attributes:
        problem: What is wrong now, or None.
    """

    def __init__(self, control: widgets.Widget) -> None:
        self.problem: Problem | None = None
        self._note = ""
        self._said = widgets.HTML()
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
                "margin": _INDENT,
                "max_width": f"calc(100% - {_LABEL_WIDTH} - 12px)",
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
            self.take(self.problem.repair)

    def _click_repair(self) -> None:
        """Repair, and give the focus back to the input: it would be lost with the button."""
        self.repair()
        self.focus()

    def take(self, text: str) -> None:
        """Put a value into the control."""
        raise NotImplementedError  # pragma: no cover - every kind says where its value stands


class Field(Noted):
    """A labelled input with a message below it.

    Attributes:
        key: Name of the verb's field.
        label: What the field is called on the screen.
        input: The input itself.
    """

    def __init__(self, key: str, *, value: str = "", placeholder: str = "", tooltip: str = "") -> None:
        self.key = key
        self.label = key.replace("_", " ").capitalize()
        self.input = widgets.Combobox(
            value=value,
            description=self.label,
            placeholder=placeholder,
            tooltip=tooltip,
            ensure_option=False,
            continuous_update=True,
            style={"description_width": _LABEL_WIDTH},
            layout={"width": "auto", "max_width": "42em"},
        )
        super().__init__(self.input)

    @property
    def value(self) -> str:
        """The text in the input."""
        return str(self.input.value)

    @value.setter
    def value(self, text: object) -> None:
        self.input.value = str(text)

    def take(self, text: str) -> None:
        """Put a value into the input."""
        self.value = text

    def focus(self) -> None:
        """Move the keyboard to the input."""
        self.input.focus()

    def suggest(self, options: Sequence[str]) -> None:
        """Offer these values while typing."""
        if tuple(options) != self.input.options:
            self.input.options = tuple(options)


class TagRow(Noted):
    """One tag: its key, its value, and a button that removes it."""

    def __init__(self, key: str, value: str, remove: Callable[[TagRow], None]) -> None:
        self.key_input = widgets.Combobox(
            value=key,
            options=tuple(sorted(known_tags())),
            description="Tag",
            style={"description_width": _LABEL_WIDTH},
            layout={"width": "19em"},
        )
        self.value_input = widgets.Text(
            value=value,
            description="is",
            style={"description_width": "1.5em"},
            layout={"width": "8em", "flex": "1 1 8em"},
        )
        button = widgets.Button(description="Remove tag", layout={"width": "auto"})
        button.on_click(lambda _: remove(self))
        super().__init__(widgets.HBox([self.key_input, self.value_input, button], layout={"flex_flow": "row wrap"}))

    @property
    def tag(self) -> tuple[str, str]:
        """Key and value."""
        return str(self.key_input.value), str(self.value_input.value)

    def take(self, text: str) -> None:
        """Put a value into the tag."""
        self.value_input.value = text

    def focus(self) -> None:
        """Move the keyboard to the value."""
        self.value_input.focus()


class TagRows(widgets.VBox):
    """Tags that can be added and removed.

    Args:
        tags: The first tags.
        changed: Called after every change by hand or by code.
    """

    def __init__(self, tags: Mapping[str, str], changed: Callable[[], None]) -> None:
        self._changed: Callable[[], None] = lambda: None
        margin = {"width": "auto", "margin": _INDENT, "align_self": "flex-start"}
        self._add = widgets.Button(description="Add a tag", layout=margin)
        self._add.on_click(lambda _: self.add())
        super().__init__([self._add])
        for key, value in tags.items():
            self.add(str(key), str(value))
        self._changed = changed

    @property
    def rows(self) -> list[TagRow]:
        """The rows, in order."""
        return [child for child in self.children if isinstance(child, TagRow)]

    @property
    def tags(self) -> dict[str, str]:
        """The tags of all rows that are not empty."""
        return dict(row.tag for row in self.rows if any(row.tag))

    def problems(self) -> list[Problem]:
        """Return what only the rows can tell, because a mapping holds each key once."""
        keys = [row.tag[0] for row in self.rows if any(row.tag)]
        return [_twice(key) for key in dict.fromkeys(keys) if keys.count(key) > 1]

    def add(self, key: str = "", value: str = "") -> TagRow:
        """Add a row and return it."""
        row = TagRow(key, value, self.remove)
        for control in (row.key_input, row.value_input):
            control.observe(lambda _: self._changed(), "value")
        self.children = (*self.rows, row, self._add)
        self._changed()
        return row

    def remove(self, row: TagRow) -> None:
        """Remove a row."""
        self.children = tuple(child for child in self.children if child is not row)
        close_all(row)
        self._changed()

    def show(self, problems: Sequence[Problem]) -> None:
        """Show each tag's problem below its row."""
        for row in self.rows:
            key, value = row.tag
            # The same checks again, of this row alone, find its own words for a key that is no name.
            own = check_extra_tags({key: value}) if key or value else []
            told = [p for p in problems if p.field == key]
            row.show(next(iter([*own, *told]), None))


def _twice(key: str) -> Problem:
    return Problem(field=key, what=f"Tag {quoted(key)} is given twice.", hint="Remove one of them.")
