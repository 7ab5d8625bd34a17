"""What the prompt form asks the registry, in the background while somebody types and at the end in earnest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.core import prompt_registration
from hokusai_nb.core.background import Background
from hokusai_nb.core.prompt_cache import current_backend
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.prompt_comparison import PromptComparison, compare_prompts
from hokusai_nb.schema.prompt_names import check_prompt_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.prompts import PromptVersion

__all__ = ["Known", "Names", "PromptInquiry"]


@dataclass(frozen=True)
class Known:
    """What the registry knows of one prompt.

    Attributes:
        name: The prompt.
        versions: Its versions in the order in which they were registered, with their stages.
        trouble: Why there was no answer; empty where there was one.
    """

    name: str
    versions: tuple[PromptVersion, ...] = ()
    trouble: str = ""

    @property
    def newest(self) -> PromptVersion | None:
        """The version that the next one follows; None where there is none."""
        return self.versions[-1] if self.versions else None

    def version(self, text: str) -> PromptVersion | None:
        """Return the version of a semantic number, or None."""
        return next((v for v in self.versions if v.version == text), None)

    def named(self, text: str) -> PromptVersion | None:
        """Return the version of a semantic number, or the one in a stage, or None."""
        staged = (v for v in self.versions if text in v.stages)
        return self.version(text) or next(staged, None)


class Names(NamedTuple):
    """The prompts that there are, or why that is not known."""

    names: tuple[str, ...] = ()
    trouble: str = ""


def _ask(name: str) -> Known:
    return Known(name, PromptModel(name, "–", "0.0.0").get_lineage().versions)


def _load_known(name: str) -> Known:
    """Return what the registry knows of a prompt; why it could not be asked is in the answer, not raised."""
    try:
        return _ask(name)
    except Exception as error:  # noqa: BLE001 - whatever the registry does, the form says it
        return Known(name, trouble=_told(error))


def _load_names() -> Names:
    try:
        return Names(tuple(name for name in prompts.names(current_backend()) if not check_prompt_name(name)))
    except Exception as error:  # noqa: BLE001 - as above
        return Names(trouble=_told(error))


def _backend() -> Backend | None:
    """Return where MLflow is set to now; None where its settings cannot be read, which asking then tells."""
    try:
        return current_backend()
    except HokusaiError:
        return None


def _told(error: Exception) -> str:
    if isinstance(error, HokusaiError):
        return f"{error.what} {error.hint}".strip()
    logger.debug("A question of the prompt form failed.", exc_info=error)
    return redact(f"{type(error).__name__}: {error}")


class PromptInquiry:
    """One form's questions.

    Args:
        learned: Called in a thread when there is an answer about a prompt.
        named: Called in a thread when the names are known.
        compared: Called in a thread when two versions have been compared.

    Attributes:
        names: The prompts that there are.
        comparison: The last two versions that were compared; None before that.
    """

    def __init__(self, *, learned: Callable[[], None], named: Callable[[], None], compared: Callable[[], None]) -> None:
        self.names = Names()
        self.comparison: PromptComparison | None = None
        self._learned = learned
        self._named = named
        self._compared = compared
        self._backend: Backend | None = None
        self._known: Known | None = None
        self._asked: str | None = None
        self._name: Background[None, Names] = Background(lambda _: _load_names(), self._take_names, pause=0)
        self._look: Background[str, Known] = Background(_load_known, self._take_known)
        self._differ: Background[tuple[PromptVersion, PromptVersion], PromptComparison] = Background(
            _compared, self._take_comparison, pause=0.1
        )

    @property
    def every(self) -> tuple[Background, ...]:  # type: ignore[type-arg]
        """Everything that works in the background."""
        return self._name, self._look, self._differ

    def begin(self) -> None:
        """Have the names loaded, and what is known of the prompt anew; until then, what was known is said."""
        self._backend = _backend()
        self._asked = None
        self._name.put(None)

    def follow_cell(self) -> None:
        """Have asked anew what a cell may have changed: the versions, or even the store."""
        self._asked = None
        if _backend() != self._backend:
            self._known = None
            self.begin()

    def stop(self) -> None:
        """Ask nothing more; answers that are on their way are told to nobody."""
        for background in self.every:
            background.stop()

    def wait(self, seconds: float) -> bool:
        """Wait for the answers; return whether all are there."""
        deadline = time.monotonic() + seconds
        # An answer may raise the next question, which an earlier one of these is asked.
        for _ in range(2):
            answered = all(one.wait(max(0.0, deadline - time.monotonic())) for one in self.every)
        return answered

    def known(self, name: str, *, ask: bool = True) -> Known | None:
        """Return what is known of a prompt; where nothing is known yet, it is asked for."""
        if check_prompt_name(name):
            return None
        if ask and name != self._asked:
            self._asked = name
            self._look.put(name)
        return self._known if self._known is not None and self._known.name == name else None

    def look(self, name: str) -> None:
        """Ask now what there is to know of a prompt, and wait for the answer.

        Raises:
            HokusaiError: The registry cannot be asked.
        """
        self._known = _ask(name)

    def compare(self, first: PromptVersion, second: PromptVersion) -> None:
        """Have two versions compared, which takes its time with long texts."""
        if self.comparison is None or (self.comparison.first, self.comparison.second) != (first, second):
            self._differ.put((first, second))

    def register(self, wanted: PromptVersion, allow_breaking: bool) -> tuple[PromptModel, bool]:
        """Register a version where MLflow is set to now; return it, and whether it is new.

        Raises:
            HokusaiError: Whatever the registry raises.
        """
        made = prompt_registration.register(current_backend(), wanted, allow_breaking=allow_breaking)
        self._known = self._asked = None  # there is a newer one now
        return PromptModel.load_from_registry(made.name, made.version), made.created

    def _take_names(self, _: None, names: Names) -> None:
        self.names = names
        self._named()

    def _take_known(self, name: str, known: Known) -> None:
        if name != self._asked:
            return
        if known.trouble and self._known is not None and self._known.name == name:
            known = Known(name, self._known.versions, known.trouble)  # what was seen stays known
        self._known = known
        self._learned()

    def _take_comparison(self, _: object, comparison: PromptComparison) -> None:
        self.comparison = comparison
        self._compared()


def _compared(pair: tuple[PromptVersion, PromptVersion]) -> PromptComparison:
    found = compare_prompts(*pair)
    _ = found.parts  # worked out here, and kept
    return found
