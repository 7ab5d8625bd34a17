"""A token store that stands behind the Hokusai API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.http import calls
from hokusai_nb.schema.events import DeliveryState
from hokusai_nb.site.store import PAGE

if TYPE_CHECKING:
    from hokusai_nb.backends.http import HokusaiClient
    from hokusai_nb.schema.events import Event, EventPage
    from hokusai_nb.schema.lifecycle import NewToken, Status, Token, TokenChange, TokenPage, Transition

__all__ = ["HttpTokenStore"]


class HttpTokenStore:
    """Tokens, their history and their events, as the Hokusai API keeps them.

    Args:
        client: What it is asked by; whoever made it closes it.
    """

    def __init__(self, client: HokusaiClient) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"HttpTokenStore({self._client!r})"

    @property
    def description(self) -> str:
        """What it is and where."""
        return f"the Hokusai API at {self._client.endpoint}"

    @property
    def simulated(self) -> bool:
        """False: what the API is told lasts."""
        return False

    def get(self, token_id: str) -> Token:
        """Return a token.

        Raises:
            TokenNotFoundError: There is no such token.
        """
        return self._client.token(token_id)

    def list_tokens(self, status: Status | None = None, *, cursor: str | None = None, limit: int = PAGE) -> TokenPage:
        """Return tokens by id, at most ``limit`` of them, from where the cursor says."""
        return self._client.send(calls.tokens(status, page_size=limit).at(cursor))

    def create(self, token: NewToken, *, by: str) -> Token:
        """Create a token in draft; the API writes down the name of the key, whoever ``by`` says it was.

        Raises:
            TokenExistsError: There is one of this id.
        """
        del by
        return self._client.create_token(token)

    def change(self, token_id: str, change: TokenChange) -> Token:
        """Take one step of a token's life; the API writes down the name of the key.

        Raises:
            TokenNotFoundError: There is no such token.
            TokenBusyError: Another registration holds it.
            TokenStatusError: The step does not start from its status.
        """
        return self._client.change_token(token_id, change)

    def renew(self, token_id: str, *, owner: str, lease_seconds: float) -> None:
        """Hold a token for longer.

        Raises:
            TokenStatusError: The owner does not hold it any more.
        """
        self._client.renew_lease(token_id, owner=owner, lease_seconds=lease_seconds)

    def history(self, token_id: str) -> tuple[Transition, ...]:
        """Return every step that a token has taken, oldest first.

        Raises:
            TokenNotFoundError: There is no such token.
        """
        return self._client.history(token_id)

    def publish(self, event: Event, *, key: str) -> bool:
        """Write an event that goes with no change of status, and return whether it was written now."""
        return self._client.publish(event, key=key)

    def list_events(
        self, token_id: str | None = None, *, state: str | None = None, cursor: str | None = None, limit: int = PAGE
    ) -> EventPage:
        """Return events, newest first; ``state`` keeps those with a delivery in it."""
        return self._client.send(calls.events(token_id, state=state, page_size=limit).at(cursor))

    def retry(self, event_id: str | None = None) -> int:
        """Begin anew with deliveries that were given up; see `TokenStore.retry`."""
        if event_id is None:
            given_up = [e.event.event_id for e in self._client.events(state=DeliveryState.DEAD.value)]
        else:
            given_up = [event_id]
        renewed = (d for each in given_up for d in self._client.retry_event(each).deliveries)
        return sum(d.state is DeliveryState.PENDING and not d.attempts for d in renewed)
