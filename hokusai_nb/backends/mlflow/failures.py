"""MLflow's errors in our words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import requests
import sqlalchemy
import urllib3
from mlflow.exceptions import MlflowException

from hokusai_nb.errors import (
    ConnectionFailedError,
    HokusaiError,
    NotFoundError,
    ReadOnlyError,
    RegistryAccessError,
    RegistryBusyError,
    RegistryError,
)
from hokusai_nb.log import redact
from hokusai_nb.schema.hints import STORE_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["answer_lost", "dropped", "translate", "unreachable", "why"]

_NOT_FOUND = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
_DENIED = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
_BUSY = {"TEMPORARILY_UNAVAILABLE", "RESOURCE_EXHAUSTED", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED"}
_GATEWAY = re.compile(r"failed with error code 502 ")
_DENIED_BY_DATABASE = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|access denied for user|"
    r"role .* does not exist",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(
    r"attempt to write a readonly database|in a read-only transaction|read-only file system|permission denied for |"
    r"\[Errno 13\]|\[Errno 30\]",
    re.IGNORECASE,
)
_NO_DATABASE = re.compile(
    r"unable to open database|could not connect|connection (refused|failed|timed? ?out|timeout)|"
    r"server closed the connection|file is not a database|can't connect to|database .* does not exist",
    re.IGNORECASE,
)
_LOCKED = re.compile(r"database is locked", re.IGNORECASE)
# requests passes urllib3's own errors off as failed connections where no retry is allowed.
_TIMEOUTS = (
    requests.exceptions.Timeout,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ReadTimeoutError,
)
_UNAVAILABLE = 500
_LONGEST = 300


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from; MLflow often drops the explicit cause."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def unreachable(uri: str, reason: str) -> ConnectionFailedError:
    """Return the error for a store that does not answer.

    Args:
        uri: The store, without credentials.
        reason: What was observed, one clause.
    """
    hint = f"Check that it is running, or name another store: {STORE_OPTIONS}."
    return ConnectionFailedError(f"Failed to connect to MLflow at {uri}: {reason}.", hint)


def why(error: BaseException) -> str | None:
    """Return in one clause why there is no connection, or None if the error speaks of something else."""
    causes = list(_causes(error))
    if any(isinstance(c, requests.exceptions.SSLError) for c in causes):
        return "its certificate is not accepted"
    if _timed_out(causes):
        return "it did not answer in time"
    if any(isinstance(c, urllib3.exceptions.NameResolutionError) for c in causes):
        return "its name is not known"
    if any(isinstance(c, (requests.exceptions.ConnectionError, requests.exceptions.InvalidURL)) for c in causes):
        return "the connection failed"
    return None


def _timed_out(causes: Iterable[BaseException]) -> bool:
    # To urllib3 a refused connection is a kind of timeout.
    return any(isinstance(c, _TIMEOUTS) and not isinstance(c, urllib3.exceptions.NewConnectionError) for c in causes)


def dropped(error: BaseException) -> bool:
    """Whether a connection broke or was refused, so that asking again may help; a timeout is no such case."""
    causes = list(_causes(error))
    if _timed_out(causes) or any(isinstance(c, requests.exceptions.SSLError) for c in causes):
        return False
    return any(isinstance(c, requests.exceptions.ConnectionError) for c in causes)


def answer_lost(error: MlflowException) -> bool:
    """Whether the call may have been carried out all the same: it went out, and no proper answer came back."""
    unsent = (
        requests.exceptions.ConnectTimeout,
        urllib3.exceptions.ConnectTimeoutError,
        requests.exceptions.InvalidURL,
        requests.exceptions.SSLError,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.NameResolutionError,
    )
    if any(isinstance(c, unsent) for c in _causes(error)):
        return False
    return int(error.get_http_status_code()) >= _UNAVAILABLE


def translate(error: Exception, uri: str) -> HokusaiError:
    """Return our error for one of MLflow's.

    Args:
        error: What MLflow, SQLAlchemy or requests raised.
        uri: The store it was raised by, without credentials.
    """
    text = redact(_first_line(error))
    if reason := why(error):
        return unreachable(uri, reason)
    code = error.error_code if isinstance(error, MlflowException) else ""
    found = _of_request(code, text, uri) or _of_database(error, uri) or _of_load(code, text, uri)
    return found or RegistryError(f"MLflow Error: {text}", f"The store is {uri}.")


def _of_request(code: str, text: str, uri: str) -> HokusaiError | None:
    """Return our error for what a server has against the request or whoever sent it."""
    if code in _NOT_FOUND:
        return NotFoundError(text)
    if code in _DENIED:
        hint = "Check HOKUSAI_API_KEY, MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and its password."
        return RegistryAccessError(f"MLflow at {uri} refused access: {text}", hint)
    if code == "ENDPOINT_NOT_FOUND":
        return RegistryError(f"{uri} answers, but not as an MLflow server: {text}", "Check the address and its path.")
    return None


def _of_load(code: str, text: str, uri: str) -> HokusaiError | None:
    """Return our error where a server or gateway has no time; asked last, as MLflow says so of much else, too."""
    if code in _BUSY or _GATEWAY.search(text):
        return RegistryBusyError(f"MLflow at {uri} turns requests away: {text}", "Try again.")
    return None


def _of_database(error: Exception, uri: str) -> HokusaiError | None:
    """Return our error where a database or a file system refused, this side of a server or behind it."""
    kinds = (sqlalchemy.exc.SQLAlchemyError, OSError)
    whole = str(error)
    if not any(isinstance(c, kinds) for c in _causes(error)) and "Error) " not in whole:
        return None
    if _READ_ONLY.search(whole):
        return ReadOnlyError(
            f"The MLflow store at {uri} cannot be written.", "Check the rights of its file or account."
        )
    if _DENIED_BY_DATABASE.search(whole):
        return RegistryAccessError(f"The database at {uri} refused access.", "Check the user name and the password.")
    if _NO_DATABASE.search(whole):
        return unreachable(uri, "the database cannot be opened")
    if _LOCKED.search(whole):
        hint = "Another process is writing to it; try again, or use a server for many writers."
        return RegistryBusyError(f"The MLflow store at {uri} is locked.", hint)
    return None


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    first = text.splitlines()[0]
    return first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
