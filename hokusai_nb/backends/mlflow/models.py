"""The models that runs hold, and what a model URI leads to."""

from __future__ import annotations

import functools
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import mlflow
import yaml  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature

from hokusai_nb.backends.mlflow import search
from hokusai_nb.backends.mlflow.client import quiet
from hokusai_nb.backends.mlflow.runs import get_run
from hokusai_nb.backends.mlflow.versions import MODEL_ID
from hokusai_nb.errors import ModelNotFoundError, NoModelError
from hokusai_nb.log import logger, redact
from hokusai_nb.schema.problems import quoted
from hokusai_nb.schema.runs import RunModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.backends.mlflow.rest import PatientClient
    from hokusai_nb.schema.runs import RunFacts

__all__ = ["MLMODEL", "find_model", "find_model_and_run", "models_of_run", "signature_width"]

MLMODEL = "MLmodel"
PAGE = 100
_RUNS_URI = re.compile(r"runs:/+(?P<run>[^/]+)(/(?P<path>.*))?", re.DOTALL)
_LOGGED_URI = re.compile(r"models:/+(?P<id>m-[^/@]+)/?")
_VERSION_URI = re.compile(r"models:/+(?P<name>[^/]+?)(/(?P<version>[0-9]{1,9}|latest)|@(?P<alias>[\w-]+))", re.DOTALL)
_SCHEME = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.\-]+):")
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def models_of_run(backend: Backend, run: RunFacts) -> list[RunModel]:
    """Return the run's models, newest first: MLflow 3 logged models, else MLflow 2 artifacts.

    A logged model that was not finished, or failed to be written, is none.
    """
    condition = search.exactly("source_run_id", run.run_id)[0]
    newest_first = [{"field_name": "creation_timestamp", "ascending": False}]
    found: list[LoggedModel] = []
    token = None
    with backend.calling() as client:
        while True:
            page = client.search_logged_models(
                [run.experiment_id], condition, max_results=PAGE, order_by=newest_first, page_token=token
            )
            found += [m for m in page if _is_whole(m)]
            token = page.token
            if not token:
                break
        if found:
            return [_logged(m) for m in found]
        folders = [f.path for f in client.files_of_run(run.run_id, run.artifact_uri) if f.is_dir]
        return [m for path in folders if (m := _artifact_model(client, run, path))]


def _is_whole(model: LoggedModel) -> bool:
    return str(model.status) not in ("FAILED", "PENDING")


def _logged(model: LoggedModel) -> RunModel:
    uri = f"models:/{model.model_id}"
    return RunModel(
        name=model.name,
        uri=uri,
        source=uri,
        location=model.artifact_location,
        run_id=model.source_run_id or None,
        model_id=model.model_id,
        tags=dict(model.tags),
    )


def _artifact_model(client: PatientClient, run: RunFacts, path: str) -> RunModel | None:
    if f"{path}/{MLMODEL}" not in {f.path for f in client.files_of_run(run.run_id, run.artifact_uri, path)}:
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
        return _of_run(backend, get_run(backend, match["run"]), match["path"] or "")
    if match := _LOGGED_URI.fullmatch(uri):
        return _by_id(backend, uri, match["id"])
    if match := _VERSION_URI.fullmatch(uri):
        return _of_version(backend, uri, match)
    scheme = _SCHEME.match(uri)
    if scheme is None or scheme["scheme"].lower() == "file":
        return _in_folder(uri)
    if scheme["scheme"] in ("runs", "models"):
        what = f"{quoted(redact(uri))} is not complete."
        raise ModelNotFoundError(what, "Give runs:/RUN/PATH, models:/m-…, models:/NAME/VERSION or models:/NAME@ALIAS.")
    return _elsewhere(uri)


def find_model_and_run(backend: Backend, uri: str) -> tuple[RunModel, Callable[[], RunFacts | None]]:
    """Return what `find_model` does, with a function that returns the model's run, or None if it is of none.

    The run is asked for when it is wanted, and once; the function raises `RunNotFoundError` if it is gone.

    Raises:
        RunNotFoundError: The URI's run does not exist, or it was deleted.
        NoModelError: The run, or the folder, holds no such model.
        ModelNotFoundError: No such logged model or registered version.
    """
    if match := _RUNS_URI.fullmatch(uri):
        run = get_run(backend, match["run"])
        return _of_run(backend, run, match["path"] or ""), lambda: run
    model = find_model(backend, uri)
    return model, functools.cache(lambda: get_run(backend, model.run_id) if model.run_id else None)


def _of_run(backend: Backend, run: RunFacts, path: str) -> RunModel:
    models = models_of_run(backend, run)
    path = posixpath.normpath(path.strip("/")) if path.strip("/") else ""
    if named := next((m for m in models if path in (m.name, m.model_id)), None):
        return named
    if path and not path.startswith(".."):
        with backend.calling() as client:
            if artifact := _artifact_model(client, run, path):  # a folder deeper than the first level
                return artifact
    what = (
        f"Run {quoted(run.run_id)} holds no model {quoted(path)}."
        if path
        else f"runs:/{run.run_id} names no model of the run."
    )
    has = ", ".join(dict.fromkeys(m.name for m in models))
    raise NoModelError(what, f"It holds: {has}." if has else "It holds no model at all.")


def _by_id(backend: Backend, uri: str, model_id: str) -> RunModel:
    with backend.calling() as client:
        try:
            model = client.get_logged_model(model_id)
        except MlflowException as error:
            if _gone(error):
                raise _no_such_model(backend, uri) from error
            raise
    if not _is_whole(model):
        what = f"Model {quoted(redact(uri))} was not stored completely: it is {str(model.status).lower()}."
        raise NoModelError(what, "Log it again.")
    return _logged(model)


def _of_version(backend: Backend, uri: str, match: re.Match[str]) -> RunModel:
    version: ModelVersion | None
    with backend.calling() as client:
        try:
            if match["alias"]:
                version = client.get_model_version_by_alias(match["name"], match["alias"])
            elif match["version"] == "latest":
                version = _newest(client, match["name"])
            else:
                version = client.get_model_version(match["name"], match["version"])
        except MlflowException as error:
            if _gone(error):
                raise _no_such_model(backend, uri) from error
            raise
    if version is None:
        raise _no_such_model(backend, uri)
    source = version.source or ""
    logged = MODEL_ID.search(source)
    return RunModel(
        name=version.name,
        uri=uri,
        source=source,
        location=source,
        run_id=version.run_id or None,
        model_id=(logged[1] or logged[2]) if logged else None,
    )


def _newest(client: mlflow.MlflowClient, name: str) -> ModelVersion | None:
    named, _ = search.exactly("name", name)
    found = (v for v in search.versions(client, named, order_by=["version_number DESC"]) if v.name == name)
    return next(found, None)


def _gone(error: MlflowException) -> bool:
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")


def _no_such_model(backend: Backend, uri: str) -> ModelNotFoundError:
    what = f"Model {quoted(redact(uri))} does not exist in {backend.safe_uri}."
    return ModelNotFoundError(what, "Check the URI; where a run is current, leave it out to use that run's model.")


def _in_folder(uri: str) -> RunModel:
    """Return the model in a folder of this machine; the registry keeps its absolute path."""
    hint = "Give a folder with an MLmodel file, or runs:/RUN/PATH or models:/m-…."
    try:
        folder = local_path(uri).resolve()
        found = (folder / MLMODEL).is_file()
    except (OSError, ValueError) as error:  # a loop of links, or a character that no path can hold
        what = f"There is no MLflow model at {quoted(redact(uri))}."
        raise NoModelError(what, hint) from error
    if not found:
        what = f"There is no MLflow model at {quoted(redact(uri))}."
        raise NoModelError(what, hint)
    return RunModel(name=folder.name, uri=uri, source=str(folder), location=str(folder), run_id=None)


def _elsewhere(uri: str) -> RunModel:
    """Return the model in a bucket or on a server, if MLflow can see it there."""
    with quiet():
        try:
            names = {posixpath.basename(f.path) for f in mlflow.artifacts.list_artifacts(artifact_uri=uri)}
        except Exception as error:
            # Whatever library opens the scheme raises errors of its own.
            what = f"The model at {quoted(redact(uri))} cannot be read: {type(error).__name__}."
            raise NoModelError(what, "Check the address and the credentials for it.") from error
    if MLMODEL not in names:
        what = f"There is no MLflow model at {quoted(redact(uri))}."
        raise NoModelError(what, "Give the folder that holds the MLmodel file.")
    return RunModel(name=uri.rstrip("/").rpartition("/")[2], uri=uri, source=uri, location=uri, run_id=None)


def local_path(uri: str) -> Path:
    """Return the path of a ``file:`` URI or of a plain path."""
    return Path(unquote(urlsplit(uri).path) if uri.lower().startswith("file:") else uri)


def signature_width(model: RunModel) -> int | None:
    """Return the number of input features in the model's signature, where its files lie on this machine."""
    scheme = _SCHEME.match(model.location)
    if scheme is not None and scheme["scheme"].lower() != "file":
        return None
    try:
        # MLflow's own reader would resolve the folder as an artifact and use PyYAML's slow loader.
        with (local_path(model.location) / MLMODEL).open(encoding="utf-8") as file:
            stated = (yaml.load(file, Loader=_YAML) or {}).get("signature")  # noqa: S506 - both loaders are safe ones
        return _width(ModelSignature.from_dict(stated)) if stated else None
    except FileNotFoundError:  # logged from another machine
        return None
    except Exception:  # noqa: BLE001 - anybody may have written the file, and only a recommended tag is lost
        logger.info("The signature of %s cannot be read.", model.uri, exc_info=True)
        return None


def _width(signature: ModelSignature) -> int | None:
    inputs = signature.inputs
    if inputs is None:
        return None
    if not inputs.is_tensor_spec():
        return len(inputs.inputs)
    shape = inputs.inputs[0].shape
    return int(shape[-1]) if len(inputs.inputs) == 1 and len(shape) == 2 and shape[-1] > 0 else None  # noqa: PLR2004 - rows and columns
