"""A circuit breaker: whoever has failed several times in a row is left alone for a while."""

from __future__ import annotations

import threading
import time

__all__ = ["Breaker"]


class Breaker:
    """The breaker of one endpoint; safe to share between threads.

    Closed at first. After ``failures`` in a row it is open, and `admits` refuses, for ``rest`` seconds.
    Then it admits one caller, the probe, whose success closes it and whose failure opens it anew.
    """

    def __init__(self, *, failures: int, rest: float) -> None:
        self._failures = failures
        self._rest = rest
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether nobody would be admitted now."""
        with self._lock:
            return self._open_until is not None and (self._probing or time.monotonic() < self._open_until)

    def admits(self) -> bool:
        """Whether to try now; whoever is admitted has to `succeed`, `fail` or `withdraw`."""
        with self._lock:
            if self._open_until is None:
                return True
            if self._probing or time.monotonic() < self._open_until:
                return False
            self._probing = True
            return True

    def succeed(self) -> None:
        """Close it: the endpoint answers."""
        with self._lock:
            self._in_a_row, self._open_until, self._probing = 0, None, False

    def fail(self) -> None:
        """Count a failure, and open it after the last one allowed, or after a probe's."""
        with self._lock:
            self._in_a_row += 1
            if self._probing or self._in_a_row >= self._failures:
                self._open_until, self._probing = time.monotonic() + self._rest, False

    def withdraw(self) -> None:
        """Leave it as it was: the try was broken off and says nothing about the endpoint."""
        with self._lock:
            self._probing = False
