"""Registering versions of prompts: each number once, each above the last, whoever else registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import prompt_stages, prompts
from hokusai_nb.config import acting_user
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompt_rules import check_follows, proposed, refused
from hokusai_nb.errors import ConflictError, ModelValidationError
from hokusai_nb.schema.versioning import parse_version

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.backends.mlflow.prompt_stages import Standing
    from hokusai_nb.schema.prompts import PromptVersion
    from hokusai_nb.schema.versioning import Bump

__all__ = ["register"]

TRIES = 20
"""How often the next free version is proposed anew, where others take it first."""


def register(
    backend: Backend,
    wanted: PromptVersion,
    *,
    allow_breaking: bool = False,
    bump: Bump | None = None,
    after: PromptVersion | None = None,
) -> PromptVersion:
    """Register a version and return it; the same content under the same number is the same version.

    MLflow numbers versions in the order in which they are created. What was created between the look at
    the last version and our own creation came first, and counts: ours is taken back if it clashes.

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
    for _ in range(TRIES):
        seen = None if after else prompt_stages.standing(backend, wanted.name)
        last = after or (seen.newest if seen else None)
        if bump:
            version = proposed(last, wanted.template, bump)
            wanted = wanted.model_copy(update={"version": version})
        if known := known_already(backend, last, wanted):
            return known
        check_follows(last, wanted, allow_breaking=allow_breaking)
        author = wanted.metadata.get("author")
        draft = wanted.model_copy(
            update={
                "author": author if isinstance(author, str) and author else acting_user(),
                "parent_version": last.version if last else None,
            }
        )
        made = prompts.create(backend, draft, known=after is not None or seen is not None)
        CACHE.forget(backend, wanted.name)
        stands = _settle(
            backend, made, _next_number(seen, after), last, allow_breaking=allow_breaking, again=bool(bump)
        )
        if stands:
            CACHE.note(backend, [stands])
            return stands
    what = f"Other versions of {wanted.name} are being registered all the time."
    raise ConflictError(what, "Try again later, or give the version itself.")


def _next_number(seen: Standing | None, after: PromptVersion | None) -> int:
    if after:
        return (after.mlflow_version or 0) + 1
    return seen.last_number + 1 if seen else 1


def known_already(backend: Backend, last: PromptVersion | None, wanted: PromptVersion) -> PromptVersion | None:
    """Return the version if it was registered before.

    Raises:
        ModelValidationError: It was, with other content.
    """
    if last is None or parse_version(wanted.version) > parse_version(last.version):
        return None
    # The last one itself may be about to lose this number to an earlier one.
    earlier = CACHE.version(backend, wanted.name, wanted.version, refresh=True)
    if earlier is None:
        return None
    if prompts.is_same(earlier, wanted):
        return earlier.model_copy(update={"created": False})
    repair = proposed(last, wanted.template, None)
    what = f"Version {wanted.version} of {wanted.name} is registered already, with other content."
    raise refused(what, f"A version never changes. Did you mean {repair}?", repair, field="version")


def _settle(
    backend: Backend,
    made: PromptVersion,
    expected: int,
    last: PromptVersion | None,
    *,
    allow_breaking: bool,
    again: bool,
) -> PromptVersion | None:
    """Return the version that now stands: ours, the same one that was first, or None to try the next number."""
    number = made.mlflow_version or 0
    if number == expected:
        return made
    known = last.mlflow_version or 0 if last else 0
    between = [v for v in prompts.all_versions(backend, made.name) if known < (v.mlflow_version or 0) < number]
    if not between:
        return made  # MLflow never gives a deleted version's number again
    first = next((v for v in between if v.version == made.version), None)
    if first and prompts.is_same(first, made):
        prompts.withdraw(backend, made)
        return first.model_copy(update={"created": False})
    try:
        check_follows(between[-1], made, allow_breaking=allow_breaking)
    except ModelValidationError as error:
        prompts.withdraw(backend, made)
        if again:
            return None
        if first:
            what = f"Version {made.version} of {made.name} was registered by {first.author} at the same time."
            raise ConflictError(what, error.hint) from None
        raise
    return prompts.set_parent(backend, made, between[-1].version)
