"""The commands of ``hokusai events``."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import click

from hokusai_nb.cli.places import database_named, database_option, json_option, print_record, token_store
from hokusai_nb.errors import HokusaiError
from hokusai_nb.schema.display import printable
from hokusai_nb.schema.events import DeliveryState
from hokusai_nb.site.store import PAGE

if TYPE_CHECKING:
    from hokusai_nb.site.outbox import Outbox
    from hokusai_nb.site.store import TokenStore

__all__ = ["deliver", "list_events", "retry"]

_MOST = 1000
"""Events of the longest page."""


def _outbox(db_config: str | None) -> Outbox:
    from hokusai_nb.site.opening import outbox_of  # noqa: PLC0415 - imports SQLAlchemy

    store = token_store(db_config)
    outbox = outbox_of(store)
    if outbox is None:
        what = f"{store.description} delivers its events itself."
        raise HokusaiError(what, "Name the database whose events are to be delivered: --db-config or HOKUSAI_DB_….")
    return outbox


@click.command(name="list")
@click.option("--token-id", metavar="TOKEN", help="Only events of this token.")
@click.option(
    "--state", type=click.Choice([s.value for s in DeliveryState]), help="Only events with a delivery in this state."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=PAGE, show_default=True, help="Events on one page.")
@click.option("--cursor", metavar="TEXT", help="Where the page begins: next_cursor of the page before.")
@database_option
@json_option
def list_events(
    token_id: str | None, state: str | None, limit: int, cursor: str | None, db_config: str | None, as_json: bool
) -> None:
    """List events, newest first, with their deliveries."""
    page = token_store(db_config).list_events(token_id, state=state, cursor=cursor, limit=limit)
    print_record(page, as_json=as_json)
    if page.next_cursor and not as_json:
        click.echo(f"More with --cursor {page.next_cursor}", err=True)


@click.command()
@click.option("--watch", is_flag=True, help="Keep running and deliver whatever becomes due.")
@database_named(
    "the database whose events are delivered; if left out, HOKUSAI_DB_…, else a SQLite file of yours. "
    "The Hokusai API delivers its own."
)
def deliver(watch: bool, db_config: str | None) -> None:
    """Deliver what is due, once or, with --watch, until it is stopped."""
    outbox = _outbox(db_config)
    if not watch:
        report = outbox.deliver()
        click.echo(report.sentence)
        return
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    click.echo("Delivering events; stop with Ctrl-C.", err=True)
    outbox.watch(stop)


@click.command()
@click.argument("event_id", metavar="[EVENT]", required=False)
@click.option("--all", "every", is_flag=True, help="Every event that was given up.")
@database_option
def retry(event_id: str | None, every: bool, db_config: str | None) -> None:
    """Try again what was given up: one EVENT, or --all."""
    if bool(event_id) is every:
        msg = "Name an event, or give --all."
        raise click.UsageError(msg)
    from hokusai_nb.site.opening import outbox_of  # noqa: PLC0415 - imports SQLAlchemy

    store = token_store(db_config)
    renewed = store.retry(event_id)
    click.echo(f"{renewed} deliveries begin anew.")
    if event_id and not renewed:
        click.echo(_why_none(store, event_id))
    outbox = outbox_of(store)
    if outbox is not None:  # the Hokusai API delivers its own
        click.echo(outbox.deliver().sentence)


def _why_none(store: TokenStore, event_id: str) -> str:
    """Return why nothing of an event begins anew: it is pending, or there is nothing left to deliver."""
    cursor = None
    while True:
        page = store.list_events(state=DeliveryState.PENDING.value, cursor=cursor, limit=_MOST)
        for found in page:
            if found.event.event_id == event_id:
                waiting = [d.sentence for d in found.deliveries if d.state is DeliveryState.PENDING]
                return "\n".join(["None was given up; the event is pending:", *map(printable, waiting)])
        cursor = page.next_cursor
        if cursor is None:
            return "None was given up, and none is pending: whoever was to be told of the event has been told."
