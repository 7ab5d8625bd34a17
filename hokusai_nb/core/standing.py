"""Where a token stands, asked of its store beside other work: an answer is never waited for long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hokusai_nb.errors import HokusaiError, TokenNotFoundError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.lifecycle import Status, no_such_token, utc_now
from hokusai_nb.schema.problems import Problem
from hokusai_nb.site.sql_store import SqlTokenStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hokusai_nb.core.token_methods import TokenMethods
    from hokusai_nb.schema.lifecycle import Token
    from hokusai_nb.site.store import TokenStore

__all__ = ["PATIENCE_SECONDS", "Asked", "ask_doubts", "ask_token_ids"]

A = TypeVar("A")

PATIENCE_SECONDS = 2.0
MOST_TOKENS = 1000
"""Suggested at most."""
_MEANING: Mapping[Status, tuple[str, str]] = MappingProxyType(
    {
        Status.REGISTERING: ("is being registered", "A version that is registered now stands beside that."),
        Status.REGISTERED: ("is registered", "A further version can be registered all the same."),
        Status.DEPLOYED: ("is deployed", "A further version can be registered; what is deployed stays as it is."),
        Status.FAILED: ("failed to be registered", "A version can be registered all the same."),
        Status.ARCHIVED: ("is archived", "It is out of use; check that it is the one you mean."),
    }
)
"""What a status other than draft is called, and what it means for a version that is registered now."""


class Asked(Generic[A]):
    """A question that is under way in a thread.

    Args:
        ask: Finds the answer.
        otherwise: The answer where none is found in time.
        in_turn: Do not ask while an earlier question is overdue, so that of many registrations a
            store that hangs holds up the first only.
    """

    _late: set[Future[Any]] = set()  # noqa: RUF012 - of all questions
    _lock = threading.Lock()

    def __init__(self, ask: Callable[[], A], otherwise: A, *, in_turn: bool = False) -> None:
        self._otherwise = otherwise
        self._ends = time.monotonic() + PATIENCE_SECONDS
        self._found: Future[A] = Future()
        if in_turn and self._late:
            self._found.set_result(otherwise)
        else:
            threading.Thread(target=self._run, args=(ask,), name="hokusai-token-store", daemon=True).start()

    def _run(self, ask: Callable[[], A]) -> None:
        found = self._otherwise
        try:
            found = ask()
        except Exception:  # noqa: BLE001 - whatever it is, the other answer is right
            logger.debug("A token store could not be asked.", exc_info=True)
        with self._lock:
            self._found.set_result(found)
            self._late.discard(self._found)

    def answer(self) -> A:
        """Return the answer, two seconds after it was asked for at the latest."""
        try:
            return self._found.result(max(0.0, self._ends - time.monotonic()))
        except TimeoutError:
            with self._lock:
                if not self._found.done():
                    self._late.add(self._found)
            return self._otherwise


def ask_doubts(registry: TokenMethods, token_id: str, *, in_turn: bool = False) -> Asked[tuple[Problem, ...] | None]:
    """Ask what speaks against registering under a token: warnings, none where it is in draft.

    The answer is None where the store is the user's by default and has no token at all, so that nobody meant it
    to know this one.

    Args:
        registry: Knows the store.
        token_id: Canonical token id.
        in_turn: See `Asked`.
    """
    late = _unchecked(token_id, f"The token store did not answer within {PATIENCE_SECONDS:g} seconds.")
    return Asked[tuple[Problem, ...] | None](lambda: _doubts(registry, token_id), (late,), in_turn=in_turn)


def ask_token_ids(registry: TokenMethods) -> Asked[tuple[str, ...]]:
    """Ask for the ids of the tokens that the store has; none where there is no store to ask."""
    return Asked(lambda: _token_ids(registry), ())


def _doubts(registry: TokenMethods, token_id: str) -> tuple[Problem, ...] | None:
    try:
        store = registry.token_store
        if not registry.is_token_store_named and not _has_token(store):
            return None
        doubt = _doubt_of(_get(store, token_id), token_id)
    except TokenNotFoundError as error:
        doubt = _warning(error.what, error.hint)
    except HokusaiError as error:
        doubt = _unchecked(token_id, error.what, error.hint)
    except Exception as error:  # noqa: BLE001 - a store may be anybody's
        logger.debug("A token store failed.", exc_info=True)
        doubt = _unchecked(token_id, redact(f"{type(error).__name__}: {error}"))
    return (doubt,) if doubt else ()


def _get(store: TokenStore, token_id: str) -> Token:
    """Return a token; a file that is made when it is first opened has none, and is not made for that."""
    if _is_yet_to_be_made(store):
        raise no_such_token(token_id)
    return store.get(token_id)


def _doubt_of(token: Token, asked_for: str) -> Problem | None:
    if token.model_status is Status.DRAFT:
        return None
    state, meaning = _MEANING[token.model_status]
    if token.model_status is Status.REGISTERING and not token.is_held(utc_now()):
        state = "was being registered, and that was never finished"
    return _warning(f"Token is not in Draft status: {asked_for} {state}.", meaning)


def _warning(what: str, hint: str = "") -> Problem:
    return Problem(field="token", what=what, hint=hint, severity="warning")


def _unchecked(token_id: str, why: str, hint: str = "") -> Problem:
    return _warning(f"Whether {token_id} is in draft could not be checked. {why}", hint)


def _has_token(store: TokenStore) -> bool:
    return not _is_yet_to_be_made(store) and bool(store.list_tokens(limit=1).entries)


def _is_yet_to_be_made(store: TokenStore) -> bool:
    if not isinstance(store, SqlTokenStore) or store.simulated:
        return False
    config = store.database.config
    return config.db_type == "sqlite" and not Path(config.database).exists()


def _token_ids(registry: TokenMethods) -> tuple[str, ...]:
    if not registry.names_token_store or _is_yet_to_be_made(store := registry.token_store):
        return ()
    return tuple(token.token_id for token in store.list_tokens(limit=MOST_TOKENS).entries)
