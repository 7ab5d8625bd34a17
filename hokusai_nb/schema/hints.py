"""What to try, in words that hold for every face: a shell, a notebook and Python."""

from __future__ import annotations

__all__ = ["DECLARE_METRIC", "FIND_RUN", "LIST_MODELS", "NAME_RUN", "STORE_OPTIONS"]

DECLARE_METRIC = (
    "A shell command knows the catalogue alone; in Python, declare one of your own with "
    "register_metric(name, direction=…) and register with ModelRegistry().register_model(…)."
)
LIST_MODELS = (
    "List what there is: hokusai model list in a shell, %hokusai_models in a notebook, "
    "ModelRegistry().list_models() in Python."
)
NAME_RUN = (
    "In a notebook or in Python, train in `with mlflow.start_run():`, use %%hokusai_register, or name a run; "
    "in a shell, name a run with --run."
)
STORE_OPTIONS = "--mlflow-uri or MLFLOW_TRACKING_URI in a shell, mlflow.set_tracking_uri(…) in Python"
"""How another MLflow store is named."""
FIND_RUN = "Check the id in MLflow: its pages show it, and so does mlflow runs list --experiment-id ID in a shell."
