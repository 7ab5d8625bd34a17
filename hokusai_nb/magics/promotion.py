"""``%hokusai_promote`` and ``%hokusai_rollback``, for prompts and models alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.schema.display import as_json
from hokusai_nb.schema.prompt_verbs import Promote, Rollback

if TYPE_CHECKING:
    from hokusai_nb.magics.calling import Call
    from hokusai_nb.schema.display import JsonText
    from hokusai_nb.schema.promotions import Promotion

__all__ = ["promote", "rollback"]


def promote(call: Call) -> Promotion | JsonText:
    """Promote a version by one stage."""
    verb = call.verb(Promote)
    made = ModelRegistry().promote(verb.name, verb.version, verb.to, verb.why)
    return as_json(made) if verb.as_json else made


def rollback(call: Call) -> Promotion | JsonText:
    """Take the version out of a stage and put the one before it back."""
    verb = call.verb(Rollback)
    made = ModelRegistry().rollback(verb.name, verb.to, verb.why, stage=verb.stage)
    return as_json(made) if verb.as_json else made
