"""What a token store can do, whichever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hokusai_nb.errors import TokenNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hokusai_nb.schema.events import Event, EventPage
    from hokusai_nb.schema.lifecycle import NewToken, Status, Token, TokenChange, TokenPage, Transition

__all__ = ["PAGE", "TokenStore", "statuses_of"]

PAGE = 100
"""Entries of one page unless a caller wants another number."""


class TokenStore(Protocol):
    """Tokens, their history and their events: a database, the Hokusai API, or mock mode.

    Safe to share between threads. Every method may raise `DatabaseError` or `ServiceError`,
    whichever stands behind the store.
    """

    @property
    def description(self) -> str:
        """What it is and where, without credentials."""

    @property
    def simulated(self) -> bool:
        """Whether nothing that it says lasts: mock mode."""

    def get(self, token_id: str) -> Token:
        """Return a token.

        Raises:
            TokenNotFoundError: There is no such token.
        """

    def list_tokens(self, status: Status | None = None, *, cursor: str | None = None, limit: int = PAGE) -> TokenPage:
        """Return tokens by id, at most ``limit`` of them, from where the cursor says."""

    def create(self, token: NewToken, *, by: str) -> Token:
        """Create a token in draft.

        Raises:
            TokenExistsError: There is one of this id.
        """

    def change(self, token_id: str, change: TokenChange) -> Token:
        """Take one step of a token's life, with its history and its events, in one transaction.

        The events are those of `schema.events.events_of`. Asking again for a step that this owner has
        taken already changes nothing and returns the token.

        Raises:
            TokenNotFoundError: There is no such token.
            TokenBusyError: Another registration holds it.
            TokenStatusError: The step does not start from its status.
        """

    def renew(self, token_id: str, *, owner: str, lease_seconds: float) -> None:
        """Hold a token for longer.

        Raises:
            TokenStatusError: The owner does not hold it any more.
        """

    def history(self, token_id: str) -> tuple[Transition, ...]:
        """Return every step that a token has taken, oldest first.

        Raises:
            TokenNotFoundError: There is no such token.
        """

    def publish(self, event: Event, *, key: str) -> bool:
        """Write an event that goes with no change of status.

        Args:
            event: The event.
            key: What it is recognised by when it is published again.

        Returns:
            Whether it was written now; False where one with this key was before.
        """

    def list_events(
        self, token_id: str | None = None, *, state: str | None = None, cursor: str | None = None, limit: int = PAGE
    ) -> EventPage:
        """Return events, newest first; ``state`` keeps those with a delivery in it (pending, delivered, dead)."""

    def retry(self, event_id: str | None = None) -> int:
        """Begin anew with deliveries that were given up, of one event or of all; return how many.

        Raises:
            EventNotFoundError: There is no such event.
        """


def statuses_of(store: TokenStore, token_ids: Iterable[str]) -> dict[str, Status]:
    """Return the status of each of the tokens that the store knows."""
    found = {}
    for token_id in dict.fromkeys(token_ids):
        try:
            found[token_id] = store.get(token_id).model_status
        except TokenNotFoundError:
            continue  # registered elsewhere, or before there was a store
    return found
