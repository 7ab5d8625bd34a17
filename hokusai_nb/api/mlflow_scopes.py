"""Which scope of an API key a request to MLflow needs."""

from __future__ import annotations

import re

__all__ = ["scope_needed"]

_READING = ("GET", "HEAD", "OPTIONS")
_REST = re.compile(r"/(?:ajax-)?api/[23]\.0/mlflow/(?P<area>[a-z-]+)(?P<rest>(?:/[^/]+)*)", re.DOTALL)
_ARTIFACTS = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/(?:artifacts|presigned|mpu)(?:/[^/]+)*", re.DOTALL)
_PAGES = re.compile(
    r"/|/health|/version|/get-artifact|/model-versions/get-artifact|/(?:static-files|build)(?:/[^/]+)+", re.DOTALL
)

_WRITTEN = {
    *("artifacts", "datasets", "experiments", "issues", "label-schemas", "logged-models", "metrics"),
    *("model-versions", "registered-models", "review-queues", "runs", "scorers", "traces", "upload-artifact"),
}
"""What whoever registers a model writes."""
_SHOWN = _WRITTEN | {
    *("gateway", "get-trace-artifact", "jobs", "mcp-servers", "prompt-optimization", "server-info", "ui-telemetry"),
    *("unified-traces", "workspaces"),
}
"""What whoever reads may see. Webhooks are left out: their addresses may be secrets."""
_JOBS = re.compile(r"issues/invoke")
"""Not written but run."""
_QUESTIONS = re.compile(
    r"[a-z-]+/search|prompt-optimization/jobs/search|registered-models/get-latest-versions|"
    r"experiments/search-datasets|artifacts/presigned-download-url|traces/(?:batchGetInfos|metrics|calculate-filter-correlation)"
)
"""Asked by POST, and change nothing."""
_TAGS = re.compile(
    r"(?:model-versions|registered-models)/delete-tag|registered-models/alias|"
    r"(?:logged-models|traces|datasets)/[^/]+/tags(?:/[^/]+)?|traces/[^/]+/assessments/[^/]+",
    re.DOTALL,
)
"""Deleting one of these takes away nothing that cannot be said again."""
_DELETING = re.compile(r"[a-z-]+/(?:delete|delete-traces)")


def scope_needed(method: str, path: str) -> str:
    """Return the scope that a request to MLflow needs: ``read``, ``register`` or ``admin``.

    Reading needs ``read``; writing runs, models and tags ``register``; deleting what others may
    need, and everything that is not known here, ``admin``.

    Args:
        method: HTTP method; anything else, such as of a websocket, is not known.
        path: Path below the mount, decoded, as `hokusai_nb.api.mlflow_mount.below` returns it.

    >>> scope_needed("POST", "/api/2.0/mlflow/runs/search"), scope_needed("POST", "/api/2.0/mlflow/runs/create")
    ('read', 'register')
    """
    if {".", ".."} & set(path.split("/")):
        return "admin"
    if _PAGES.fullmatch(path):
        return "read" if method in _READING else "admin"
    if _ARTIFACTS.fullmatch(path):
        return "read" if method in _READING else "register" if method in ("PUT", "POST") else "admin"
    if path == "/graphql" and method in (*_READING, "POST"):
        return "register"  # questions and changes come by the same way, and only the body tells them apart
    if path == "/v1/traces" and method == "POST":
        return "register"
    found = _REST.fullmatch(path)
    return _of_rest(method, found["area"], found["area"] + found["rest"]) if found else "admin"


def _of_rest(method: str, area: str, path: str) -> str:
    """Return the scope for a path of MLflow's REST API, after ``/api/2.0/mlflow/``."""
    if method in _READING:
        return "read" if area in _SHOWN else "admin"
    if method == "POST" and area in _SHOWN and _QUESTIONS.fullmatch(path):
        return "read"
    if area not in _WRITTEN or _JOBS.fullmatch(path):
        return "admin"
    if method == "DELETE":
        return "register" if _TAGS.fullmatch(path) else "admin"
    deletes = method == "POST" and _DELETING.fullmatch(path)
    return "register" if method in ("POST", "PUT", "PATCH") and not deletes else "admin"
