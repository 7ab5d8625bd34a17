"""What is known of prompts without asking again.

A registered version never changes, so it is kept for as long as there is room; only what counts is ever
read, so only that is kept. What a stage points at does change: it is asked again after a few seconds, and
at once after a change of our own. A version that was deleted, and made again as another, is learnt of when
the store is asked anew.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow import prompt_stages, prompts
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.config import store_choice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hokusai_nb.backends.mlflow.prompt_stages import Standing
    from hokusai_nb.schema.prompts import PromptVersion

__all__ = ["CACHE", "STANDING_SECONDS", "PromptCache", "current_backend"]

STANDING_SECONDS = 5.0
"""How long what a stage points at is believed; a change in this process is seen at once."""
MOST = 10_000
"""Versions that are kept; the oldest give way."""

_current: tuple[tuple[object, ...], Backend] | None = None


def current_backend() -> Backend:
    """Return the store in force, as `Backend.at` does, and quickly as long as nothing is set anew."""
    global _current  # noqa: PLW0603 - replaced as a whole, so that a reader never sees half of it
    choice = store_choice()
    found = _current
    if found is None or found[0] != choice:
        backend = Backend.at()
        # Where nothing is chosen, MLflow looks for its default each time.
        _current = found = (store_choice(), backend) if any(choice) else None
        if found is None:
            return backend
    return found[1]


class PromptCache:
    """Versions for ever, standings for seconds; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[tuple[Backend, str, str], PromptVersion] = {}
        self._numbers: dict[tuple[Backend, str, int], PromptVersion] = {}
        self._standings: dict[tuple[Backend, str], tuple[float, Standing | None]] = {}

    def known(self, backend: Backend, name: str, version: str) -> PromptVersion | None:
        """Return a version that was read or written before; asks nothing."""
        return self._versions.get((backend, name, version))

    def version(self, backend: Backend, name: str, version: str, *, refresh: bool = False) -> PromptVersion | None:
        """Return the version of a semantic number, without its stages, or None."""
        known = self._versions.get((backend, name, version))
        if known and not refresh:
            return known
        return self._learnt(backend, prompts.of_version(backend, name, version), known, anew=refresh)

    def numbered(self, backend: Backend, name: str, number: int, *, refresh: bool = False) -> PromptVersion | None:
        """Return the version that MLflow counts so, without its stages, or None."""
        known = self._numbers.get((backend, name, number))
        if known and not refresh:
            return known
        return self._learnt(backend, prompts.numbered(backend, name, number), known, anew=refresh)

    def standing(self, backend: Backend, name: str, *, refresh: bool = False) -> Standing | None:
        """Return how a prompt stands: what was known a few seconds ago, or what the store says now."""
        until, known = self._standings.get((backend, name), (0.0, None))
        if not refresh and time.monotonic() < until:
            return known
        return self.note_standing(backend, name, prompt_stages.standing(backend, name))

    def last_standing(self, backend: Backend, name: str) -> Standing | None:
        """Return how a prompt stood when that was last known; asks nothing."""
        return self._standings.get((backend, name), (0.0, None))[1]

    def note_standing(self, backend: Backend, name: str, standing: Standing | None) -> Standing | None:
        """Keep what was just learnt."""
        if standing is None:
            self.forget(backend, name)
            return None
        with self._lock:
            _make_room(self._standings)
            self._standings[backend, name] = (time.monotonic() + STANDING_SECONDS, standing)
        return standing

    def forget(self, backend: Backend, name: str) -> None:
        """Ask anew how a prompt stands the next time."""
        with self._lock:
            self._standings.pop((backend, name), None)

    def note(self, backend: Backend, versions: Iterable[PromptVersion], *, anew: bool = False) -> None:
        """Keep versions that were read or written.

        Args:
            backend: Where they are.
            versions: Versions that count.
            anew: The store was asked whatever was known. Where that says otherwise, the prompt's versions were
                deleted, and none of it is believed any more; else what is known stays as it is.
        """
        with self._lock:
            for one in versions:
                assert one.mlflow_version is not None
                bare = one.model_copy(update={"stages": (), "created": True}) if one.stages or not one.created else one
                version, number = (backend, one.name, one.version), (backend, one.name, one.mlflow_version)
                known = self._versions.get(version, bare), self._numbers.get(number, bare)
                if anew and known != (bare, bare):
                    self._drop(backend, one.name)
                _make_room(self._versions)
                _make_room(self._numbers)
                self._versions.setdefault(version, bare)
                self._numbers.setdefault(number, bare)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._versions.clear()
            self._numbers.clear()
            self._standings.clear()

    def _learnt(
        self, backend: Backend, found: PromptVersion | None, known: PromptVersion | None, *, anew: bool
    ) -> PromptVersion | None:
        if found:
            self.note(backend, [found], anew=anew)
        elif known:
            with self._lock:
                self._drop(backend, known.name)
        return found

    def _drop(self, backend: Backend, name: str) -> None:
        """Believe nothing of a prompt's versions any more; the lock is held."""
        self._versions = {key: one for key, one in self._versions.items() if key[:2] != (backend, name)}
        self._numbers = {key: one for key, one in self._numbers.items() if key[:2] != (backend, name)}


def _make_room(kept: dict[Any, Any]) -> None:
    while len(kept) >= MOST:
        del kept[next(iter(kept))]


CACHE = PromptCache()
"""The one that every `PromptModel` of this process shares."""
