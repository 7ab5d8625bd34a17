"""Which registry a command writes to: the one that is named, said before anything is written."""

from __future__ import annotations

import click

from hokusai_nb.config import runs_in_ci
from hokusai_nb.errors import SettingsError
from hokusai_nb.schema.display import printable

__all__ = ["point_at", "say_where"]


def point_at(mlflow_uri: str | None) -> None:
    """Have this process work on the store that the option names."""
    if mlflow_uri:
        from hokusai_nb.core.prompt_setup import configure_mlflow_with_registry  # noqa: PLC0415 - imports MLflow

        configure_mlflow_with_registry(mlflow_uri, autolog=False)


def say_where(mlflow_uri: str | None) -> None:
    """Print on stderr which registry is written to, without credentials.

    Raises:
        SettingsError: Nothing names one, and what a service for continuous integration runs would write to a
            database that it throws away.
    """
    from hokusai_nb.core.prompt_setup import place_of_registry  # noqa: PLC0415 - imports MLflow

    place, chosen = place_of_registry(mlflow_uri)
    if not chosen and runs_in_ci():
        what = "Nothing says which registry to write to: MLFLOW_TRACKING_URI is not set, or empty."
        hint = (
            "MLflow's default, a database in the current folder, would be thrown away with this job. "
            "Set MLFLOW_TRACKING_URI or HOKUSAI_API_KEY, or give --mlflow-uri."
        )
        raise SettingsError(what, hint)
    click.echo(f"Registry: {printable(place)}", err=True)
