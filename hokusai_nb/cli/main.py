"""The `hokusai` command."""

from __future__ import annotations

import click

from hokusai_nb.cli.groups import EXIT_CODES, LazyGroup, Member

__all__ = ["main"]

_CODES = "\n".join(f"  {code}  {meaning}" for code, meaning, _ in sorted(EXIT_CODES))


@click.command(
    cls=LazyGroup,
    members={
        "model": Member("model:model", "Register, list, compare and trace models."),
        "prompt": Member("prompt:prompt", "Validate, register, promote and compare prompts."),
        "token": Member("token:token", "Create, list, show, deploy and archive tokens."),
        "events": Member("events:events", "List events, deliver them, try again."),
        "key": Member("key:key", "Create, list and revoke API keys of the server."),
        "serve": Member("serve:serve", "Run the API server with MLflow behind it."),
        "status": Member("status:status", "Show where registrations go and what the current run is."),
        "completion": Member("completion:completion", "Print the completion script of a shell."),
        "demo": Member("demo:demo", "Run the first tutorial on a registry of its own."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\nExit codes:\n  0  done\n{_CODES}\n  130  interrupted",
)
@click.version_option(package_name="hokusai_nb")
def main() -> None:
    """Register, compare and improve token-linked machine-learning models.

    HOKUSAI_LOG_LEVEL=DEBUG writes a structured log to stderr, without secrets.
    """
