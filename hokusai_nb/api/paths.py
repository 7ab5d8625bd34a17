"""Where things answer."""

from __future__ import annotations

__all__ = ["DESCRIPTION", "MLFLOW", "OPEN_PATHS", "V1"]

V1 = "/api/v1"
MLFLOW = "/api/mlflow"
"""MLflow's clients are refused in words of their own."""
DESCRIPTION = "/openapi.json"
OPEN_PATHS = (f"{V1}/health", f"{V1}/ready", DESCRIPTION)
"""What answers without a key: a load balancer has none, and the description says nothing of the data."""
