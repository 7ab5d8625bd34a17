"""Requests passed on to an MLflow server elsewhere, as streams in both directions."""

from __future__ import annotations

import base64
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

import httpx
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

from hokusai_nb.backends.mlflow.auth_plugin import NAME
from hokusai_nb.backends.mlflow.failures import unreachable
from hokusai_nb.backends.mlflow.rest import credentials
from hokusai_nb.errors import HokusaiError, RegistryError
from hokusai_nb.log import logger, redact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from typing import TypeAlias

    from mlflow.utils.rest_utils import MlflowHostCreds

    Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

__all__ = ["Answer", "Upstream"]

T = TypeVar("T")
CONNECT_SECONDS = 3.0
_IDLE_SECONDS = 2.0
"""Shorter than any server keeps a connection, so that none is used just as it is closed."""
_ASKED = {
    *(b"accept", b"accept-encoding", b"accept-language", b"content-encoding", b"content-length", b"content-type"),
    *(b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"range"),
    *(b"origin", b"traceparent", b"tracestate", b"user-agent"),
}
"""What a client may say to MLflow, and what begins with ``X-MLflow-``: no credentials, and no names that a
server behind trusts only because they come from here."""
_NOT_ANSWERED = {
    *(b"connection", b"keep-alive", b"proxy-authenticate", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    *(b"date", b"location", b"server", b"set-cookie", b"www-authenticate"),
}
"""What concerns the connection to the server behind, or our account there."""
_UNCHANGED = "/:@!$&'()*+,;=~-._"
_UNAUTHORIZED, _NOT_FOUND = 401, 404


@dataclass(frozen=True)
class Answer:
    """What the server behind answers.

    Attributes:
        status: HTTP status.
        headers: The headers that concern the client.
        location: Where it sends to, as a path below the server's address.
        chunks: The body as it comes, still encoded as the headers say; an error in between is a
            `ConnectionFailedError`.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    location: str | None
    chunks: AsyncIterator[bytes]


class Upstream:
    """An MLflow server that requests are passed on to.

    It is asked with the credentials that MLflow's own client would use for it, never with a
    client's. Redirects are not followed.

    Args:
        uri: Where it answers; may hold a user name and a password.

    Raises:
        HokusaiError: It is no address of a server, or its credentials are of a kind that cannot be used here.
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self.safe_uri = redact(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            what = f"Requests for MLflow cannot be passed on to {self.safe_uri}."
            raise HokusaiError(what, "Give the address of an MLflow server, such as https://mlflow.example.org.")
        self._home = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._credentials = credentials(self._home)
        if self._credentials.aws_sigv4 or self._credentials.auth not in (None, NAME):
            what = f"The credentials for {self.safe_uri} come from a plugin of MLflow, which works in its client only."
            raise HokusaiError(what, "Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and its password.")
        in_address = (unquote(parts.username or ""), unquote(parts.password or ""))
        self._authorization = _authorization(self._credentials, in_address)
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"Upstream({self.safe_uri!r})"

    @asynccontextmanager
    async def asking(
        self, method: str, path: str, query: bytes, headers: Headers, body: AsyncIterator[bytes] | bytes | None
    ) -> AsyncIterator[Answer]:
        """Pass a request on; the answer's body can be read within the ``with`` block.

        Args:
            method: HTTP method.
            path: Path below the server's address, decoded, without dots and empty parts.
            query: Query as it came.
            headers: The client's; only those that MLflow reads are passed on.
            body: Bytes as they come; None for no body.

        Raises:
            ConnectionFailedError: The server cannot be reached, or does not answer in time.
            RegistryError: It refuses our credentials, or sends to another place.
        """
        request = self._opened().build_request(
            method, self._address(path, query), headers=self._said(headers, body), content=body
        )
        try:
            response = await self._opened().send(request, stream=True)
        except httpx.TransportError as error:
            raise unreachable(self.safe_uri, _why(error)) from error
        try:
            location = self._refuse_strangers(response, path)
            yield Answer(response.status_code, tuple(self._answered(response)), location, self._chunks(response))
        finally:
            await response.aclose()

    async def tags_of_version(self, name: str, version: str, headers: Headers) -> dict[str, str] | None:
        """Return the tags of a version; None where there is no such version.

        Args:
            name: The model.
            version: Its number.
            headers: The client's, of the request that is about the version.

        Raises:
            ConnectionFailedError: The server cannot be reached, or does not answer in time.
            RegistryError: It answers something else than a version.
        """
        query = f"name={quote(name, safe='')}&version={quote(version, safe='')}".encode()

        def read(found: Any) -> dict[str, str]:
            return {tag["key"]: tag["value"] for tag in found["model_version"].get("tags", [])}

        told = f"which tags version {version} of {name!r} has"
        return await self._found("/api/2.0/mlflow/model-versions/get", query, headers, read, told)

    async def artifacts_of_run(self, run_id: str, headers: Headers) -> str | None:
        """Return where the artifacts of a run lie; None where there is no such run.

        Args:
            run_id: The run.
            headers: The client's, of the request that names the run.

        Raises:
            ConnectionFailedError: The server cannot be reached, or does not answer in time.
            RegistryError: It answers something else than a run.
        """
        query = f"run_id={quote(run_id, safe='')}".encode()

        def read(found: Any) -> str:
            return str(found["run"]["info"]["artifact_uri"])

        told = f"where the artifacts of run {run_id!r} lie"
        return await self._found("/api/2.0/mlflow/runs/get", query, headers, read, told)

    async def _found(self, path: str, query: bytes, headers: Headers, read: Callable[[Any], T], told: str) -> T | None:
        """Return what is read from what the server says of something; None where it has no such thing."""
        of_mlflow = [(k, v) for k, v in headers if k.lower().startswith(b"x-mlflow-")]
        async with self.asking("GET", path, query, of_mlflow, None) as answer:
            content = b"".join([chunk async for chunk in answer.chunks])
        if answer.status == _NOT_FOUND:
            return None
        try:
            return read(json.loads(content))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            what = f"The MLflow server at {self.safe_uri} does not say {told}."
            raise RegistryError(what, "Look at that server's log.") from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            timeout = httpx.Timeout(MLFLOW_HTTP_REQUEST_TIMEOUT.get(), connect=CONNECT_SECONDS)
            self._client = httpx.AsyncClient(
                verify=_trust(self._credentials),
                timeout=timeout,
                limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_SECONDS),
                follow_redirects=False,
            )
            self._client.headers.clear()
        return self._client

    def _address(self, path: str, query: bytes) -> httpx.URL:
        home = httpx.URL(self._home)
        target = home.raw_path.rstrip(b"/") + quote(path, safe=_UNCHANGED).encode()
        return home.copy_with(raw_path=target + b"?" + query if query else target)

    def _said(self, headers: Headers, body: AsyncIterator[bytes] | bytes | None) -> list[tuple[bytes, bytes]]:
        said = [(k, v) for k, v in headers if k.lower() in _ASKED or k.lower().startswith(b"x-mlflow-")]
        if body is None or isinstance(body, bytes):
            said = [(k, v) for k, v in said if k.lower() != b"content-length"]  # httpx counts it itself
        return [*said, (b"authorization", self._authorization)] if self._authorization else said

    def _refuse_strangers(self, response: httpx.Response, path: str) -> str | None:
        """Return where a redirect leads, as a path below the server's address.

        Raises:
            RegistryError: It leads elsewhere, or our credentials are refused.
        """
        if response.status_code == _UNAUTHORIZED:
            what = f"The MLflow server at {self.safe_uri} refuses this server's own credentials."
            hint = "Whoever runs this server sets MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and its password."
            raise RegistryError(what, hint)
        if not response.has_redirect_location:
            return None
        target = urljoin(f"{self._home}{quote(path, safe=_UNCHANGED)}", response.headers["location"])
        if not target.startswith(f"{self._home}/"):
            what = f"The MLflow server at {self.safe_uri} sends to another place, which is not followed."
            raise RegistryError(what, "Whoever runs this server gives the address that MLflow itself answers at.")
        return target.removeprefix(self._home)

    def _answered(self, response: httpx.Response) -> Iterable[tuple[bytes, bytes]]:
        named = {name.strip().lower().encode() for name in response.headers.get("connection", "").split(",")}
        return ((k.lower(), v) for k, v in response.headers.raw if k.lower() not in _NOT_ANSWERED | named)

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.aiter_raw():
                yield chunk
        except httpx.TransportError as error:
            logger.warning("%s broke off its answer: %s", self.safe_uri, _why(error))
            raise unreachable(self.safe_uri, _why(error)) from error


def _authorization(found: MlflowHostCreds, in_address: tuple[str, str]) -> bytes | None:
    user, password = (found.username, found.password) if found.username else in_address
    if user and password:
        return b"Basic " + base64.b64encode(f"{user}:{password}".encode())
    return f"Bearer {found.token}".encode() if found.token else None


def _trust(found: MlflowHostCreds) -> ssl.SSLContext | bool:
    """Return whom to trust, and who we are, in TLS."""
    if found.ignore_tls_verification:
        return False
    if not (found.server_cert_path or found.client_cert_path):
        return True
    authorities = Path(found.server_cert_path) if found.server_cert_path else None
    if not authorities:
        context = httpx.create_ssl_context()
    elif authorities.is_dir():
        context = ssl.create_default_context(capath=authorities)
    else:
        context = ssl.create_default_context(cafile=authorities)
    if found.client_cert_path:
        context.load_cert_chain(found.client_cert_path)
    return context


def _why(error: httpx.TransportError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "its certificate is not accepted"
        cause = cause.__cause__ or cause.__context__
    return "it did not answer in time" if isinstance(error, httpx.TimeoutException) else "the connection failed"
