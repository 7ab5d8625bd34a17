"""``hokusai prompt``: the group; its commands are in `prompt_commands` and `prompt_show`."""

from __future__ import annotations

import click

from hokusai_nb.cli.groups import LazyGroup, Member

__all__ = ["prompt"]

_FILES = """\b
Files hold prompts with the keys
  name        words joined by slashes
  version     semantic version; or bump: major, minor or patch;
              with neither, the smallest step that the change warrants
  template    Python format string
  metadata    whatever JSON can hold
\b
.yaml .yml          a mapping, a list of them, or several documents
.json               an object, or a list of them
.md .txt .prompt    the keys in YAML between two lines of ---, then the
                    template
.ipynb              cells that begin with %%hokusai_prompt
\b
  name: persona/hook
  version: 1.0.0
  template: |-
    {greeting}, {name}!
  metadata:
    author: content-team
"""


@click.command(
    cls=LazyGroup,
    members={
        "validate": Member("prompt_commands:validate", "Check the prompts in files and folders."),
        "register": Member("prompt_commands:register", "Register the prompts in files and folders."),
        "promote": Member("prompt_commands:promote", "Promote prompts to staging or production."),
        "rollback": Member("prompt_commands:rollback", "Put back the version that a stage held before."),
        "diff": Member("prompt_show:diff", "Put two versions side by side, or a file and the registry."),
        "render": Member("prompt_show:render", "Print a template with values in place."),
        "list": Member("prompt_show:list_prompts", "List registered prompts with their stages."),
        "lineage": Member("prompt_show:lineage", "Show the versions of a prompt and what each was made from."),
        "history": Member("prompt_show:history", "Show who promoted which version when, and why."),
    },
    epilog=_FILES,
)
def prompt() -> None:
    """Validate, register, promote and compare prompts."""
