"""API keys of the server.

A key is ``hk_ID_SECRET``; the database keeps a plain SHA-256 of the secret. A slow hash such as scrypt
protects what people choose and others can guess. This secret is 256 random bits, which nobody can, and
a slow hash would only make every request slow.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from hokusai_nb.backends.sql.tables import api_keys
from hokusai_nb.backends.sql.types import storable
from hokusai_nb.errors import AccessError, DatabaseError, KeyNotFoundError, ValidationError
from hokusai_nb.log import logger
from hokusai_nb.schema.keys import SCOPES, ApiKey, NewKey
from hokusai_nb.schema.lifecycle import utc_now
from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from hokusai_nb.backends.sql.database import Database
    from hokusai_nb.schema.keys import Scope

__all__ = ["create_key", "find_key", "list_keys", "revoke_key"]

_PREFIX = "hk"
_SECRET_BYTES = 32
_LONGEST_NAME = 255
_LONGEST_KEY = 200
_USE_IS_NOTED_EVERY = dt.timedelta(minutes=1)
_NO_KEY = hashlib.sha256(b"").hexdigest()


def create_key(database: Database, name: str, scope: Scope = "register", *, life: dt.timedelta | None = None) -> NewKey:
    """Make a key; its text is in the answer and nowhere else.

    Args:
        database: Where the server keeps its keys.
        name: Who or what it is for; histories show it.
        scope: What it may do.
        life: How long it is valid; for ever if left out.

    Raises:
        ValidationError: The name is empty or too long, the scope is not known, or its life is over already.
    """
    name = storable(name).strip()
    _check(name, scope, life)
    now = utc_now()
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(_SECRET_BYTES)
    key = ApiKey(key_id=key_id, name=name, scope=scope, created_at=now, expires_at=life and now + life)
    row = {
        "key_id": key_id,
        "secret_hash": _digest(secret),
        "name": name,
        "scopes": scope,
        "created_at": now,
        "expires_at": key.expires_at,
    }
    with database.transaction() as connection:
        connection.execute(insert(api_keys).values(row))
    return NewKey(**key.model_dump(), key=f"{_PREFIX}_{key_id}_{secret}")


def find_key(database: Database, text: str) -> ApiKey:
    """Return the key that a request was sent with, and note, to the minute, that it was used.

    How long it takes says nothing of the secret.

    Raises:
        AccessError: There is no such key, or it was revoked or has expired.
    """
    parts = text.split("_", 2) if len(text) <= _LONGEST_KEY and text.isascii() and text.isprintable() else []
    prefix, key_id, secret = parts if len(parts) == 3 else ("", "", "")  # noqa: PLR2004 - prefix, id, secret
    with database.reading() as connection:
        row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).mappings().first()
    matches = hmac.compare_digest(row["secret_hash"] if row else _NO_KEY, _digest(secret))
    if row is None or not matches or prefix != _PREFIX:
        what = "The API key is not known."
        raise AccessError(what, "Check HOKUSAI_API_KEY, or make a key: hokusai key create NAME")
    key = _key(row)
    now = utc_now()
    if not key.is_valid(now):
        end = "was revoked" if key.revoked_at else f"expired at {key.expires_at:%Y-%m-%d %H:%M} UTC"
        what = f"The API key {key.key_id} {end}."
        raise AccessError(what, "Make another one: hokusai key create NAME")
    if key.last_used_at is None or now - key.last_used_at >= _USE_IS_NOTED_EVERY:
        _note_use(database, key_id, now)
    return key


def list_keys(database: Database) -> tuple[ApiKey, ...]:
    """Return every key, newest first, those revoked or expired too."""
    with database.reading() as connection:
        rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.key_id)).mappings()
        return tuple(_key(row) for row in rows)


def revoke_key(database: Database, key_id: str) -> ApiKey:
    """Make a key invalid from now on; one that is revoked already stays as it is.

    Raises:
        KeyNotFoundError: There is no key of this id.
    """
    mine = api_keys.c.key_id == storable(key_id)
    with database.transaction() as connection:
        still_valid = mine & api_keys.c.revoked_at.is_(None)
        connection.execute(update(api_keys).where(still_valid).values(revoked_at=utc_now()))
        row = connection.execute(select(api_keys).where(mine)).mappings().first()
    if row is None:
        what = f"There is no API key {quoted(key_id)}."
        raise KeyNotFoundError(what, "hokusai key list shows them.")
    return _key(row)


def _check(name: str, scope: str, life: dt.timedelta | None) -> None:
    problems = []
    if not 0 < len(name) <= _LONGEST_NAME:
        what = f"The name of a key cannot have {len(name):,} characters."
        problems.append(Problem(field="name", what=what, hint=f"Give 1 to {_LONGEST_NAME}."))
    if scope not in SCOPES:
        problems.append(Problem(field="scope", what=f"There is no scope {quoted(scope)}.", hint=f"One of {SCOPES}."))
    if life is not None and life <= dt.timedelta():
        problems.append(
            Problem(field="life", what="The key would have expired already.", hint="Give it a longer life.")
        )
    if problems:
        raise ValidationError(problems)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: RowMapping) -> ApiKey:
    values: dict[str, Any] = {name: value for name, value in row.items() if name not in {"secret_hash", "scopes"}}
    return ApiKey(scope=row["scopes"], **values)


def _note_use(database: Database, key_id: str, now: dt.datetime) -> None:
    try:
        with database.transaction() as connection:
            connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(last_used_at=now))
    except DatabaseError as error:  # a request is not refused because nobody can note it
        logger.warning("The use of API key %s was not noted: %s", key_id, error.what)
