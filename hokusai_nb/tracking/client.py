"""A handle of MLflow: which store it is, whether it answers, and MLflow's own methods."""

from __future__ import annotations

from typing import Any

from hokusai_nb.backends.mlflow.client import Backend, resolve_uri
from hokusai_nb.backends.mlflow.rest import PatientClient

__all__ = ["MLflowClient"]


class MLflowClient:
    """MLflow, as registrations reach it.

    Every public method of ``mlflow.MlflowClient`` can be called on it. They go to the store that is
    resolved here, with this package's patience for a server that is down, and raise MLflow's own errors.

    Cheap to make; nothing is contacted before `check` or the first of MLflow's methods.

    Args:
        tracking_uri: MLflow store; what MLflow is set to if left out. In mock mode it is the
            private store, whatever is given.

    Attributes:
        uri: Tracking URI without credentials.
        chosen_because: In words, why it is that one.
        simulated: Whether it is mock mode's private store.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self._backend = Backend.at(tracking_uri)
        self.uri = self._backend.safe_uri
        self.chosen_because = resolve_uri(tracking_uri)[1]
        self.simulated = self._backend.simulated

    def __repr__(self) -> str:
        return f"MLflowClient({self.uri!r})"

    def check(self) -> None:
        """Ask the store one small question.

        Raises:
            ConnectionFailedError: It does not answer; known within five seconds.
            RegistryError: It refuses.
        """
        with self._backend.calling() as client:
            client.search_experiments(max_results=1)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._backend.client, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(n for n in dir(PatientClient) if not n.startswith("_"))})
