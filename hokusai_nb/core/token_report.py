"""Where a token stands, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.schema.lifecycle import Status
from hokusai_nb.schema.token_reports import TokenReport
from hokusai_nb.schema.tokens import parse_token

if TYPE_CHECKING:
    from hokusai_nb.site.store import TokenStore

__all__ = ["token_report"]


def token_report(store: TokenStore, token_id: object) -> TokenReport:
    """Return a token with the reason of its last step and the model that it was registered with.

    Raises:
        ValidationError: It is no token ID.
        TokenNotFoundError: There is no such token.
        DatabaseError, ServiceError: The token store fails.
    """
    token = store.get(parse_token(token_id, ticker=True))
    fresh = token.model_status is Status.DRAFT  # its history says nothing yet
    return TokenReport.of(token, () if fresh else store.history(token.token_id))
