"""Runs: which is the current one, and what is known of them."""

from __future__ import annotations

import contextvars
import datetime as dt
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import fluent

from hokusai_nb.errors import HokusaiError, RunNotFoundError
from hokusai_nb.schema.hints import FIND_RUN
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.runs import Dataset, RunFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlflow.entities import Run

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = [
    "current_run_id",
    "experiment_ids",
    "get_run",
    "get_runs",
    "moment",
    "recent_runs",
    "run_scope",
    "seen_from_here",
]

CHUNK = 1000
MOST_ROWS = 10**18
_RUN_ID = re.compile(r"[\w\-]{1,64}", re.ASCII)
# What another thread, working for this one, takes for the current run.
_seen: contextvars.ContextVar[tuple[str | None, bool] | None] = contextvars.ContextVar("current run", default=None)


def current_run_id() -> tuple[str | None, bool]:
    """Return the id of this thread's active run, else of the last one that ended, and whether it is active."""
    if seen := _seen.get():
        return seen
    if active := mlflow.active_run():
        return active.info.run_id, True
    # last_active_run() itself would fetch the run, with MLflow's four minutes of patience.
    return fluent._last_active_run_id.get(), False  # noqa: SLF001


def moment(milliseconds: int | None) -> dt.datetime | None:
    """Return a time of MLflow's; None where there is none, or none that a calendar holds: a client may set any."""
    try:
        return None if milliseconds is None else dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return None


@contextmanager
def seen_from_here() -> Iterator[None]:
    """Have this thread's current run be that of the threads that get a copy of its context.

    MLflow keeps the current run for each thread, and a thread of a pool has none.
    """
    token = _seen.set(current_run_id())
    try:
        yield
    finally:
        _seen.reset(token)


@contextmanager
def run_scope(backend: Backend, name: str | None = None, *, start: bool = True) -> Iterator[str | None]:
    """Yield the id of the active run, or of a new one that ends with the block.

    An active run stays the user's. Any other that is open at the end is ended, so that the same
    block can be run again: FAILED if the block raised, else FINISHED.

    Args:
        backend: Where a new run is made.
        name: Name of a new run; MLflow makes one up if left out.
        start: False where the block starts its own run; None is yielded then.

    Raises:
        HokusaiError: MLflow's own calls in the block would go to another store.
    """
    if active := mlflow.active_run():
        yield active.info.run_id
        return
    run_id = None
    if start:
        if not backend.is_default:
            what = f"Registrations go to {backend.safe_uri}, but MLflow itself is not set to write its runs there."
            raise HokusaiError(what, f"Call mlflow.set_tracking_uri({backend.safe_uri!r}) first.")
        with backend.calling():
            run_id = mlflow.start_run(run_name=name).info.run_id
    try:
        yield run_id
    except BaseException as error:
        try:
            _end_runs(backend, "FAILED")
        except HokusaiError as failure:
            # What the block raised is what the user must see.
            error.add_note(f"The run could not be marked FAILED: {failure.what}")
        raise
    _end_runs(backend, "FINISHED")


def _end_runs(backend: Backend, status: str) -> None:
    with backend.calling():
        while mlflow.active_run():
            mlflow.end_run(status)


def recent_runs(backend: Backend, count: int) -> list[RunFacts]:
    """Return the newest runs of all experiments, newest first."""
    with backend.calling() as client:
        found = client.search_runs(experiment_ids(client), max_results=count, order_by=["attributes.start_time DESC"])
        return [_facts(run) for run in found]


def _facts(run: Run) -> RunFacts:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return RunFacts(
        run_id=run.info.run_id,
        name=run.info.run_name or run.info.run_id,
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        artifact_uri=run.info.artifact_uri or "",
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        datasets=tuple(
            Dataset(
                name=i.dataset.name,
                digest=i.dataset.digest,
                context=next((t.value for t in i.tags if t.key == "mlflow.data.context"), None),
                rows=_rows(i.dataset.profile),
            )
            for i in inputs
        ),
    )


def _rows(profile: str | None) -> int | None:
    """Return the number of rows in a data set's profile, which is JSON of no fixed shape."""
    try:
        facts = json.loads(profile or "{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict):
        return None
    rows = facts.get("num_rows")
    if rows is None:  # MLflow describes arrays by their shape, several by a mapping of shapes
        shape = facts.get("features_shape")
        shape = next(iter(shape.values()), None) if isinstance(shape, dict) else shape
        rows = shape[0] if isinstance(shape, list) and shape else None
    return rows if type(rows) is int and 0 <= rows < MOST_ROWS else None


def get_run(backend: Backend, run_id: str) -> RunFacts:
    """Return a run.

    Raises:
        RunNotFoundError: It does not exist, or it was deleted.
    """
    with backend.calling() as client:
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                what = f"Run {quoted(run_id)} does not exist in {backend.safe_uri}."
                raise RunNotFoundError(what, FIND_RUN) from error
            raise
    if run.info.lifecycle_stage == "deleted":
        what = f"Run {quoted(run_id)} was deleted."
        raise RunNotFoundError(what, "Restore it in MLflow, or name another run.")
    return _facts(run)


def get_runs(backend: Backend, run_ids: Iterable[str]) -> Mapping[str, RunFacts]:
    """Return the runs that exist, by id, in one search for each thousand."""
    # An id comes from a registry that anyone may write to; a filter takes only what can be one.
    wanted = sorted({r for r in run_ids if _RUN_ID.fullmatch(r)})
    found: dict[str, RunFacts] = {}
    if not wanted:
        return found
    with backend.calling() as client:
        experiments = experiment_ids(client)
        for start in range(0, len(wanted), CHUNK):
            listed = ", ".join(f"'{r}'" for r in wanted[start : start + CHUNK])
            runs = client.search_runs(experiments, f"attributes.run_id IN ({listed})", max_results=CHUNK)
            found.update({run.info.run_id: _facts(run) for run in runs})
    return found


def experiment_ids(client: mlflow.MlflowClient) -> list[str]:
    """Return the ids of all experiments: MLflow searches runs in those that are named only."""
    ids: list[str] = []
    token = None
    while True:
        page = client.search_experiments(max_results=CHUNK, page_token=token)
        ids += [e.experiment_id for e in page]
        token = page.token
        if not token:
            return ids
