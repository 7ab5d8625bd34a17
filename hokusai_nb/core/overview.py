"""Where we write, what is going on, and the settings in force."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import models, runs
from hokusai_nb.backends.mlflow.client import Backend, resolve_uri
from hokusai_nb.config import settings
from hokusai_nb.core.improving import is_store_configured
from hokusai_nb.core.suggestions import store_exists
from hokusai_nb.errors import HokusaiError, RunNotFoundError
from hokusai_nb.schema.overview import OverviewCard, Setting, SettingsCard
from hokusai_nb.site.opening import describe_store

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = ["overview", "settings_in_force"]

PATIENCE_SECONDS = 4.5


def overview() -> OverviewCard:
    """Return where we write, the current run and what to do next; a dead server is said, not raised."""
    backend = Backend.at()
    # Which run is current is known to this thread only.
    run_id, _ = runs.current_run_id()
    card = OverviewCard(store=backend.safe_uri, chosen_because=resolve_uri()[1], tokens=_tokens())
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


def _tokens() -> str:
    """Return where tokens are kept and why there; the path of the default is left to `settings_in_force`."""
    found = settings()
    if found.mock_mode:
        return describe_store()
    if not is_store_configured():
        return "a SQLite file of yours (by default)"
    try:
        by_database = found.database is not None
    except HokusaiError as error:
        return f"not known: {error.what} {error.hint}"
    return f"{describe_store()} (set by {'HOKUSAI_DB_…' if by_database else 'HOKUSAI_API_KEY'})"


def settings_in_force() -> SettingsCard:
    """Return the settings in force; of a secret only whether it is set."""
    now = settings()
    rows = [
        ("tracking URI", f"{Backend.at().safe_uri} ({resolve_uri()[1]})", "MLFLOW_TRACKING_URI"),
        ("tokens", describe_store(), "HOKUSAI_DB_NAME"),
        ("mock mode", "on" if now.mock_mode else "off", "HOKUSAI_MOCK_MODE"),
        ("API key", _kept(now.api_key), "HOKUSAI_API_KEY"),
        ("API endpoint", now.api_endpoint, "HOKUSAI_API_ENDPOINT"),
        ("event handlers", ", ".join(dict.fromkeys(("console", *now.event_handlers))), "HOKUSAI_EVENT_HANDLERS"),
        ("webhook", _kept(now.site_webhook_url), "HOKUSAI_SITE_WEBHOOK_URL"),
        ("webhook secret", _kept(now.site_webhook_secret), "HOKUSAI_SITE_WEBHOOK_SECRET"),
        ("private webhooks", "allowed" if now.webhook_allow_private else "refused", "HOKUSAI_WEBHOOK_ALLOW_PRIVATE"),
        ("contributor", now.contributor or "none", "HOKUSAI_CONTRIBUTOR"),
        ("provenance", "on" if now.notebook_provenance else "off", "HOKUSAI_NOTEBOOK_PROVENANCE"),
        ("HTTP timeout", f"{now.http_timeout:g} s", "HOKUSAI_HTTP_TIMEOUT"),
        ("log level", now.log_level, "HOKUSAI_LOG_LEVEL"),
    ]
    return SettingsCard(settings=tuple(Setting(name=n, value=v, variable=variable) for n, v, variable in rows))


def _kept(secret: SecretStr | None) -> str:
    return "set" if secret else "not set"
