"""MLflow's tracking side, as this package reaches it."""

from __future__ import annotations

from hokusai_nb.tracking.client import MLflowClient

__all__ = ["MLflowClient"]
