"""The commands of ``hokusai key``."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import click

from hokusai_nb.cli.places import database_named, json_option, print_record
from hokusai_nb.config import read_database_file, settings
from hokusai_nb.errors import HokusaiError, UsageError
from hokusai_nb.schema.keys import SCOPES, KeyList, Scope
from hokusai_nb.schema.problems import Problem

if TYPE_CHECKING:
    from hokusai_nb.backends.sql.database import Database

__all__ = ["create", "list_keys", "revoke"]


_database_option = database_named(
    "the server's own database, where its keys are; if left out, HOKUSAI_DB_…, else a SQLite file of yours. "
    "With HOKUSAI_API_KEY it has to be named: keys are not made through the API."
)


def _database(db_config: str | None) -> Database:
    """Open the database of keys.

    Raises:
        UsageError: None is named, and the API key speaks of a server whose database is another one.
    """
    from hokusai_nb.site.opening import open_database  # noqa: PLC0415 - imports SQLAlchemy

    now = settings()
    if not db_config and now.database is None and now.api_key is not None and not now.mock_mode:
        what = "HOKUSAI_API_KEY is set, but a server's keys are in its own database, and none is named."
        hint = "Name it with --db-config or HOKUSAI_DB_…, or unset HOKUSAI_API_KEY to use the SQLite file of yours."
        raise UsageError([Problem(field="--db-config", what=what, hint=hint)])
    return open_database(read_database_file(db_config) if db_config else None)


@click.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    default="register",
    show_default=True,
    help="What the key may do; each includes those before it.",
)
@click.option(
    "--expires-in", type=click.IntRange(1, 3650), metavar="DAYS", help="Days until it expires; never if left out."
)
@_database_option
@json_option
def create(name: str, scope: Scope, expires_in: int | None, db_config: str | None, as_json: bool) -> None:
    """Create an API key called NAME; its text is printed once and kept nowhere."""
    from hokusai_nb.backends.sql import keys  # noqa: PLC0415 - imports SQLAlchemy

    if settings().mock_mode:
        what = "No API key can be made in mock mode: its database ends with this command."
        raise HokusaiError(what, "Unset HOKUSAI_MOCK_MODE.")
    life = dt.timedelta(days=expires_in) if expires_in else None
    database = _database(db_config)
    made = keys.create_key(database, name, scope, life=life)
    click.echo(f"Keep this key; it is not shown again. It is known to the server of {database.description}.", err=True)
    print_record(made, as_json=as_json)


@click.command(name="list")
@_database_option
@json_option
def list_keys(db_config: str | None, as_json: bool) -> None:
    """List API keys: scope, expiry, last use. Their texts are kept nowhere."""
    from hokusai_nb.backends.sql import keys  # noqa: PLC0415 - imports SQLAlchemy

    print_record(KeyList(entries=keys.list_keys(_database(db_config))), as_json=as_json)


@click.command()
@click.argument("key_id", metavar="KEY")
@_database_option
@json_option
def revoke(key_id: str, db_config: str | None, as_json: bool) -> None:
    """Revoke the API key whose id is KEY; a running server refuses it within seconds."""
    from hokusai_nb.backends.sql import keys  # noqa: PLC0415 - imports SQLAlchemy

    print_record(keys.revoke_key(_database(db_config), key_id), as_json=as_json)
