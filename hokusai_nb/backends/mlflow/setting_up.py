"""Pointing MLflow itself at a store, for code that calls it directly."""

from __future__ import annotations

import mlflow

from hokusai_nb.backends.mlflow.client import Backend, quiet, resolve_uri

__all__ = ["set_up"]


def set_up(tracking_uri: str | None, registry_uri: str | None, *, autolog: bool) -> Backend:
    """Have MLflow write to a store, register in another one if that is named, and log by itself if asked to.

    Nothing is contacted.
    """
    mlflow.set_tracking_uri(resolve_uri(tracking_uri)[0])
    if registry_uri is not None:
        mlflow.set_registry_uri(registry_uri)
    if autolog:
        with quiet():
            mlflow.autolog(silent=True)
    return Backend.at()
