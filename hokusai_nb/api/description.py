"""The OpenAPI description: what the routes say, with keys, problems and headers added."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from hokusai_nb.api.problems import MEDIA_TYPE, ProblemDocument

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastapi import FastAPI

__all__ = ["TAGS", "TEXT", "of"]

TEXT = """
Every request but those for health and this description needs an API key, as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. A key has one of three scopes: `read`, `register`, which includes it, and `admin`, which includes
both. MLflow answers below `/api/mlflow` to any MLflow client with such a key.

What fails is answered by a problem document (RFC 9457), which says what failed and what to try. A `POST` with an
`Idempotency-Key` is carried out once: the same request again gets the same answer, marked `Idempotent-Replayed: true`.
Lists answer a page with `next_cursor`, which the next request hands back as `cursor`.

Prometheus reads `/metrics` with a key of the scope `read`.
"""
TAGS = [
    {"name": "models", "description": "Versions of registered models and the tokens they are rewarded with."},
    {"name": "tokens", "description": "Tokens and their life: draft, registering, registered, deployed."},
    {"name": "events", "description": "What is told to the site and to others, and what became of telling it."},
    {"name": "metrics", "description": "The catalogue of benchmark metrics."},
    {"name": "health", "description": "Whether the server is up."},
]
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, hk_ID_SECRET."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}
_ALWAYS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
_WITH_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_NAMED = (HTTPStatus.NOT_FOUND,)
_WRITING = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_TEXT = {"schema": {"type": "string"}}
_ANSWERED = {"X-Request-ID": {"description": "What the server's log knows the request by.", **_TEXT}}
_PACED = {
    "RateLimit": {"description": "Requests that the key may still make, and seconds until more.", **_TEXT},
    "RateLimit-Policy": {"description": "Requests that a key may make, and in how many seconds.", **_TEXT},
}
_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "There, and true, where the answer is that to an earlier request of the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


def of(app: FastAPI, open_paths: Collection[str]) -> dict[str, Any]:
    """Return the description of an application.

    Args:
        app: The application.
        open_paths: What needs no key.
    """
    found: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own words for what ours say
        schemas.pop(name, None)
    problem = ProblemDocument.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["ProblemDocument"] = problem
    found["components"]["securitySchemes"] = _KEYS
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _complete(operation, method, path, is_open=path in open_paths)
    return found


def _complete(operation: dict[str, Any], method: str, path: str, *, is_open: bool) -> None:
    """Add to an operation what holds for all of its kind."""
    operation["security"] = [] if is_open else [{name: []} for name in _KEYS]
    refusals = [*_ALWAYS, *(() if is_open else _WITH_KEY)]
    if method != "get":
        refusals += _WRITING
    elif "{" in path:
        refusals += _NAMED
    answers = operation["responses"]
    for status in sorted(refusals):
        answers[str(int(status))] = {"description": status.phrase, "content": _PROBLEM}
    answers["default"] = {"description": "Another problem", "content": _PROBLEM}
    for status, answer in answers.items():
        answer["headers"] = {**_ANSWERED, **({} if is_open else _PACED)}
        if method == "post" and status.startswith("2"):
            answer["headers"] |= _REPLAYED
