"""The `hokusai` command: each subcommand is imported when it is called or listed, not before."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from hokusai_nb.errors import HokusaiError, UsageError

__all__ = ["COMMANDS", "main"]

COMMANDS = {"demo": "hokusai_nb.cli.demo:demo"}
"""Where each subcommand lives. Its module imports click at most, so that listing them all stays quick."""

FAILURE = 1
USAGE = 2


class _Commands(click.Group):
    """A group that imports its members by name and shows our errors without a stack trace."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx  # the members are the same everywhere
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HokusaiError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(USAGE if isinstance(error, UsageError) else FAILURE)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hokusai_nb")
def main() -> None:
    """Register, compare and improve token-linked machine-learning models.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
