"""The application: routes, what stands before them, and MLflow below."""

from __future__ import annotations

import json
import re
import threading
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from hokusai_nb.api import description
from hokusai_nb.api.auth import READ, Authenticated, Recent, caller, require
from hokusai_nb.api.guards import BoundedBodies, KnownHosts, ProtectingHeaders
from hokusai_nb.api.mlflow_mount import Guard, Proxied, below, mounted, proxied, scope_needed
from hokusai_nb.api.mlflow_refusals import for_mlflow
from hokusai_nb.api.observing import CONTENT_TYPE, Metrics, Observed
from hokusai_nb.api.paths import DESCRIPTION, MLFLOW, OPEN_PATHS, V1
from hokusai_nb.api.problems import problem_response, use_problems
from hokusai_nb.api.routes import catalogue, events, health, models, tokens
from hokusai_nb.api.services import Services
from hokusai_nb.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import ASGIApp, Scope

    from hokusai_nb.api.options import ServerConfig
    from hokusai_nb.schema.keys import Scope as KeyScope

__all__ = ["create_app"]

_ROUTERS = (
    *(health.router, models.router, tokens.router, events.router, catalogue.router),
    models.events_router,
)
_ARTIFACTS = re.compile(rf"{MLFLOW}/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/")
"""What is put here MLflow writes to its place as it comes; any other body it takes into its memory first."""
_LEASE = re.compile(rf"{V1}/tokens/[^/]+/lease")
_FOLDER = "mlartifacts"
_STOP_SECONDS = 10.0


def create_app(config: ServerConfig) -> FastAPI:
    """Return the API as an application; MLflow's database, or its server, is opened.

    Raises:
        HokusaiError: A setting is not valid, or MLflow cannot be served.
    """
    services = Services(config)
    metrics = Metrics(services.pending)
    mlflow = _mlflow(config, services)
    app = FastAPI(
        title="Hokusai",
        summary="Models, tokens and events of the Hokusai registry.",
        description=description.TEXT,
        version=version("hokusai_nb"),
        openapi_tags=description.TAGS,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(services, mlflow),
        middleware=_middleware(config, services, metrics),
    )
    app.state.services = services
    app.state.hidden = {services.registry.backend.safe_uri: "the registry", services.store.description: "the database"}
    use_problems(app, [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)])
    for router in _ROUTERS:
        app.include_router(router)
    _add_descriptions(app, metrics)
    app.mount(MLFLOW, Guard(mlflow, _authorize), name="mlflow")
    return app


def _mlflow(config: ServerConfig, services: Services) -> ASGIApp:
    """Return MLflow in this process, or what passes requests on to it."""
    if config.mlflow_uri.lower().startswith(("http://", "https://")):
        return proxied(config.mlflow_uri, confirm=services.confirms)
    return mounted(config.mlflow_uri, config.artifacts or _beside(config.mlflow_uri), confirm=services.confirms)


def _beside(store_uri: str) -> str:
    """Return the folder of artifacts that goes with a database."""
    kind, _, path = store_uri.partition(":///")
    return str(Path(path).parent / _FOLDER) if kind == "sqlite" else _FOLDER


def _middleware(config: ServerConfig, services: Services, metrics: Metrics) -> list[Middleware]:
    """Return what stands before the routes, outermost first."""

    def limit(method: str, path: str) -> int:
        if method == "PUT" and _ARTIFACTS.match(path):
            return config.upload_limit
        return config.mlflow_body_limit if path.startswith(f"{MLFLOW}/") else config.body_limit

    return [
        Middleware(Observed, metrics=metrics),
        Middleware(ProtectingHeaders),
        Middleware(KnownHosts, hosts=config.allowed_hosts),
        Middleware(BoundedBodies, limit=limit),
        Middleware(
            Authenticated,
            find=services.find_key,
            open_paths=OPEN_PATHS,
            limiter=services.limiter,
            rate=services.rate,
            wrong_rate=services.wrong_rate,
            recent=Recent(config.key_cache_seconds),
            uncounted=_is_uncounted,
        ),
    ]


def _is_uncounted(method: str, path: str) -> bool:
    """Whether a request counts for nothing: a model has many files, and a long registration keeps its token."""
    if method == "PUT" and _LEASE.fullmatch(path):
        return True
    return method in ("GET", "PUT") and _ARTIFACTS.match(path) is not None


async def _authorize(scope: Scope) -> ASGIApp | None:
    """Return None where a key may do what MLflow is asked, or else what answers."""
    scope["state"]["route"] = MLFLOW
    method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
    try:
        needed = cast("KeyScope", scope_needed(method, below(scope)))
        require(caller(Request(scope)), needed)
    except AccessError as error:
        return for_mlflow(problem_response(error, request_id=scope["state"]["request_id"]))
    return None


def _add_descriptions(app: FastAPI, metrics: Metrics) -> None:
    """Add what tells of the application itself."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = description.of(app, OPEN_PATHS)
        return app.openapi_schema

    async def described() -> Response:
        return Response(text(), media_type="application/json")

    @cache
    def text() -> bytes:
        return json.dumps(openapi()).encode()

    def measured() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way of changing it
    app.add_api_route(DESCRIPTION, described, include_in_schema=False)
    app.add_api_route("/metrics", measured, include_in_schema=False, dependencies=[READ])


def _lifespan(services: Services, mlflow: ASGIApp) -> Callable[[FastAPI], Any]:
    """Return what runs beside the requests: the worker that delivers events."""

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = services.config.threads
        stop = threading.Event()
        if services.config.deliver_events:
            worker = threading.Thread(target=services.outbox.watch, args=(stop,), name="hokusai-outbox", daemon=True)
            worker.start()
            services.worker = worker
        try:
            yield
        finally:
            stop.set()
            if services.worker is not None:
                await anyio.to_thread.run_sync(services.worker.join, _STOP_SECONDS)
            if isinstance(mlflow, Proxied):
                await mlflow.aclose()

    return running
