"""Registering versions of prompts: each number once, each above the last, whoever else registers.

Nobody is kept from registering. A version says in the same call that creates it which one was the newest
when its writer looked, and it counts if no other that counts was created between (`schema.versioning.counting`).
So a version was always judged against the one right before it, and that is its parent. A writer whose version
does not count takes it back and looks again; should it die before that, the version is nobody's.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import prompt_stages, prompts
from hokusai_nb.config import acting_user
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompt_loading import line_to
from hokusai_nb.core.prompt_rules import check_follows, proposed, taken
from hokusai_nb.errors import ConflictError
from hokusai_nb.schema.versioning import parse_version

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.core.prompt_rules import Line
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.schema.versioning import Bump

__all__ = ["known_already", "register"]

TRIES = 30
"""How often the newest version is looked for anew, where others register at the same time."""
PAUSE_SECONDS = 0.02
"""How long one who lost waits at most at first, so that not all look again at once; twice as long each time."""
LONGEST_PAUSE_SECONDS = 0.6


def register(
    backend: Backend,
    wanted: PromptVersion,
    *,
    allow_breaking: bool = False,
    bump: Bump | None = None,
    after: PromptVersion | None = None,
) -> PromptVersion:
    """Register a version and return it; the same content under the same number is the same version.

    Args:
        backend: Where to register it.
        wanted: The version.
        allow_breaking: Accept a step that says less than the change means.
        bump: The version is the next by this step, whatever number it has now.
        after: The newest version, where the caller has just registered it.

    Raises:
        ModelValidationError: The version is not above the newest, its step is too small, or the name is a model's.
        ConflictError: Another version of the same number and other content was first.
    """
    lost: PromptVersion | None = None
    for turn in range(TRIES):
        there, line = _look(backend, wanted.name, None if lost else after)
        if lost and (same := _same_as(backend, line, lost, again=bool(bump))):
            return same
        if bump:
            wanted = wanted.model_copy(update={"version": proposed(line, wanted.template, bump)})
        if known := known_already(backend, line, wanted):
            return known
        check_follows(line, wanted, allow_breaking=allow_breaking)
        made, counts = _create(backend, wanted, line, known=there)
        if counts:
            return made
        lost = made
        time.sleep(random.uniform(0, min(PAUSE_SECONDS * 2**turn, LONGEST_PAUSE_SECONDS)))  # noqa: S311 - no secret
    what = f"Other versions of {wanted.name} are being registered all the time."
    raise ConflictError(what, "Try again later.")


def _look(backend: Backend, name: str, after: PromptVersion | None) -> tuple[bool, Line]:
    """Return whether MLflow has the prompt, and what the next version is judged by."""
    if after:
        return True, line_to(backend, after)
    standing = prompt_stages.standing(backend, name)
    return standing is not None, line_to(backend, standing.newest if standing else None)


def _create(backend: Backend, wanted: PromptVersion, line: Line, *, known: bool) -> tuple[PromptVersion, bool]:
    """Create a version and return it, and whether it counts; if not, it is taken back."""
    author = wanted.metadata.get("author")
    draft = wanted.model_copy(
        update={
            "author": author if isinstance(author, str) and author else acting_user(),
            "parent_version": line.newest.version if line.newest else None,
        }
    )
    after = line.newest.mlflow_version or 0 if line.newest else 0
    made = prompts.create(backend, draft, known=known, after=after)
    CACHE.forget(backend, wanted.name)
    counts = prompts.counts(backend, made, after)
    if counts:
        CACHE.note(backend, [made], anew=True)
    else:
        prompts.withdraw(backend, made)
    return made, counts


def _same_as(backend: Backend, line: Line, lost: PromptVersion, *, again: bool) -> PromptVersion | None:
    """Return the version that was first where it is the same; None where its number is free, or another will do.

    Raises:
        ConflictError: The number has other content, and no other number will do.
    """
    first = CACHE.version(backend, lost.name, lost.version, refresh=True)
    if first is None:
        return None
    if prompts.is_same(first, lost):
        return first.model_copy(update={"created": False})
    if again:
        return None
    what = f"Version {lost.version} of {lost.name} was registered by {first.author} at the same time."
    raise ConflictError(what, taken(line, lost).hint)


def known_already(backend: Backend, line: Line, wanted: PromptVersion) -> PromptVersion | None:
    """Return the version if it was registered before.

    Raises:
        ModelValidationError: It was, with other content.
    """
    last = line.newest
    if last is None or parse_version(wanted.version) > parse_version(last.version):
        return None
    earlier = CACHE.version(backend, wanted.name, wanted.version, refresh=True)
    if earlier is None:
        return None
    if prompts.is_same(earlier, wanted):
        return earlier.model_copy(update={"created": False})
    raise taken(line, wanted)
