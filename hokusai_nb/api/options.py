"""How a server runs; everything it needs to be made, also in another process."""

from __future__ import annotations

import pydantic
from pydantic import Field, SecretStr

from hokusai_nb.config import DatabaseConfig

__all__ = ["ServerConfig"]

_MEBIBYTE = 1 << 20
_GIBIBYTE = 1 << 30


class ServerConfig(pydantic.BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How a server runs."""

    database: DatabaseConfig | None = None
    """Of tokens, events and keys; what the settings name if left out, else a SQLite file."""
    mlflow_uri: str
    """Database of MLflow, which then runs in this process, or the address of an MLflow server to forward to."""
    artifacts: str | None = None
    """Folder or bucket that keeps MLflow's artifacts; beside a SQLite file, or in the working folder, if left out.
    An MLflow server elsewhere has its own."""
    webhook_url: SecretStr | None = None
    """Where events are posted; what the settings name if left out."""
    rate_limit: str | None = None
    """Requests that one key may make, such as 600/minute; what the settings say if left out."""
    wrong_key_limit: str = "30/minute"
    """Wrong keys that one address may send."""
    key_cache_seconds: float = Field(default=5.0, ge=0, le=30)
    """How long a key is remembered as valid, so at most how long it outlives its revocation."""
    body_limit: int = Field(default=2 * _MEBIBYTE, gt=0)
    """Most bytes of a body."""
    mlflow_body_limit: int = Field(default=32 * _MEBIBYTE, gt=0)
    """Most bytes of what MLflow's clients send, artifacts apart."""
    upload_limit: int = Field(default=10 * _GIBIBYTE, gt=0)
    """Most bytes of one uploaded artifact."""
    threads: int = Field(default=20, ge=2, le=500)
    """Requests that one process works on at a time; the others wait. The database of tokens, events and keys gets as
    many connections, one more for the worker that delivers events, and never fewer than 20."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that are answered for, such as api.example.org or *.example.org; any if empty."""
    deliver_events: bool = True
    """Whether this server delivers events, too."""
    drain_seconds: int = Field(default=30, ge=1, le=3600)
    """How long requests under way may take to finish once the server is told to stop."""
