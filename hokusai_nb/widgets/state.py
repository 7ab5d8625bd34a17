"""A form's state at one moment: what is wrong with what was entered, and what to say below each field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.core.current_run import measured_value
from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.metrics import find_metric
from hokusai_nb.schema.problems import Problem, errors_in
from hokusai_nb.schema.tag_values import check_contributor
from hokusai_nb.schema.tags import CONTRIBUTOR_TAGS, tag_field
from hokusai_nb.schema.tokens import check_token, fold_token
from hokusai_nb.schema.verbs import Register
from hokusai_nb.widgets.facts import STORE
from hokusai_nb.widgets.preview import planned_title

if TYPE_CHECKING:
    from collections.abc import Callable

    from hokusai_nb.widgets.entered import Entered
    from hokusai_nb.widgets.facts import Facts
    from hokusai_nb.widgets.preview import Preview

__all__ = ["NO_RUN", "State"]

NO_RUN = Problem(
    field="model",
    what="There is no current run to take the model from.",
    hint="Train in `with mlflow.start_run():` and open the form again, or give a model URI.",
)
# Findings about what has no field of its own are told where they can be mended.
_TOLD_AT = {"run": "model", "HOKUSAI_CONTRIBUTOR": "contributor"}


class State:
    """What there is to show of what was entered.

    Args:
        entered: What was put in.
        facts: What the registry knows of the run.
        answer: Gives the registry's answer to a verb and an estimator, if it is there.
        doubts: Gives what the token store has against a token, if it was asked and has answered.
    """

    def __init__(
        self,
        entered: Entered,
        facts: Facts,
        answer: Callable[[Register, object], Preview | None] = lambda *_: None,
        doubts: Callable[[str], tuple[Problem, ...] | None] = lambda _: None,
    ) -> None:
        self.entered = entered
        self.facts = facts
        self.verb: Register | None = None
        values = entered.values()
        try:
            self.verb = Register.parse(values)
            found = self.verb.warnings()
        except ValidationError:
            found = Register.check(values)
        # What is wrong whatever the registry says, so that nothing is sent.
        self.stated = [*entered.problems, *found, *self._contributor_problems()]
        if entered.run_id is None and not entered.by_uri:
            self.stated.append(NO_RUN)
        self.of_run = self._run_problem()
        complete = self.verb is not None and self.of_run is None and not errors_in(self.stated)
        self.preview = answer(self.verb, entered.estimator) if complete and self.verb else None
        self.of_registry = [*([self.of_run] if self.of_run else []), *(self.preview.problems if self.preview else ())]
        token = fold_token(entered.texts["token"])
        self.of_store = None if check_token(token) else doubts(token)
        told = [_as_shown(p) for p in (*self.stated, *(self.of_store or ()), *self.of_registry)]
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys(told))
        """Everything that is wrong, warnings included, as far as it is known."""

    def _contributor_problems(self) -> list[Problem]:
        used = self.entered.contributor
        if self.entered.texts["contributor"] or not used or set(CONTRIBUTOR_TAGS) & set(self.entered.tags):
            return []
        wrong = check_contributor(used, field="contributor")
        return [p.model_copy(update={"what": f"HOKUSAI_CONTRIBUTOR in the settings: {p.what}"}) for p in wrong]

    def _run_problem(self) -> Problem | None:
        """Return what is wrong with the run or its model, as far as it is known."""
        if self.entered.by_uri or self.entered.run_id is None:
            return None
        if self.entered.estimator is not None:
            return self.facts.wrong
        return self.facts.model_problem(self.entered.texts["model"] or None, self.entered.shadowed)

    @property
    def trouble(self) -> str:
        """Why the registry could not be asked; empty where it could."""
        return self.preview.trouble if self.preview else self.facts.trouble

    @property
    def doubt(self) -> str:
        """What is to be known although nothing is wrong, and belongs to no field."""
        return " ".join(p.sentence for p in self.problems if p.field == STORE)

    @property
    def may_pass(self) -> bool:
        """Whether what is wrong may be mended outside of the form, so that asking again makes sense."""
        return bool(self.trouble or self.of_registry or self.of_store)

    def shown_at(self, key: str) -> Problem | None:
        """Return the problem to show at a field: an error before a warning."""
        mine = [p for p in self.problems if p.field == key]
        return next(iter(errors_in(mine) or mine), None)

    def standing(self) -> str:
        """Return why the form cannot be sent, or what could not be checked, or that it is ready."""
        errors = errors_in(self.problems)
        if errors:
            return f"Register is disabled: {'; '.join(self._reasons(errors))}."
        if self.trouble:
            return f"Not checked against the registry: {self.trouble}"
        return "Ready." if self.preview else "Ready; asking the registry …"

    def summary(self) -> list[str]:
        """Return what is wrong or, where nothing is, what will be written, in lines of text."""
        lines = [p.sentence for p in self.problems]
        if self.preview and self.preview.planned:
            lines += [planned_title(self.preview.planned.model), self.preview.gains]
        return [*lines, *([self.standing()] if self.trouble else [])]

    def _reasons(self, errors: list[Problem]) -> list[str]:
        texts = self.entered.texts
        labels = [key for key in texts if any(p.field == key for p in errors)]
        empty = [key.capitalize() for key in labels if not texts[key] and key != "model"]
        wrong = [key.capitalize() for key in labels if texts[key] or key == "model"]
        tags = {tag_field(key): f"tag {key}" for key in self.entered.tags}
        wrong += dict.fromkeys(tags[p.field] for p in errors if p.field in tags)
        others = [p for p in errors if p.field not in texts and p.field not in tags]
        reasons = [f"fill in {', '.join(empty)}"] if empty else []
        reasons += [f"correct {', '.join(wrong)}"] if wrong else []
        return [*reasons, *(p.sentence.rstrip(".") for p in others)]

    def note(self, key: str, *, filled: bool = False) -> str:
        """Return what stands below a field that is right.

        Args:
            key: The field.
            filled: Whether the value was read from the run.
        """
        match key:
            case "token":
                return self._token_note()
            case "model":
                return self._model_note()
            case "name":
                return self._name_note()
            case "metric":
                return self._metric_note()
            case "value":
                return " ".join(part for part in (self._value_note(filled=filled), self._gains()) if part)
            case _:
                used = self.entered.contributor if not self.entered.texts[key] else None
                return f"From the settings: {used}" if used else ""

    @property
    def _answers(self) -> bool:
        return self.facts.asked and not self.facts.trouble

    def _token_note(self) -> str:
        if self.of_store is not None:
            return "" if self.of_store else "In draft."
        token = fold_token(self.entered.texts["token"])
        if not token or not self._answers or token in self.facts.known.token_ids:
            return ""
        return "New here: no version carries this token yet."

    def _model_note(self) -> str:
        if self.entered.estimator is not None:
            run = f" to run {self.facts.run.name}" if self.facts.run else " to the run"
            return f"The estimator is logged{run} first."
        if self.facts.run is None or self.entered.by_uri:
            return ""
        return f"Run {self.facts.run.name} holds: {', '.join(self.facts.model_names)}."

    def _name_note(self) -> str:
        name = self.entered.texts["name"]
        if not name or not self._answers:
            return ""
        known = self.facts.known
        if versions := known.versions.get(name):
            return f"Exists; its newest version with a token is {versions[0]}."
        exists = name in known.model_names
        return "Exists; none of its versions has a token yet." if exists else "New here: no model has this name yet."

    def _metric_note(self) -> str:
        metric = find_metric(self.entered.texts["metric"])
        if metric is None:
            return self.facts.metric_note()
        return ", ".join(part for part in (metric.direction.in_words, metric.range_in_words) if part).capitalize() + "."

    def _value_note(self, *, filled: bool) -> str:
        run = self.facts.run if not self.entered.by_uri else None
        measured = measured_value(run, self.entered.texts["metric"]) if run else None
        if filled:
            return "Read from the run."
        return f"The run measured {measured}." if measured not in (None, self.entered.texts["value"]) else ""

    def _gains(self) -> str:
        return self.preview.gains if self.preview else ""


def _as_shown(problem: Problem) -> Problem:
    """Return a finding under the field where it can be mended, and with that field's label."""
    field = _TOLD_AT.get(problem.field, problem.field)
    what = problem.what
    if what.startswith(f"{problem.field} is "):
        what = field.capitalize() + what.removeprefix(problem.field)
    return problem.model_copy(update={"field": field, "what": what})
