"""MLflow's plugin for registries that keep the tag schema: ``hokusai+sqlite:///…``, ``hokusai+postgresql://…``.

It works in a process (``MlflowClient(registry_uri=…)``) and in any MLflow server
(``mlflow server --registry-store-uri …``), whatever client sends the tags. MLflow loads this module
as soon as it needs a registry of whatever kind: it imports the store itself only to make one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    from hokusai_nb.backends.mlflow.tag_guard import Confirm

__all__ = ["SCHEME", "confirm_tickers", "confirmed", "database_of", "guarded_store"]

SCHEME = "hokusai+"
"""What stands before the URI of the database."""

_confirm: Confirm | None = None


def confirm_tickers(confirm: Confirm | None) -> None:
    """Say who knows whether a one-word ticker is a token of the site; without it, none is accepted.

    MLflow makes a store for its process, so this holds for the process as well.
    """
    global _confirm  # noqa: PLW0603 - see above
    _confirm = confirm


def confirmed(token: str) -> bool:
    """Whether a token store was named that knows the token ID."""
    return _confirm is not None and _confirm(token)


def database_of(uri: str) -> str:
    """Return the URI of the database behind a guarded registry; any other URI as it is.

    >>> database_of("hokusai+sqlite:///mlflow.db")
    'sqlite:///mlflow.db'
    """
    return uri[len(SCHEME) :] if uri.lower().startswith(SCHEME) else uri


def guarded_store(store_uri: str) -> SqlAlchemyStore:
    """Open a registry that refuses versions whose tags break the schema; called by MLflow."""
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES  # noqa: PLC0415 - see the module's docstring

    from hokusai_nb.backends.mlflow.guarded_store import (  # noqa: PLC0415
        GuardedStore,
        WorkspaceAwareGuardedStore,
    )

    kind = WorkspaceAwareGuardedStore if MLFLOW_ENABLE_WORKSPACES.get() else GuardedStore
    return kind(database_of(store_uri))
