"""The magics that only show: what is registered, how it grew, where it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.schema import verbs
from hokusai_nb.schema.display import as_json

if TYPE_CHECKING:
    from hokusai_nb.magics.calling import Call
    from hokusai_nb.schema.display import JsonText, Shown
    from hokusai_nb.schema.records import Comparison, Lineage, ModelList

__all__ = ["compare", "improvement", "lineage", "models"]

S = TypeVar("S", bound="Shown")


def _shown(record: S, *, json: bool) -> S | JsonText:
    return as_json(record) if json else record


def models(call: Call) -> ModelList | JsonText:
    """List registered versions."""
    verb = call.verb(verbs.Models)
    return _shown(ModelRegistry().list_models(verb.prefix, verb.token), json=verb.as_json)


def lineage(call: Call) -> Lineage | JsonText | Any:
    """Show the versions of a model, as a table or as a graph."""
    verb = call.verb(verbs.ShowLineage)
    found = ModelRegistry().get_model_lineage(verb.name)
    return found.plot("lineage") if verb.graph and not verb.as_json else _shown(found, json=verb.as_json)


def improvement(call: Call) -> Any:
    """Plot the benchmark value over the versions, or the gain of each contributor."""
    verb = call.verb(verbs.Improvement)
    found = ModelRegistry().get_model_lineage(verb.name)
    return found.plot("waterfall" if verb.by_contributor else "improvement")


def compare(call: Call) -> Comparison | JsonText:
    """Put two versions side by side."""
    verb = call.verb(verbs.Compare)
    return _shown(ModelRegistry().compare(verb.name, verb.first, verb.second), json=verb.as_json)
