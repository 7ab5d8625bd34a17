"""The commands of ``hokusai key``."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import click

from hokusai_nb.cli.places import database_option, json_option, print_record
from hokusai_nb.config import read_database_file, settings
from hokusai_nb.errors import HokusaiError
from hokusai_nb.schema.keys import SCOPES, KeyList, Scope

if TYPE_CHECKING:
    from hokusai_nb.backends.sql.database import Database

__all__ = ["create", "list_keys", "revoke"]


def _database(db_config: str | None) -> Database:
    from hokusai_nb.site.opening import open_database  # noqa: PLC0415 - imports SQLAlchemy

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
@database_option
@json_option
def create(name: str, scope: Scope, expires_in: int | None, db_config: str | None, as_json: bool) -> None:
    """Create an API key called NAME; its text is printed once and kept nowhere."""
    from hokusai_nb.backends.sql import keys  # noqa: PLC0415 - imports SQLAlchemy

    if settings().mock_mode:
        what = "No API key can be made in mock mode: its database ends with this command."
        raise HokusaiError(what, "Unset HOKUSAI_MOCK_MODE.")
    life = dt.timedelta(days=expires_in) if expires_in else None
    made = keys.create_key(_database(db_config), name, scope, life=life)
    click.echo("Keep this key; it is not shown again.", err=True)
    print_record(made, as_json=as_json)


@click.command(name="list")
@database_option
@json_option
def list_keys(db_config: str | None, as_json: bool) -> None:
    """List API keys: scope, expiry, last use. Their texts are kept nowhere."""
    from hokusai_nb.backends.sql import keys  # noqa: PLC0415 - imports SQLAlchemy

    print_record(KeyList(entries=keys.list_keys(_database(db_config))), as_json=as_json)


@click.command()
@click.argument("key_id", metavar="KEY")
@database_option
@json_option
def revoke(key_id: str, db_config: str | None, as_json: bool) -> None:
    """Revoke the API key whose id is KEY; a running server refuses it within seconds."""
    from hokusai_nb.backends.sql import keys  # noqa: PLC0415 - imports SQLAlchemy

    print_record(keys.revoke_key(_database(db_config), key_id), as_json=as_json)
