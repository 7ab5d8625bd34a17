"""Queries on tokens, their leases and their history; each runs inside a caller's transaction."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydantic
from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from hokusai_nb.backends.sql.paging import decode_cursor, encode_cursor
from hokusai_nb.backends.sql.tables import token_history, token_leases, tokens
from hokusai_nb.backends.sql.types import storable
from hokusai_nb.errors import DatabaseError, TokenExistsError
from hokusai_nb.schema.lifecycle import Status, Token, TokenPage, Transition
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.tokens import fold_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, RowMapping

__all__ = [
    "Stored",
    "create",
    "find",
    "hold",
    "list_tokens",
    "release",
    "set_status",
    "transitions",
    "write_transition",
]

_BEGINNING = dt.datetime.fromtimestamp(0, tz=dt.UTC)
_LIST = "tokens"


@dataclass(frozen=True)
class Stored:
    """A token as its row says it.

    Attributes:
        key: Its id as it is written there: an older program may have written lower case.
        token: The token.
        last_owner: The registration that took its last step, also when it holds the token no more.
    """

    key: str
    token: Token
    last_owner: str | None


def _selected() -> Select[Any]:
    joined = tokens.outerjoin(token_leases, tokens.c.token_id == token_leases.c.token_id)
    return select(tokens, token_leases.c.owner, token_leases.c.lease_until).select_from(joined)


def find(connection: Connection, token_id: str, *, lock: bool = False) -> Stored | None:
    """Return a token, or None where there is none of this id.

    Args:
        connection: The transaction.
        token_id: Its id, in upper or lower case.
        lock: Keep others from changing it until the transaction ends.
    """
    folded = fold_token(token_id)
    if storable(folded) != folded:
        return None
    named = tokens.c.token_id.in_({folded, token_id, folded.lower()})
    if lock:
        # A statement of its own: what is joined in one that had to wait is as old as its beginning.
        connection.execute(select(tokens.c.token_id).where(named).with_for_update())
    rows = _read(connection, _selected().where(named))
    rows.sort(key=lambda row: row["token_id"] != folded)
    return _stored(rows[0]) if rows else None


def create(connection: Connection, token_id: str, metadata: Mapping[str, Any], *, by: str, at: dt.datetime) -> None:
    """Write a token in draft, and the first line of its history.

    Raises:
        TokenExistsError: There is one of this id.
    """
    exists = TokenExistsError(f"Token {token_id} exists already.", f"See it: hokusai token show {token_id}")
    if find(connection, token_id) is not None:
        raise exists
    values = {
        "token_id": token_id,
        "model_status": Status.DRAFT.value,
        "created_at": at,
        "updated_at": at,
        "metadata": dict(metadata),
    }
    try:
        connection.execute(insert(tokens).values(values))
    except IntegrityError:
        raise exists from None
    write_transition(connection, token_id, Transition(token_id=token_id, before=None, after=Status.DRAFT, by=by, at=at))


def list_tokens(connection: Connection, status: Status | None, *, cursor: str | None, limit: int) -> TokenPage:
    """Return tokens by id from where the cursor says, in the database's own order.

    Raises:
        ValidationError: The cursor is none of this list's.
    """
    statement = _selected().order_by(tokens.c.token_id).limit(limit + 1)
    if status is not None:
        statement = statement.where(tokens.c.model_status == status.value)
    if cursor is not None:
        statement = statement.where(tokens.c.token_id > decode_cursor(_LIST, cursor, str))
    found = [_stored(row) for row in _read(connection, statement)]
    further = encode_cursor(_LIST, found[limit - 1].key) if len(found) > limit else None
    return TokenPage(entries=tuple(stored.token for stored in found[:limit]), next_cursor=further)


def set_status(connection: Connection, key: str, status: Status, at: dt.datetime, **columns: str | None) -> None:
    """Write a token's status and further columns of it."""
    texts = {name: text and storable(text) for name, text in columns.items()}
    values = {"model_status": status.value, "updated_at": at, **texts}
    connection.execute(update(tokens).where(tokens.c.token_id == key).values(values))


def hold(connection: Connection, key: str, owner: str, until: dt.datetime) -> None:
    """Write who holds a token, or held it last, and until when."""
    release(connection, key)
    connection.execute(insert(token_leases).values(token_id=key, owner=owner, lease_until=until))


def release(connection: Connection, key: str) -> None:
    """Forget who held a token."""
    connection.execute(delete(token_leases).where(token_leases.c.token_id == key))


def write_transition(connection: Connection, key: str, step: Transition) -> None:
    """Write one step of a token's life."""
    values = {
        "token_id": key,
        "before": step.before and step.before.value,
        "after": step.after.value,
        "by": storable(step.by),
        "at": step.at,
        "reason": storable(step.reason),
    }
    connection.execute(insert(token_history).values(values))


def transitions(connection: Connection, key: str) -> tuple[Transition, ...]:
    """Return every step of a token, oldest first."""
    of_token = token_history.c.token_id == key
    rows = _read(connection, select(token_history).where(of_token).order_by(token_history.c.id))
    return tuple(Transition.model_validate({**row, "token_id": fold_token(key)}) for row in rows)


def _read(connection: Connection, statement: Select[Any]) -> list[RowMapping]:
    try:
        return list(connection.execute(statement).mappings())
    except ValueError as error:  # a column's text is no time or no JSON
        what = f"Database Error: a row that another program wrote cannot be read: {type(error).__name__}."
        raise DatabaseError(what, "Times have to be ISO 8601, and metadata JSON.") from error


def _stored(row: RowMapping) -> Stored:
    values = dict(row)
    key, owner, until = values.pop("token_id"), values.pop("owner"), values.pop("lease_until")
    held = values["model_status"] == Status.REGISTERING.value
    values["created_at"] = values["created_at"] or values["updated_at"] or _BEGINNING
    values["updated_at"] = values["updated_at"] or values["created_at"]
    values["metadata"] = values["metadata"] or {}
    lease = {"owner": owner, "lease_until": until} if held else {}
    try:
        return Stored(key, Token(token_id=fold_token(key), **values, **lease), owner)
    except pydantic.ValidationError as error:
        wrong = ", ".join(dict.fromkeys(str(detail["loc"][0]) for detail in error.errors(include_input=False)))
        what = f"Database Error: the row of token {quoted(key)} cannot be read: {wrong}."
        raise DatabaseError(what, "Another program wrote it; correct it there.") from error
