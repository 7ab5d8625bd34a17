"""Questions to a slow registry that must not keep a keyboard waiting."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from hokusai_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Background"]

Q = TypeVar("Q")
A = TypeVar("A")


class Background(Generic[Q, A]):
    """Asks the latest question in a thread, once the questioner has paused.

    A question that is overtaken is dropped, or its answer is. The thread ends with its answer. What
    is raised in it is logged, and ends nothing: the next question is answered.

    Args:
        ask: Finds the answer; runs in the thread.
        tell: Takes the question and the answer; runs in the thread, without any lock of ours, so
            that it may ask anew.
        pause: Seconds without a new question before the last one is asked.
    """

    def __init__(self, ask: Callable[[Q], A], tell: Callable[[Q, A], None], *, pause: float = 0.25) -> None:
        self._ask = ask
        self._tell = tell
        self._pause = pause
        self._changed = threading.Condition()
        self._waiting: list[Q] = []
        self._stopped = False
        self._thread: threading.Thread | None = None

    def put(self, question: Q) -> None:
        """Ask this instead of whatever was asked before; never waits."""
        with self._changed:
            if self._stopped:
                return
            self._waiting = [question]
            # Whatever killed a thread between two questions, the next one is not left to it.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="hokusai-background", daemon=True)
                self._thread.start()
            else:
                self._changed.notify()

    def stop(self) -> None:
        """Ask nothing more, and tell nothing more."""
        with self._changed:
            self._stopped = True
            self._waiting = []
            self._changed.notify()

    def wait(self, seconds: float) -> bool:
        """Wait until the last question is answered; return whether it is."""
        deadline = time.monotonic() + seconds
        while (thread := self._worker()) is not None and (left := deadline - time.monotonic()) > 0:
            thread.join(left)
            if not thread.is_alive() and thread is self._worker():
                return False  # it was killed, and its question with it
        return self._worker() is None

    def _worker(self) -> threading.Thread | None:
        with self._changed:  # one that is here has been started
            return self._thread

    def _work(self) -> None:
        while True:
            with self._changed:
                # A notification means that another key was pressed: the pause begins anew.
                while self._waiting and self._changed.wait(self._pause):
                    pass
                if not self._waiting:
                    self._thread = None
                    return
                question = self._waiting.pop()
            try:
                answer = self._ask(question)
                with self._changed:
                    overtaken = self._stopped or bool(self._waiting)
                if not overtaken:
                    self._tell(question, answer)
            except BaseException:  # noqa: BLE001 - an estimator's own code may even call sys.exit()
                # Nobody waits for it who could be told; the next question finds the thread alive.
                logger.exception("A question in the background failed.")
