"""``%hokusai``, ``%hokusai_config`` and ``%hokusai_status``: where we write, what is going on, where a token stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow.client import use_store
from hokusai_nb.config import configure
from hokusai_nb.core import overview as state
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.magics.completion import suggestions_of
from hokusai_nb.schema import verbs
from hokusai_nb.schema.display import as_json

if TYPE_CHECKING:
    from hokusai_nb.magics.calling import Call
    from hokusai_nb.schema.display import JsonText
    from hokusai_nb.schema.overview import OverviewCard, SettingsCard
    from hokusai_nb.schema.token_reports import TokenReport

__all__ = ["config", "overview", "token_status"]


def overview(call: Call) -> OverviewCard:
    """Show where we write, the current run and what to do next."""
    call.verb(verbs.Overview)
    return state.overview()


def config(call: Call) -> SettingsCard:
    """Change what the line names, and show the settings in force."""
    verb = call.verb(verbs.Configure)
    if verb.contributor is not None:
        configure(contributor=verb.contributor)
    if verb.provenance is not None:
        configure(notebook_provenance=verb.provenance)
    if verb.tracking_uri is not None:
        use_store(verb.tracking_uri)
        suggestions_of(call.shell).invalidate()
    return state.settings_in_force()


def token_status(call: Call) -> TokenReport | JsonText:
    """Show where a token stands, and why."""
    verb = call.verb(verbs.TokenStatus)
    found = ModelRegistry().token_status(verb.token)
    return as_json(found) if verb.as_json else found
