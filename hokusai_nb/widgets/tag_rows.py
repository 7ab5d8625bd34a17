"""Rows of tags in a form: each is added, checked and removed by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.tags import check_extra_tags, known_tags, tag_field
from hokusai_nb.widgets.fields import INDENT, LABEL_WIDTH, Noted, close_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["TagRow", "TagRows"]


class TagRow(Noted):
    """One tag: its key, its value, and a button that removes it."""

    NOUN = "tag"
    ADD = "Add a tag"
    REMOVE = "Remove tag"
    KEY_WIDTH = "17em"

    def __init__(self, key: str, value: str, remove: Callable[[TagRow], None]) -> None:
        self.key_input = widgets.Combobox(
            value=key,
            options=self.known_keys(),
            description=self.NOUN.capitalize(),
            style={"description_width": LABEL_WIDTH},
            layout={"width": "auto", "flex": f"1 1 {self.KEY_WIDTH}"},
        )
        self.value_input = widgets.Text(
            value=value,
            description="is",
            style={"description_width": "1.5em"},
            layout={"width": "auto", "flex": "1 1 10em"},
        )
        button = widgets.Button(
            description=self.REMOVE, tooltip=f"Remove {self.NOUN}", layout={"width": "auto", "flex": "none"}
        )
        button.on_click(lambda _: remove(self))
        line = widgets.HBox([self.key_input, self.value_input, button], layout={"max_width": "42em"})
        line.add_class("hokusai-row")
        super().__init__(line, self._put)

    @staticmethod
    def known_keys() -> tuple[str, ...]:
        """Return the keys that are suggested."""
        return tuple(sorted(known_tags()))

    @property
    def tag(self) -> tuple[str, str]:
        """Key and value."""
        return str(self.key_input.value), str(self.value_input.value)

    def _put(self, text: str) -> None:
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

    ROW: type[TagRow] = TagRow

    def __init__(self, tags: Mapping[str, str], changed: Callable[[], None]) -> None:
        self._changed: Callable[[], None] = lambda: None
        margin = {"width": "auto", "margin": INDENT, "align_self": "flex-start"}
        self._add = widgets.Button(description=self.ROW.ADD, layout=margin)
        self._add.on_click(lambda _: self.add().key_input.focus())
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
        row = self.ROW(key, value, self._remove_by_hand)
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

    def _remove_by_hand(self, row: TagRow) -> None:
        """Remove a row, and give the focus to its neighbour: it would be lost with the button."""
        if row not in self.rows:
            return  # a second click was on its way
        place = self.rows.index(row)
        self.remove(row)
        left = self.rows[: place + 1]
        (left[-1].key_input if left else self._add).focus()

    def show(self, problems: Sequence[Problem]) -> None:
        """Show each tag's problem below its row."""
        for row in self.rows:
            key, value = row.tag
            # The same checks again, of this row alone, find its own words for a key that is no name.
            own = check_extra_tags({key: value}) if key or value else []
            told = [p for p in problems if p.field == tag_field(key)]
            row.show(next(iter([*own, *told]), None))


def _twice(key: str) -> Problem:
    return Problem(field=tag_field(key), what=f"Tag {quoted(key)} is given twice.", hint="Remove one of them.")
