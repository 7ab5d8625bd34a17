"""The magics that only show: what is registered, how it grew, where it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hokusai_nb.core.promotion import is_prompt
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.schema import verbs
from hokusai_nb.schema.display import as_json
from hokusai_nb.schema.prompt_names import shown_name

if TYPE_CHECKING:
    from hokusai_nb.magics.calling import Call
    from hokusai_nb.schema.display import JsonText, Shown
    from hokusai_nb.schema.prompt_comparison import PromptComparison
    from hokusai_nb.schema.prompts import PromptLineage
    from hokusai_nb.schema.records import Comparison, Lineage, ModelList

__all__ = ["compare", "improvement", "lineage", "models"]

S = TypeVar("S", bound="Shown")


def _shown(record: S, *, json: bool) -> S | JsonText:
    return as_json(record) if json else record


def models(call: Call) -> ModelList | JsonText:
    """List registered versions."""
    verb = call.verb(verbs.Models)
    return _shown(ModelRegistry().list_models(verb.prefix, verb.token), json=verb.as_json)


def lineage(call: Call) -> Lineage | PromptLineage | JsonText | Any:
    """Show the versions of a model or a prompt, as a table or as a graph."""
    verb = call.verb(verbs.ShowLineage)
    registry = ModelRegistry()
    draws = verb.graph and not verb.as_json
    if is_prompt(registry.backend, verb.name):
        of_prompt = PromptModel.load_from_registry(shown_name(verb.name)).get_lineage()
        return of_prompt.plot() if draws else _shown(of_prompt, json=verb.as_json)
    found = registry.get_model_lineage(verb.name)
    return found.plot("lineage") if draws else _shown(found, json=verb.as_json)


def improvement(call: Call) -> Any:
    """Plot the benchmark value over the versions, or the gain of each contributor."""
    verb = call.verb(verbs.Improvement)
    found = ModelRegistry().get_model_lineage(verb.name)
    return found.plot("waterfall" if verb.by_contributor else "improvement")


def compare(call: Call) -> Comparison | PromptComparison | JsonText:
    """Put two versions side by side."""
    verb = call.verb(verbs.Compare)
    registry = ModelRegistry()
    if is_prompt(registry.backend, verb.name):
        name = shown_name(verb.name)
        first, second = (PromptModel.load_from_registry(name, version) for version in (verb.first, verb.second))
        return _shown(first.compare_with(second), json=verb.as_json)
    return _shown(registry.compare(verb.name, verb.first, verb.second), json=verb.as_json)
