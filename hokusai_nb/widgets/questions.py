"""The questions of the registration form, in their order, and the fields that they are asked in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hokusai_nb.schema.verbs import Register
from hokusai_nb.widgets.fields import Field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["REQUIRED", "TITLE", "make_fields", "options_in", "suggest"]

TITLE = "Register a model under a token"
_EXAMPLES = {
    "token": "MSG-AI",
    "model": "the run's only model",
    "name": "churn-classifier",
    "metric": "accuracy",
    "value": "read from the run",
    "contributor": "0x…",
}
"""Each field with an example of what to type."""
REQUIRED = tuple(key for key in _EXAMPLES if Register.model_fields[key].is_required())
_OPTIONS = ("run", "force_new", "input_example")
"""What a line may say and the form has no field for."""


def make_fields(given: Mapping[str, Any]) -> dict[str, Field]:
    """Return the fields by key, with what is given filled in."""
    help_of = {name: info.description or "" for name, info, _ in Register.options()}
    texts = {key: "" if given.get(key) is None else str(given[key]) for key in _EXAMPLES}
    return {
        key: Field(key, value=texts[key], placeholder=example, tooltip=help_of[key])
        for key, example in _EXAMPLES.items()
    }


def options_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given that the form has no field for."""
    return {key: given[key] for key in _OPTIONS if given.get(key)}


def suggest(fields: Mapping[str, Field], offers: Mapping[str, Sequence[str]]) -> None:
    """Offer values while typing, by the sources that the verb's options name."""
    for name, _, option in Register.options():
        if name in fields and option.suggest in offers:
            fields[name].suggest(offers[option.suggest])
