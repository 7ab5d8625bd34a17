"""Where events go, and what became of sending them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pydantic

from hokusai_nb.schema.display import Shown, grid, printable
from hokusai_nb.schema.events import EventType

if TYPE_CHECKING:
    from markupsafe import Markup

    from hokusai_nb.schema.events import Event

__all__ = ["CONSOLE", "DATABASE", "DELTAONE", "WEBHOOK", "Backlog", "DeliveryReport", "Destination", "place_of"]

CONSOLE = "console"
"""The handler that writes a line on stderr."""
WEBHOOK = "webhook"
"""The handler that posts every event to the site, or to an address that the user named."""
DELTAONE = "deltaone"
"""The handler that posts ``deltaone_achieved``, and nothing else, to an endpoint that waits for it."""
DATABASE = "database"
"""The handler of systems that poll the table: it takes an event by being written, and ``processed`` is theirs."""


def place_of(url: str) -> str:
    """Return scheme, host and port of an address; its path and its query may be a secret.

    >>> place_of("https://me:s3cret@hooks.example.org:8443/T0/s3cret?key=s3cret")
    'https://hooks.example.org:8443'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")


class Destination(pydantic.BaseModel, frozen=True):
    """One of those who are told of events; fixed for an event when it is written."""

    handler: str
    """``console``, ``webhook``, ``deltaone``, ``database``, or the name of an entry point."""
    target: str = ""
    """The address of a webhook, which may hold a secret; empty for every other handler."""

    def __repr__(self) -> str:
        return f"Destination({self.shown!r})"

    __str__ = __repr__

    @property
    def shown(self) -> str:
        """What users see of it: no path, no query, no credentials."""
        return f"{self.handler} {place_of(self.target)}" if self.target else self.handler

    def takes(self, event: Event) -> bool:
        """Whether it is told of this event."""
        return self.handler != DELTAONE or event.event_type is EventType.DELTAONE_ACHIEVED


class DeliveryReport(pydantic.BaseModel, frozen=True):
    """What one round of deliveries came to; numbers of deliveries, of which an event has one per destination."""

    delivered: int = 0
    failed: int = 0
    """Failed tries whose delivery is to be tried again later."""
    dead: int = 0
    """Given up in this round."""
    left: int = 0
    """Pending at the end of the round, whenever their next try is due."""

    @property
    def sentence(self) -> str:
        """The same in words."""
        parts = [f"Delivered {self.delivered:,}"]
        if self.failed:
            parts.append(f"{self.failed:,} tries failed")
        if self.dead:
            parts.append(f"{self.dead:,} given up (see: hokusai events list --state dead)")
        left = f"{self.left:,} pending"
        if self.left:
            left += " (why, and until when: hokusai events list --state pending)"
        return f"{'; '.join(parts)}; {left}."


class Backlog(Shown, frozen=True):
    """How many deliveries an outbox holds that did not succeed."""

    pending: int
    dead: int
    oldest: dt.datetime | None = None
    """When the oldest event with a pending delivery was made."""

    def _grid(self) -> tuple[Markup, str]:
        rows = [("Pending", self.pending), ("Dead", self.dead)]
        since = [("Oldest pending", f"{self.oldest:%Y-%m-%d %H:%M:%S} UTC")] if self.oldest else []
        return grid("Deliveries", [*rows, *since])
