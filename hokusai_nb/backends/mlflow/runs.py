"""Runs and the models they hold."""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import fluent

from hokusai_nb.errors import ModelNotFoundError, NoModelError, NotFoundError, RunNotFoundError
from hokusai_nb.schema.records import Dataset, RunFacts, RunModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlflow.entities import LoggedModel, Run

    from hokusai_nb.backends.mlflow.client import Backend

__all__ = [
    "current_run_id",
    "find_model",
    "get_run",
    "get_runs",
    "models_of_run",
    "recent_runs",
    "run_scope",
    "signature_width",
]

CHUNK = 1000
_RUN_ID = re.compile(r"[\w\-]{1,64}", re.ASCII)
_RUNS_URI = re.compile(r"runs:/+(?P<run>[^/]+)/(?P<path>.+)", re.DOTALL)
_LOGGED_URI = re.compile(r"models:/+(?P<id>m-[^/@]+)")
_VERSION_URI = re.compile(r"models:/+(?P<name>[^/@]+)(/(?P<version>\d+)|@(?P<alias>[\w-]+))", re.DOTALL)
MLMODEL = "MLmodel"


def current_run_id() -> tuple[str | None, bool]:
    """Return the id of this thread's active run, else of the last one that ended, and whether it is active."""
    if active := mlflow.active_run():
        return active.info.run_id, True
    # last_active_run() itself would fetch the run, with MLflow's four minutes of patience.
    return fluent._last_active_run_id.get(), False  # noqa: SLF001


@contextmanager
def run_scope(backend: Backend, name: str | None = None, *, start: bool = True) -> Iterator[str | None]:
    """Yield the id of the active run, or of a new one that ends with the block.

    An active run stays the user's. Any other that is open at the end is ended, so that the same
    block can be run again: FAILED if the block raised, else FINISHED.

    Args:
        backend: Where a new run is made.
        name: Name of a new run; MLflow makes one up if left out.
        start: False where the block starts its own run; None is yielded then.
    """
    if active := mlflow.active_run():
        yield active.info.run_id
        return
    run_id = None
    if start:
        with backend.calling():
            run_id = mlflow.start_run(run_name=name).info.run_id
    try:
        yield run_id
    except BaseException:
        _end_runs(backend, "FAILED")
        raise
    _end_runs(backend, "FINISHED")


def _end_runs(backend: Backend, status: str) -> None:
    with backend.calling():
        while mlflow.active_run():
            mlflow.end_run(status)


def recent_runs(backend: Backend, count: int) -> list[RunFacts]:
    """Return the newest runs of all experiments, newest first."""
    with backend.calling() as client:
        found = client.search_runs(_experiment_ids(client), max_results=count, order_by=["attributes.start_time DESC"])
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
        rows = json.loads(profile or "{}").get("num_rows")
    except (ValueError, AttributeError):
        return None
    return rows if isinstance(rows, int) else None


def get_run(backend: Backend, run_id: str) -> RunFacts:
    """Return a run.

    Raises:
        RunNotFoundError: It does not exist, or it was deleted.
    """
    hint = "Check the id in MLflow, or leave it out to use the current run."
    with backend.calling() as client:
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                what = f"Run {run_id!r} does not exist in {backend.safe_uri}."
                raise RunNotFoundError(what, hint) from error
            raise
    if run.info.lifecycle_stage == "deleted":
        what = f"Run {run_id!r} was deleted."
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
        experiments = _experiment_ids(client)
        for start in range(0, len(wanted), CHUNK):
            listed = ", ".join(f"'{r}'" for r in wanted[start : start + CHUNK])
            runs = client.search_runs(experiments, f"attributes.run_id IN ({listed})", max_results=CHUNK)
            found.update({run.info.run_id: _facts(run) for run in runs})
    return found


def _experiment_ids(client: mlflow.MlflowClient) -> list[str]:
    ids: list[str] = []
    token = None
    while True:
        page = client.search_experiments(max_results=CHUNK, page_token=token)
        ids += [e.experiment_id for e in page]
        token = page.token
        if not token:
            return ids


def _logged(model: LoggedModel) -> RunModel:
    uri = f"models:/{model.model_id}"
    return RunModel(
        name=model.name,
        uri=uri,
        source=uri,
        location=model.artifact_location,
        run_id=model.source_run_id,
        model_id=model.model_id,
        tags=dict(model.tags),
    )


def models_of_run(backend: Backend, run: RunFacts) -> list[RunModel]:
    """Return the run's models, newest first: MLflow 3 logged models, else MLflow 2 artifacts."""
    newest_first = [{"field_name": "creation_timestamp", "ascending": False}]
    with backend.calling() as client:
        logged = client.search_logged_models(
            [run.experiment_id], filter_string=f"source_run_id = '{run.run_id}'", order_by=newest_first
        )
        if logged:
            return [_logged(m) for m in logged]
        folders = [f.path for f in client.list_artifacts(run.run_id) if f.is_dir]
        return [m for path in folders if (m := _artifact_model(client, run, path))]


def _artifact_model(client: mlflow.MlflowClient, run: RunFacts, path: str) -> RunModel | None:
    if f"{path}/{MLMODEL}" not in {f.path for f in client.list_artifacts(run.run_id, path)}:
        return None
    location = f"{run.artifact_uri.rstrip('/')}/{path}"
    return RunModel(name=path, uri=f"runs:/{run.run_id}/{path}", source=location, location=location, run_id=run.run_id)


def find_model(backend: Backend, uri: str) -> RunModel:
    """Return the model behind a URI: ``runs:/``, ``models:/m-…``, a registered version, or files.

    Raises:
        RunNotFoundError: The URI's run does not exist.
        NoModelError: The run, or the folder, holds no such model.
        ModelNotFoundError: No such logged model or registered version.
    """
    if match := _RUNS_URI.fullmatch(uri):
        return _of_run(backend, match["run"], match["path"].strip("/"))
    if match := _LOGGED_URI.fullmatch(uri):
        with backend.calling() as client:
            try:
                return _logged(client.get_logged_model(match["id"]))
            except MlflowException as error:
                if _gone(error):
                    raise _no_such_model(backend, uri) from error
                raise
    if match := _VERSION_URI.fullmatch(uri):
        return _of_version(backend, uri, match)
    if urlsplit(uri).scheme in ("", "file"):
        path = local_path(uri)
        if not os.path.isfile(os.path.join(path, MLMODEL)):  # noqa: PTH113, PTH118 - may be a relative file URI
            what = f"There is no MLflow model at {uri!r}."
            raise NoModelError(what, "Give a folder with an MLmodel file, or runs:/RUN/PATH or models:/m-….")
    return RunModel(name=uri.rstrip("/").rpartition("/")[2], uri=uri, source=uri, location=uri, run_id=None)


def _of_run(backend: Backend, run_id: str, path: str) -> RunModel:
    run = get_run(backend, run_id)
    models = models_of_run(backend, run)
    if named := next((m for m in models if path in (m.name, m.model_id)), None):
        return named
    with backend.calling() as client:
        if artifact := _artifact_model(client, run, path):  # a folder deeper than the first level
            return artifact
    what = f"Run {run_id!r} holds no model {path!r}."
    has = ", ".join(m.name for m in models)
    raise NoModelError(what, f"It holds: {has}." if has else "It holds no model at all.")


def _of_version(backend: Backend, uri: str, match: re.Match[str]) -> RunModel:
    with backend.calling() as client:
        try:
            if match["alias"]:
                version = client.get_model_version_by_alias(match["name"], match["alias"])
            else:
                version = client.get_model_version(match["name"], match["version"])
        except MlflowException as error:
            if _gone(error):
                raise _no_such_model(backend, uri) from error
            raise
    logged = _LOGGED_URI.fullmatch(version.source or "")
    return RunModel(
        name=version.name,
        uri=uri,
        source=version.source,
        location=version.source,
        run_id=version.run_id or None,
        model_id=logged["id"] if logged else None,
    )


def _gone(error: MlflowException) -> bool:
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")


def _no_such_model(backend: Backend, uri: str) -> NotFoundError:
    what = f"Model {uri!r} does not exist in {backend.safe_uri}."
    return ModelNotFoundError(what, "Check the URI, or leave it out to use the current run's model.")


def local_path(uri: str) -> str:
    """Return the file-system path of a ``file:`` URI or a plain path."""
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "file" else uri


def signature_width(model: RunModel) -> int | None:
    """Return the number of input features in the model's signature, where its files lie on this machine."""
    if urlsplit(model.location).scheme not in ("", "file"):
        return None
    info = mlflow.models.Model.load(local_path(model.location))
    inputs = info.signature.inputs if info.signature else None
    if inputs is None:
        return None
    if not inputs.is_tensor_spec():
        return len(inputs.inputs)
    shape = inputs.inputs[0].shape
    return int(shape[-1]) if len(inputs.inputs) == 1 and len(shape) == 2 and shape[-1] > 0 else None  # noqa: PLR2004 - rows and columns
