"""The API key on MLflow's own requests: on those to the Hokusai registry, and on no others.

MLflow asks one provider for the authentication of all its requests, those for artifacts included,
and only if ``MLFLOW_TRACKING_AUTH`` names one. `KeyContext` makes ours the one that is asked where
the user named none, so that the key is all that a user has to set. Nothing is exported to child
processes; each finds the plugin itself.

MLflow loads this module at ``import mlflow``: it imports nothing that MLflow itself does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url, get_netrc_auth

from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

    from hokusai_nb.config import Settings

__all__ = ["NAME", "KeyAuth", "KeyContext", "KeyProvider"]

NAME = "hokusai"
"""What ``MLFLOW_TRACKING_AUTH`` would be set to, to name the provider by hand."""


class KeyContext:
    """A run context that adds no tags: MLflow makes one of each at its import, and has no other hook there."""

    def __init__(self) -> None:
        from mlflow.environment_variables import MLFLOW_TRACKING_AUTH  # noqa: PLC0415 - MLflow is being imported

        if MLFLOW_TRACKING_AUTH.default is None:
            MLFLOW_TRACKING_AUTH.default = NAME

    def in_context(self) -> bool:
        """Say that there is nothing to add."""
        return False

    def tags(self) -> dict[str, str]:
        """Return no tags."""
        return {}


class KeyProvider:
    """What MLflow asks for the authentication of its requests."""

    def get_name(self) -> str:
        """Return the name that MLflow finds the provider by."""
        return NAME

    def get_auth(self) -> KeyAuth | None:
        """Return what adds the key; None without a key, which leaves everything to requests as it was."""
        from hokusai_nb.config import settings  # noqa: PLC0415 - pydantic is loaded at the first request only

        try:
            found = settings()
        except HokusaiError as error:
            # Requests to other servers must not fail for it.
            logger.warning("MLflow's requests go without an API key. %s", error.what)
            return None
        return KeyAuth(found) if found.api_key is not None else None


class KeyAuth(AuthBase):
    """Adds the key to one request, if it goes to the Hokusai registry."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the key, or do what requests would have done; called by requests just before it sends."""
        key = self._settings.key_for(request.url or "")
        if key is None:
            return _as_without(request)
        request.headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        request.register_hook("response", self._leave_key_behind)
        return request

    def _leave_key_behind(self, response: Response, **_: Any) -> None:
        """Take the key off before a redirect is followed to anywhere but the registry.

        requests does so by itself where the host changes, but not where only the path does.
        """
        if response.is_redirect:
            target = urljoin(response.url, response.headers["Location"])
            if self._settings.key_for(target) is None:
                response.request.headers.pop("Authorization", None)


def _as_without(request: PreparedRequest) -> PreparedRequest:
    """Do what requests does itself where it is handed no authentication: ask netrc, then the address."""
    url = request.url or ""
    user, password = get_netrc_auth(url) or get_auth_from_url(url)
    return HTTPBasicAuth(user, password)(request) if user or password else request
