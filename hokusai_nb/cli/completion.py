"""``hokusai completion``: the script that a shell completes the command with."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

PROGRAM = "hokusai"


@click.command(
    epilog="\b\n"
    "bash:  hokusai completion bash > ~/.local/share/bash-completion/completions/hokusai\n"
    'zsh:   hokusai completion zsh > "${fpath[1]}/_hokusai"\n'
    "fish:  hokusai completion fish > ~/.config/fish/completions/hokusai.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, which reads it where it looks for such scripts."""
    from hokusai_nb.cli.main import main  # noqa: PLC0415 - main lists this command

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(main, {}, PROGRAM, "_HOKUSAI_COMPLETE").source())
