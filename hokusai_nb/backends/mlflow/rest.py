"""MLflow's REST stores with bounded patience.

MLflow's own stores read their retry policy from the environment, for the whole process: 7 retries
of everything, 4 minutes for a dead server. Ours pass a policy with each call instead, so that a
user's other MLflow calls keep theirs: reads are retried briefly, writes never, because a retried
write may be a second version.
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from concurrent.futures import Future, wait
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseError
from mlflow.entities import FileInfo
from mlflow.environment_variables import MLFLOW_HTTP_POOL_MAXSIZE
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED
from mlflow.protos.service_pb2 import ListArtifacts
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.model_registry.rest_store import RestStore as RegistryRestStore
from mlflow.store.tracking.rest_store import RestStore as TrackingRestStore
from mlflow.tracking import MlflowClient
from mlflow.tracking._model_registry.client import ModelRegistryClient
from mlflow.tracking._tracking_service.client import TrackingServiceClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.logging_utils import suppress_logs_in_thread
from mlflow.utils.proto_json_utils import message_to_json, parse_dict
from mlflow.utils.rest_utils import MlflowHostCreds, http_request, verify_rest_response

from hokusai_nb.backends.mlflow.auth_plugin import NAME
from hokusai_nb.backends.mlflow.failures import dropped, unreachable, why
from hokusai_nb.config import settings
from hokusai_nb.log import logger, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    import requests
    from google.protobuf.message import Message

__all__ = ["PatientClient", "Server", "credentials"]

CONNECT_SECONDS = 2.0
GREETING_SECONDS = 3.5
"""How long a server may take for the first sign of life."""
PROBE_AFTER_SECONDS = 30.0
SILENT_SECONDS = 1.8
"""An answer that takes longer makes us ask whether the server is still there."""
PROBE_SECONDS = 2.7
PAUSES = (0.2, 0.5)
"""Seconds before a read is repeated."""
_TRANSIENT = (429, 502, 503, 504)
_NOT_FOUND = 404
_DENIED = {401: UNAUTHENTICATED, 403: PERMISSION_DENIED}


def credentials(uri: str) -> MlflowHostCreds:
    """Return what MLflow would send to the server; the Hokusai registry gets its API key."""
    creds: MlflowHostCreds = get_default_host_creds(uri)
    if key := settings().key_for(uri):
        creds.token, creds.username, creds.password = key.get_secret_value(), None, None
        # What the user set for other servers, in MLflow or in netrc, would replace the key.
        creds.auth, creds.aws_sigv4 = NAME, False
    return creds


class Server:
    """One MLflow server: how long to wait for it, and whether it was seen alive lately."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.creds: Callable[[], MlflowHostCreds] = partial(credentials, uri)
        self._seen = float("-inf")
        self._failed = (float("-inf"), "")
        self._asking = threading.Lock()
        # Beyond the connections that MLflow's pool keeps, each is opened and thrown away with a warning.
        self._slots = threading.BoundedSemaphore(max(1, MLFLOW_HTTP_POOL_MAXSIZE.get() - 1))

    def ensure_alive(self) -> None:
        """Ask for a sign of life unless there was one lately.

        A server that hangs would otherwise cost the full answer time of a real call.

        Raises:
            ConnectionFailedError: Nothing answers within five seconds.
        """
        if time.monotonic() - self._seen >= PROBE_AFTER_SECONDS:
            self._ask(PROBE_AFTER_SECONDS, GREETING_SECONDS)

    def _ask(self, lately: float, patience: float) -> None:
        """Ask for a sign of life, one thread for all that wait for one; both in seconds."""
        began = time.monotonic()
        with self._asking:
            if began - self._seen < lately:
                return
            failed, reason = self._failed
            if failed < began:
                asked = _begin(lambda: self._request("/health", "GET", patience))
                wait([asked], patience)
                error = asked.exception() if asked.done() else None
                if asked.done() and error is None:
                    self._seen = time.monotonic()
                    return
                reason = (why(error) or "the connection failed") if error else "it did not answer in time"
                self._failed, self._seen = (time.monotonic(), reason), float("-inf")
        raise unreachable(redact(self.uri), reason)

    def _request(self, endpoint: str, method: str, seconds: float, **content: Any) -> requests.Response:
        """Send one request, once; name resolution and the whole answer may take longer than the seconds."""
        answer: requests.Response = http_request(
            self.creds(),
            endpoint,
            method,
            max_retries=0,
            timeout=(CONNECT_SECONDS, seconds),
            raise_on_status=False,
            respect_retry_after_header=False,
            **content,
        )
        return answer

    def _patiently(self, endpoint: str, method: str, **content: Any) -> requests.Response:
        """Send one request and wait for its answer as long as the server shows signs of life."""
        answer = _begin(lambda: self._request(endpoint, method, settings().http_timeout, **content), self._slots)
        try:
            while not wait([answer], SILENT_SECONDS).done:
                self._ask(SILENT_SECONDS, PROBE_SECONDS)
        finally:
            answer.cancel()  # what was not sent by now never will be
        return answer.result()

    def call(self, endpoint: str, method: str, json_body: str | None, response: Message) -> Message:
        """Call an endpoint of MLflow's REST API and parse the answer into the message.

        Raises:
            ConnectionFailedError: The server stopped answering; known within five seconds.
            MlflowException: As MLflow's own stores raise it.
        """
        body = None if json_body is None else json.loads(json_body)
        content: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        began = time.monotonic()
        answer = self._repeatedly(endpoint, method, content)
        took = (time.monotonic() - began) * 1000
        logger.debug("%s %s%s: %d in %.0f ms", method, self.uri, endpoint, answer.status_code, took)
        self._seen = time.monotonic()
        _refuse_strangers(answer, endpoint)
        verify_rest_response(answer, endpoint)
        try:
            parse_dict(js_dict=answer.json(), message=response)
        except (ParseError, TypeError) as error:
            raise _foreign(endpoint) from error
        return response

    def _repeatedly(self, endpoint: str, method: str, content: Mapping[str, Any]) -> requests.Response:
        """Send a request; one that changes nothing when it is repeated is, after a short pause."""
        repeatable = method == "GET" or endpoint.endswith(("search", "set-tag"))
        for pause in PAUSES if repeatable else ():
            try:
                answer = self._patiently(endpoint, method, **content)
            except MlflowException as error:
                if not dropped(error):
                    raise
            else:
                if answer.status_code not in _TRANSIENT:
                    return answer
            time.sleep(pause)
        return self._patiently(endpoint, method, **content)


def _begin(
    work: Callable[[], requests.Response], turn: AbstractContextManager[object] | None = None
) -> Future[requests.Response]:
    """Begin a request in a thread that nobody has to wait for, quiet, with this one's context."""
    answer: Future[requests.Response] = Future()

    def run() -> None:
        with turn or nullcontext(), suppress_logs_in_thread():
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
                answer.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="hokusai-request", daemon=True).start()
    return answer


def _refuse_strangers(answer: requests.Response, endpoint: str) -> None:
    """Refuse what a gateway before MLflow answers, or a web server in its place.

    Raises:
        MlflowException: Access is denied, in whatever form, or there is no such page.
    """
    if answer.status_code not in (*_DENIED, _NOT_FOUND):
        return
    try:
        if "error_code" in answer.json():  # so MLflow itself says it
            return
    except (ValueError, TypeError):
        logger.debug("%s is answered with %s", endpoint, answer.headers.get("Content-Type"))
    if answer.status_code in _DENIED:
        raise MlflowException(answer.reason or "no reason given", error_code=_DENIED[answer.status_code])
    raise _foreign(endpoint)


def _foreign(endpoint: str) -> MlflowException:
    return MlflowException(f"there is no {endpoint}", error_code=ENDPOINT_NOT_FOUND)


class _TrackingStore(TrackingRestStore):
    def __init__(self, server: Server) -> None:
        super().__init__(server.creds)
        self._server = server

    def _call_endpoint(  # type: ignore[override]  # MLflow's is untyped
        self,
        api: Any,
        json_body: str | None = None,
        endpoint: str | None = None,
        *,
        response_proto: Any = None,
        **_: object,
    ) -> Any:
        self._validate_workspace_support_if_specified()
        default, method = (self._V3_METHOD_TO_INFO if api in self._V3_APIS else self._METHOD_TO_INFO)[api]
        return self._server.call(endpoint or default, method, json_body, response_proto or api.Response())


class _RegistryStore(RegistryRestStore):
    def __init__(self, server: Server) -> None:
        super().__init__(server.creds)
        self._server = server

    def _call_endpoint(self, api: Any, json_body: str | None, *_: object, **__: object) -> Any:
        # What else MLflow's own would take is about servers of years ago and of Databricks.
        self._validate_workspace_support_if_specified()
        endpoint, method = self._get_endpoint_from_method(api)
        return self._server.call(endpoint, method, json_body, self._get_response_from_method(api))


class _TrackingClient(TrackingServiceClient):
    def __init__(self, server: Server) -> None:
        self._own_store = _TrackingStore(server)
        super().__init__(server.uri)

    @property
    def store(self) -> _TrackingStore:
        return self._own_store

    def _log_url(self, run_id: str) -> None:
        """Print no address of a run that has ended, on an stdout that may be read by a program."""

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Ask the server for a run's files; MLflow's own client would open the artifact store itself."""
        found: list[FileInfo] = []
        token = None
        while True:
            asked = ListArtifacts(run_id=run_id, path=path, page_token=token)
            page = self._own_store._call_endpoint(ListArtifacts, message_to_json(asked))  # noqa: SLF001 - our own
            found += [FileInfo.from_proto(f) for f in page.files]
            token = page.next_page_token
            if not token:
                return found


class _RegistryClient(ModelRegistryClient):
    def __init__(self, server: Server, tracking_uri: str) -> None:
        self._own_store = _RegistryStore(server)
        super().__init__(server.uri, tracking_uri)

    @property
    def store(self) -> _RegistryStore:
        return self._own_store


class PatientClient(MlflowClient):
    """MLflow's client, with our stores below it where a store is a server, and a tracking client that is given."""

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str,
        servers: Mapping[str, Server],
        tracking: TrackingServiceClient | None = None,
    ) -> None:
        super().__init__(tracking_uri=tracking_uri, registry_uri=registry_uri)
        if tracking_uri in servers:
            self._tracking_client = _TrackingClient(servers[tracking_uri])
        elif tracking is not None:
            self._tracking_client = tracking
        self._own_registry_client = (
            _RegistryClient(servers[registry_uri], tracking_uri)
            if registry_uri in servers
            else super()._get_registry_client()
        )

    def _get_registry_client(self) -> ModelRegistryClient:
        return self._own_registry_client

    def files_of_run(self, run_id: str, root: str, path: str | None = None) -> list[FileInfo]:
        """List a folder of a run's own files; `list_artifacts` mixes in those of its logged models.

        Args:
            run_id: The run.
            root: Its artifact URI.
            path: The folder in it; the whole if left out.
        """
        if isinstance(self._tracking_client, _TrackingClient):
            return self._tracking_client.list_artifacts(run_id, path)
        return list(get_artifact_repository(root, tracking_uri=self.tracking_uri).list_artifacts(path))

    def set_tag_of_version(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag without the question before, whether the name is a prompt's: it takes longer with each version."""
        self._own_registry_client.set_model_version_tag(name, version, key, value)
