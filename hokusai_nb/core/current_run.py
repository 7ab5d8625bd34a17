"""Which run is meant, and which of its models."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow import models, runs
from hokusai_nb.errors import AmbiguousModelError, NoCurrentRunError, NoModelError, RunNotFoundError
from hokusai_nb.schema.hints import NAME_RUN
from hokusai_nb.schema.metrics import find_metric
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.values import format_decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.runs import RunFacts, RunModel

__all__ = ["choose_model", "chosen_model", "current_run", "measured_value", "models_of"]


def current_run(backend: Backend, named: str | None = None) -> RunFacts:
    """Return the run that is meant.

    In this order: the one named, the active run of this thread, the last run that finished here.

    Raises:
        NoCurrentRunError: None is named, and none is active or has finished, or it is not in this store.
        RunNotFoundError: The named run does not exist, or it was deleted.
    """
    if named is not None:
        return _named_run(backend, named)
    run_id, active = runs.current_run_id()
    if run_id is None:
        what = "There is no current run: none is active and none has finished here."
        raise NoCurrentRunError(what, NAME_RUN)
    try:
        run = runs.get_run(backend, run_id)
    except RunNotFoundError as error:
        what = f"The current run, {run_id}, is not in {backend.safe_uri}."
        hint = "It was made in another store, or it was deleted. Train again here, or set the store it was made in."
        raise NoCurrentRunError(what, hint) from error
    if run.status != "FINISHED" and not (active and run.status == "RUNNING"):
        what = f"The last run, {run.name}, is {run.status}."
        raise NoCurrentRunError(what, f"Run it again, or name run {run.run_id} to register it all the same.")
    return run


def _named_run(backend: Backend, named: str) -> RunFacts:
    try:
        return runs.get_run(backend, named)
    except RunNotFoundError as error:
        if runs.current_run_id()[0] is None:
            raise
        hint = f"{error.hint.rstrip('.')}; or leave it out to use the current run."
        raise RunNotFoundError(error.what, hint) from error


def models_of(backend: Backend, run: RunFacts) -> list[RunModel]:
    """Return the run's models, newest first."""
    return models.models_of_run(backend, run)


def choose_model(backend: Backend, run: RunFacts, named: str | None = None) -> RunModel:
    """Return the run's only model, or the one named by its name, id or URI.

    Raises:
        NoModelError: The run holds no model, or none of that name.
        AmbiguousModelError: It holds several and none is named; the hint lists them.
    """
    return chosen_model(run, models_of(backend, run), named)


def chosen_model(run: RunFacts, held: Sequence[RunModel], named: str | None = None) -> RunModel:
    """Return the only one of a run's models, newest first, or the one named by its name, id or URI.

    Of several models logged under one name, as in a re-run cell, the newest is meant.

    Raises:
        NoModelError: There is no model, or none of that name.
        AmbiguousModelError: There are several and none is named; the hint lists them.
    """
    if not held:
        what = f"Run {run.name} ({run.run_id}) holds no model."
        raise NoModelError(what, "Log one with mlflow.<flavor>.log_model, or name a fitted estimator as the model.")
    wanted = [m for m in held if named in (m.name, m.model_id, m.uri)] if named is not None else held
    newest = {m.name: m for m in reversed(wanted)}  # of each name
    if len(newest) == 1:
        return wanted[0]
    if not wanted:
        what = f"Run {run.name} ({run.run_id}) holds no model {quoted(named)}."
        raise NoModelError(what, f"It holds: {', '.join(dict.fromkeys(m.name for m in held))}.")
    candidates = [m for m in wanted if m is newest[m.name]]
    listed = ", ".join(f"{m.name} ({m.uri})" for m in candidates)
    what = f"Run {run.name} ({run.run_id}) holds {len(candidates)} models."
    raise AmbiguousModelError(what, f"Name one as the model: {listed}", [m.uri for m in candidates])


def measured_value(run: RunFacts, metric: str) -> str | None:
    """Return the run's value of a metric as decimal text, or None if it has none.

    The name is looked up as written, then under the metric's other names; a metric such as
    ``val_accuracy`` is never taken for ``accuracy``.
    """
    known = find_metric(metric)
    names = (metric, *((known.name, *known.aliases) if known else ()))
    found = next((run.metrics[n] for n in names if n in run.metrics), None)
    if found is not None and abs(found) == sys.float_info.max:
        found = math.copysign(math.inf, found)  # MLflow's databases hold the largest float in its place
    return None if found is None else format_decimal(found)
