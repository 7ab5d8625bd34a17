"""MLflow for code of one's own: set up in one call, and its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.backends.mlflow.setting_up import set_up
from hokusai_nb.config import settings, store_choice
from hokusai_nb.log import redact

if TYPE_CHECKING:
    from hokusai_nb.backends.mlflow.rest import PatientClient

__all__ = ["configure_mlflow_with_registry", "get_mlflow_client", "place_of_registry"]


def configure_mlflow_with_registry(
    tracking_uri: str | None = None, registry_uri: str | None = None, *, autolog: bool = True
) -> str:
    """Point MLflow at the store that this package uses, and switch its automatic logging on.

    Nothing is contacted.

    Args:
        tracking_uri: MLflow store; as everywhere, what MLflow is set to or the Hokusai registry if left out.
        registry_uri: Where models and prompts are registered, where that is another store.
        autolog: Whether MLflow logs parameters, metrics and models of the libraries that it knows.

    Returns:
        The tracking URI, without credentials.
    """
    return set_up(tracking_uri, registry_uri, autolog=autolog).safe_uri


def get_mlflow_client(tracking_uri: str | None = None) -> PatientClient:
    """Return MLflow's client for a store; one for all threads of this process, with pooled connections.

    It is an ``mlflow.MlflowClient`` and raises MLflow's own errors, but waits for a dead server seconds, not
    minutes.

    Args:
        tracking_uri: MLflow store; what MLflow is set to if left out.
    """
    return Backend.at(tracking_uri).client


def place_of_registry(uri: str | None = None) -> tuple[str, bool]:
    """Return where models and prompts are registered, and whether anything says that it is there; nothing is contacted.

    Args:
        uri: MLflow store; the one in force if left out.

    Returns:
        The registry's URI without credentials, and False where it is MLflow's own default.
    """
    chosen = uri or any(store_choice()[:2]) or settings().mock_mode or settings().api_key is not None
    return redact(Backend.at(uri).registry_uri), bool(chosen)
