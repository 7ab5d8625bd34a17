"""MLflow's REST stores with bounded patience.

MLflow's own stores read their retry policy from the environment, for the whole process: 7 retries
of everything, 4 minutes for a dead server. Ours pass a policy with each call instead, so that a
user's other MLflow calls keep theirs: reads are retried briefly, writes never, because a retried
write may be a second version.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.rest_store import RestStore as RegistryRestStore
from mlflow.store.tracking.rest_store import RestStore as TrackingRestStore
from mlflow.tracking import MlflowClient
from mlflow.tracking._model_registry.client import ModelRegistryClient
from mlflow.tracking._tracking_service.client import TrackingServiceClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.proto_json_utils import parse_dict
from mlflow.utils.rest_utils import MlflowHostCreds, http_request, verify_rest_response

from hokusai_nb.backends.mlflow.failures import unreachable
from hokusai_nb.config import settings
from hokusai_nb.log import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

__all__ = ["PatientClient", "Server", "credentials"]

CONNECT_SECONDS = 2.0
PROBE_SECONDS = 2.5
PROBE_AFTER_SECONDS = 30.0
READ_RETRIES = 2


def credentials(uri: str) -> MlflowHostCreds:
    """Return what MLflow would send to the server; the Hokusai registry gets its API key."""
    creds: MlflowHostCreds = get_default_host_creds(uri)
    if key := settings().key_for(uri):
        creds.token, creds.username, creds.password = key.get_secret_value(), None, None
    return creds


class Server:
    """One MLflow server: how long to wait for it, and whether it was seen alive lately."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.creds: Callable[[], MlflowHostCreds] = partial(credentials, uri)
        self._seen = float("-inf")

    def ensure_alive(self) -> None:
        """Ask for a sign of life unless there was one lately.

        A server that hangs would otherwise cost the full answer time of a real call.

        Raises:
            ConnectionFailedError: Nothing answers within five seconds.
        """
        if time.monotonic() - self._seen < PROBE_AFTER_SECONDS:
            return
        patience = (CONNECT_SECONDS, PROBE_SECONDS)
        try:
            http_request(self.creds(), "/health", "GET", max_retries=0, timeout=patience, raise_on_status=False)
        except MlflowException as error:
            why = (
                "it did not answer in time"
                if isinstance(error.__cause__, requests.exceptions.Timeout)
                else "the connection failed"
            )
            raise unreachable(redact(self.uri), why) from error
        self._seen = time.monotonic()

    def call(self, endpoint: str, method: str, json_body: str | None, response: Message) -> Message:
        """Call an endpoint of MLflow's REST API and parse the answer into the message.

        Raises:
            MlflowException: As MLflow's own stores raise it.
        """
        body = None if json_body is None else json.loads(json_body)
        content: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        repeatable = method == "GET" or endpoint.endswith("search")
        answer = http_request(
            self.creds(),
            endpoint,
            method,
            max_retries=READ_RETRIES if repeatable else 0,
            backoff_factor=0.2,
            backoff_jitter=0.1,
            timeout=(CONNECT_SECONDS, settings().http_timeout),
            raise_on_status=False,
            **content,
        )
        verify_rest_response(answer, endpoint)
        self._seen = time.monotonic()
        parse_dict(js_dict=answer.json(), message=response)
        return response


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

    def _call_endpoint(self, api: Any, json_body: str | None, *args: object, **kwargs: object) -> Any:
        if args or kwargs:  # alternative endpoints of older servers and extra headers: MLflow's own way
            return super()._call_endpoint(api, json_body, *args, **kwargs)
        endpoint, method = self._get_endpoint_from_method(api)
        return self._server.call(endpoint, method, json_body, self._get_response_from_method(api))


class _TrackingClient(TrackingServiceClient):
    def __init__(self, server: Server) -> None:
        self._own_store = _TrackingStore(server)
        super().__init__(server.uri)

    @property
    def store(self) -> _TrackingStore:
        return self._own_store


class _RegistryClient(ModelRegistryClient):
    def __init__(self, server: Server, tracking_uri: str) -> None:
        self._own_store = _RegistryStore(server)
        super().__init__(server.uri, tracking_uri)

    @property
    def store(self) -> _RegistryStore:
        return self._own_store


class PatientClient(MlflowClient):
    """MLflow's client, with our stores below it where a store is a server."""

    def __init__(self, tracking_uri: str, registry_uri: str, servers: Mapping[str, Server]) -> None:
        super().__init__(tracking_uri=tracking_uri, registry_uri=registry_uri)
        if tracking_uri in servers:
            self._tracking_client = _TrackingClient(servers[tracking_uri])
        self._own_registry_client = (
            _RegistryClient(servers[registry_uri], tracking_uri)
            if registry_uri in servers
            else super()._get_registry_client()
        )

    def _get_registry_client(self) -> ModelRegistryClient:
        return self._own_registry_client
