"""The outbox: events that are written are delivered, at least once, whatever dies meanwhile.

An event lies in the database with one delivery for each destination. A worker claims deliveries that
are due, tries them, and writes down what became of them; a claim of a worker that died lapses. What
failed is tried again, after ever longer and random pauses, until it is given up: then it is dead, and
`Outbox.retry` begins anew. The events of one token reach a destination in the order they were written.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING

import tenacity

from hokusai_nb.backends.answers import Answer, Verdict
from hokusai_nb.backends.sql import claims as claiming
from hokusai_nb.backends.sql import outbox as queries
from hokusai_nb.backends.sql.claims import Claim, Outcome
from hokusai_nb.backends.webhooks import Post, Sender, Sending
from hokusai_nb.config import settings
from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger
from hokusai_nb.schema.deliveries import DELTAONE, WEBHOOK, Backlog, DeliveryReport
from hokusai_nb.schema.events import DeliveryState, registration_key
from hokusai_nb.schema.lifecycle import utc_now
from hokusai_nb.site import signing
from hokusai_nb.site.calling import Caller

if TYPE_CHECKING:
    import datetime as dt
    import threading
    from collections.abc import Sequence

    from hokusai_nb.backends.sql.database import Database
    from hokusai_nb.schema.events import Event

__all__ = ["Outbox", "message_of"]

_BATCH = 32
"""Deliveries that are claimed in one go."""
_SHARE = 16
"""Deliveries to one address that are under way before no more are claimed for it."""
_LEAST_SECONDS = 0.3
"""With less time left than this, nothing more is claimed."""
_LOOK_SECONDS = 0.2
"""Between looks at what has become due while posts are under way."""
_POSTED = (WEBHOOK, DELTAONE)
_LONGEST_REST = 60.0


class Outbox:
    """Delivers the events of one database; safe to share between threads.

    Several workers, in one process or in many, share the work: none tries what another has claimed.
    The pauses between tries are drawn at random up to a bound, which doubles from try to try; with
    the numbers below, twelve tries take a day at most.

    Args:
        database: Where the events are.
        sender: How webhooks are posted; by the settings if left out.
        tries: After how many a delivery is given up.
        refused_tries: The same for tries in a row to which the receiver says that it will not take the
            event; one that fails otherwise begins the row anew.
        first_pause: Seconds before the second try at most.
        longest_pause: Seconds before any try at most, also where a receiver asks for more.
        claim_seconds: After how long another worker takes over from one that died. Posts keep well
            within it.
        handler_seconds: How long a handler of this process may take, at most half of ``claim_seconds``; one
            that takes longer has failed, and is not called again while it has not returned.
    """

    def __init__(
        self,
        database: Database,
        *,
        sender: Sender | None = None,
        tries: int = 12,
        refused_tries: int = 3,
        first_pause: float = 60.0,
        longest_pause: float = 8 * 3600.0,
        claim_seconds: float = 60.0,
        handler_seconds: float = 20.0,
    ) -> None:
        self.database = database
        self._sender = sender or Sender(allow_private=settings().webhook_allow_private)
        self._tries = tries
        self._refused_tries = refused_tries
        self._pause = tenacity.wait_random_exponential(multiplier=first_pause, max=longest_pause)
        self._longest_pause = longest_pause
        self._claim_seconds = claim_seconds
        self._caller = Caller(min(handler_seconds, claim_seconds / 2))
        self._worker = uuid.uuid4().hex
        self._warned = False

    def __repr__(self) -> str:
        return f"Outbox({self.database.description!r})"

    def deliver(
        self, limit: int | None = None, *, token_id: str | None = None, within: float | None = None
    ) -> DeliveryReport:
        """Deliver what is due, and return when nothing is due any more.

        Args:
            limit: How many deliveries at most.
            token_id: Only events of this token.
            within: Seconds that it may take, for somebody who waits; the rest is left to a worker.

        Raises:
            DatabaseError: The database cannot be asked. What was being delivered may come twice.
        """
        done = self._work(limit=limit, token_id=token_id, within=within)
        with self.database.reading() as connection:
            left = queries.backlog(connection, token_id=token_id).pending
        return DeliveryReport(
            delivered=done[DeliveryState.DELIVERED],
            failed=done[DeliveryState.PENDING],
            dead=done[DeliveryState.DEAD],
            left=left,
        )

    def watch(self, stop: threading.Event, pause: float = 1.0) -> None:
        """Deliver whatever becomes due, until told to stop; a database that is away is waited for.

        No exception ends it: what is unexpected is logged, and another look is taken after a pause.

        Args:
            stop: Set by whoever wants it to end; posts under way are finished, which takes seconds.
            pause: Seconds between two looks into the database.
        """
        rest = pause
        while not stop.is_set():
            try:
                self._work(stop=stop)
                rest = pause
            except Exception as error:  # noqa: BLE001 - nobody else would deliver, nor notice
                _tell(error, logging.WARNING if rest == pause else logging.DEBUG)
                rest = min(2 * rest, max(pause, _LONGEST_REST))
            stop.wait(rest)

    def pending(self) -> Backlog:
        """Count what is not delivered.

        Raises:
            DatabaseError: The database cannot be asked.
        """
        with self.database.reading() as connection:
            return queries.backlog(connection)

    def _work(
        self,
        *,
        limit: int | None = None,
        token_id: str | None = None,
        within: float | None = None,
        stop: threading.Event | None = None,
    ) -> Counter[DeliveryState]:
        done: Counter[DeliveryState] = Counter()
        ends = math.inf if within is None else time.monotonic() + within
        under_way: Counter[str] = Counter()
        outcomes: list[Outcome] = []
        with Sending[Claim](self._sender, stop) as sending:
            while True:
                left = math.inf if limit is None else limit - done.total() - sending.under_way
                over = ends - time.monotonic() < _LEAST_SECONDS or (stop is not None and stop.is_set())
                claims = self._turn(outcomes, 0 if over else left, token_id, under_way)
                outcomes = self._begin(claims, sending, ends)
                under_way.update(claim.target for claim in claims if claim.handler in _POSTED)
                if not claims and not sending.under_way:
                    return done
                for claim, answer in sending.answers(0 if claims else _LOOK_SECONDS):
                    under_way[claim.target] -= 1
                    outcomes.append(self._outcome(claim, answer))
                done.update(outcome.state for outcome in outcomes if outcome.state is not None)

    def _turn(
        self, outcomes: Sequence[Outcome], left: float, token_id: str | None, under_way: Counter[str]
    ) -> list[Claim]:
        """Write down what became of claims, and claim more where there is something to do.

        An endpoint that is slow has its share under way, and only others are claimed for meanwhile.
        """
        busy = [target for target, count in under_way.items() if count >= _SHARE]
        others = sum(count for count in under_way.values() if count < _SHARE)
        without = [*self._sender.resting, *busy]
        room = int(min(_BATCH, left)) if others < _SHARE else 0
        if not outcomes:
            # Most looks find nothing; this one keeps no writer of SQLite waiting.
            if room <= 0:
                return []
            with self.database.reading() as connection:
                if not claiming.is_due(connection, token_id=token_id, without=without):
                    return []
        with self.database.transaction() as connection:
            claiming.record(connection, self._worker, outcomes)
            if room <= 0:
                return []
            seconds = self._claim_seconds
            return claiming.claim(
                connection, self._worker, seconds=seconds, limit=room, token_id=token_id, without=without
            )

    def _begin(self, claims: Sequence[Claim], sending: Sending[Claim], ends: float) -> list[Outcome]:
        """Begin to post claims, and return what became of the others, which are done here and now."""
        secret, now = self._secret(claims), utc_now()
        # Nothing is begun in the second half of a claim's time, so that it does not lapse under way.
        latest = min(ends, time.monotonic() + self._claim_seconds / 2)
        here = []
        for claim in claims:
            if claim.handler in _POSTED and claim.event is not None:
                sending.begin(claim, message_of(claim, claim.event, secret, now), latest=latest, ends=ends)
            else:
                here.append(claim)
        return [self._outcome(claim, self._caller.call(claim, latest=latest, ends=ends)) for claim in here]

    def _outcome(self, claim: Claim, answer: Answer) -> Outcome:
        if answer.verdict is Verdict.DELIVERED:
            return Outcome(claim, DeliveryState.DELIVERED)
        if answer.verdict is Verdict.UNTRIED:
            return Outcome(claim, None)
        tried, refused = claim.attempts + 1, answer.verdict is Verdict.REFUSED
        given_up = tried >= self._tries or (refused and claim.refusals + 1 >= self._refused_tries)
        if given_up or answer.verdict is Verdict.GONE:
            return Outcome(claim, DeliveryState.DEAD, answer.error, refused=refused)
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = tried
        pause = max(self._pause(state), min(answer.retry_after or 0.0, self._longest_pause))
        return Outcome(claim, DeliveryState.PENDING, answer.error, pause, refused)

    def _secret(self, claims: Sequence[Claim]) -> str | None:
        secret = settings().site_webhook_secret
        if secret is not None:
            return secret.get_secret_value()
        if not self._warned and any(claim.handler in _POSTED for claim in claims):
            self._warned = True
            logger.warning("Webhooks are sent without a signature: HOKUSAI_SITE_WEBHOOK_SECRET is not set.")
        return None


def message_of(claim: Claim, event: Event, secret: str | None, moment: dt.datetime) -> Post:
    """Return what is posted for a delivery.

    To the site goes the envelope, or the site's own shape of ``model_registered``; to a DeltaOne
    endpoint goes the payload, which is what such endpoints read.

    Args:
        claim: To ``webhook`` or ``deltaone``.
        event: The claim's event.
        secret: What it is signed with; without one it has no signature.
        moment: When it is sent.
    """
    if claim.handler == DELTAONE:
        body = signing.compact(event.payload)
    else:
        body = signing.compact(claim.site_body or event.model_dump(mode="json"))
    headers = signing.standard_headers(body, secret, message_id=event.event_id, moment=moment)
    headers[signing.IDEMPOTENCY_KEY] = _idempotency_key(claim, event)
    if secret and claim.handler == DELTAONE:
        nonce = secrets.token_hex(16)
        headers |= signing.deltaone_headers(body, secret, timestamp=int(moment.timestamp()), nonce=nonce)
    elif secret:
        headers |= signing.site_headers(body, secret)
    return Post(claim.target, body, headers)


def _idempotency_key(claim: Claim, event: Event) -> str:
    if claim.site_body is None:
        return signing.event_key(event.event_id)
    model = claim.site_body["model"]
    return registration_key(model["id"], event.token_id or "", model["run_id"], model["version"])


def _tell(error: Exception, level: int) -> None:
    if isinstance(error, HokusaiError):
        logger.log(level, "Events wait to be delivered: %s", error.what)
    else:
        logger.log(level, "Events wait to be delivered: %s", type(error).__name__, exc_info=error)
