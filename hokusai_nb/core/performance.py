"""What a model reached: where its measured value is found, and whether that is enough."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow import runs
from hokusai_nb.core.current_run import measured_value
from hokusai_nb.errors import BaselineError, MetricValidationError, RunNotFoundError, ValidationError
from hokusai_nb.schema.hints import DECLARE_METRIC
from hokusai_nb.schema.metrics import Direction, check_benchmark, check_metric, find_metric, improvement, known_metrics
from hokusai_nb.schema.problems import Problem, errors_in, plain, quoted, quoted_path
from hokusai_nb.schema.registrations import METRIC_FAILED
from hokusai_nb.schema.values import parse_decimal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.metrics import Metric
    from hokusai_nb.schema.registrations import PerformanceSource, RegisterFile
    from hokusai_nb.schema.runs import RunFacts

__all__ = ["Performance", "check_range", "declared_metric", "gain_over_baseline", "measure", "read_metrics"]

METRICS_FILE = "metrics.json"
LARGEST_FILE = 1024 * 1024
_LISTED = 20


@dataclass(frozen=True)
class Performance:
    """What a model reached.

    Attributes:
        value: Decimal text in the metric's own unit.
        source: Where it was found.
        run: The run that measured it, if one did.
        doubts: Where it was looked for in vain, and should have been found.
    """

    value: str
    source: PerformanceSource
    run: RunFacts | None = None
    doubts: tuple[Problem, ...] = ()


def _failed(problems: Iterable[Problem]) -> MetricValidationError:
    first, *rest = problems
    return MetricValidationError([first.model_copy(update={"what": f"{METRIC_FAILED}{first.what}"}), *rest])


def declared_metric(name: str) -> Metric:
    """Return a metric of the catalogue, or one that was declared.

    Raises:
        MetricValidationError: It is neither; the hint names those that are spelled alike.
    """
    problems = errors_in(check_metric(name, declared=True))
    if problems:
        known = [key for m in known_metrics() for key in (m.name, *m.aliases)]
        alike = difflib.get_close_matches(plain(name).lower(), known, n=5, cutoff=0.5)
        listed = f"Close to it: {', '.join(alike)}." if alike else f"The catalogue has: {', '.join(known)}."
        hint = f"{listed} {DECLARE_METRIC}"
        raise _failed([problems[0].model_copy(update={"hint": hint}), *problems[1:]])
    found = find_metric(name)
    assert found is not None
    return found


def check_range(metric: str, value: str, field: str, found_in: str = "") -> None:
    """Refuse a value that the metric cannot have.

    Args:
        metric: The metric's name.
        value: Decimal text.
        field: What the user calls the value.
        found_in: Where the value is from, if the user did not type it.

    Raises:
        MetricValidationError: It lies outside the range, or it is no number.
    """
    if problems := check_benchmark(metric, value, field=field):
        place = f" (found in {found_in})" if found_in else ""
        raise _failed([p.model_copy(update={"what": f"{field}: {p.what}{place}"}) for p in problems])


def measure(backend: Backend, verb: RegisterFile, folders: Sequence[Path], mlmodel_run: str | None) -> Performance:
    """Find the measured value: the one that is given, the run's, ``metrics.json``'s, or the MLmodel's run's.

    Where there is none, the baseline is what is declared; a figure is never made up.

    Args:
        backend: Where runs are.
        verb: What the user asked for.
        folders: Where ``metrics.json`` may lie, the first that has the metric counts: in the model's folder,
            and beside it or its file.
        mlmodel_run: The run that the model says it was logged by.

    Raises:
        RunNotFoundError: The named run does not exist.
        ValidationError: ``metrics.json`` cannot be understood.
        MetricValidationError: The value that was found lies outside the metric's range.
    """
    found, doubts = _first_found(backend, verb, folders, mlmodel_run)
    if found is None:
        found = Performance(value=verb.baseline, source="declared")
    places = {"run": "the run", "metrics.json": METRICS_FILE, "mlmodel": "the MLmodel's run"}
    check_range(verb.metric, found.value, "value", places.get(found.source, ""))
    return Performance(found.value, found.source, found.run, tuple(doubts))


def _first_found(
    backend: Backend, verb: RegisterFile, folders: Sequence[Path], mlmodel_run: str | None
) -> tuple[Performance | None, list[Problem]]:
    doubts: list[Problem] = []
    run = runs.get_run(backend, verb.run) if verb.run is not None else None
    if verb.value is not None:
        return Performance(verb.value, "given", run), doubts
    if run is not None:
        if (value := measured_value(run, verb.metric)) is not None:
            return Performance(value, "run", run), doubts
        doubts.append(_lacking(run, verb.metric))
    for folder in folders:
        if (value := _in_file(folder / METRICS_FILE, verb.metric)) is not None:
            return Performance(value, "metrics.json"), doubts
    if mlmodel_run is not None:
        try:
            own = runs.get_run(backend, mlmodel_run)
        except RunNotFoundError:
            what = f"The model was logged by run {quoted(mlmodel_run)}, which is not in {backend.safe_uri}."
            doubts.append(Problem(field="value", what=what, hint="State its value, such as 0.91.", severity="warning"))
        else:
            if (value := measured_value(own, verb.metric)) is not None:
                return Performance(value, "mlmodel", own), doubts
    return None, doubts


def _lacking(run: RunFacts, metric: str) -> Problem:
    names = sorted(run.metrics)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    has = ", ".join(names[:_LISTED]) + more if names else "no metric at all"
    what = f"Run {run.name} ({run.run_id}) has no metric {quoted(metric)}."
    return Problem(field="value", what=what, hint=f"It has {has}.", severity="warning")


def _in_file(path: Path, metric: str) -> str | None:
    known = find_metric(metric)
    figures = read_metrics(path)
    for name in (metric, *((known.name, *known.aliases) if known else ())):
        if name not in figures:
            continue
        if isinstance(figures[name], _Number):
            return str(figures[name])
        what = f"{quoted_path(path)} gives {quoted(name)} as {quoted(figures[name])}, which is no number."
        raise _malformed(path, what)
    return None


class _Number(str):
    """A number of a JSON file, as it is written there."""

    __slots__ = ()


def read_metrics(path: Path) -> Mapping[str, Any]:
    """Return the figures of a ``metrics.json``, empty if it is not there; numbers are text, as they are written.

    Raises:
        ValidationError: It is no JSON object, or cannot be read.
    """
    if not path.is_file():  # a pipe would keep us waiting
        return {}
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise _malformed(path, f"{quoted_path(path)} is larger than {LARGEST_FILE:,} bytes.")
        found = json.loads(content, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    except OSError as error:
        raise _malformed(path, f"{quoted_path(path)} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            raise
        raise _malformed(path, f"{quoted_path(path)} is no JSON: {quoted(str(error))[1:-1]}.") from error
    if not isinstance(found, dict):
        raise _malformed(path, f"{quoted_path(path)} is no JSON object.")
    return found


def _malformed(path: Path, what: str) -> ValidationError:
    hint = f'{path.name} is an object of names and numbers, such as {{"auroc": 0.85}}; correct it, or state the value.'
    return ValidationError([Problem(field="value", what=what, hint=hint)])


def gain_over_baseline(metric: Metric, named: str, *, value: str, baseline: str) -> Decimal:
    """Return how far a value is better than the baseline, exactly.

    Args:
        metric: The metric.
        named: What the user calls it.
        value: What was reached.
        baseline: What had to be.

    Raises:
        BaselineError: It is worse.
    """
    gained = improvement(metric, baseline=parse_decimal(baseline), candidate=parse_decimal(value))
    if gained < 0:
        side = "below" if metric.direction is Direction.MAX else "above"
        compared = f"{value} is {side} {baseline} ({named}, {metric.direction.in_words})"
        what = f"Model performance does not meet baseline: {compared}."
        hint = "Register it once it is good enough, or look again at the value, its unit and the baseline."
        raise BaselineError(what, hint)
    return gained
