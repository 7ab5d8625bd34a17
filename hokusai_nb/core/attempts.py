"""One attempt to register a token: who it is, how it holds the token, and how it lets go of it."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from hokusai_nb.errors import HokusaiError, RateLimitError, TokenStatusError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.lifecycle import Status, TokenChange, require_allowed, utc_now
from hokusai_nb.schema.token_reports import registered_as

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hokusai_nb.schema.lifecycle import RegistrationFacts, Token
    from hokusai_nb.site.store import TokenStore

__all__ = ["Attempt", "acting_user", "ensure_free", "is_gone", "new_owner"]

T = TypeVar("T")
LONGEST_HOST = 64
LONGEST_REASON = 500
PATIENCE_SECONDS = 120.0
"""How long a store is waited for that says it was asked too often."""
LEAST_PAUSE = 0.2
AT_ONCE = 0.001
"""Seconds for which a token is held for an attempt that is known to be dead."""
_STARTED = 19
"""Place of the start time among the fields that follow the command's name in ``/proc/PID/stat``."""
# Of this process, those that are under way: a thread may have died where its process lives on.
_alive: set[str] = set()


def acting_user() -> str:
    """Return the name of whoever runs this process, for a token's history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have it
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


@dataclass(frozen=True)
class _Process:
    """What tells a process from all others on this and on other machines, as far as it can be known.

    Attributes:
        host: Name of the machine.
        boot: What Linux calls this time that it is up; empty elsewhere.
        space: Where its number counts: a container numbers its own processes.
        pid: Its number.
        started: Ticks after the machine was started; a number is given out again.
    """

    host: str
    boot: str
    space: str
    pid: int
    started: str


def _this_process() -> _Process:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # no Linux
        boot = space = ""
    host = "".join(socket.gethostname().split())[:LONGEST_HOST]
    started = _state(os.getpid())[1] if boot else ""
    return _Process(host or "-", boot or "-", space or "-", os.getpid(), started or "-")


def _state(pid: int) -> tuple[str, str]:
    """Return the state of a process of this machine, and when it was started.

    Raises:
        OSError: There is no such process, or it cannot be seen.
    """
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    state, *fields = stat.rpartition(")")[2].split()
    return state, fields[_STARTED - 1]


def _has_ended(pid: int, started: str) -> bool:
    try:
        state, since = _state(pid)
    except OSError:
        try:
            os.kill(pid, 0)  # sends nothing
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):  # somebody else's, which the system does not show
            logger.debug("Process %d cannot be seen.", pid)
        return False
    return state in "ZX" or since != started


def new_owner() -> str:
    """Return a name for an attempt of this process, from which others can tell whether it is still alive."""
    own = _this_process()
    return f"{own.host} {own.boot} {own.space} {own.pid} {own.started} {secrets.token_hex(4)}"


def is_gone(owner: str) -> bool:
    """Whether an attempt ran on this very machine, and has certainly ended without letting go of its token."""
    parts = owner.split(" ")
    own = _this_process()
    if len(parts) != 6 or own.boot == "-" or not parts[3].isdecimal():  # noqa: PLR2004 - as `new_owner` writes them
        return False
    if tuple(parts[:3]) != (own.host, own.boot, own.space):
        return False
    pid, started = int(parts[3]), parts[4]
    if (pid, started) == (own.pid, own.started):
        return owner not in _alive
    return pid > 0 and _has_ended(pid, started)


def ensure_free(token: Token, change: TokenChange) -> None:
    """Refuse a token that cannot be registered now; one that a dead process holds can be.

    Raises:
        TokenBusyError: Another registration holds it.
        TokenStatusError: It is not in draft, nor did its registration fail.
    """
    if not (token.is_held(utc_now()) and token.owner and is_gone(token.owner)):
        require_allowed(token, change, utc_now())


class Attempt:
    """Holds a token for the length of a ``with`` block, and lets go of it as failed where the block raises.

    The lease is renewed in a thread, so that the work may take as long as it takes.

    Args:
        store: Where the token is.
        token: The token as it was read.
        by: Who asks for it.
        lease_seconds: How long the token is held without a sign of life.
    """

    def __init__(self, store: TokenStore, token: Token, *, by: str, lease_seconds: float) -> None:
        self._store = store
        self._token = token
        self._by = by
        self._lease = lease_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="hokusai-lease", daemon=True)
        self.owner = new_owner()
        self.done = False

    @property
    def claim(self) -> TokenChange:
        """The step that the attempt begins with."""
        return TokenChange(to=Status.REGISTERING, by=self._by, owner=self.owner, lease_seconds=self._lease)

    def __enter__(self) -> Self:
        _alive.add(self.owner)
        try:
            self._take()
        except BaseException:
            _alive.discard(self.owner)
            raise
        self._thread.start()
        return self

    def _take(self) -> None:
        """Take the token; from a process of this machine that has died, without waiting for its lease.

        Raises:
            TokenBusyError, TokenStatusError: Somebody else was faster.
        """
        before = self._token
        claim = self.claim
        if before.is_held(utc_now()) and before.owner and is_gone(before.owner):
            try:
                self._store.renew(before.token_id, owner=before.owner, lease_seconds=AT_ONCE)
                time.sleep(10 * AT_ONCE)
            except TokenStatusError:
                logger.debug("The token %s has another holder meanwhile.", before.token_id)
            claim = claim.model_copy(update={"reason": "The process that was registering it has ended."})
        self._store.change(before.token_id, claim)

    def _renew(self) -> None:
        while not self._stop.wait(self._lease / 3):
            try:
                self.confirm()
            except TokenStatusError as error:
                logger.warning("%s", error.what)
                return
            except HokusaiError as error:
                # It may answer again before the lease lapses; if not, the last step is refused.
                logger.warning("The lease of %s could not be renewed: %s", self._token.token_id, error.what)

    def confirm(self) -> None:
        """Hold the token for another lease.

        Raises:
            TokenStatusError: It is not held any more; somebody else has taken it over.
        """
        _patiently(lambda: self._store.renew(self._token.token_id, owner=self.owner, lease_seconds=self._lease))

    def complete(self, facts: RegistrationFacts) -> Token:
        """Have the token be registered, with its events; an answer that was lost is asked for once more.

        Raises:
            TokenStatusError: The token was taken over meanwhile.
        """
        reason = registered_as(facts)
        change = TokenChange(to=Status.REGISTERED, by=self._by, owner=self.owner, reason=reason, facts=facts)
        try:
            token = self._change(change)
        except HokusaiError as error:
            if not isinstance(error, ConnectionError):
                raise
            token = self._change(change)
        self.done = True
        return token

    def _change(self, change: TokenChange) -> Token:
        return _patiently(lambda: self._store.change(self._token.token_id, change))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        try:
            if error is not None and not self.done:
                self._let_go(error)
        finally:
            _alive.discard(self.owner)

    def _let_go(self, error: BaseException) -> None:
        reason = _reason(error)
        change = TokenChange(to=Status.FAILED, by=self._by, owner=self.owner, reason=reason)
        try:
            self._change(change)
        except HokusaiError as failure:
            # What the block raised is what the user must see.
            error.add_note(f"The token {self._token.token_id} could not be marked as failed: {failure.what}")


def _patiently(ask: Callable[[], T]) -> T:
    """Ask a store, and again after the time that it wants to be left alone, within bounds.

    Raises:
        RateLimitError: It was waited for long enough.
    """
    latest = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except RateLimitError as error:
            pause = max(error.retry_after, LEAST_PAUSE)
            if time.monotonic() + pause > latest:
                raise
            logger.debug("%s Waiting %.1f seconds.", error.what, pause)
        time.sleep(pause)


def _reason(error: BaseException) -> str:
    """Return why an attempt ended, in one line without secrets, for the token's history and its events."""
    if isinstance(error, HokusaiError):
        return " ".join(redact(error.what).split())[:LONGEST_REASON]
    return "interrupted" if not isinstance(error, Exception) else f"unexpected error: {type(error).__name__}"
