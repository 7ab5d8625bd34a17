"""Groups that import a subcommand when it is called, and the exit codes."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hokusai_nb import errors
from hokusai_nb.cli.spelling import as_options
from hokusai_nb.log import write_json_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EXIT_CODES", "LazyGroup", "Member", "exit_code"]

_BUSY = (errors.DatabaseBusyError, errors.RegistryBusyError)
EXIT_CODES: tuple[tuple[int, str, tuple[type[Exception], ...]], ...] = (
    (3, "not found: a token, model, version, run, event or key", (LookupError,)),
    (4, "conflict: the token's status, or another registration, does not allow it", (errors.ConflictError,)),
    (5, "the model's performance does not meet the baseline", (errors.BaselineError,)),
    (7, "access refused: key, password or file rights", (PermissionError,)),
    (6, "a server or database cannot be reached in time, or stays busy", (ConnectionError, *_BUSY)),
    (2, "wrong usage or an invalid value", (errors.ValidationError, errors.SettingsError)),
    (1, "any other failure", (errors.HokusaiError,)),
)
"""Code, meaning and the errors that end in it; the first that fits counts."""
INTERRUPTED = 130


def exit_code(error: Exception) -> int:
    """Return the code that the command ends with for an error."""
    return next((code for code, _, kinds in EXIT_CODES if isinstance(error, kinds)), 1)


class Member(NamedTuple):
    """A subcommand: where it lives, and its line in the list of commands."""

    place: str
    """``module:attribute`` below this package."""
    help: str


class LazyGroup(click.Group):
    """A group whose members are listed from a table and imported when they are called.

    Our errors end a command with two or three lines on stderr and the exit code of their kind.
    """

    def __init__(self, *args: Any, members: Mapping[str, Member] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.members = members or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the members, in the table's order."""
        del ctx  # the members are the same everywhere
        return list(self.members)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a member and return it; None where there is none of the name."""
        del ctx
        if cmd_name not in self.members:
            return None
        module, _, attribute = self.members[cmd_name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"hokusai_nb.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of members without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, member.help) for name, member in self.members.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; one of our errors ends the process with its code."""
        write_json_lines()
        try:
            return super().invoke(ctx)
        except errors.HokusaiError as error:
            click.echo(f"Error: {as_options(str(error), ctx.info_name)}", err=True)
            sys.exit(exit_code(error))
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)
