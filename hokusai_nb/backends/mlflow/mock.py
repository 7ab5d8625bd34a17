"""Mock mode's MLflow: a real one on a temporary SQLite file, private to this process."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking._tracking_service.client import TrackingServiceClient

__all__ = ["PrivateTrackingClient", "private_uri"]

_lock = threading.Lock()
_folders: dict[int, Path] = {}
"""Of each process: one that was forked inherits its parent's, and must not use it."""


def private_uri() -> str:
    """Return the tracking URI of this process's own store; its folder is removed at the end of the process.

    Nothing is in it before its first use. A process that was forked gets another one.
    """
    with _lock:
        process = os.getpid()
        if process not in _folders:
            folder = Path(tempfile.mkdtemp(prefix="hokusai-mock-"))
            _folders[process] = folder
            atexit.register(_remove, folder, process)
        return f"sqlite:///{_folders[process] / 'mlflow.db'}"


def _remove(folder: Path, process: int) -> None:
    # A forked process runs this too, at its own end, while its parent goes on.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


class PrivateTrackingClient(TrackingServiceClient):
    """MLflow's client of the private store, with new experiments' artifacts beside the database.

    MLflow would put them in the folder that the process works in.
    """

    def __init__(self, uri: str) -> None:
        self._own_store = SqlAlchemyStore(uri, str(Path(uri.removeprefix("sqlite:///")).parent / "artifacts"))
        super().__init__(uri)  # type: ignore[no-untyped-call]  # MLflow's has no annotations

    @property
    def store(self) -> Any:
        """The store itself."""
        return self._own_store
