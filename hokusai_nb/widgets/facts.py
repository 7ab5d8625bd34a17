"""What a form asks the registry when it opens: its run, and what there is to suggest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.core.current_run import chosen_model, current_run, models_of
from hokusai_nb.core.suggestions import Known, load_suggestions
from hokusai_nb.errors import AmbiguousModelError, HokusaiError, NoCurrentRunError, NoModelError, RunNotFoundError
from hokusai_nb.log import redact
from hokusai_nb.schema.metrics import check_metric, find_metric, known_metrics
from hokusai_nb.schema.problems import Problem, errors_in
from hokusai_nb.schema.tokens import check_token

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from hokusai_nb.core.registry import ModelRegistry
    from hokusai_nb.schema.runs import RunFacts, RunModel

__all__ = ["STORE", "Facts", "load_facts", "problem_of", "store_problems"]

STORE = "store"
"""Field of a problem with where the form registers."""


def problem_of(error: HokusaiError, key: str) -> Problem:
    """Return an error as a finding about a field."""
    return Problem(field=key, what=error.what, hint=error.hint)


def store_problems(backend: Backend) -> list[Problem]:
    """Return a warning if a form that writes to this store shows a line that would write to another."""
    try:
        there = Backend.at()
    except HokusaiError:
        return []  # settings that cannot be read are told at the contributor
    if (there.uri, there.registry_uri) == (backend.uri, backend.registry_uri):
        return []
    ours, theirs = backend.safe_uri, there.safe_uri
    if there.uri == backend.uri:
        ours, theirs = redact(backend.registry_uri), redact(there.registry_uri)
    what = f"This form registers in {ours}, but MLflow is set to {theirs}."
    hint = "The line below would register there; open the form again to do so, too."
    return [Problem(field=STORE, what=what, hint=hint, severity="warning")]


@dataclass(frozen=True)
class Facts:
    """What the registry knows, as far as it was asked.

    Attributes:
        run: The run; None where it is not known.
        models: The run's models, newest first.
        known: Names to suggest.
        estimators: Variables that hold fitted estimators.
        asked: Whether there was an answer.
        wrong: Why the run cannot be registered from.
        trouble: Why there was no answer.
    """

    run: RunFacts | None = None
    models: tuple[RunModel, ...] = ()
    known: Known = field(default_factory=Known)
    estimators: tuple[str, ...] = ()
    asked: bool = False
    wrong: Problem | None = None
    trouble: str = ""

    def offers(self) -> Mapping[str, Sequence[str]]:
        """Return what to suggest, by the sources that a verb's options name."""
        measured = [m for m in (self.run.metrics if self.run else ()) if not errors_in(check_metric(m))]
        return {
            "token_ids": tuple(t for t in self.known.token_ids if not check_token(t)),  # a ticker is not taken here
            "model_names": self.known.model_names,
            "run_metrics": tuple(dict.fromkeys([*measured, *(m.name for m in known_metrics())])),
            "models": tuple(dict.fromkeys([*self.model_names, *self.estimators])),
        }

    @property
    def model_names(self) -> list[str]:
        """Names of the run's models, newest first."""
        return list(dict.fromkeys(m.name for m in self.models))

    def model_problem(self, named: str | None, shadowed: Container[str] = ()) -> Problem | None:
        """Return why the run's model of that name, or its only one, cannot be told.

        Args:
            named: The name; None for the only one.
            shadowed: Names that mean something else here.
        """
        if self.wrong is not None or self.run is None:
            return self.wrong
        try:
            chosen_model(self.run, self.models, named)
        except AmbiguousModelError as error:
            newest = {m.name: m for m in reversed(self.models)}
            names = [newest[name].uri if name in shadowed else name for name in self.model_names]
            return Problem(field="model", what=error.what, hint=f"Choose one: {', '.join(names)}.", repair=names[0])
        except NoModelError as error:
            if self.models or not self.estimators:
                return problem_of(error, "model")
            guess = self.estimators[0] if len(self.estimators) == 1 and named is None else None
            hint = f"Name a fitted estimator, which is then logged to it: {', '.join(self.estimators)}."
            return Problem(field="model", what=error.what, hint=hint, repair=guess)
        return None

    def metric_note(self) -> str:
        """Return which metrics the run has."""
        names = sorted(self.run.metrics) if self.run else []
        declared = [n for n in names if find_metric(n)]
        shown = [*declared, *(n for n in names if n not in declared)][:6]
        return f"The run has {', '.join(shown)}{' …' if len(names) > len(shown) else ''}." if names else ""


def load_facts(
    registry: ModelRegistry, named: str | None, estimators: Sequence[str] = (), known: Known | None = None
) -> Facts:
    """Return the facts; what cannot be had is said in them, not raised.

    Args:
        registry: Where to ask.
        named: The run that the user named; the current run if None.
        estimators: Variables that hold fitted estimators.
        known: Names to suggest, where they were loaded already.
    """
    found = Facts(estimators=tuple(estimators), asked=True)
    try:
        try:
            run = current_run(registry.backend, named)
            found = replace(found, run=run, models=tuple(models_of(registry.backend, run)))
        except (RunNotFoundError, NoCurrentRunError) as error:
            found = replace(found, wrong=problem_of(error, "model"))
        return replace(found, known=known or load_suggestions(registry, found.run.run_id if found.run else None))
    except HokusaiError as error:
        return replace(found, trouble=f"{error.what} {error.hint}".strip())
