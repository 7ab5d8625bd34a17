"""The inputs of the prompt form: the template, a value for each of its variables, choices and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup

from hokusai_nb.schema.display import printable, shortened, unseen
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompt_metadata import RECOMMENDED, check_metadata, decode_metadata
from hokusai_nb.schema.template_reading import TemplateProblem
from hokusai_nb.widgets.fields import INDENT, LABEL_WIDTH, Field, Noted, close_all, said
from hokusai_nb.widgets.tag_rows import TagRow, TagRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Choice", "MetadataRows", "TemplateField", "TextField", "ValueRows", "ticked"]

MOST_VALUES = 24
"""Variables that have an input: more are not filled in by hand."""
_FEWEST_ROWS, _MOST_ROWS = 4, 20
_LABEL_FITS = 12
"""Characters of a label that stands beside its input; a longer one stands above."""
_WORD = Markup('<span class="hokusai-word">{}</span>')
_CARET = Markup('<pre class="hokusai-caret" tabindex="0" aria-label="Place in the template">{}</pre>')


class TextField(Field):
    """A field for text of which nothing is suggested."""

    _INPUT = widgets.Text


class TemplateField(Field):
    """The editor, with the place of what is wrong, or the variables, below it."""

    _INPUT = widgets.Textarea

    def __init__(self, *, value: str = "", tooltip: str = "") -> None:
        super().__init__("template", value=value, placeholder="Hello {name}!", tooltip=tooltip)
        self._variables: tuple[str, ...] | None = None
        self._unseen: tuple[str, ...] = ()
        self.fit()

    def fit(self) -> None:
        """Give the editor as many lines as the text has, within bounds."""
        rows = min(max(self.value.count("\n") + 2, _FEWEST_ROWS), _MOST_ROWS)
        if rows != self.input.rows:
            self.input.rows = rows

    def show_template(self, problem: Problem | None, variables: tuple[str, ...] | None) -> None:
        """Show what is wrong and where, or else the variables.

        Args:
            problem: What is wrong.
            variables: Those of the template; None where it is empty and nothing is to be said.
        """
        self.fit()
        hidden = unseen(self.value)
        if (problem, variables, hidden) == (self.problem, self._variables, self._unseen):
            return
        self.problem, self._variables, self._unseen = problem, variables, hidden
        self._note = "" if variables is None else _told(variables)
        if isinstance(problem, TemplateProblem):
            place = problem.hint.removeprefix(problem.advice).lstrip("\n")
            text = f"{problem.what}. {problem.advice}"
            self._said.value = said("error", text) + str(_CARET.format(place))
        elif problem is not None or not variables:
            self._said.value = said("error" if problem else "note", self.message)
        else:
            words = Markup().join(_WORD.format(shortened(name, 60)) for name in variables[:MOST_VALUES])
            more = f" and {len(variables) - MOST_VALUES:,} more" if len(variables) > MOST_VALUES else ""
            box = Markup('<div class="hokusai-said" role="status">Variables: {}{}</div>')
            self._said.value = str(box.format(words, more))
        if hidden:
            told = (
                f"The editor does not show {', '.join(hidden[:MOST_VALUES])}; below, such characters are spelled out."
            )
            self._said.value += said("warning", told)


def _told(variables: Sequence[str]) -> str:
    if not variables:
        return "No variables: it is always the same text."
    return f"Variables: {', '.join(variables)}."


class Choice(Noted):
    """A labelled list to choose from, with a message below it.

    Attributes:
        key: Name of what is chosen.
        label: What it is called on the screen.
        input: The list itself.
    """

    def __init__(self, key: str, *, label: str, options: Sequence[tuple[str, str]], tooltip: str = "") -> None:
        self.key = key
        self.label = label
        self.input = widgets.Dropdown(
            options=tuple(options),
            description=label,
            tooltip=tooltip,
            style={"description_width": LABEL_WIDTH},
            layout={"width": "auto", "max_width": "42em"},
        )
        super().__init__(self.input, self._put)
        self.add_class("hokusai-choice")

    @property
    def value(self) -> str:
        """What is chosen."""
        return str(self.input.value or "")

    @value.setter
    def value(self, value: str) -> None:
        self._put(value)

    def _put(self, value: str) -> None:
        self.input.value = value

    def offer(self, options: Sequence[tuple[str, str]]) -> None:
        """Offer these, as label and value; what is chosen stays chosen if it is among them."""
        if tuple(options) == self.input.options:
            return
        kept = self.value
        self.input.options = tuple(options)  # chooses the first
        if kept in (value for _, value in options):
            self.input.value = kept

    def focus(self) -> None:
        """Move the keyboard to the list."""
        self.input.focus()


class ValueRows(widgets.VBox):
    """An input for each variable of the template.

    Args:
        texts: The first values, by variable.
        changed: Called after every change by hand or by code.

    Attributes:
        fields: The fields by variable.
    """

    def __init__(self, texts: Mapping[str, str], changed: Callable[[], None]) -> None:
        self._kept = dict(texts)
        self._changed = changed
        self.fields: dict[str, Field] = {}
        super().__init__()

    @property
    def texts(self) -> dict[str, str]:
        """What was typed, by variable."""
        return {name: field.value for name, field in self.fields.items()}

    def follow(self, variables: Sequence[str]) -> None:
        """Have an input for each of these variables; what was typed for one that comes back is there again."""
        wanted = tuple(variables[:MOST_VALUES])
        if wanted == tuple(self.fields):
            return
        before = self.fields
        gone = [name for name in before if name not in wanted]
        new = [name for name in wanted if name not in before]
        if len(gone) == len(new) == 1 and new[0] not in self._kept:
            before = {**before, new[0]: _named(before[gone[0]], new[0])}  # its name is being typed
            gone = []
        self._kept.update((name, before[name].value) for name in gone)
        self.fields = {name: before.get(name) or self._made(name) for name in wanted}
        self.children = tuple(self.fields.values())
        for name in gone:
            close_all(before[name])

    def _made(self, name: str) -> Field:
        field = TextField(name, value=self._kept.pop(name, ""), placeholder="a value to try")
        _named(field, name)
        field.input.observe(lambda _: self._changed(), "value")
        return field

    def put(self, name: str, text: str) -> None:
        """Fill in a value, also of a variable that is not there yet."""
        if name in self.fields:
            self.fields[name].value = text
        else:
            self._kept[name] = text

    def show(self, problems: Mapping[str, Problem]) -> None:
        """Show what is wrong with each value below it."""
        for name, field in self.fields.items():
            field.show(problems.get(name))


def _named(field: Field, name: str) -> Field:
    """Give a variable's name to its input: above it where there is no room beside it."""
    field.key = name
    field.label = field.input.description = f"{{{name}}}"
    if len(field.label) > _LABEL_FITS:
        field.add_class("hokusai-above")
    else:
        field.remove_class("hokusai-above")
    return field


class MetadataRow(TagRow):
    """One key of the metadata with its value."""

    NOUN = "metadata"
    ADD = "Add metadata"
    REMOVE = "Remove"
    KEY_WIDTH = "20em"

    @staticmethod
    def known_keys() -> tuple[str, ...]:
        """Return the keys that are recommended."""
        return RECOMMENDED


class MetadataRows(TagRows):
    """Metadata of a prompt: a value is JSON where it can be read as such, or else text."""

    ROW = MetadataRow

    @property
    def metadata(self) -> dict[str, Any]:
        """The values by key, typed."""
        return decode_metadata(self.tags)

    def replace(self, texts: Mapping[str, str]) -> None:
        """Have rows for these only."""
        if texts == self.tags:
            return
        for row in self.rows:
            self.remove(row)
        for key, text in texts.items():
            self.add(key, text)

    def problems(self) -> list[Problem]:
        """Return what only the rows can tell, because a mapping holds each key once."""
        keys = [row.tag[0] for row in self.rows if any(row.tag)]
        return [_twice(key) for key in dict.fromkeys(keys) if keys.count(key) > 1]

    def show(self, problems: Sequence[Problem]) -> None:
        """Show each key's problem below its row."""
        for row in self.rows:
            key, value = row.tag
            own = check_metadata(decode_metadata({key: value})) if key or value else []
            told = [p for p in problems if p.field == f"metadata.{key}"]
            row.show(next(iter([*own, *told]), None))


def _twice(key: str) -> Problem:
    return Problem(field=f"metadata.{key}", what=f"Metadata {quoted(key)} is given twice.", hint="Remove one of them.")


def ticked(text: str) -> widgets.Checkbox:
    """Return a box to tick, below the fields."""
    layout = {"width": "auto", "margin": INDENT, "display": "none"}
    return widgets.Checkbox(description=printable(text), indent=False, layout=layout)
