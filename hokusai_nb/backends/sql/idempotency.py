"""Answers to requests that may be sent again: the same ``Idempotency-Key`` gets the same answer."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from hokusai_nb.backends.sql.tables import idempotency_keys
from hokusai_nb.errors import ConflictError
from hokusai_nb.schema.lifecycle import utc_now

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from hokusai_nb.backends.sql.database import Connection, Database

__all__ = ["Answer", "Claim", "UnderWayError", "claim", "complete", "release"]

KEPT = dt.timedelta(days=1)
"""How long an answer is repeated."""
LAPSE_SECONDS = 120.0
"""How long a request may take before it counts as dead."""
_row = idempotency_keys.c


class UnderWayError(ConflictError):
    """The same request is being carried out just now; its answer is there in a moment."""


@dataclass(frozen=True)
class Claim:
    """The right to carry out a request, and the duty to `complete` or `release` it."""

    key: str
    since: dt.datetime
    """Tells this claim from one that took over after it had lapsed."""


@dataclass(frozen=True)
class Answer:
    """What the request was answered with before."""

    status: int
    body: str


def claim(
    database: Database, owner: str, key: str, request: bytes, *, lapse_seconds: float = LAPSE_SECONDS
) -> Claim | Answer:
    """Take a request to carry out, or return the answer that it got before.

    Args:
        database: Where answers are kept.
        owner: Id of the API key; another's request of the same key is another request.
        key: The ``Idempotency-Key``, any text.
        request: What tells this request from another: method, path and body.
        lapse_seconds: After how long the claim of a process that died counts no more.

    Raises:
        UnderWayError: The request is being carried out just now.
        ConflictError: The key was used for another request.
    """
    name = hashlib.sha256(f"{owner}\n{key}".encode(errors="surrogatepass")).hexdigest()
    digest = hashlib.sha256(request).hexdigest()
    with database.transaction() as connection:
        now = utc_now()
        connection.execute(delete(idempotency_keys).where(_row.created_at < now - KEPT))
        values = {"key": name, "owner": owner, "request_digest": digest, "created_at": now}
        try:
            with connection.begin_nested():
                connection.execute(insert(idempotency_keys).values(values))
        except IntegrityError:
            lapsed = now - dt.timedelta(seconds=lapse_seconds)
            return _answered(connection, name, digest, lapsed=lapsed) or _taken_over(connection, name, now)
        return Claim(name, now)


def complete(database: Database, claimed: Claim, answer: Answer) -> None:
    """Keep the answer, unless another process has taken the request over meanwhile."""
    with database.transaction() as connection:
        values = {"status": answer.status, "body": answer.body}
        connection.execute(update(idempotency_keys).where(_mine(claimed)).values(values))


def release(database: Database, claimed: Claim) -> None:
    """Give a request back that was not carried out, so that it can be sent again."""
    with database.transaction() as connection:
        connection.execute(delete(idempotency_keys).where(_mine(claimed)))


def _mine(claimed: Claim) -> ColumnElement[bool]:
    return (_row.key == claimed.key) & (_row.created_at == claimed.since) & _row.status.is_(None)


def _answered(connection: Connection, name: str, digest: str, *, lapsed: dt.datetime) -> Answer | None:
    """Return the answer that was given before; None where whoever had the request has died."""
    found = connection.execute(select(idempotency_keys).where(_row.key == name).with_for_update()).mappings().first()
    if found is not None and found["request_digest"] != digest:
        what = "The Idempotency-Key was used for another request."
        raise ConflictError(what, "Send a new key with each request.")
    if found is not None and found["status"] is not None:
        return Answer(found["status"], found["body"])
    if found is None or found["created_at"] > lapsed:
        what = "A request with this Idempotency-Key is being carried out."
        raise UnderWayError(what, "Try again in a few seconds.")
    return None


def _taken_over(connection: Connection, name: str, now: dt.datetime) -> Claim:
    connection.execute(update(idempotency_keys).where(_row.key == name).values(created_at=now))
    return Claim(name, now)
