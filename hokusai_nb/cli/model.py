"""``hokusai model``: the group; its commands are in `model_commands`, `model_register` and `model_stages`."""

from __future__ import annotations

import click

from hokusai_nb.cli.groups import LazyGroup, Member

__all__ = ["model"]


@click.command(
    cls=LazyGroup,
    members={
        "register": Member("model_register:register", "Register a model file or folder for a token of the site."),
        "register-run": Member("model_register:register_run", "Register a run's model under a Hokusai token."),
        "status": Member("model_commands:status", "Show how far the registration of a token got."),
        "list": Member("model_commands:list_models", "List registered versions, all or those of one token."),
        "show": Member("model_commands:show", "Show one version of a model."),
        "lineage": Member("model_commands:lineage", "Show what each version was made from and how far it got."),
        "compare": Member("model_commands:compare", "Put two versions of a model side by side."),
        "plot": Member("model_commands:plot", "Draw a model's lineage into a file."),
        "promote": Member("model_stages:promote", "Promote a version to staging or production."),
        "rollback": Member("model_stages:rollback", "Put back the version that a stage held before."),
        "history": Member("model_stages:history", "Show who promoted which version when, and why."),
        "tag": Member("model_commands:tag", "Set tags of a version."),
        "delete": Member("model_commands:delete", "Delete one version."),
    },
)
def model() -> None:
    """Register, list, compare and trace models."""
