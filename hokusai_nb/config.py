"""Settings: the only reader of environment variables."""

from __future__ import annotations

import getpass
import json
import os
import threading
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeAlias
from urllib.parse import unquote, urlsplit

import pydantic
import yaml  # type: ignore[import-untyped]
from pydantic import AliasChoices, BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from hokusai_nb.errors import FileAccessError, SettingsError, ValidationError

__all__ = [
    "DatabaseConfig",
    "DatabaseType",
    "Settings",
    "acting_user",
    "called_from_kernel",
    "configure",
    "default_database",
    "read_database_file",
    "runs_in_ci",
    "session_notebook",
    "settings",
    "store_choice",
]


_PREFIX = "HOKUSAI_"
_OTHERS = ("WEBHOOK_URL", "WEBHOOK_SECRET", "DELTAONE_WEBHOOK_ENDPOINTS")
"""Variables without our prefix that older systems set."""
_FIELDS = "It holds host, port, database, username, password and db_type (postgresql, mysql or sqlite)."
DatabaseType: TypeAlias = Literal["postgresql", "mysql", "sqlite"]


class DatabaseConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True):
    """Where tokens and events are kept; for SQLite, ``database`` is the path of the file."""

    db_type: DatabaseType = "postgresql"
    host: str = "localhost"
    port: int | None = Field(default=None, gt=0, lt=65_536)
    """The type's usual one if left out."""
    database: str = Field(min_length=1)
    username: str | None = None
    password: SecretStr | None = None

    @pydantic.model_validator(mode="after")
    def _check_file(self) -> Self:
        # SQLAlchemy would make something else of these than a file, and each connection another of the first.
        if self.db_type == "sqlite" and (self.database == ":memory:" or "://" in self.database):
            msg = "for sqlite, database is the path of a file"
            raise ValueError(msg)
        return self


class Settings(BaseSettings):
    """What can be set from outside; each field is the variable ``HOKUSAI_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, use_attribute_docstrings=True, populate_by_name=True
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
    mock_mode: bool = False
    """Whether everything is done on a private temporary MLflow and with tokens that need not exist."""
    db_type: DatabaseType | None = None
    """Kind of the database of tokens and events; with any of the ``DB_`` variables, that database is used."""
    db_host: str | None = None
    """Its host."""
    db_port: int | None = Field(default=None, gt=0, lt=65_536)
    """Its port."""
    db_name: str | None = None
    """Its name; for SQLite, the path of the file."""
    db_user: str | None = None
    """Its user."""
    db_password: SecretStr | None = None
    """Its password."""
    lease_seconds: float = Field(default=60.0, gt=0, le=86_400)
    """How long a registration that gives no sign of life keeps its token from others."""
    event_handlers: tuple[str, ...] = ("webhook",)
    """Who is told of events beside the console: ``webhook``, ``database``, or names of entry points; a JSON array."""
    site_webhook_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("HOKUSAI_SITE_WEBHOOK_URL", "WEBHOOK_URL")
    )
    """Where events are posted; its path or query may be a secret. ``WEBHOOK_URL`` is read too."""
    site_webhook_secret: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("HOKUSAI_SITE_WEBHOOK_SECRET", "WEBHOOK_SECRET")
    )
    """What posts are signed with. ``WEBHOOK_SECRET`` is read too."""
    deltaone_webhook_endpoints: tuple[SecretStr, ...] = Field(
        default=(), validation_alias=AliasChoices("DELTAONE_WEBHOOK_ENDPOINTS")
    )
    """Where ``deltaone_achieved`` is posted; a JSON array."""
    webhook_allow_private: bool = False
    """Whether webhooks may go to loopback, private and link-local addresses."""
    rate_limit: str = "600/minute"
    """Requests that one API key may make of the server."""
    redis_url: SecretStr | None = None
    """Where several workers of the server count requests together; each counts alone if left out."""

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

    @property
    def database(self) -> DatabaseConfig | None:
        """The database that the ``HOKUSAI_DB_`` variables name; None where none of them is set.

        Raises:
            SettingsError: They describe none.
        """
        given = {
            "db_type": self.db_type,
            "host": self.db_host,
            "port": self.db_port,
            "database": self.db_name,
            "username": self.db_user,
            "password": self.db_password,
        }
        given = {key: value for key, value in given.items() if value is not None}
        if not given:
            return None
        if "database" not in given:
            msg = "HOKUSAI_DB_NAME is not set."
            raise SettingsError(msg, "Name the database, or unset the other HOKUSAI_DB_ variables.")
        try:
            return DatabaseConfig.model_validate(given)
        except pydantic.ValidationError as error:
            msg = f"The HOKUSAI_DB_ variables describe no database: {_wrong(error)}."
            raise SettingsError(msg, "Correct or unset them.") from None


def default_database() -> DatabaseConfig:
    """Return the SQLite file that is used where nothing else is named: in the user's folder for data."""
    import platformdirs  # noqa: PLC0415 - rarely needed

    folder = platformdirs.user_data_path("hokusai", appauthor=False)
    return DatabaseConfig(db_type="sqlite", database=str(folder / "hokusai.db"))


def read_database_file(path: str | os.PathLike[str]) -> DatabaseConfig:
    """Return the database that a JSON or YAML file describes.

    Raises:
        FileAccessError: Its rights do not let us read it.
        ValidationError: It cannot be read, or is no such description. What it holds is not repeated.
    """
    try:
        return DatabaseConfig.model_validate(_parsed(Path(path).read_text(encoding="utf-8-sig")))
    except PermissionError as error:
        hint = "Check the rights of the file and its folder."
        raise FileAccessError([_unfit(path, f"cannot be read: {error.strerror}", hint)]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ValidationError([_unfit(path, f"cannot be read: {reason}")]) from None
    except pydantic.ValidationError as error:
        raise ValidationError([_unfit(path, f"is not valid: {_wrong(error)}")]) from None
    except (yaml.YAMLError, ValueError):  # YAML reads 2026-13-01 as a date, and fails at it
        raise ValidationError([_unfit(path, "is neither JSON nor YAML")]) from None


class _Problem(NamedTuple):
    """What `ValidationError` speaks of; the record of that name is above this module."""

    field: str
    what: str
    hint: str


def _unfit(path: str | os.PathLike[str], why: str, hint: str = _FIELDS) -> _Problem:
    return _Problem("db_config", f"The database configuration {str(path)!r} {why}.", hint)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # JSON that is indented with tabs is no YAML, so it is tried first
        return yaml.safe_load(text)


def _wrong(error: pydantic.ValidationError) -> str:
    """Return what is wrong with which field, without the values, one of which may be a password."""
    found = error.errors(include_input=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in found)


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
        SettingsError: A variable holds a value that it cannot have.
    """
    return _read(_changes)


def _read(changes: dict[str, Any]) -> Settings:
    # Reading the environment is quick, validating it is not, and every call to a server asks.
    given = tuple((k, v) for k, v in os.environ.items() if k.upper().startswith(_PREFIX) or k.upper() in _OTHERS)
    try:
        return _validated(given, tuple(changes.items()))
    except pydantic.ValidationError as error:
        # The value itself is left out: it may be a secret.
        found = "; ".join(f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors(include_input=False))
        what = f"A setting is not valid: {found}."
        raise SettingsError(what, "Correct or unset the environment variable.") from None


def _variable(place: tuple[int | str, ...]) -> str:
    name = str(place[0]).upper()
    return name if name.startswith(_PREFIX) or name in _OTHERS else f"{_PREFIX}{name}"


def configure(**changes: Any) -> Settings:
    """Override settings for this process; None goes back to the environment's value.

    Raises:
        SettingsError: A value that the setting cannot have; nothing is changed then.
    """
    global _changes  # noqa: PLW0603 - replaced as a whole, so that a reader never sees half of it
    with _lock:
        wanted = {**_changes, **changes}
        for name, value in wanted.items():
            if not isinstance(value, Hashable):
                what = f"A setting is not valid: HOKUSAI_{name.upper()}: {type(value).__name__} is no value."
                raise SettingsError(what, "Give text, a number or a truth value.")
        wanted = {name: value for name, value in wanted.items() if value is not None}
        found = _read(wanted)
        _changes = wanted
        return found


_CHOOSING = ("mock_mode", "api_key", "api_endpoint")


def store_choice() -> tuple[object, ...]:
    """Return what decides which MLflow store is in force, in a few microseconds; equal as long as none of it changes.

    MLflow keeps in these variables what it is set to, also by ``mlflow.set_tracking_uri``.
    """
    variables = [os.environ.get(f"{_PREFIX}{name.upper()}") for name in _CHOOSING]
    mlflow = (os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get("MLFLOW_REGISTRY_URI"))
    return (*mlflow, *variables, *map(_changes.get, _CHOOSING))


def acting_user() -> str:
    """Return the name of the user that this process works for, as histories record it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def called_from_kernel() -> bool:
    """Return whether a notebook's kernel started this process, so that nobody can answer what it asks."""
    return "JPY_PARENT_PID" in os.environ


def runs_in_ci() -> bool:
    """Return whether a service for continuous integration runs this process; all of them set ``CI``."""
    return os.environ.get("CI", "").strip().lower() not in ("", "0", "false", "no", "off")


def session_notebook() -> str | None:
    """Return the path of the notebook that Jupyter says it started this kernel for, if it says so."""
    return os.environ.get("JPY_SESSION_NAME")
