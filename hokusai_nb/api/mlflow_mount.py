"""MLflow below ``/api/mlflow``: in this process or passed on to another server, and nothing of it unguarded."""

from __future__ import annotations

import unicodedata
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from hokusai_nb.api.mlflow_bodies import headers_for, instead, pieces, whole
from hokusai_nb.api.mlflow_refusals import refuse
from hokusai_nb.api.mlflow_scopes import scope_needed
from hokusai_nb.api.problems import Refusal
from hokusai_nb.errors import RegistryError, ValidationError
from hokusai_nb.schema.problems import quoted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from typing import TypeAlias

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hokusai_nb.backends.mlflow.forwarded_tags import TagCheck
    from hokusai_nb.backends.mlflow.forwarding import Answer, Upstream

    Authorize: TypeAlias = Callable[[Scope], Awaitable[ASGIApp | None]]
    Confirm: TypeAlias = Callable[[str], bool]
    FindRun: TypeAlias = Callable[[str, Scope], Awaitable[str | None]]

__all__ = ["Guard", "Proxied", "below", "mounted", "proxied", "scope_needed"]

_OF_ASGI = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path"),
    *("headers", "client", "server", "subprotocols", "extensions"),
)
_CREDENTIALS = (b"authorization", b"x-api-key", b"cookie", b"proxy-authorization")
_ERROR = 500
_PAGE = "text/html"
_CLOSED = "/ajax-api/3.0/mlflow/assistant"
"""MLflow's assistant runs commands on the machine of whoever asks from it, and there we ask for everybody."""
_POLICY_VIOLATION = 1008


def below(scope: Scope) -> str:
    """Return the path of a request below the mount, decoded, as MLflow will see it."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] or "/" if path == root or path.startswith(f"{root}/") else path


class Guard:
    """Asks before every request, whatever its method and path, so that nothing of an application is reachable unasked.

    Args:
        app: What is guarded.
        authorize: Is given the scope of each HTTP request and each websocket, and returns None to
            let it pass, or what answers in the application's place.
    """

    def __init__(self, app: ASGIApp, authorize: Authorize) -> None:
        self.app = app
        self.authorize = authorize

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refused = None if scope["type"] == "lifespan" else await self.authorize(scope)
        if refused is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await refused(scope, receive, send)


class _AtItsRoot:
    """Serves an application as if it stood alone: without the mount's path, and without the client's key.

    Whatever place for artifacts a client names is checked first, and MLflow's pages for its own failures
    are answered as errors that its clients can read.

    Args:
        app: What is served.
        find_run: Tells where a run's artifacts lie.
        roots: What the application keeps artifacts below.
    """

    def __init__(self, app: ASGIApp, find_run: FindRun, roots: Sequence[str] = ()) -> None:
        self.app = app
        self.find_run = find_run
        self.roots = roots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = below(scope)
        if scope["type"] == "http" and _CLOSED in path:
            await refuse(Refusal(HTTPStatus.NOT_FOUND, "MLflow's assistant is not served here."), scope, receive, send)
            return
        alone = {key: scope[key] for key in _OF_ASGI if key in scope}
        alone |= {"path": path, "raw_path": quote(path).encode(), "root_path": "", "state": {**scope.get("state", {})}}
        alone["headers"] = [(k, v) for k, v in scope["headers"] if k.lower() not in _CREDENTIALS]
        if scope["type"] != "http":
            await self.app(alone, receive, send)
            return
        try:
            said = await self._checked(alone, receive)
        except ClientDisconnect:
            return
        except (RegistryError, Refusal, ValidationError) as error:
            await refuse(error, scope, receive, send)
            return
        if said is not None:
            alone["headers"] = headers_for(*said, alone["headers"])
            receive = instead(said[0], receive)
        await self.app(alone, receive, _without_pages(scope, receive, send))

    async def _checked(self, scope: Scope, receive: Receive) -> tuple[bytes, str] | None:
        """Return the body to pass on where it may say where artifacts lie, and its type where that has changed.

        Raises:
            ClientDisconnect: The client went away.
            RegistryError: It cannot be learnt where the artifacts of a run lie.
            Refusal: The body is too large.
            ValidationError: It names a place outside MLflow, or cannot be read.
        """
        from hokusai_nb.backends.mlflow import locations, spans  # noqa: PLC0415 - imports MLflow

        method, path = scope["method"], scope["path"]
        if locations.concerns(method, path):
            find_run = partial(self._find_run, scope=scope)
            return await locations.checked(path, await whole(receive), find_run, self.roots), ""
        if not spans.concerns_spans(method, path):
            return None
        body, headers = await whole(receive, spans.MOST), Headers(raw=scope["headers"])
        kind, encoding = (headers.get(name, "") for name in ("content-type", "content-encoding"))
        return await anyio.to_thread.run_sync(spans.checked_spans, body, kind, encoding), spans.CONTENT_TYPE

    async def _find_run(self, run_id: str, *, scope: Scope) -> str | None:
        return await self.find_run(run_id, scope)


def _without_pages(scope: Scope, receive: Receive, send: Send) -> Send:
    """Return what passes an answer on; a page that tells of a failure becomes an error without its details."""
    hidden = False

    async def sent(message: Message) -> None:
        nonlocal hidden
        if message["type"] == "http.response.start" and message["status"] >= _ERROR:
            hidden = Headers(raw=message["headers"]).get("content-type", "").startswith(_PAGE)
            if hidden:
                await refuse(
                    Refusal(_ERROR, "MLflow failed at this request.", "The server's log says more."),
                    scope,
                    receive,
                    send,
                )
        if not hidden:
            await send(message)

    return sent


def mounted(store_uri: str, artifacts: str, *, confirm: Confirm | None = None) -> ASGIApp:
    """Return MLflow's server in this process, to mount behind a `Guard`.

    Args:
        store_uri: The database of runs and of the registry.
        artifacts: Folder or URI that clients' artifacts are written to.
        confirm: Says whether a one-word ticker is a token; without it, none is accepted.

    Raises:
        HokusaiError: The URI is no database that MLflow can be served from, or this process serves another.
        ConnectionFailedError: The database does not answer.
    """
    from hokusai_nb.backends.mlflow import server  # noqa: PLC0415 - imports MLflow's whole server

    async def find_run(run_id: str, _scope: Scope) -> str | None:
        return await anyio.to_thread.run_sync(server.artifacts_of_run, run_id)

    root = artifacts if urlsplit(artifacts).scheme else str(Path(artifacts).resolve())
    return _AtItsRoot(server.mlflow_app(store_uri, artifacts, confirm=confirm), find_run, (root,))


def proxied(uri: str, *, confirm: Confirm | None = None) -> Proxied:
    """Return an application that passes requests on to an MLflow server, to mount behind a `Guard`.

    Args:
        uri: Where it answers. It is asked with the credentials that MLflow's client would use.
        confirm: Says whether a one-word ticker is a token; without it, none is accepted.

    Raises:
        HokusaiError: It is no address of a server, or its credentials cannot be used here.
    """
    from hokusai_nb.backends.mlflow.forwarded_tags import TagCheck  # noqa: PLC0415 - imports MLflow
    from hokusai_nb.backends.mlflow.forwarding import Upstream  # noqa: PLC0415 - likewise

    upstream = Upstream(uri)
    return Proxied(upstream, TagCheck(upstream, confirm))


class Proxied:
    """Passes requests on to an MLflow server, and answers itself where a version's tags would break the schema."""

    def __init__(self, upstream: Upstream, check: TagCheck) -> None:
        self._upstream = upstream
        self._check = check

    async def aclose(self) -> None:
        """Close the connections to the server behind."""
        await self._upstream.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        mount = str(scope.get("root_path", "")).rstrip("/")

        async def exchange(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._exchange(mount, scope, receive, send)
            else:  # MLflow has no websockets
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

        await _AtItsRoot(exchange, self._find_run)(scope, receive, send)

    async def _find_run(self, run_id: str, scope: Scope) -> str | None:
        return await self._upstream.artifacts_of_run(run_id, scope["headers"])

    async def _exchange(self, mount: str, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with self._asking(scope, receive) as answer:
                await _passed_on(answer, mount)(scope, receive, sent)
        except ClientDisconnect:
            return  # nobody is left to answer
        except (RegistryError, Refusal, ValidationError) as error:
            if started:  # what is left to say is that the answer is not whole, by breaking it off
                raise
            await refuse(error, scope, receive, send)

    @asynccontextmanager
    async def _asking(self, scope: Scope, receive: Receive) -> AsyncIterator[Answer]:
        method, path, query, headers = (scope[key] for key in ("method", "path", "query_string", "headers"))
        _ensure_plain(path)
        if self._check.concerns(method, path):
            body = await whole(receive)
            async with (
                self._check.passing(path, headers, body) as checked,
                self._upstream.asking(method, path, query, headers, checked) as answer,
            ):
                yield answer
        else:
            names = {name.lower() for name, _ in headers}
            has_body = not names.isdisjoint((b"content-length", b"transfer-encoding"))
            sent = pieces(receive) if has_body else None
            async with self._upstream.asking(method, path, query, headers, sent) as answer:
                yield answer


def _ensure_plain(path: str) -> None:
    """Refuse a path that a server, or a proxy before it, could read as another one.

    Raises:
        Refusal: It has dots, empty parts, backslashes or control characters.
    """
    _, *parts = path.split("/")
    dots = {".", ".."} & set(parts) or "" in parts[:-1]
    if dots or "\\" in path or any(unicodedata.category(c) == "Cc" for c in path):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"The path {quoted(path)} is not a plain one.")


def _passed_on(answer: Answer, mount: str) -> StreamingResponse:
    response = StreamingResponse(answer.chunks, answer.status)
    response.raw_headers = list(answer.headers)
    if answer.location is not None:
        response.raw_headers.append((b"location", f"{mount}{answer.location}".encode()))
    return response
