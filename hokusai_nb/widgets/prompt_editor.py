"""The editor in the prompt form: it checks, renders and compares a template while it is typed, and writes nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from hokusai_nb.schema.prompt_receipt import PromptReceipt
from hokusai_nb.widgets.fields import action_bar, guarded
from hokusai_nb.widgets.form import Form
from hokusai_nb.widgets.kept import static_form
from hokusai_nb.widgets.prompt_board import Board
from hokusai_nb.widgets.prompt_inquiry import PromptInquiry
from hokusai_nb.widgets.prompt_preview import planned_title, python_of
from hokusai_nb.widgets.prompt_state import Entered, PromptState
from hokusai_nb.widgets.style import STYLE
from hokusai_nb.widgets.workspace import AfterCells, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.schema.versioning import Bump
    from hokusai_nb.widgets.fields import Field
    from hokusai_nb.widgets.prompt_fields import Choice, MetadataRows

__all__ = ["PromptEditor"]

TITLE = "Edit a prompt"


class PromptEditor(Form[PromptReceipt]):
    """What `PromptForm`, which names the arguments, does before anything is registered."""

    def __init__(
        self,
        name: str = "",
        template: str = "",
        version: str = "",
        *,
        bump: Bump | None = None,
        metadata: Mapping[str, Any] | None = None,
        values: Mapping[str, str] | None = None,
        allow_breaking: bool = False,
        workspace: Workspace | None = None,
    ) -> None:
        super().__init__(self.static)
        self._workspace = workspace or Workspace()
        self._begin_with = "" if template else version
        self._filled: PromptVersion | None = None
        self._given = bool(template)
        self._loaded = ""  # the prompt whose registered text was put in last
        self._touched: set[str] = {key for key, given in (("template", template), ("metadata", metadata)) if given}
        self._busy = self._filling = False
        self._lock = threading.RLock()
        self._refused: tuple[object, tuple[Problem, ...]] = (None, ())
        self._inquiry = PromptInquiry(
            learned=guarded(self.report, self._learned),
            named=guarded(self.report, self._named),
            compared=guarded(self.report, self._compared),
        )
        self._after_cells = AfterCells(self._workspace.shell, guarded(self.report, self._follow_cell))
        entered = Entered(
            name=name,
            template=template,
            version=version if template else "",
            bump=bump or "",
            metadata=dict(metadata or {}),
            allow_breaking=allow_breaking,
            texts={key: str(value) for key, value in (values or {}).items()},
        )
        self._build(entered)
        self._inquiry.begin()
        self.refresh()

    def _build(self, entered: Entered) -> None:
        self._board = Board(entered, guarded(self.report, self._typed), guarded(self.report, self._load))
        self.fields: Mapping[str, Field | Choice] = self._board.fields
        self.metadata: MetadataRows = self._board.metadata
        self._button = widgets.Button(description="Register", button_style="primary", layout={"width": "auto"})
        self._again = widgets.Button(description="Check again", layout={"width": "auto", "display": "none"})
        self._again.on_click(guarded(self.report, lambda _: self.check_again()))
        heading = widgets.HTML(f"{STYLE}<h3>{TITLE}</h3>")
        act = action_bar(self._button, self._again, self._status)
        self.children = (heading, *self._board.parts, act, self._board.preview)
        self.refresh()

    # What the form says

    @property
    def values(self) -> Mapping[str, Field]:
        """The inputs of the template's variables, by variable."""
        return self._board.values.fields

    @property
    def allow_breaking(self) -> widgets.Checkbox:
        """The box that accepts a step which says less than the change means."""
        return self._board.allow_breaking

    @property
    def compare(self) -> Choice:
        """Chooses the earlier version that the text is compared with."""
        return self._board.compare

    @property
    def rendered(self) -> str:
        """The template with the values that there are; empty while it is not valid."""
        return self._board.rendered.text if self._board.rendered else ""

    @property
    def version(self) -> str:
        """The version that would be registered; empty where that is not known."""
        return self._state.version

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong now, as far as it is known."""
        return list(self._state.problems)

    @property
    def can_register(self) -> bool:
        """Whether nothing is known to be wrong."""
        return not self._state.problems

    def magic_line(self) -> str:
        """Return the magic cell that asks for the same now: its line, and the template below it."""
        return self._board.cell(self._state)

    def python_call(self) -> str:
        """Return the Python that asks for the same."""
        return python_of(self._state)

    def summary(self) -> list[str]:
        """Return what is wrong or, where nothing is, what will be registered, in lines of text."""
        state = self._state
        told = [planned_title(state), state.step_note()] if not state.problems else [p.sentence for p in state.problems]
        return [line for line in (*told, state.standing() if state.trouble else "") if line]

    def wait(self, seconds: float) -> bool:
        """Wait for what the registry is being asked; return whether everything was answered."""
        return self._inquiry.wait(seconds)

    # While typing

    def _typed(self, key: str) -> None:
        with self._lock:
            if self._filling:
                return
            self._touched.add(key)
            self._go_on()

    def _go_on(self) -> None:
        """Check the form that somebody has changed: what failed before that is no longer said."""
        self.failure = ""
        self.refresh()

    def check_again(self) -> None:
        """Ask the registry once more: a server may be back, somebody else may have registered a version."""
        with self._lock:
            self._refused = (None, ())
            self._inquiry.begin()
            self._go_on()

    def _follow_cell(self) -> None:
        """Notice that a cell has registered a version, or set MLflow to another store."""
        with self._lock:
            if self.receipt is None:
                self._inquiry.follow_cell()
                self.refresh()

    def refresh(self) -> None:
        """Check the form by the schema, show what is wrong, and ask the registry for the rest."""
        with self._lock:
            is_open = self.receipt is None and self.comm is not None
            entered = self._board.entered()
            known = self._inquiry.known(entered.name, ask=is_open)
            self._state = PromptState(entered, known)
            if self._refused[0] == self._question():
                self._state = PromptState(entered, known, self._refused[1])
            if is_open:
                self._show(self._state)

    def _question(self) -> tuple[PromptVersion, bool]:
        """Return what would be registered: the same again is the version that it made."""
        return self._state.wanted(self._state.version), self._state.entered.allow_breaking

    def _show(self, state: PromptState) -> None:
        filling, self._filling = self._filling, True
        try:
            self._board.show(state, self._touched)
        finally:
            self._filling = filling
        if pair := self._board.to_compare(state):
            self._inquiry.compare(*pair)
        elif state.variables is not None or not state.entered.template.strip():
            self._board.show_comparison(None)  # while a template is broken, what differed before stays
        self._board.offer_text(self._to_load(state))
        self._button.disabled = self._busy or bool(state.problems)
        if self.failure:
            self.say("error", self.failure)
        elif not self._busy:
            self.say("note", state.standing())
        self._again.layout.display = None if state.trouble or self._refused[0] else "none"
        self._board.show_preview(state)
        self.keep()

    def _named(self) -> None:
        with self._lock:
            if self.receipt is None:
                self._board.suggest(self._inquiry.names.names)

    def _compared(self) -> None:
        with self._lock:
            pair = self._board.to_compare(self._state) if self.receipt is None else None
            comparison = self._inquiry.comparison
            if pair is not None and comparison is not None and pair == (comparison.first, comparison.second):
                self._board.show_comparison(comparison)

    def _learned(self) -> None:
        """Take in what is known, which may be the text that is to be edited."""
        with self._lock:
            if self.receipt is None:
                self._fill()
            self.refresh()

    def _fill(self) -> None:
        """Put the registered text into a form in which nobody has written one."""
        known = self._inquiry.known(self.fields["name"].value, ask=False)
        if known is None or known.trouble:
            return
        begin, self._begin_with = self._begin_with, ""
        found = known.named(begin) or known.newest
        self._filling = True
        try:
            if begin and known.named(begin) is None:
                self.fields["version"].value = begin  # there is none to begin with: it is the one to register
            if found is not None and found != self._filled:
                self._board.fill(found, but=self._touched)
                self._filled = found
                self._loaded = self._loaded if "template" in self._touched else found.name
        finally:
            self._filling = False

    def _to_load(self, state: PromptState) -> PromptVersion | None:
        """Return the registered version of which the text did not come in time: somebody was typing already."""
        newest = state.known.newest if state.known else None
        if (
            newest is None
            or self._given
            or "template" not in self._touched
            or newest.template == state.entered.template
        ):
            return None
        return newest if self._loaded != newest.name else None

    def _load(self) -> None:
        with self._lock:
            self._touched.discard("template")
            self._filled = None
            self._fill()
            self._go_on()
        self.fields["template"].focus()  # the keyboard would be lost with the button

    # Showing

    def static(self) -> tuple[Markup, str]:
        """Return the form as HTML and as text, with the cell that asks for the same."""
        state = self._state
        rows = [("Name", state.entered.name or "–"), ("Version", state.version or "–")]
        rows.append(("Variables", ", ".join(state.variables or ()) or "–"))
        rows += [("Metadata", f"{key} = {text}") for key, text in self.metadata.tags.items()]
        if self.rendered and self._board.samples():
            rows.append(("Rendered", self.rendered))
        same = "What is wrong here is wrong in this cell, too:" if state.problems else "The same as a cell:"
        complete = state.entered.name and state.entered.template
        same = same if complete else "Anywhere else, fill in and run a cell such as this one:"
        notes = [*self.summary(), f"This form works in a running notebook. {same}"]
        return static_form(TITLE, rows, notes, line=self.magic_line())

    def close(self) -> None:
        """Close the form; what the registry is being asked is told to nobody."""
        if self.comm is None:
            return
        self._inquiry.stop()
        self._after_cells.end()
        self._board.close()
        super().close()
