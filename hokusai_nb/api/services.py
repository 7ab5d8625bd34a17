"""What the routes call: one of each for an application, made from its configuration."""

from __future__ import annotations

import math
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from hokusai_nb.api.limits import Limiter, Rate, parse_rate
from hokusai_nb.api.problems import Refusal
from hokusai_nb.backends.sql.event_list import find_event
from hokusai_nb.backends.sql.keys import find_key
from hokusai_nb.config import settings
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import HokusaiError, TokenNotFoundError
from hokusai_nb.site.handlers import configured_destinations
from hokusai_nb.site.opening import open_database
from hokusai_nb.site.outbox import Outbox
from hokusai_nb.site.sql_store import SqlTokenStore

if TYPE_CHECKING:
    from hokusai_nb.api.options import ServerConfig
    from hokusai_nb.schema.events import EventRecord
    from hokusai_nb.schema.keys import ApiKey

__all__ = ["Asked", "Services", "services"]

_READY_SECONDS = 1.0


class Services:
    """The registry, the tokens, the events and the keys of one application; nothing is contacted before use.

    Attributes:
        registry: Models.
        store: Tokens and events.
        outbox: Deliveries of events.
        database: Where tokens, events and keys are kept.
        limiter: Counts requests.
        worker: Delivers events; None where this application does not, or has not begun.
    """

    def __init__(self, config: ServerConfig) -> None:
        found = settings()
        webhook = config.webhook_url.get_secret_value() if config.webhook_url else None
        self.config = config
        self.database = open_database(config.database, connections=config.threads + 1)  # for the worker, too
        self.store = SqlTokenStore(self.database, configured_destinations(webhook))
        self.outbox = Outbox(self.database)
        self.registry = ModelRegistry(config.mlflow_uri, token_store=self.store)
        self.limiter = Limiter(found.redis_url)
        self.rate: Rate = parse_rate("key", config.rate_limit or found.rate_limit)
        self.wrong_rate: Rate = parse_rate("wrong", config.wrong_key_limit)
        self.worker: threading.Thread | None = None
        self._checking = threading.Lock()
        self._checked_at = -math.inf
        self._trouble: HokusaiError | None = Refusal(
            HTTPStatus.SERVICE_UNAVAILABLE, "It is not known yet whether the server is ready.", retry_after=1
        )

    def open(self) -> None:
        """Open the databases and bring their tables up to date.

        Raises:
            HokusaiError: One of them cannot be opened.
        """
        self.database.ensure_ready()
        if not self.registry.backend.is_server:
            with self.registry.backend.calling():
                return

    def find_key(self, text: str) -> ApiKey:
        """Return the key of a text; see `backends.sql.keys.find_key`."""
        return find_key(self.database, text)

    def pending(self) -> int:
        """Return how many deliveries wait."""
        return self.outbox.pending().pending

    def retry(self, event_id: str) -> EventRecord:
        """Begin anew with the deliveries of an event that were given up, and return it.

        Raises:
            EventNotFoundError: There is no such event.
        """
        self.store.retry(event_id)
        with self.database.reading() as connection:
            return find_event(connection, event_id)

    def confirms(self, token_id: str) -> bool:
        """Whether the site has a token of this id."""
        try:
            self.store.get(token_id)
        except TokenNotFoundError:
            return False
        return True

    def ensure_ready(self) -> None:
        """Ask both databases something, once a second at most and in one thread: anybody may ask for it.

        Raises:
            HokusaiError: One of them does not answer, or did not when it was asked last; or events are
                to be delivered and the worker that does it has ended.
        """
        if time.monotonic() - self._checked_at >= _READY_SECONDS and self._checking.acquire(blocking=False):
            try:
                self._trouble = self._asked()
                self._checked_at = time.monotonic()
            finally:
                self._checking.release()
        if self._trouble is not None:
            raise self._trouble.with_traceback(None)  # it is raised many times, and would remember each

    def _asked(self) -> HokusaiError | None:
        """Return what is wrong with the databases or the worker, if anything is."""
        if self.worker is not None and not self.worker.is_alive():
            what = "The worker that delivers events has ended."
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, what, "Look at the log, and start the server anew.")
        try:
            self.store.list_tokens(limit=1)
            with self.registry.backend.calling() as client:
                client.search_registered_models(max_results=1)
        except HokusaiError as error:
            return error
        return None


def services(request: Request) -> Services:
    """Return what a route calls."""
    found: Services = request.app.state.services
    return found


Asked = Annotated[Services, Depends(services)]
"""The parameter of a route that calls them."""
