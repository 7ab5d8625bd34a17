"""``hokusai events``: the group; its commands are in `event_commands`."""

from __future__ import annotations

import click

from hokusai_nb.cli.groups import LazyGroup, Member

__all__ = ["events"]


@click.command(
    cls=LazyGroup,
    members={
        "list": Member("event_commands:list_events", "List events, newest first, with their deliveries."),
        "deliver": Member("event_commands:deliver", "Deliver what is due, once or for as long as it runs."),
        "retry": Member("event_commands:retry", "Try again what was given up."),
    },
)
def events() -> None:
    """List events, deliver them, try again."""
