"""What a server does not take from afar: a registration that only a notebook can mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hokusai_nb.schema.problems import Problem, quoted, raise_for

if TYPE_CHECKING:
    from hokusai_nb.core.registry import ModelRegistry
    from hokusai_nb.schema.records import RegisteredModel
    from hokusai_nb.schema.verbs import Register

__all__ = ["check", "register"]

_BY_TAG = "hokusai.registered_by"
_IN_MLFLOW = re.compile(r"(runs|models):/")


def register(registry: ModelRegistry, verb: Register, *, by: str) -> RegisteredModel:
    """Register what a sender names.

    Args:
        registry: Where.
        verb: What was asked for.
        by: Name of the API key, which a tag keeps.

    Raises:
        ValidationError: The server cannot see what is meant.
        HokusaiError: As `ModelRegistry.register`.
    """
    raise_for(check(verb))
    return registry.register(verb, provenance={_BY_TAG: by}, from_settings=False)


def check(verb: Register) -> list[Problem]:
    """Return what of a registration makes no sense to a server, or is not the sender's to name."""
    problems = []
    if verb.run is None and verb.model is None:
        what = "Neither a run nor a model is named."
        problems.append(Problem(field="run", what=what, hint="A server knows no current run; give its ID."))
    elif verb.model is not None and not _is_visible(verb.model, of_run=verb.run is not None):
        what = f"The server cannot see the model {quoted(verb.model)}."
        hint = "Give runs:/RUN/PATH, models:/m-… or models:/NAME/VERSION, or a run and the name of its logged model."
        problems.append(Problem(field="model", what=what, hint=hint))
    if verb.input_example is not None:
        what = f"The server has no variable {quoted(verb.input_example)}."
        problems.append(Problem(field="input_example", what=what, hint="Leave it out: it is for estimators."))
    if verb.form:
        problems.append(Problem(field="form", what="A server opens no form.", hint="Leave it out."))
    return problems


def _is_visible(model: str, *, of_run: bool) -> bool:
    """Whether it is in MLflow: a path is the server's own disk, and any other address is a request it would make."""
    return bool(_IN_MLFLOW.match(model)) or (of_run and not {"/", ":", "\\"} & set(model))
