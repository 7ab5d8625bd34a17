"""``hokusai status``: where registrations go."""

from __future__ import annotations

import json

import click

from hokusai_nb.cli.places import print_record

__all__ = ["status"]


@click.command()
@click.option("--settings", "with_settings", is_flag=True, help="Show the settings in force, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(with_settings: bool, as_json: bool) -> None:
    """Show where registrations go, where tokens are kept and, with --settings, what is set."""
    from hokusai_nb.core.overview import overview, settings_in_force  # noqa: PLC0415 - imports MLflow
    from hokusai_nb.schema.overview import ShellOverview  # noqa: PLC0415 - imports pydantic

    card = ShellOverview(**dict(overview()))
    if not with_settings:
        print_record(card, as_json=as_json)
        return
    settings = settings_in_force()
    if as_json:
        both = {"overview": card.model_dump(mode="json"), "settings": settings.model_dump(mode="json")["settings"]}
        click.echo(json.dumps(both, indent=2))
    else:
        print_record(card, as_json=False)
        print_record(settings, as_json=False)
