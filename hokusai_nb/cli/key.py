"""``hokusai key``: the group; its commands are in `key_commands`."""

from __future__ import annotations

import click

from hokusai_nb.cli.groups import LazyGroup, Member

__all__ = ["key"]


@click.command(
    cls=LazyGroup,
    members={
        "create": Member("key_commands:create", "Create an API key; its text is shown once."),
        "list": Member("key_commands:list_keys", "List API keys: scopes, expiry, last use."),
        "revoke": Member("key_commands:revoke", "Revoke an API key."),
    },
)
def key() -> None:
    """Create, list and revoke API keys of the server."""
