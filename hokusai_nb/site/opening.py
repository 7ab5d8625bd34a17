"""Which token store it is: a database, the Hokusai API, or mock mode."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import weakref
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.sql.engines import describe, resolved
from hokusai_nb.config import DatabaseConfig, default_database, settings
from hokusai_nb.errors import HokusaiError, ValidationError
from hokusai_nb.log import set_level
from hokusai_nb.schema.deliveries import CONSOLE, Destination
from hokusai_nb.schema.problems import Problem
from hokusai_nb.site.handlers import configured_destinations
from hokusai_nb.site.sql_store import SqlTokenStore

if TYPE_CHECKING:
    from pydantic import SecretStr

    from hokusai_nb.site.outbox import Outbox
    from hokusai_nb.site.store import TokenStore

__all__ = ["describe_store", "has_default_file", "open_database", "open_store", "outbox_of"]

_opening = threading.Lock()


def open_store(
    *, database: DatabaseConfig | None = None, endpoint: str | None = None, webhook_url: str | None = None
) -> TokenStore:
    """Return the token store that the arguments name, or else the settings; nothing is contacted.

    In this order: the arguments; the database of the ``HOKUSAI_DB_`` variables; with an API key set,
    the Hokusai API; a SQLite file of the user's. Mock mode comes before all of them: it is a SQLite
    file of this process's own, which has any well-formed token and tells nobody but the console.

    Args:
        database: A database.
        endpoint: Address of a Hokusai API.
        webhook_url: Where events are posted in place of the settings' address.

    Raises:
        ValidationError: Both a database and an API, or a webhook for the API, which has its own.
        DatabaseConnectionError: The driver of the database is not installed.
    """
    found = settings()
    set_level(found.log_level)
    if found.mock_mode:
        console = (Destination(handler=CONSOLE),)
        return SqlTokenStore(_mock_database(os.getpid()), console, simulated=True, confirms_any=True)
    if database is not None and endpoint is not None:
        _refuse("endpoint", "A token store is a database or an API, not both.", "Leave one of them out.")
    place = _place(database, endpoint)
    if isinstance(place, DatabaseConfig):
        return SqlTokenStore(_database(place), configured_destinations(webhook_url))
    if webhook_url is not None:
        _refuse("webhook_url", "The Hokusai API sends webhooks itself.", "Name a database, or no webhook.")
    return _api_store(place, found.api_key)


def describe_store() -> str:
    """Return which token store the settings name, without credentials; nothing is contacted or made."""
    if settings().mock_mode:
        return "simulated (mock mode)"
    try:
        place = _place(None, None)
    except HokusaiError as error:
        return error.what
    return describe(resolved(place)) if isinstance(place, DatabaseConfig) else f"the Hokusai API at {place}"


def has_default_file() -> bool:
    """Whether the SQLite file that is used where nothing else is named was made already; it is not opened."""
    return Path(default_database().database).is_file()


def open_database(database: DatabaseConfig | None = None, *, connections: int | None = None) -> Database:
    """Return the database of the arguments or the settings, or else the user's SQLite file; nothing is contacted.

    In mock mode it is a SQLite file of this process's own.

    Args:
        database: A database.
        connections: How many threads have to be able to work with it at once; as many as usual if left out.

    Raises:
        DatabaseConnectionError: Its driver is not installed.
    """
    if settings().mock_mode:
        found = _mock_database(os.getpid())
    else:
        found = _database(database or settings().database or default_database())
    if connections is not None:
        found.allow(connections)
    return found


def outbox_of(store: TokenStore) -> Outbox | None:
    """Return what delivers a store's events; None for the Hokusai API, which delivers its own."""
    from hokusai_nb.site.outbox import Outbox  # noqa: PLC0415 - imports httpx, which a status needs not

    return Outbox(store.database) if isinstance(store, SqlTokenStore) else None


def _refuse(field: str, what: str, hint: str) -> None:
    raise ValidationError([Problem(field=field, what=what, hint=hint)])


def _place(database: DatabaseConfig | None, endpoint: str | None) -> DatabaseConfig | str:
    """Return the database, or the address of the API."""
    found = settings()
    if database is None and endpoint is None:
        database = found.database
    if database is None and (endpoint is not None or found.api_key is not None):
        return endpoint or found.api_endpoint
    return database or default_database()


def _database(config: DatabaseConfig) -> Database:
    if config == default_database():
        with suppress(OSError):  # opening the file says why it cannot be there
            Path(config.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Database.at(config)


@lru_cache(maxsize=8)
def _api_store(endpoint: str, _key: SecretStr | None) -> TokenStore:
    """Return the store of an API, one for each key, so that its connections are used again."""
    from hokusai_nb.backends.http import HokusaiClient  # noqa: PLC0415 - imports httpx
    from hokusai_nb.site.http_store import HttpTokenStore  # noqa: PLC0415 - imports httpx

    client = HokusaiClient(endpoint)
    store = HttpTokenStore(client)
    weakref.finalize(store, client.close)  # when it is neither kept here nor used
    return store


def _mock_database(owner: int) -> Database:
    """Return this process's own database; one that was forked gets another."""
    with _opening:  # two threads that ask first would each make one
        return _new_mock_database(owner)


@lru_cache(maxsize=1)
def _new_mock_database(owner: int) -> Database:
    folder = tempfile.mkdtemp(prefix="hokusai-mock-")
    database = Database.at(DatabaseConfig(db_type="sqlite", database=str(Path(folder, "hokusai.db"))))

    def remove() -> None:
        if os.getpid() == owner:
            database.close()
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return database
