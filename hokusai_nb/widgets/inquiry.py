"""What a form asks the registry, in the background while somebody types and at the end in earnest."""

from __future__ import annotations

import contextvars
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from hokusai_nb.backends.mlflow import creation, runs
from hokusai_nb.core.background import Background
from hokusai_nb.core.identity import Acquaintance
from hokusai_nb.core.standing import ask_doubts
from hokusai_nb.log import logger, redact
from hokusai_nb.widgets.facts import Facts, load_facts
from hokusai_nb.widgets.preview import Preview, Question, look_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from hokusai_nb.core.registry import ModelRegistry
    from hokusai_nb.core.suggestions import Known
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.schema.records import RegisteredModel
    from hokusai_nb.schema.verbs import Register
    from hokusai_nb.widgets.workspace import Workspace

__all__ = ["Inquiry"]

P = ParamSpec("P")
T = TypeVar("T")


class Inquiry:
    """One form's questions, all about the run that was current when the form was made.

    Which run that is, only the thread that made the form can tell; the registry is asked in others,
    and a front end may have its clicks handled in yet another.

    Args:
        registry: Who is asked.
        workspace: Where the form stands.
        named_run: The run that the user named; the current one if None.
        learned: Called in a thread when the facts are there.
        answered: Called in a thread when there is an answer to a question.

    Attributes:
        facts: What is known of the run, and what there is to suggest.
        run_id: The run that the form is about; None where there is none.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        workspace: Workspace,
        named_run: str | None,
        *,
        learned: Callable[[], None],
        answered: Callable[[], None],
    ) -> None:
        self.registry = registry
        self.facts = Facts()
        self._workspace = workspace
        self._named_run = named_run
        self._home = threading.get_ident()
        self._current_run_id = runs.current_run_id()[0]
        with runs.seen_from_here():
            self._context = contextvars.copy_context()
        self.run_id = named_run or self._current_run_id
        self._learned = learned
        self._answered = answered
        self._serial = 0
        self._last_made = creation.last_made(registry.backend)
        self._outdated = True
        self._acquaintance = Acquaintance()
        self._made: tuple[Question, str | None, RegisteredModel] | None = None
        self._tried: dict[str, Container[str]] = {}
        self._asked: Question | None = None
        self._answer: tuple[Question, Preview] | None = None
        self._asked_token: tuple[str, int] | None = None
        self._doubted: tuple[tuple[str, int], tuple[Problem, ...] | None] | None = None
        self._look = Background(self._look_ahead, self._take_preview)
        self._check = Background(self._doubts_about, self._take_doubts)
        self._learn = Background(self._load_facts, self._take_facts, pause=0)

    def begin(self) -> None:
        """Have the facts loaded."""
        self._outdated = True
        self._learn.put(None)

    def begin_again(self) -> None:
        """Have everything asked once more."""
        self._serial += 1
        self._answer = None
        self.begin()

    def follow_cell(self, *, wrong: bool) -> None:
        """Have asked anew what a cell may have changed; until there is an answer, the last one is given.

        Args:
            wrong: Whether something was wrong with the run or its model.
        """
        last_made = creation.last_made(self.registry.backend)
        made, self._last_made = last_made is not self._last_made, last_made
        fits = self._asked is not None and self._asked.estimator is not None
        refused = self._answer is not None and bool(self._answer[1].problems)
        if made or fits or refused:
            self._serial += 1
        if made:
            self.begin()
        elif wrong or (self.facts.run is not None and self.facts.run.status == "RUNNING"):
            self._learn.put(None if self._outdated else self.facts.known)

    def stop(self) -> None:
        """Ask nothing more; answers that are on their way are told to nobody."""
        for background in (self._look, self._check, self._learn):
            background.stop()

    def wait(self, seconds: float) -> bool:
        """Wait for the answers; return whether all are there."""
        deadline = time.monotonic() + seconds
        every = (self._learn, self._look, self._check)
        return all(background.wait(max(0.0, deadline - time.monotonic())) for background in every)

    @property
    def finds_run(self) -> bool:
        """Whether a line that names no run means the same run."""
        if threading.get_ident() == self._home:
            self._current_run_id = runs.current_run_id()[0]
        return self._named_run is None and self.run_id == self._current_run_id

    def question(self, verb: Register, estimator: object) -> Question:
        """Return what is to be asked."""
        return Question(verb, estimator, id(estimator), self._serial)

    def look_ahead(self, verb: Register, estimator: object) -> Preview | None:
        """Return what would be written for just this; where that is not known yet, it is asked for."""
        question = self.question(verb, estimator)
        if question != self._asked:
            self._asked = question
            self._look.put(question)
        answer = self._answer
        return answer[1] if answer is not None and replace(answer[0], serial=self._serial) == question else None

    def doubts(self, token_id: str) -> tuple[Problem, ...] | None:
        """Return what the token store has against a token, nothing where it is in draft.

        None where there is no token store to ask, or where it is not known yet: it is asked for then.
        """
        if not self.registry.names_token_store:
            return None
        question = (token_id, self._serial)
        if self._doubted is not None and self._doubted[0] == question:
            return self._doubted[1]
        if question != self._asked_token:
            self._asked_token = question
            self._check.put(question)
        return None

    def note(self, question: Question, answer: Preview) -> None:
        """Take note of an answer that came another way."""
        self._asked, self._answer = question, (question, answer)

    def register(self, question: Question) -> RegisteredModel:
        """Register in earnest; the same once more is the version that it made.

        Raises:
            HokusaiError: Whatever the registry raises.
        """
        question, estimator = replace(question, serial=0), question.estimator
        identity = None if estimator is None else self._acquaintance.identity(estimator)
        if self._made is not None and self._made[:2] == (question, identity):
            return self._made[2]
        try:
            model = self._here(self._register, self._as_asked(question), identity)
        finally:
            if identity is not None:
                self._acquaintance.tried(estimator, identity)
        self._made = question, identity, model
        return model

    def _register(self, question: Question, identity: str | None) -> RegisteredModel:
        return self.registry.register(
            question.verb,
            estimator=question.estimator,
            input_example=self._workspace.find(question.verb.input_example),
            identity=identity,
            tried=self._tried,
        )

    def _look_ahead(self, question: Question) -> Preview:
        try:
            return self._here(look_ahead, self.registry, self._as_asked(question))
        except BaseException as error:  # noqa: BLE001 - an estimator's own code may even call sys.exit()
            return Preview(trouble=_told(error))

    def _load_facts(self, known: Known | None) -> Facts:
        try:
            return self._here(load_facts, self.registry, self._named_run, self._workspace.estimators(), known)
        except BaseException as error:  # noqa: BLE001 - as above
            return Facts(asked=True, trouble=_told(error))

    def _doubts_about(self, question: tuple[str, int]) -> tuple[Problem, ...] | None:
        return ask_doubts(self.registry, question[0]).answer()

    def _take_doubts(self, question: tuple[str, int], doubts: tuple[Problem, ...] | None) -> None:
        self._doubted = (question, doubts)
        self._answered()

    def _here(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something with the current run that there was when the form was made."""
        return self._context.copy().run(do, *args, **kwargs)

    def _as_asked(self, question: Question) -> Question:
        """Return the question without a run that nobody named, so that the core looks at the current run's state."""
        if self._named_run is not None:
            return question
        return Question(question.verb.model_copy(update={"run": None}), question.estimator)

    def _take_preview(self, question: Question, preview: Preview) -> None:
        if question != self._asked or (self._answer is not None and self._answer[0] == question):
            return  # another was asked since, or registering in earnest has answered it meanwhile
        self._answer = (question, preview)
        self._answered()

    def _take_facts(self, known: Known | None, facts: Facts) -> None:
        if facts.trouble and facts.run is None and self.facts.run is not None:
            facts = replace(self.facts, trouble=facts.trouble)  # a run that was seen stays known
        if known is None:
            self._outdated = bool(facts.trouble)
        if self.facts.asked and (facts.run, facts.models) != (self.facts.run, self.facts.models):
            self._serial += 1
        self.facts = facts
        self._learned()


def _told(error: BaseException) -> str:
    """Return what no answer was expected to be: whoever waits for one is told."""
    logger.error("A form's question failed.", exc_info=error)
    return redact(f"{type(error).__name__}: {error}")
