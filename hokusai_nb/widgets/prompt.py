"""The prompt form: an editor that registers what it holds, and promotes it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from hokusai_nb.core.prompt_rules import parse_stage, refused
from hokusai_nb.errors import HokusaiError, ModelValidationError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.prompt_comparison import compare_prompts
from hokusai_nb.schema.prompt_receipt import PromptReceipt
from hokusai_nb.schema.prompts import ModelStage
from hokusai_nb.widgets.fields import guarded
from hokusai_nb.widgets.prompt_editor import PromptEditor
from hokusai_nb.widgets.prompt_preview import cell_of, changes
from hokusai_nb.widgets.prompt_promoting import Promoting

if TYPE_CHECKING:
    from hokusai_nb.core.prompts import PromptModel
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.widgets.prompt_state import Entered

__all__ = ["PromptForm"]


class PromptForm(PromptEditor):
    """A form that edits a prompt: it checks and renders on every key, registers a version and promotes it.

    It can be driven from Python: ``form.fields["template"].value = "Hi {name}"``, ``form.values["name"].value =
    "Ada"``, ``form.submit()``, ``form.promote("staging")``. What only the registry knows is asked in the background.

    Args:
        name: The prompt; one that exists and for which no template is given is opened as it is registered.
        template: Its text.
        version: The version to register, the one that follows if left out; without a template, the version to
            begin with.
        bump: Step of the version; the smallest one that the change warrants if left out.
        metadata: Values by key.
        values: Values to render the template with, as they would be typed, by variable.
        allow_breaking: Accept a step that says less than the change means.
        workspace: Where the form stands.

    Attributes:
        fields: Inputs by key: ``name``, ``template``, ``bump`` and ``version``.
        metadata: The rows of metadata.
        model: The version that was registered; None before that.
    """

    def _build(self, entered: Entered) -> None:
        self.model: PromptModel | None = None
        self._submitting = threading.Lock()
        self._made: tuple[Entered, PromptModel] | None = None
        self._changes: tuple[str, ...] = ()
        self._created = True
        self._promoting: Promoting | None = None
        super()._build(entered)
        self._button.on_click(guarded(self.report, lambda _: self._click_register()))

    def _click_register(self) -> None:
        # A second click may be on its way before the receipt takes the button's place.
        if self.receipt is None:
            self.submit()
            if self._promoting is not None:
                self._promoting.focus()  # the keyboard would be lost with the button

    # Registering

    def submit(self) -> PromptModel:
        """Register what the form says and show the receipt; the same once more returns the version it made.

        Raises:
            ModelValidationError: Something is wrong; nothing was written.
            HokusaiError: The registry refused or could not be reached.
        """
        with self._submitting:
            self._refused = (None, ())
            self._go_on()
            self._refuse_wrong()
            asked = replace(self._state.entered, texts={})
            if self._made is None or self._made[0] != asked:
                self._made = asked, self._register()
            model = self._made[1]
            if self.model is not model:
                self.model = model
                self._follow_up()
            return model

    def _refuse_wrong(self) -> None:
        if problems := self._state.problems:
            raise ModelValidationError(problems)

    def _register(self) -> PromptModel:
        """Register in earnest, after looking at what the registry knows where that is not known yet."""
        self._busy = self._button.disabled = self._again.disabled = True
        self.say("note", "Registering …")
        try:
            if self._state.known is None or self._state.trouble:
                self._inquiry.look(self._state.entered.name)
                self._fill()
                self.refresh()
                self._refuse_wrong()
            last = self._state.known.newest if self._state.known else None
            model, self._created = self._inquiry.register(*self._question())
        except BaseException as error:
            self._refused_by(error)
            raise
        self._busy = False
        self._changes = _changes(last, model.record) if self._created else ()
        return model

    def _refused_by(self, error: BaseException) -> None:
        """Give the form back to the user, with what the registry had against it."""
        self._busy = self._again.disabled = False
        if isinstance(error, ModelValidationError):
            self._refused = (self._question(), cast("tuple[Problem, ...]", error.problems))
        if isinstance(error, HokusaiError):
            self._inquiry.follow_cell()  # somebody else may have been first
            self.refresh()
            self.report(str(error))
        else:
            self.refresh()
            if isinstance(error, Exception):
                self.report(f"Registering failed: {type(error).__name__}: {redact(str(error))}")

    def _follow_up(self) -> None:
        """Show the receipt. The version is made: what goes wrong from here on is said, and raised no more."""
        try:
            self._after_cells.end()
            with self._lock:
                self._hand_out()
            self._workspace.registered()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            logger.exception("What follows a registration failed.")
            self.report(f"It is registered, but showing that failed: {type(error).__name__}: {redact(str(error))}")

    def _hand_out(self) -> None:
        assert self.model is not None
        stage = self.model.stage
        prompt = self.model.record.model_copy(update={"created": self._created})
        receipt = PromptReceipt(prompt=prompt, changes=self._changes)
        cell = cell_of(self._state, version=prompt.version)
        if stage is ModelStage.PRODUCTION:
            self._promoting = None
            self.hand_out(receipt, cell)
            return
        self._promoting = Promoting(stage, guarded(self.report, self._click_promote))
        self._status = self._promoting.status
        self.hand_out(receipt, cell, further=self._promoting.widgets)
        self.say("note", self._promoting.standing())

    # Promoting

    def _click_promote(self, to: ModelStage, why: str) -> None:
        self.promote(to, why)
        if self._promoting is not None:
            self._promoting.focus()

    def promote(self, to: ModelStage | str, why: str = "") -> PromptModel:
        """Promote the version that the form registered, and show the receipt that says so.

        Args:
            to: ``staging`` or ``production``; no stage is skipped.
            why: The reason, for the history.

        Raises:
            ModelValidationError: ``Model must be registered before promotion``, or a stage would be skipped.
            ConflictError: Somebody else changed the prompt's stages at the same time: they won.
        """
        with self._submitting:
            stage = parse_stage(to, field="to")
            if self.model is None:
                what = f"Model must be registered before promotion: {self._state.entered.name}"
                raise refused(what, "Register it first.", field="version")
            if stage is ModelStage.DEV:
                what = "A version is not promoted to dev, where it begins."
                raise refused(what, "Use staging or production.", field="to")
            if self._promoting is not None:
                self._promoting.pause()
                self.say("note", f"Promoting to {stage.value} …")
            try:
                move = (
                    self.model.promote_to_staging if stage is ModelStage.STAGING else self.model.promote_to_production
                )
                move(why)
            except BaseException as error:
                if self._promoting is not None:
                    self._promoting.resume()
                if isinstance(error, Exception):
                    self.report(str(error) if isinstance(error, HokusaiError) else redact(repr(error)))
                raise
            with self._lock:
                self._hand_out()
            return self.model


def _changes(last: PromptVersion | None, made: PromptVersion) -> tuple[str, ...]:
    """Return what differs from the version before, in sentences."""
    return tuple(changes(compare_prompts(last, made))) if last else ()
