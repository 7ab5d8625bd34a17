"""Files into a run's artifacts: streamed, whole or not at all, and only those that are missing."""

from __future__ import annotations

import mimetypes
import posixpath
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import quote

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import StreamUploadMixin
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.rest_utils import http_request, verify_rest_response

from hokusai_nb.backends.answers import retry_after
from hokusai_nb.backends.mlflow.failures import dropped
from hokusai_nb.backends.mlflow.model_bytes import CheckedReader, changed, read
from hokusai_nb.backends.mlflow.model_files import UPLOADING
from hokusai_nb.backends.mlflow.registration_runs import is_elsewhere
from hokusai_nb.backends.mlflow.rest import PAUSES, credentials
from hokusai_nb.config import settings
from hokusai_nb.errors import HokusaiError, RegistryError
from hokusai_nb.log import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.backends.mlflow.model_bytes import LocalFile, ModelFiles
    from hokusai_nb.backends.mlflow.rest import PatientClient
    from hokusai_nb.schema.runs import RunFacts

__all__ = ["FOLDER", "upload"]

FOLDER = "model"
"""Where a run holds the files."""
STALL_SECONDS = 30.0
"""How long a server may take no further byte."""
SLOWEST = 1024 * 1024
"""Bytes a second at which a server must at least pass on what it was sent."""
PATIENCE_SECONDS = 120.0
"""How long, for each file, a server is waited for that says it was asked too often."""
_ASKED_TOO_OFTEN = 429


def upload(backend: Backend, run: RunFacts, files: ModelFiles, tell: Callable[[int], None]) -> str:
    """Store a model's files among a run's artifacts and return their address.

    A file goes out piece by piece, so that its size does not matter, and appears whole or not at all.
    Where that is sure, one that an earlier attempt has stored is not sent again.

    Args:
        backend: Where the run is.
        run: The run.
        files: What to store.
        tell: Called with the number of bytes of each piece that is stored; negative where one is sent again.

    Raises:
        ValidationError: A file is not what it was any more, or cannot be read.
        RegistryError: The store does not take them, or would have us write to this machine's disk for a server.
    """
    if is_elsewhere(backend, run.artifact_uri):
        what = f"The files of run {run.run_id} would lie at {redact(run.artifact_uri)}, which is not on this machine."
        raise RegistryError(
            what, "Have the server take the files itself: hokusai serve, or mlflow server with its defaults."
        )
    location = f"{run.artifact_uri.rstrip('/')}/{FOLDER}"
    with backend.calling() as client:
        try:
            store = get_artifact_repository(run.artifact_uri, tracking_uri=backend.uri)
            stored = _stored(client, run)
            _clear_away(store)
            for file in files.files:
                if _streams(store, file) and stored.get(file.name) == file.size:
                    tell(file.size)
                else:
                    _send(store, file, tell)
            _ensure_all_there(files, _stored(client, run), location)
        except (HokusaiError, MlflowException):
            raise
        except Exception as error:  # a disk, a bucket and a server each fail in their own way
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            what = f"The model's files cannot be written to {redact(location)}: {redact(reason)}"
            raise RegistryError(what, "Check that the store of the experiment's artifacts can be written.") from error
    return location


def _stored(client: PatientClient, run: RunFacts) -> dict[str, int | None]:
    """Return the sizes of the files that the run holds already, by name."""
    found: dict[str, int | None] = {}
    folders = [FOLDER]
    while folders:
        for entry in client.files_of_run(run.run_id, run.artifact_uri, folders.pop()):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                found[posixpath.relpath(entry.path, FOLDER)] = entry.file_size
    return found


def _clear_away(store: ArtifactRepository) -> None:
    """Remove what an attempt that was killed has left half written; whoever holds the token is alone with the run."""
    if isinstance(store, LocalArtifactRepository):
        for leftover in Path(store.artifact_dir, FOLDER).rglob(f"{UPLOADING}*"):
            leftover.unlink(missing_ok=True)


def _streams(store: ArtifactRepository, file: LocalFile) -> bool:
    """Whether a file is sent by ourselves, so that it appears whole or not at all."""
    if isinstance(store, HttpArtifactRepository):
        return not store._should_multipart_upload(str(file.given))  # noqa: SLF001 - the server says it to nobody else
    return isinstance(store, StreamUploadMixin)


def _send(store: ArtifactRepository, file: LocalFile, tell: Callable[[int], None]) -> None:
    folder, name = posixpath.split(posixpath.join(FOLDER, file.name))
    if not _streams(store, file):
        # In parts, each with its own memory, if the store can; what was sent is known only by reading it again.
        store.log_artifact(str(file.given), folder)
        if read(file, lambda _: None).sha256 != file.sha256:
            raise changed(file)
        tell(file.size)
        return
    with closing(CheckedReader(file, tell)) as reader:
        try:
            if isinstance(store, HttpArtifactRepository):
                _put(store, posixpath.join(folder, name), reader)
            elif isinstance(store, StreamUploadMixin):
                store.log_artifact_from_stream(cast("BinaryIO", reader), name, folder)
        except MlflowException:
            if reader.trouble is not None:
                raise reader.trouble from None
            raise


def _put(store: HttpArtifactRepository, path: str, reader: CheckedReader) -> None:
    """Send a file to an MLflow server; a broken connection is tried again, because the same file results.

    A server that was asked too often is waited for as long as it says, within bounds.
    """
    endpoint = f"/{quote(path)}"
    latest = time.monotonic() + PATIENCE_SECONDS
    pauses = iter(PAUSES)
    while True:
        pause: float | None
        try:
            answer = _put_once(store, endpoint, path, reader)
        except MlflowException as error:
            pause = next(pauses, None)
            if pause is None or not dropped(error) or reader.trouble is not None:
                raise
        else:
            pause = _asked_to_wait(answer)
            if pause is None or time.monotonic() + pause > latest:
                verify_rest_response(answer, endpoint)
                return
        time.sleep(pause)
        reader.seek(0)


def _asked_to_wait(answer: requests.Response) -> float | None:
    """Return the seconds after which a server that was asked too often may be asked again; None for other answers."""
    if answer.status_code != _ASKED_TOO_OFTEN:
        return None
    return max(retry_after(answer.headers.get("Retry-After", "")) or 0.0, PAUSES[-1])


def _put_once(store: HttpArtifactRepository, endpoint: str, path: str, reader: CheckedReader) -> requests.Response:
    answer: requests.Response = http_request(
        credentials(store.artifact_uri),
        endpoint,
        "PUT",
        max_retries=0,
        timeout=(STALL_SECONDS, settings().http_timeout + len(reader) / SLOWEST),
        raise_on_status=False,
        respect_retry_after_header=False,
        extra_headers={"Content-Type": mimetypes.guess_type(path)[0] or "application/octet-stream"},
        data=reader if len(reader) else b"",
    )
    return answer


def _ensure_all_there(files: ModelFiles, stored: dict[str, int | None], location: str) -> None:
    """Refuse to go on where the store does not list a file with its size.

    Raises:
        RegistryError: A file is missing or incomplete; something before the server spoilt it.
    """
    for file in files.files:
        if stored.get(file.name, -1) not in (file.size, None):
            what = f"{redact(location)} does not hold {file.name} as it was sent."
            raise RegistryError(what, "Try again; if it stays so, look at what lies between here and the server.")
