"""The run that holds the files of a registration: one for each, found again after an interruption."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.utils.uri import is_local_uri

from hokusai_nb.backends.mlflow import search
from hokusai_nb.backends.mlflow.runs import get_run
from hokusai_nb.errors import HokusaiError, RegistryError
from hokusai_nb.schema.tags import KEY_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Experiment
    from mlflow.tracking import MlflowClient

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.runs import RunFacts

__all__ = ["EXPERIMENT", "abandon", "finish", "is_elsewhere", "obtain"]

EXPERIMENT = "hokusai"
"""Experiment of all runs that only hold registered files."""
_PROXIED = "mlflow-artifacts:"


def obtain(backend: Backend, key: str, name: str, tags: Mapping[str, str]) -> RunFacts:
    """Return the run of a registration: the one that an earlier attempt made, or a new one.

    Args:
        backend: Where to write.
        key: Identifies the registration; the value of `KEY_TAG`.
        name: What a new run is called.
        tags: Tags of a new run besides the key.

    Raises:
        RegistryError: The experiment was deleted.
    """
    with backend.calling() as client:
        experiment = _experiment(backend, client)
        condition = f"{search.tag(KEY_TAG)} = '{key}'"
        before = client.search_runs([experiment], condition, max_results=1, order_by=["attributes.start_time ASC"])
        if before:
            run_id = before[0].info.run_id
        else:
            run_id = client.create_run(experiment, run_name=name, tags={**tags, KEY_TAG: key}).info.run_id
    return get_run(backend, run_id)


def is_elsewhere(backend: Backend, location: str) -> bool:
    """Whether files at this address are out of our reach: on a server's own disk, or behind a server that we pass by.

    A database may be opened by a program of its own machine today and be served to others tomorrow, and an
    experiment keeps the address that it was made with.
    """
    if backend.is_server:
        return bool(is_local_uri(location, is_tracking_or_registry_uri=False))
    return location.startswith(_PROXIED)


def _experiment(backend: Backend, client: MlflowClient) -> str:
    """Return the experiment of this name; where its files would lie out of our reach, the one beside it."""
    found = _named(client, EXPERIMENT)
    if is_elsewhere(backend, found.artifact_location):
        found = _named(client, f"{EXPERIMENT}-{'served' if backend.is_server else 'local'}")
    return str(found.experiment_id)


def _named(client: MlflowClient, name: str) -> Experiment:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.get_experiment(client.create_experiment(name))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                raise
    if found.lifecycle_stage == "deleted":
        what = f"The experiment {name!r}, which holds the runs of registrations, was deleted."
        raise RegistryError(what, f"Restore it: mlflow experiments restore --experiment-id {found.experiment_id}")
    return found


def finish(backend: Backend, run: RunFacts, metric: str, value: float | None) -> None:
    """Write what was measured, unless an earlier attempt has, and end the run.

    Args:
        backend: Where the run is.
        run: As `obtain` returned it.
        metric: The metric's name.
        value: What was measured; None where nothing was, and then nothing is written.
    """
    with backend.calling() as client:
        if value is not None and metric not in run.metrics:
            client.log_metric(run.run_id, metric, value)
        client.set_terminated(run.run_id, "FINISHED")


def abandon(backend: Backend, run: RunFacts, *, interrupted: bool) -> None:
    """Mark a run as failed, or as killed, as far as the store takes it: there is an error to report already."""
    with contextlib.suppress(HokusaiError), backend.calling() as client:
        client.set_terminated(run.run_id, "KILLED" if interrupted else "FAILED")
