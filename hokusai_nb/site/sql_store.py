"""Tokens and events in a database."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from hokusai_nb.backends.sql import clock, outbox, tokens
from hokusai_nb.backends.sql.event_list import list_events
from hokusai_nb.backends.sql.paging import check_limit
from hokusai_nb.backends.sql.types import storable
from hokusai_nb.errors import TokenStatusError, ValidationError
from hokusai_nb.schema.events import events_of, told_under
from hokusai_nb.schema.lifecycle import Status, Transition, no_such_token, require_allowed
from hokusai_nb.schema.problems import Problem, raise_for
from hokusai_nb.schema.tokens import check_token, fold_token
from hokusai_nb.site.store import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hokusai_nb.backends.sql.database import Connection, Database
    from hokusai_nb.backends.sql.tokens import Stored
    from hokusai_nb.schema.deliveries import Destination
    from hokusai_nb.schema.events import Event, EventPage
    from hokusai_nb.schema.lifecycle import NewToken, RegistrationFacts, Token, TokenChange, TokenPage

__all__ = ["SqlTokenStore"]

_LONGEST_LEASE = 86_400
_LONGEST_KEY = 255
_IN_MOCK_MODE = "mock mode"


class SqlTokenStore:
    """A `TokenStore` in SQLite or PostgreSQL; safe to share between threads and processes.

    Args:
        database: Where tokens and events are kept.
        destinations: Who is told of the events that are written.
        simulated: Whether what it says is marked as simulated.
        confirms_any: Whether a well-formed token that is asked for is created in draft if it is not there.
    """

    def __init__(
        self,
        database: Database,
        destinations: Iterable[Destination] = (),
        *,
        simulated: bool = False,
        confirms_any: bool = False,
    ) -> None:
        self.database = database
        self.destinations = tuple(destinations)
        self.simulated = simulated
        self._confirms_any = confirms_any

    def __repr__(self) -> str:
        return f"SqlTokenStore({self.description!r})"

    @property
    def description(self) -> str:
        """Where the database is, without credentials."""
        return self.database.description

    def get(self, token_id: str) -> Token:
        """Return a token; see `TokenStore.get`."""
        with self.database.reading() as connection:
            found = tokens.find(connection, token_id)
        if found is None and self._confirms_any:
            with self.database.transaction() as connection:
                return self._marked(self._locked(connection, token_id).token)
        if found is None:
            raise no_such_token(token_id)
        return self._marked(found.token)

    def list_tokens(self, status: Status | None = None, *, cursor: str | None = None, limit: int = PAGE) -> TokenPage:
        """Return a page of tokens; see `TokenStore.list_tokens`."""
        check_limit(limit)
        with self.database.reading() as connection:
            page = tokens.list_tokens(connection, status, cursor=cursor, limit=limit)
        return page.model_copy(update={"entries": tuple(self._marked(token) for token in page.entries)})

    def create(self, token: NewToken, *, by: str) -> Token:
        """Create a token in draft; see `TokenStore.create`."""
        _require_json(token)
        with self.database.transaction() as connection:
            tokens.create(connection, token.token_id, token.metadata, by=by, at=clock.now(connection))
            return self._marked(self._locked(connection, token.token_id).token)

    def change(self, token_id: str, change: TokenChange) -> Token:
        """Take one step of a token's life; see `TokenStore.change`."""
        change = _complete(change)
        with self.database.transaction() as connection:
            found = self._locked(connection, token_id)
            now = clock.now(connection)
            if not _is_taken(found, change, now):
                require_allowed(found.token, change, now)
                self._take(connection, found, change, now)
                found = self._locked(connection, token_id)
            return self._marked(found.token)

    def renew(self, token_id: str, *, owner: str, lease_seconds: float) -> None:
        """Hold a token for longer; see `TokenStore.renew`."""
        _require_lease(lease_seconds)
        with self.database.transaction() as connection:
            found = self._locked(connection, token_id)
            if found.token.owner != storable(owner):
                what = f"The registration of {found.token.token_id} does not hold it any more."
                raise TokenStatusError(what, "Its lease had lapsed, or it is done; see hokusai model status.")
            until = clock.now(connection) + dt.timedelta(seconds=lease_seconds)
            tokens.hold(connection, found.key, found.token.owner, until)

    def history(self, token_id: str) -> tuple[Transition, ...]:
        """Return every step of a token; see `TokenStore.history`."""
        with self.database.reading() as connection:
            found = tokens.find(connection, token_id)
            if found is None:
                raise no_such_token(token_id)
            return tokens.transitions(connection, found.key)

    def publish(self, event: Event, *, key: str) -> bool:
        """Write an event that goes with no change of status; see `TokenStore.publish`."""
        key = _event_key(key)
        with self.database.transaction() as connection:
            return outbox.publish(connection, event, self.destinations, key=key)

    def list_events(
        self, token_id: str | None = None, *, state: str | None = None, cursor: str | None = None, limit: int = PAGE
    ) -> EventPage:
        """Return a page of events; see `TokenStore.list_events`."""
        check_limit(limit)
        wanted = token_id and storable(token_id)
        with self.database.reading() as connection:
            return list_events(connection, wanted, state=state, cursor=cursor, limit=limit)

    def retry(self, event_id: str | None = None) -> int:
        """Begin anew with deliveries that were given up; see `TokenStore.retry`."""
        with self.database.transaction() as connection:
            return outbox.retry(connection, event_id)

    def _locked(self, connection: Connection, token_id: str) -> Stored:
        """Return a token that nobody else can change before the transaction ends."""
        found = tokens.find(connection, token_id, lock=True)
        if found is None and self._confirms_any and not check_token(token_id, ticker=True):
            tokens.create(connection, fold_token(token_id), {}, by=_IN_MOCK_MODE, at=clock.now(connection))
            found = tokens.find(connection, token_id, lock=True)
        if found is None:
            raise no_such_token(token_id)
        return found

    def _take(self, connection: Connection, found: Stored, change: TokenChange, now: dt.datetime) -> None:
        token = found.token
        tokens.set_status(connection, found.key, change.to, now, **_columns(change.facts))
        if change.owner is None:
            tokens.release(connection, found.key)
        else:
            tokens.hold(connection, found.key, change.owner, now + dt.timedelta(seconds=change.lease_seconds or 0))
        step = Transition(
            token_id=token.token_id,
            before=token.model_status,
            after=change.to,
            by=change.by,
            at=now,
            reason=change.reason,
        )
        tokens.write_transition(connection, found.key, step)
        told = events_of(token.token_id, change, now)
        if change.to is Status.REGISTERED and change.facts is not None:
            registered, *told = told
            key = _registered_under(token.token_id, change.facts)
            outbox.publish(connection, registered, self.destinations, key=key, facts=change.facts)
        outbox.write(connection, told, self.destinations, facts=change.facts)

    def _marked(self, token: Token) -> Token:
        return token.model_copy(update={"simulated": True}) if self.simulated else token


def _is_taken(found: Stored, change: TokenChange, now: dt.datetime) -> bool:
    """Whether this owner has taken the step already; one whose lease has lapsed takes it again."""
    same = change.owner is not None and found.last_owner == change.owner and found.token.model_status is change.to
    return same and (change.to is not Status.REGISTERING or found.token.is_held(now))


def _registered_under(token_id: str, facts: RegistrationFacts) -> str:
    """Return the key that a report of the same registration has too, so that it is told once."""
    return told_under(facts.model_name, token_id, facts.mlflow_run_id, facts.version)


def _columns(facts: RegistrationFacts | None) -> dict[str, str | None]:
    if facts is None:
        return {}
    names = ("mlflow_run_id", "metric_name", "metric_value", "baseline_value")
    return {name: getattr(facts, name) for name in names}


def _complete(change: TokenChange) -> TokenChange:
    """Return the change with an owner that every database can keep.

    Raises:
        ValidationError: It lacks what its step needs.
    """
    lacking = []
    if change.to is Status.REGISTERING:
        lacking = [name for name in ("owner", "lease_seconds") if getattr(change, name) is None]
    elif change.to is Status.REGISTERED and change.facts is None:
        lacking = ["facts"]
    hint = f"A change to {change.to.value} needs it."
    raise_for(Problem(field=name, what=f"{name} is missing.", hint=hint) for name in lacking)
    return change.model_copy(update={"owner": change.owner and storable(change.owner)})


def _require_lease(seconds: float) -> None:
    if not 0 < seconds <= _LONGEST_LEASE:
        what = f"A token cannot be held for {seconds} seconds."
        raise ValidationError([Problem(field="lease_seconds", what=what, hint="Give more than 0 and at most 86,400.")])


def _event_key(key: str) -> str:
    if 0 < len(key) <= _LONGEST_KEY:
        return storable(key)
    what = f"The key of an event cannot have {len(key):,} characters."
    raise ValidationError([Problem(field="key", what=what, hint=f"Give 1 to {_LONGEST_KEY}.")])


def _require_json(token: NewToken) -> None:
    try:
        json.dumps(token.metadata, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        what = f"The metadata of {token.token_id} cannot be kept as JSON."
        hint = "Use text, finite numbers, truth values, lists and mappings."
        raise ValidationError([Problem(field="metadata", what=what, hint=hint)]) from None
