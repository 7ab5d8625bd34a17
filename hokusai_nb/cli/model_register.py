"""``hokusai model register`` and ``hokusai model register-run``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hokusai_nb.cli.options import takes
from hokusai_nb.cli.places import (
    database_option,
    mlflow_option,
    print_record,
    token_store,
    webhook_option,
)
from hokusai_nb.config import called_from_kernel
from hokusai_nb.schema.registrations import RegisterFile
from hokusai_nb.schema.verbs import Register

if TYPE_CHECKING:
    from hokusai_nb.schema.registrations import Registration

__all__ = ["register", "register_run"]


@click.command()
@takes(RegisterFile)
@mlflow_option
@database_option
@webhook_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation on a terminal.")
def register(
    verb: RegisterFile, mlflow_uri: str | None, db_config: str | None, webhook_url: str | None, yes: bool
) -> None:
    """Register a model file or folder for a token of the site.

    The token must be in draft, or its last registration must have failed. The measured value is --value,
    else the run's metric (--run-id), else what metrics.json in or beside the model says, else the metric of
    the run that an MLmodel names; where none is found, the baseline is recorded as a declared value.

    Run the same command again after an interruption: nothing is registered or told twice.
    """
    from hokusai_nb.core.registry import ModelRegistry  # noqa: PLC0415 - imports MLflow

    store = token_store(db_config, webhook_url)
    registry = ModelRegistry(mlflow_uri, token_store=store)
    quiet = yes or verb.dry_run or verb.as_json or called_from_kernel()
    if sys.stdin.isatty() and not quiet:
        wanted = f"{verb.path} for token {verb.token} in {registry.backend.safe_uri}, tokens in {store.description}"
        click.confirm(f"Register {wanted}?", abort=True, err=True)
    made = registry.register_file(verb, progress=sys.stderr.isatty())
    _say_plainly(made)
    print_record(made, as_json=verb.as_json)


def _say_plainly(made: Registration) -> None:
    if made.performance_source == "declared":
        click.echo(
            f"No measured {made.metric_name} was found (--value, --run-id, metrics.json, MLmodel): "
            f"the baseline {made.baseline_value} is recorded as the declared value.",
            err=True,
        )
    for problem in made.warnings:
        click.echo(f"Warning: {problem.sentence}", err=True)


@click.command()
@takes(Register)
@mlflow_option
def register_run(verb: Register, mlflow_uri: str | None) -> None:
    """Register a run's model under a Hokusai token; name the run with --run, or the model by its URI."""
    from hokusai_nb.core.registry import ModelRegistry  # noqa: PLC0415 - imports MLflow

    made = ModelRegistry(mlflow_uri).register(verb)
    for problem in made.warnings:
        click.echo(f"Warning: {problem.sentence}", err=True)
    print_record(made, as_json=verb.as_json)
