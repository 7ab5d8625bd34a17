"""The commands of ``hokusai token``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hokusai_nb.cli.places import (
    database_option,
    deliver_events,
    json_option,
    print_record,
    token_store,
    webhook_option,
)
from hokusai_nb.config import acting_user
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange, TokenHistory
from hokusai_nb.schema.problems import Problem, quoted, validated
from hokusai_nb.site.store import PAGE

if TYPE_CHECKING:
    from hokusai_nb.site.store import TokenStore

__all__ = ["archive", "create", "deploy", "list_tokens", "show"]


@click.command()
@click.argument("token_id", metavar="TOKEN")
@click.option("--metadata", metavar="JSON", default="{}", help="An object that is kept beside it.")
@database_option
@json_option
def create(token_id: str, metadata: str, db_config: str | None, as_json: bool) -> None:
    """Create a token in draft, for local development."""
    new = validated(NewToken, {"token_id": token_id, "metadata": _object_in(metadata)})
    print_record(token_store(db_config).create(new, by=acting_user()), as_json=as_json)


def _object_in(text: str) -> dict[str, Any]:
    """Return the object that JSON text holds.

    Raises:
        ValidationError: It holds none.
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    what = f"The metadata {quoted(text)} is no JSON object."
    raise ValidationError([Problem(field="--metadata", what=what, hint="""Write it like '{"network": "testnet"}'.""")])


@click.command(name="list")
@click.option("--status", type=click.Choice([s.value for s in Status]), help="Only tokens in this status.")
@click.option("--limit", type=click.IntRange(1, 1000), default=PAGE, show_default=True, help="Tokens on one page.")
@click.option("--cursor", metavar="TEXT", help="Where the page begins: next_cursor of the page before.")
@database_option
@json_option
def list_tokens(status: str | None, limit: int, cursor: str | None, db_config: str | None, as_json: bool) -> None:
    """List tokens with their status, by id."""
    wanted = Status(status) if status else None
    page = token_store(db_config).list_tokens(wanted, cursor=cursor, limit=limit)
    print_record(page, as_json=as_json)
    if page.next_cursor and not as_json:
        click.echo(f"More with --cursor {page.next_cursor}", err=True)


@click.command()
@click.argument("token_id", metavar="TOKEN")
@database_option
@json_option
def show(token_id: str, db_config: str | None, as_json: bool) -> None:
    """Show a token and every step it has taken."""
    store = token_store(db_config)
    found = TokenHistory(token=store.get(token_id), steps=store.history(token_id))
    print_record(found, as_json=as_json)


def _move(store: TokenStore, token_id: str, change: TokenChange, *, as_json: bool) -> None:
    moved = store.change(token_id, change)
    print_record(moved, as_json=as_json)
    deliver_events(store, moved.token_id)


@click.command()
@click.argument("token_id", metavar="TOKEN")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the token's history.")
@database_option
@webhook_option
@json_option
def deploy(token_id: str, reason: str, db_config: str | None, webhook_url: str | None, as_json: bool) -> None:
    """Mark a registered token as deployed; the event model_deployed tells of it."""
    change = TokenChange(to=Status.DEPLOYED, by=acting_user(), reason=reason)
    _move(token_store(db_config, webhook_url), token_id, change, as_json=as_json)


@click.command()
@click.argument("token_id", metavar="TOKEN")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the token's history.")
@database_option
@json_option
def archive(token_id: str, reason: str, db_config: str | None, as_json: bool) -> None:
    """Archive a token; nothing follows after that."""
    change = TokenChange(to=Status.ARCHIVED, by=acting_user(), reason=reason)
    _move(token_store(db_config), token_id, change, as_json=as_json)
