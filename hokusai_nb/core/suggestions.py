"""What a registry and a token store hold, kept at hand for completion and loaded in the background.

Completion must answer at once and a registry may be slow or down, so the two never meet: a
question is answered from what was loaded last, and a thread loads it anew where that is old.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hokusai_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hokusai_nb.core.registry import ModelRegistry

__all__ = ["Known", "Suggestions", "load_suggestions", "store_exists"]

TTL_SECONDS = 20.0
RECENT_RUNS = 30


@dataclass(frozen=True)
class Known:
    """What a registry held when it was asked."""

    uri: str | None = None
    """Tracking URI it was read from; None before anything was read."""
    run_id: str | None = None
    """The run that `run_metrics` and `logged_models` belong to."""
    model_names: tuple[str, ...] = ()
    """All registered models, also those of which no version carries a token."""
    token_ids: tuple[str, ...] = ()
    """Those of versions and those of the token store."""
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Versions of each model that carry a token, newest first."""
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Versions of each prompt, newest first."""
    run_ids: tuple[str, ...] = ()
    """Newest first."""
    run_metrics: tuple[str, ...] = ()
    logged_models: tuple[str, ...] = ()


class Suggestions:
    """The last `Known` and the thread that renews it.

    Args:
        load: Reads the registry; given the id of the current run, if any.
        ttl: Seconds after which an answer is renewed.
    """

    def __init__(self, load: Callable[[str | None], Known], *, ttl: float = TTL_SECONDS) -> None:
        self._load = load
        self._ttl = ttl
        self._lock = threading.Lock()
        self._known = Known()
        self._asked_for: str | None = None
        self._expires = 0.0
        self._thread: threading.Thread | None = None

    def current(self, uri: str | None = None, run_id: str | None = None) -> Known:
        """Return what is known now, and have it renewed if it is old; never waits.

        Args:
            uri: Tracking URI in force, where the caller knows it: what was read from another
                store is not shown.
            run_id: The current run, where there is one.
        """
        with self._lock:
            other_store = uri is not None and self._known.uri is not None and uri != self._known.uri
            old = time.monotonic() >= self._expires or run_id != self._asked_for
            if (old or other_store) and self._thread is None:
                self._asked_for = run_id
                self._thread = threading.Thread(
                    target=self._renew, args=(run_id,), name="hokusai-suggestions", daemon=True
                )
                self._thread.start()
            return Known() if other_store else self._known

    def invalidate(self) -> None:
        """Have the next question renew the answer, because something was written."""
        with self._lock:
            self._expires = 0.0

    def wait(self, seconds: float) -> bool:
        """Wait for a renewal that is under way; return whether none is any more."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return self._thread is None

    def _renew(self, run_id: str | None) -> None:
        known = Known(run_id=run_id)
        try:
            known = self._load(run_id)
        except Exception:  # noqa: BLE001 - whatever it is, it must not reach the user's keyboard
            # No suggestions is the right answer of a registry that cannot be read; the reason goes
            # to the log, and whatever the user runs next reports it properly.
            logger.debug("Suggestions could not be loaded.", exc_info=True)
        finally:
            with self._lock:
                self._known = known
                self._expires = time.monotonic() + self._ttl
                self._thread = None


def store_exists(uri: str) -> bool:
    """Return whether asking the store would not create it: false for a file that is not there yet."""
    parts = urlsplit(uri)
    if parts.scheme.startswith("sqlite"):
        return Path(unquote(parts.path.removeprefix("/"))).exists()
    if parts.scheme in ("", "file"):
        return Path(unquote(parts.path)).exists()
    return True


def load_suggestions(registry: ModelRegistry, run_id: str | None = None) -> Known:
    """Return what the registry holds, and the tokens of the token store where somebody named one.

    A token store that fails, or does not answer within two seconds, is left out.

    Args:
        registry: Where to read.
        run_id: The current run.

    Raises:
        HokusaiError: The registry cannot be read.
    """
    from hokusai_nb.backends.mlflow import prompts, runs, search  # noqa: PLC0415 - imports MLflow, which only the thread may do
    from hokusai_nb.backends.mlflow.models import models_of_run  # noqa: PLC0415 - see above
    from hokusai_nb.core.standing import ask_token_ids  # noqa: PLC0415 - imports SQLAlchemy
    from hokusai_nb.schema.metrics import check_metric, find_metric  # noqa: PLC0415 - see above

    backend = registry.backend
    of_store = ask_token_ids(registry)
    if not store_exists(backend.uri):
        return Known(uri=backend.uri, run_id=run_id, token_ids=of_store.answer())
    models = registry.list_models()
    versions: dict[str, list[str]] = {}
    for model in reversed(models):
        versions.setdefault(model.name, []).append(model.version)
    with backend.calling() as client:
        names = {*versions, *(m.name for m in search.registered_models(client, ""))}
    of_prompts: dict[str, list[str]] = {}
    for one in reversed(prompts.by_prefix(backend)):
        of_prompts.setdefault(one.name, []).append(one.version)
    recent = runs.recent_runs(backend, RECENT_RUNS)
    current = next((run for run in recent if run.run_id == run_id), None)
    measured = [m for run in ([current] if current else recent) for m in run.metrics]
    fit = [
        m
        for m in dict.fromkeys(measured)
        if find_metric(m) or not [p for p in check_metric(m) if p.severity == "error"]
    ]
    return Known(
        uri=backend.uri,
        run_id=run_id,
        model_names=tuple(sorted(names)),
        token_ids=tuple(sorted({*(m.token_id for m in models if m.token_id), *of_store.answer()})),
        versions={name: tuple(numbers) for name, numbers in versions.items()},
        prompts={name: tuple(texts) for name, texts in sorted(of_prompts.items())},
        run_ids=tuple(run.run_id for run in recent),
        run_metrics=tuple(fit),
        logged_models=tuple(dict.fromkeys(m.name for m in models_of_run(backend, current))) if current else (),
    )
