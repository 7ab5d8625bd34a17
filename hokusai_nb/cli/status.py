"""``hokusai status``: where registrations go."""

from __future__ import annotations

import click

from hokusai_nb.cli.places import print_record

__all__ = ["status"]


@click.command()
@click.option("--settings", "with_settings", is_flag=True, help="Show the settings in force, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(with_settings: bool, as_json: bool) -> None:
    """Show where registrations go, where tokens are kept and, with --settings, what is set."""
    from hokusai_nb.core.overview import overview, settings_in_force  # noqa: PLC0415 - imports MLflow

    print_record(overview(), as_json=as_json)
    if with_settings:
        print_record(settings_in_force(), as_json=as_json)
