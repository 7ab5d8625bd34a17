"""``hokusai token``: the group; its commands are in `token_commands`."""

from __future__ import annotations

import click

from hokusai_nb.cli.groups import LazyGroup, Member

__all__ = ["token"]


@click.command(
    cls=LazyGroup,
    members={
        "create": Member("token_commands:create", "Create a token in draft, for local development."),
        "list": Member("token_commands:list_tokens", "List tokens with their status."),
        "show": Member("token_commands:show", "Show a token and every step it has taken."),
        "deploy": Member("token_commands:deploy", "Mark a registered token as deployed."),
        "archive": Member("token_commands:archive", "Archive a token."),
    },
)
def token() -> None:
    """Create, list, show, deploy and archive tokens."""
