"""Settings: the only reader of environment variables."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import pydantic
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from hokusai_nb.errors import HokusaiError

__all__ = ["Settings", "configure", "session_notebook", "settings"]


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
        home, target = _place(self.proxy_uri), _place(uri)
        if home is None or target is None or home[0] != target[0]:
            return None
        return self.api_key if f"{target[1]}/".startswith(f"{home[1]}/") else None


def _place(uri: str) -> tuple[tuple[str, str, int | None], str] | None:
    """Return the (scheme, host, port) and the path of an address; None if it is not a plain one.

    Credentials in the address and dots in its path are how one host passes for another.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
    plain = "@" not in parts.netloc and "\\" not in uri and not {".", ".."} & set(unquote(parts.path).split("/"))
    return ((parts.scheme, parts.hostname or "", port), parts.path.rstrip("/")) if plain else None


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
    return _read(_changes)


def _read(changes: dict[str, Any]) -> Settings:
    # Reading the environment is quick, validating it is not, and every call to a server asks.
    given = tuple((k, v) for k, v in os.environ.items() if k.upper().startswith(_PREFIX))
    try:
        return _validated(given, tuple(changes.items()))
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
    global _changes  # noqa: PLW0603 - replaced as a whole, so that a reader never sees half of it
    with _lock:
        wanted = {**_changes, **changes}
        for name, value in wanted.items():
            if not isinstance(value, Hashable):
                what = f"A setting is not valid: HOKUSAI_{name.upper()}: {type(value).__name__} is no value."
                raise HokusaiError(what, "Give text, a number or a truth value.")
        wanted = {name: value for name, value in wanted.items() if value is not None}
        found = _read(wanted)
        _changes = wanted
        return found


def session_notebook() -> str | None:
    """Return the path of the notebook that Jupyter says it started this kernel for, if it says so."""
    return os.environ.get("JPY_SESSION_NAME")
