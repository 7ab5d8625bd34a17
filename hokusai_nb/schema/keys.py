"""API keys: what they allow, and how they are listed; their text is shown once, when they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from hokusai_nb.schema.display import Shown, grid
from hokusai_nb.schema.entries import Entries
from hokusai_nb.schema.lifecycle import Utc

if TYPE_CHECKING:
    import datetime as dt

    from markupsafe import Markup

__all__ = ["SCOPES", "ApiKey", "KeyList", "NewKey", "Scope"]

Scope: TypeAlias = Literal["read", "register", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "register", "admin")
"""What a key may do; each includes those before it."""


class ApiKey(Shown, frozen=True):
    """A key of the API server, without its secret."""

    key_id: str
    """The part of the key's text that may be shown."""
    name: str
    scope: Scope
    created_at: Utc
    expires_at: Utc | None = None
    revoked_at: Utc | None = None
    last_used_at: Utc | None = None
    """To the minute."""

    def allows(self, scope: Scope) -> bool:
        """Whether the key may do what needs this scope."""
        return SCOPES.index(scope) <= SCOPES.index(self.scope)

    def is_valid(self, now: dt.datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def _row(self) -> tuple[str, ...]:
        moments = (self.created_at, self.expires_at, self.last_used_at, self.revoked_at)
        return (self.key_id, self.name, self.scope, *(f"{m:%Y-%m-%d %H:%M UTC}" if m else "–" for m in moments))

    def _grid(self) -> tuple[Markup, str]:
        return KeyList(entries=(self,))._grid()  # noqa: SLF001 - a record of this module


class KeyList(Entries[ApiKey], frozen=True):
    """The keys of a server, newest first."""

    def _grid(self) -> tuple[Markup, str]:
        head = ("Key", "Name", "Scope", "Created", "Expires", "Last used", "Revoked")
        rows = [key._row() for key in self]  # noqa: SLF001 - its own entries
        return grid("API keys", rows, head, [] if rows else ["There is none; make one with hokusai key create NAME."])


class NewKey(ApiKey, frozen=True):
    """A key that was just made, with the one copy of its text."""

    key: str
    """``hk_ID_SECRET``; the server keeps a digest of it only."""

    def _grid(self) -> tuple[Markup, str]:
        return grid(f"API key {self.name}", [("Key", self.key)])[0], self.key
