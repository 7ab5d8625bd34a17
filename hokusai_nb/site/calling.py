"""Handlers of this process are called in threads, so that one that hangs holds up nobody else for long."""

from __future__ import annotations

import contextvars
import threading
import time
from typing import TYPE_CHECKING

from hokusai_nb.backends.answers import Answer, Verdict
from hokusai_nb.log import redact
from hokusai_nb.schema.deliveries import CONSOLE
from hokusai_nb.schema.display import printable, shortened
from hokusai_nb.site.handlers import find_handler

if TYPE_CHECKING:
    from hokusai_nb.backends.sql.claims import Claim
    from hokusai_nb.schema.events import Event

__all__ = ["Caller"]

_LONGEST_ERROR = 300


class Caller:
    """Calls handlers; safe to share between threads.

    A call that takes too long cannot be ended. It counts as failed, and its handler is not called again
    before it has returned, so that there is one such thread for each handler at most.

    Args:
        seconds: How long a call may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._hanging: dict[str, threading.Thread] = {}

    def call(self, claim: Claim, *, latest: float, ends: float) -> Answer:
        """Hand an event to its handler.

        Args:
            claim: The delivery.
            latest: Moment of the monotonic clock from which on nothing is begun.
            ends: When whoever waits has waited long enough.
        """
        if claim.event is None:
            return Answer(Verdict.GONE, "The event in the database cannot be read.")
        if time.monotonic() >= latest:
            return Answer(Verdict.UNTRIED)
        if claim.handler == CONSOLE:
            return _told(claim.handler, claim.event)
        if (before := self._hanging.get(claim.handler)) is not None and before.is_alive():
            return Answer(Verdict.LATER, f"The handler {claim.handler} has not returned from an earlier call.")
        return self._in_thread(claim.handler, claim.event, min(self._seconds, ends - time.monotonic()))

    def _in_thread(self, handler: str, event: Event, seconds: float) -> Answer:
        answers: list[Answer] = []

        def run() -> None:
            answers.append(_told(handler, event))

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(run,), name=f"hokusai-handler-{handler}", daemon=True)
        thread.start()
        thread.join(seconds)
        if thread.is_alive():
            self._hanging[handler] = thread
            return Answer(Verdict.LATER, f"The handler {handler} did not return within {seconds:.0f} seconds.")
        self._hanging.pop(handler, None)
        return answers[0]


def _told(handler: str, event: Event) -> Answer:
    try:
        find_handler(handler)(event)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a handler raises, the event is kept for it
        said = f"{type(error).__name__}: {error}"
        return Answer(Verdict.LATER, shortened(printable(redact(said)), _LONGEST_ERROR))
    return Answer(Verdict.DELIVERED)
