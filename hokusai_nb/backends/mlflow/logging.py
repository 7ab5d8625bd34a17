"""Logging an estimator to a run: fast, quietly, and without touching the user's MLflow session."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import LoggedModelOutput, Metric
from mlflow.exceptions import MlflowException

from hokusai_nb.backends.mlflow.client import quiet
from hokusai_nb.backends.mlflow.flavors import Flavor, flavor_of, is_fitted
from hokusai_nb.backends.mlflow.models import MLMODEL, find_model
from hokusai_nb.backends.mlflow.runs import get_run
from hokusai_nb.backends.mlflow.saving import save
from hokusai_nb.backends.mlflow.signatures import as_rows, first_rows, signature_of
from hokusai_nb.errors import RegistryError, ValidationError
from hokusai_nb.log import redact
from hokusai_nb.schema.problems import Problem

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.models import Model
    from mlflow.tracking import MlflowClient

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.records import RunModel

__all__ = ["ensure_loggable", "log_estimator"]

# What a run knows of where it came from holds for its model too.
_ORIGIN = ("mlflow.user", "mlflow.source.")
_METRICS_AT_ONCE = 1000


def log_estimator(
    backend: Backend, obj: object, *, run_id: str, name: str = "model", input_example: object = None
) -> RunModel:
    """Store a fitted estimator as a logged model of a run, active or finished.

    It works on the store directly and not on MLflow's active run, so the run's status and end time,
    the tracking URI and the active run stay as they are, in any thread. All files are written before
    the registry hears of the model.

    Args:
        backend: Where the run is.
        obj: An estimator or model that one of MLflow's flavours can store.
        run_id: The run that made it.
        name: What the run calls the model.
        input_example: Rows as the model takes them. They make the signature, and the first five are
            stored with the model.

    Raises:
        ValidationError: No flavour knows the object, it was not fitted, or it cannot predict the example.
        HokusaiError: The flavour's package is missing, or the object cannot be serialised.
        RegistryError: The store refuses the model or its files.
        RunNotFoundError: The run does not exist, or it was deleted.
    """
    flavor = ensure_loggable(obj)
    get_run(backend, run_id)  # says what is wrong with a run that takes no model
    with backend.calling() as client:
        run = client.get_run(run_id)
    with tempfile.TemporaryDirectory(prefix="hokusai-") as folder, quiet():
        rows = None if input_example is None else as_rows(flavor, obj, input_example)
        signature = signature_of(
            flavor, obj, rows, [i.dataset for i in run.inputs.dataset_inputs] if run.inputs else []
        )
        path, model = save(flavor, obj, Path(folder), signature, first_rows(rows))
        with backend.calling() as client:
            model_id = _write(client, run, name, path, model)
    return find_model(backend, f"models:/{model_id}")


def ensure_loggable(obj: object) -> Flavor:
    """Return the flavour of an object that can be logged.

    Raises:
        ValidationError: No flavour knows the object, or it was not fitted.
    """
    flavor = flavor_of(obj)
    cls = obj if isinstance(obj, type) else type(obj)
    kind = f"{cls.__module__}.{cls.__qualname__}"
    if flavor is None:
        what = f"{kind} is no estimator that MLflow has a flavour for."
        hint = "Wrap it in a class derived from mlflow.pyfunc.PythonModel."
        if isinstance(obj, type):
            what, hint = f"{kind} is a class and no estimator.", "Name the object that was fitted."
        raise ValidationError([Problem(field="model", what=what, hint=hint)])
    if not is_fitted(obj):
        hint = "Call its fit method first, and name what that returns."
        raise ValidationError([Problem(field="model", what=f"{kind} is not fitted.", hint=hint)])
    return flavor


def _write(client: MlflowClient, run: Run, name: str, path: Path, model: Model) -> str:
    """Create the logged model, give it its files, and tie it to the run; return its id."""
    run_id = run.info.run_id
    logged = client.create_logged_model(
        run.info.experiment_id,
        name=name,
        source_run_id=run_id,
        params=dict(run.data.params),
        tags={k: v for k, v in run.data.tags.items() if k.startswith(_ORIGIN)},
    )
    model_id: str = logged.model_id
    try:
        model.artifact_path, model.run_id = logged.artifact_location, run_id
        model.model_id = model.model_uuid = model_id
        model.save(str(path / MLMODEL))
        _upload(client, model_id, path, logged.artifact_location)
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        if metrics := _metrics(run, model_id):
            client.log_batch(run_id, metrics=metrics)
        client.finalize_logged_model(model_id, "READY")
    except Exception:
        # The first error is the one to report, also where the store cannot even take the note.
        with contextlib.suppress(Exception):
            client.finalize_logged_model(model_id, "FAILED")
        raise
    return model_id


def _upload(client: MlflowClient, model_id: str, path: Path, location: str) -> None:
    try:
        client.log_model_artifacts(model_id, str(path))
    except MlflowException:
        raise
    except Exception as error:  # a disk, a bucket and a server each fail in their own way
        what = f"The model's files cannot be written to {redact(location)}: {redact(str(error))}"
        raise RegistryError(what, "Check that the store of the experiment's artifacts can be written.") from error


def _metrics(run: Run, model_id: str) -> list[Metric]:
    """Return the run's metrics as the model's; those of a training's later steps belong to no one model."""
    own = [m for m in run.data._metric_objs if m.step == 0 and m.model_id is None]  # noqa: SLF001 - the public ones have no times
    return [
        Metric(m.key, m.value, m.timestamp, m.step, model_id=model_id, run_id=run.info.run_id)
        for m in own[:_METRICS_AT_ONCE]
    ]
