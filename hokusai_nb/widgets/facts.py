"""What a form asks the registry when it opens: its run, and what there is to suggest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hokusai_nb.core.current_run import chosen_model, current_run, models_of
from hokusai_nb.core.suggestions import Known, load_suggestions
from hokusai_nb.errors import AmbiguousModelError, HokusaiError, NoCurrentRunError, NoModelError, RunNotFoundError
from hokusai_nb.schema.metrics import check_metric, find_metric, known_metrics
from hokusai_nb.schema.problems import Problem, errors_in
from hokusai_nb.schema.tokens import check_token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hokusai_nb.core.registry import ModelRegistry
    from hokusai_nb.schema.runs import RunFacts, RunModel

__all__ = ["Facts", "load_facts", "problem_of"]


def problem_of(error: HokusaiError, key: str) -> Problem:
    """Return an error as a finding about a field."""
    return Problem(field=key, what=error.what, hint=error.hint)


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
            "models": tuple(dict.fromkeys([*(m.name for m in self.models), *self.estimators])),
        }

    def model_problem(self, named: str | None) -> Problem | None:
        """Return why the run's model of that name, or its only one, cannot be told."""
        if self.wrong is not None or self.run is None:
            return self.wrong
        try:
            chosen_model(self.run, self.models, named)
        except AmbiguousModelError as error:
            names = list(dict.fromkeys(m.name for m in self.models))
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


def load_facts(registry: ModelRegistry, named: str | None, estimators: Sequence[str] = ()) -> Facts:
    """Return the facts; what cannot be had is said in them, not raised.

    Args:
        registry: Where to ask.
        named: The run that the user named; the current run if None.
        estimators: Variables that hold fitted estimators.
    """
    found = Facts(estimators=tuple(estimators), asked=True)
    try:
        try:
            run = current_run(registry.backend, named)
            found = replace(found, run=run, models=tuple(models_of(registry.backend, run)))
        except (RunNotFoundError, NoCurrentRunError) as error:
            found = replace(found, wrong=problem_of(error, "model"))
        return replace(found, known=load_suggestions(registry, found.run.run_id if found.run else None))
    except HokusaiError as error:
        return replace(found, trouble=f"{error.what} {error.hint}".strip())
