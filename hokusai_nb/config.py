"""Settings: the only reader of environment variables."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

import pydantic
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from hokusai_nb.errors import HokusaiError

__all__ = ["Settings", "configure", "settings"]


_PREFIX = "HOKUSAI_"


class Settings(BaseSettings):
    """What can be set from outside; each field is the variable ``HOKUSAI_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, use_attribute_docstrings=True
    )

    api_key: SecretStr | None = None
    """Key for the Hokusai registry. With it, and with no MLflow store set, the registry is where we write."""
    api_endpoint: str = "https://registry.hokus.ai"
    """Hokusai registry; MLflow answers below it at ``/api/mlflow``."""
    http_timeout: float = Field(default=30.0, gt=0, le=600)
    """Seconds to wait for one answer of a server that is up; one that is down is noticed sooner."""
    contributor: str | None = None
    """Contributor's address for registrations that name none."""
    notebook_provenance: bool = True
    """Whether registrations from a notebook record its path, kernel, history digest and git commit."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "WARNING"
    """Level of the package's own log."""

    @property
    def proxy_uri(self) -> str:
        """Where the Hokusai registry answers as an MLflow server."""
        return f"{self.api_endpoint.rstrip('/')}/api/mlflow"

    def key_for(self, uri: str) -> SecretStr | None:
        """Return the API key if, and only if, the URI is the Hokusai registry's own."""
        home, target = urlsplit(self.proxy_uri), urlsplit(uri)
        same = (home.scheme, home.netloc) == (target.scheme, target.netloc)
        return self.api_key if same and f"{target.path}/".startswith(f"{home.path}/") else None


_lock = threading.Lock()
_changes: dict[str, Any] = {}


@lru_cache(maxsize=16)
def _validated(_environment: tuple[tuple[str, str], ...], changes: tuple[tuple[str, Any], ...]) -> Settings:
    return Settings(**dict(changes))


def settings() -> Settings:
    """Return the settings in force: the environment's, overlaid by `configure`.

    Raises:
        HokusaiError: A variable holds a value that it cannot have.
    """
    # Reading the environment is quick, validating it is not, and every call to a server asks.
    given = tuple((k, v) for k, v in os.environ.items() if k.upper().startswith(_PREFIX))
    try:
        return _validated(given, tuple(_changes.items()))
    except pydantic.ValidationError as error:
        # The value itself is left out: it may be a secret.
        found = "; ".join(f"HOKUSAI_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False))
        what = f"A setting is not valid: {found}."
        raise HokusaiError(what, "Correct or unset the environment variable.") from None


def configure(**changes: Any) -> Settings:
    """Override settings for this process; None goes back to the environment's value.

    Raises:
        HokusaiError: A value that the setting cannot have; nothing is changed then.
    """
    with _lock:
        before = dict(_changes)
        for name, value in changes.items():
            if value is None:
                _changes.pop(name, None)
            else:
                _changes[name] = value
        try:
            return settings()
        except HokusaiError:
            _changes.clear()
            _changes.update(before)
            raise
