"""``%hokusai`` and ``%hokusai_config``: where we write, what is going on, what to do next."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import models, runs
from hokusai_nb.backends.mlflow.client import Backend, resolve_uri, use_store
from hokusai_nb.config import configure, settings
from hokusai_nb.core.suggestions import store_exists
from hokusai_nb.errors import HokusaiError, RunNotFoundError
from hokusai_nb.magics.completion import suggestions_of
from hokusai_nb.schema import verbs
from hokusai_nb.schema.overview import OverviewCard, Setting, SettingsCard

if TYPE_CHECKING:
    from hokusai_nb.magics.calling import Call

__all__ = ["config", "overview"]

PATIENCE_SECONDS = 4.5


def overview(call: Call) -> OverviewCard:
    """Show where we write, the current run and what to do next; a dead server is said, not raised."""
    call.verb(verbs.Overview)
    backend = Backend.at()
    # Which run is current is known to this thread only.
    run_id, _ = runs.current_run_id()
    card = OverviewCard(store=backend.safe_uri, chosen_because=resolve_uri()[1])
    if not store_exists(backend.uri):
        return card.model_copy(update={"chosen_because": f"{card.chosen_because}; made with the first run"})
    found: list[OverviewCard] = []
    asking = threading.Thread(target=lambda: found.append(_asked(card, backend, run_id)), daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    trouble = f"It did not answer within {PATIENCE_SECONDS:g} seconds."
    return found[0] if found else card.model_copy(update={"trouble": trouble})


def _asked(card: OverviewCard, backend: Backend, run_id: str | None) -> OverviewCard:
    """Return the card with what the store says of the run."""
    try:
        if run_id is None:
            with backend.calling():
                return card
        run = runs.get_run(backend, run_id)
        return card.model_copy(update={"run": run, "models": tuple(models.models_of_run(backend, run))})
    except RunNotFoundError:
        return card  # it was deleted, or it was made in another store
    except HokusaiError as error:
        return card.model_copy(update={"trouble": error.what})


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
    backend, now = Backend.at(), settings()
    return SettingsCard(
        settings=(
            Setting(
                name="tracking URI", value=f"{backend.safe_uri} ({resolve_uri()[1]})", variable="MLFLOW_TRACKING_URI"
            ),
            Setting(name="API key", value="set" if now.api_key else "not set", variable="HOKUSAI_API_KEY"),
            Setting(name="API endpoint", value=now.api_endpoint, variable="HOKUSAI_API_ENDPOINT"),
            Setting(name="contributor", value=now.contributor or "none", variable="HOKUSAI_CONTRIBUTOR"),
            Setting(
                name="provenance",
                value="on" if now.notebook_provenance else "off",
                variable="HOKUSAI_NOTEBOOK_PROVENANCE",
            ),
            Setting(name="HTTP timeout", value=f"{now.http_timeout:g} s", variable="HOKUSAI_HTTP_TIMEOUT"),
            Setting(name="log level", value=now.log_level, variable="HOKUSAI_LOG_LEVEL"),
        )
    )
