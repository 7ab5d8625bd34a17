"""The registration form: the questions of ``%hokusai_register``, answered while you type."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from hokusai_nb.core.current_run import measured_value
from hokusai_nb.core.receipts import receipt_for
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.problems import errors_in, raise_for
from hokusai_nb.schema.receipt import Receipt
from hokusai_nb.widgets.entered import Reader
from hokusai_nb.widgets.fields import action_bar, close_all, guarded
from hokusai_nb.widgets.form import Form
from hokusai_nb.widgets.inquiry import Inquiry
from hokusai_nb.widgets.kept import static_form
from hokusai_nb.widgets.preview import explained, preview_html
from hokusai_nb.widgets.questions import REQUIRED, TITLE, make_fields, options_in, suggest
from hokusai_nb.widgets.state import State
from hokusai_nb.widgets.style import STYLE
from hokusai_nb.widgets.tag_rows import TagRows
from hokusai_nb.widgets.workspace import AfterCells, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.records import RegisteredModel
    from hokusai_nb.widgets.entered import Entered
    from hokusai_nb.widgets.preview import Question

__all__ = ["RegistrationForm"]


class RegistrationForm(Form[Receipt]):
    """A form that registers a run's model under a token.

    It validates on every key by the schema alone; what only the registry knows is asked in the
    background. It can be driven from Python: ``form.fields["token"].value = "MSG-AI"``.

    Args:
        registry: Where to register; what MLflow is set to if left out.
        values: Values to begin with, by field of `Register`.
        run_id: The run; the current run of this thread if left out.
        workspace: The variables that can be named.

    Attributes:
        fields: The fields by key: ``token``, ``model``, ``name``, ``metric``, ``value`` and ``contributor``.
        tags: The rows of further tags.
    """

    def __init__(
        self,
        registry: ModelRegistry | None = None,
        *,
        values: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        workspace: Workspace | None = None,
    ) -> None:
        registry = registry or ModelRegistry()
        super().__init__(self.static)
        given = {"run": run_id, **(values or {})}
        self._workspace = workspace or Workspace()
        self._options = options_in(given)
        self._reader = Reader(self._workspace, registry.backend, self._options)
        self._busy = False
        self._lock = threading.RLock()
        self._submitting = threading.Lock()
        self._filled_value = ""
        self._filling = False
        self._inquiry = Inquiry(
            registry,
            self._workspace,
            self._options.get("run"),
            learned=guarded(self.report, self._learned),
            answered=guarded(self.report, self.refresh),
        )
        self._after_cells = AfterCells(self._workspace.shell, guarded(self.report, self._follow_cell))
        self._build(given)
        self._inquiry.begin()

    def _build(self, given: Mapping[str, Any]) -> None:
        self.fields = make_fields(given)
        self._touched = {key for key, field in self.fields.items() if field.value}
        self.tags = TagRows(given.get("tags") or {}, guarded(self.report, self._go_on))
        self._preview_box = widgets.HTML()
        self._button = widgets.Button(description="Register", button_style="primary", layout={"width": "auto"})
        self._again = widgets.Button(description="Check again", layout={"width": "auto", "display": "none"})
        self._again.on_click(guarded(self.report, lambda _: self.check_again()))
        act = action_bar(self._button, self._again, self._status)
        # A second click may be on its way before the receipt takes the button's place.
        self._button.on_click(guarded(self.report, lambda _: self.receipt or self.submit()))
        heading = widgets.HTML(f"{STYLE}<h3>{TITLE}</h3>")
        self.children = (heading, *self.fields.values(), self.tags, act, self._preview_box)
        for key, field in self.fields.items():
            field.input.observe(guarded(self.report, lambda change, key=key: self._typed(key, change["new"])), "value")
        suggest(self.fields, self._inquiry.facts.offers())
        self.refresh()

    # What the form says

    def _entered(self) -> Entered:
        return self._reader.read(self.fields, self.tags, self._inquiry)

    def magic_line(self) -> str:
        """Return the magic line that asks for the same now.

        It leaves out what a line finds by itself: the current run, and the value that was read from it.
        """
        return self._line()

    def _line(self, *, stays: bool = False) -> str:
        """Return the line; one that stays on the screen is to be right as long as it stands there."""
        with self._lock:
            facts = self._inquiry.facts
            # A run that is still under way may measure again.
            read_value = self._filled_value if facts.run and facts.run.status != "RUNNING" else ""
            told = self._after_cells.on or not stays
            finds_run = told and self._inquiry.finds_run and facts.wrong is None
            return self._state.entered.magic_line(finds_run=finds_run, read_value=read_value)

    def python_call(self) -> str:
        """Return the Python that asks for the same."""
        return self._state.entered.python_call()

    def summary(self) -> list[str]:
        """Return what is wrong or, where nothing is, what will be written, in lines of text."""
        return self._state.summary()

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong now, warnings included, as far as it is known."""
        return list(self._state.problems)

    @property
    def can_register(self) -> bool:
        """Whether nothing is known to be wrong."""
        return not errors_in(self._state.problems)

    def wait(self, seconds: float) -> bool:
        """Wait for what the registry is being asked; return whether everything was answered."""
        return self._inquiry.wait(seconds)

    # While typing

    def answer(self, key: str, text: str) -> None:
        """Fill in a field as a person does: from now on it is told what is wrong with it, empty or not."""
        with self._lock:
            self._touched.add(key)
            self.fields[key].value = text
            self.refresh()

    def _typed(self, key: str, text: str) -> None:
        with self._lock:
            if not self._filling:
                self._touched.add(key)
                self.failure = ""
            if key == "value" and text != self._filled_value:
                self._filled_value = ""
            if key in ("metric", "model"):
                self._fill_value()
            self.refresh()

    def _fill_value(self) -> None:
        """Put the run's value of the metric into an empty or an untouched value field."""
        field = self.fields["value"]
        if field.value and field.value != self._filled_value:
            return
        # A model that is named by a URI has a run of its own.
        run = None if self._entered().by_uri else self._inquiry.facts.run
        self._filled_value = (measured_value(run, self.fields["metric"].value) if run else None) or ""
        self._filling = True
        try:
            field.value = self._filled_value
        finally:
            self._filling = False

    def _go_on(self) -> None:
        """Check the form that somebody has changed: what failed before that is no longer said."""
        self.failure = ""
        self.refresh()

    def check_again(self) -> None:
        """Ask the registry once more: a server may be back, a model may have been logged."""
        with self._lock:
            self._inquiry.begin_again()
            self._reader.look_around()
            self._go_on()

    def _follow_cell(self) -> None:
        """Notice that a cell has made another run, another model or another version, or given a variable a value."""
        with self._lock:
            self._reader.look_around()
            if self.receipt is None:
                self._inquiry.follow_cell(wrong=self._state.of_run is not None)
            self.refresh()

    def refresh(self) -> None:
        """Check the form by the schema, show what is wrong, and ask the registry for the rest."""
        with self._lock:
            is_open = self.receipt is None and self.comm is not None
            asks = (self._inquiry.look_ahead, self._inquiry.doubts) if is_open else ()
            self._state = State(self._entered(), self._inquiry.facts, *asks)
            if is_open:
                self._show(self._state)

    def _show(self, state: State) -> None:
        for key, field in self.fields.items():
            shown = state.shown_at(key)
            # Nobody is told off for a field they have not come to.
            unasked = not field.value and key not in self._touched and key in REQUIRED
            field.show(None if unasked else shown, state.note(key, filled=key == "value" and bool(self._filled_value)))
        self.tags.show(state.problems)
        self._button.disabled = self._busy or bool(errors_in(state.problems))
        if self.failure:
            self.say("error", self.failure)
        elif not self._busy:
            self.say("warning" if state.doubt else "note", f"{state.standing()} {state.doubt}".rstrip())
        self._again.layout.display = None if state.may_pass else "none"
        self._preview_box.value = preview_html(self._line(stays=True), self.python_call(), state.preview)
        self.keep()

    def _learned(self) -> None:
        """Take in the facts, which may be the value of the metric."""
        with self._lock:
            if self.receipt is None:
                suggest(self.fields, self._inquiry.facts.offers())
                self._fill_value()
            self.refresh()

    # Registering

    def submit(self) -> RegisteredModel:
        """Register what the form says and show the receipt; the same once more returns the version it made.

        Raises:
            ValidationError: Something is wrong; nothing was written.
            HokusaiError: The registry refused or could not be reached.
        """
        with self._submitting:
            with self._lock:
                self._reader.look_around()
                self._go_on()
                state = self._state
                raise_for(state.stated)
                assert state.verb is not None
                question = self._inquiry.question(state.verb, state.entered.estimator)
            model = self._register(question)
            self._follow_up(model)
            return model

    def _register(self, question: Question) -> RegisteredModel:
        self._busy = self._button.disabled = self._again.disabled = True
        logs = "Logging the estimator and registering …"
        self.say("note", logs if question.estimator is not None else "Registering …")
        try:
            model = self._inquiry.register(question)
        except Exception as error:
            self._inquiry.note(question, explained(error))
            self._resume()
            known = isinstance(error, HokusaiError)
            self.report(str(error) if known else f"Registering failed: {type(error).__name__}: {redact(str(error))}")
            raise
        except BaseException:
            self._resume()  # somebody interrupted it
            raise
        self._busy = False
        return model

    def _follow_up(self, model: RegisteredModel) -> None:
        """Show the receipt. The version is made: what goes wrong from here on is said, and raised no more."""
        if self.receipt is not None and (model.name, model.version) == (self.receipt.model.name, self.receipt.version):
            return
        try:
            receipt = receipt_for(self._inquiry.registry.backend, model)
            self._after_cells.end()  # from here on the line names the run: it is to be right for good
            with self._lock:
                self.hand_out(receipt, self._line(stays=True))
            self._workspace.registered()
        except BaseException as error:
            self._resume()
            why = f"{type(error).__name__}: {redact(str(error))}".removesuffix(": ")
            self.report(f"{model.name} version {model.version} is registered. What follows it did not work: {why}")
            if not isinstance(error, Exception):
                raise  # somebody interrupted it
            logger.exception("What follows a registration failed.")

    def _resume(self) -> None:
        """Give the form back to the user."""
        self._busy = self._again.disabled = False
        self.refresh()

    # Showing

    def static(self) -> tuple[Markup, str]:
        """Return the form as HTML and as text, with the line that asks for the same."""
        rows = [(field.label, field.value or "–") for field in self.fields.values()]
        rows += [("Tag", f"{key} = {value}") for key, value in self.tags.tags.items()]
        notes = [*self.summary(), "This form works in a running notebook. The same as a line:"]
        return static_form(TITLE, rows, notes, line=self._line(stays=True))

    def close(self) -> None:
        """Close the form; what the registry is being asked is told to nobody."""
        if self.comm is None:
            return
        self._inquiry.stop()
        self._after_cells.end()
        for part in (*self.fields.values(), self.tags):  # also after the receipt has taken their place
            close_all(part)
        super().close()
