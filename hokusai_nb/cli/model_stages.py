"""The commands of ``hokusai model`` that move versions through stages, and tell how they were moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hokusai_nb.cli.options import takes
from hokusai_nb.cli.places import json_option, mlflow_option, print_record
from hokusai_nb.cli.targets import say_where
from hokusai_nb.schema.prompt_verbs import Promote, Rollback

if TYPE_CHECKING:
    from hokusai_nb.core.registry import ModelRegistry

__all__ = ["history", "promote", "rollback"]


def _registry(mlflow_uri: str | None) -> ModelRegistry:
    from hokusai_nb.core.registry import ModelRegistry  # noqa: PLC0415 - imports MLflow

    return ModelRegistry(mlflow_uri)


@click.command()
@takes(Promote)
@mlflow_option
def promote(verb: Promote, mlflow_uri: str | None) -> None:
    """Promote a version of a model by one stage: from dev to staging, from there to production."""
    say_where(mlflow_uri)
    moved = _registry(mlflow_uri).promote(verb.name, verb.version, verb.to, verb.why)
    print_record(moved, as_json=verb.as_json)


@click.command()
@takes(Rollback)
@mlflow_option
def rollback(verb: Rollback, mlflow_uri: str | None) -> None:
    """Take the version of a model out of a stage, and put the one before it back."""
    say_where(mlflow_uri)
    moved = _registry(mlflow_uri).rollback(verb.name, verb.to, verb.why, stage=verb.stage)
    print_record(moved, as_json=verb.as_json)


@click.command()
@click.argument("name")
@mlflow_option
@json_option
def history(name: str, mlflow_uri: str | None, as_json: bool) -> None:
    """Show who promoted which version of a model when, from where to where, and why."""
    print_record(_registry(mlflow_uri).get_history(name), as_json=as_json)
