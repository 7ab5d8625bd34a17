"""Where a command works: the options that say it, and how records are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from hokusai_nb.config import read_database_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from hokusai_nb.schema.display import Shown
    from hokusai_nb.site.store import TokenStore

__all__ = [
    "database_named",
    "database_option",
    "deliver_events",
    "json_option",
    "mlflow_option",
    "print_record",
    "token_store",
    "webhook_option",
]

PATIENCE_SECONDS = 4.0
F = TypeVar("F", bound="Callable[..., Any]")

mlflow_option: Callable[[F], F] = click.option(
    "--mlflow-uri", metavar="URI", help="MLflow store; what MLFLOW_TRACKING_URI says if left out."
)


def database_named(described: str) -> Callable[[F], F]:
    """Return the option that names a database by a file.

    Args:
        described: Which database it is, and which is meant where the option is left out.
    """
    # What is wrong with the file is told by whoever reads it: rights have an exit code of their own.
    file = click.Path(exists=False, dir_okay=False, readable=False)
    return click.option("--db-config", type=file, metavar="PATH", help=f"JSON or YAML file that describes {described}")


database_option: Callable[[F], F] = database_named(
    "the database of tokens; if left out, HOKUSAI_DB_…, else with HOKUSAI_API_KEY the Hokusai API, else a SQLite "
    "file of yours."
)
webhook_option: Callable[[F], F] = click.option(
    "--webhook-url", metavar="URL", help="Where events are posted; HOKUSAI_SITE_WEBHOOK_URL if left out."
)
json_option: Callable[[F], F] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def token_store(db_config: str | None, webhook_url: str | None = None) -> TokenStore:
    """Open the token store that the options, or else the environment, name.

    Raises:
        HokusaiError: The file cannot be read, or describes no database.
    """
    from hokusai_nb.site.opening import open_store  # noqa: PLC0415 - imports SQLAlchemy or httpx

    database = read_database_file(db_config) if db_config else None
    return open_store(database=database, webhook_url=webhook_url)


def deliver_events(store: TokenStore, token_id: str) -> None:
    """Deliver what was just written of a token, for a few seconds; what is left waits for `hokusai events deliver`."""
    from hokusai_nb.site.opening import outbox_of  # noqa: PLC0415 - imports SQLAlchemy

    outbox = outbox_of(store)
    if outbox is None:
        return  # the Hokusai API delivers its own
    report = outbox.deliver(token_id=token_id, within=PATIENCE_SECONDS)
    if report.left:
        click.echo(f"{report.left} deliveries are waiting; see: hokusai events list --state pending", err=True)


def print_record(record: Shown, *, as_json: bool) -> None:
    """Print a record as text or as JSON, on stdout."""
    click.echo(record.model_dump_json(indent=2) if as_json else record._text_())
