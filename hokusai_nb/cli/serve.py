"""``hokusai serve``: the API server."""

from __future__ import annotations

import click

from hokusai_nb.cli.places import database_named, webhook_option
from hokusai_nb.config import read_database_file, settings
from hokusai_nb.errors import HokusaiError, MissingExtraError

__all__ = ["serve"]

_EXTRA = ("fastapi", "uvicorn", "limits", "prometheus_client")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to listen at.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes; several need PostgreSQL."
)
@click.option(
    "--mlflow-uri",
    metavar="URI",
    default="sqlite:///mlflow.db",
    show_default=True,
    help="Database of MLflow, which then runs in this process, or the address of an MLflow server to stand before.",
)
@click.option("--artifacts", metavar="PLACE", help="Folder or bucket of artifacts; beside the database if left out.")
@click.option(
    "--allowed-host", "allowed_hosts", multiple=True, metavar="NAME", help="Host name to answer for; any if left out."
)
@click.option("--no-delivery", is_flag=True, help="Leave the delivery of events to another process.")
@database_named(
    "the server's database of tokens, events and API keys; if left out, HOKUSAI_DB_…, else a SQLite file of yours."
)
@webhook_option
def serve(
    host: str,
    port: int,
    workers: int,
    mlflow_uri: str,
    artifacts: str | None,
    allowed_hosts: tuple[str, ...],
    no_delivery: bool,
    db_config: str | None,
    webhook_url: str | None,
) -> None:
    """Run the API server: tokens, events and models at /api/v1, MLflow at /api/mlflow.

    Every request needs an API key (hokusai key create) but those for health. Stop it with Ctrl-C or SIGTERM:
    requests under way are finished first.
    """
    if settings().mock_mode:
        what = "The API server cannot run in mock mode: its MLflow and its webhooks are real."
        raise HokusaiError(what, "Unset HOKUSAI_MOCK_MODE.")
    try:
        from hokusai_nb.api.options import ServerConfig  # noqa: PLC0415 - an extra
        from hokusai_nb.api.serving import serve as run  # noqa: PLC0415 - an extra
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        feature = "The API server"
        raise MissingExtraError(feature, "server") from None
    config = ServerConfig.model_validate(
        {
            "database": read_database_file(db_config) if db_config else None,
            "mlflow_uri": mlflow_uri,
            "artifacts": artifacts,
            "webhook_url": webhook_url,
            "allowed_hosts": allowed_hosts,
            "deliver_events": not no_delivery,
        }
    )
    run(config, host=host, port=port, workers=workers)
