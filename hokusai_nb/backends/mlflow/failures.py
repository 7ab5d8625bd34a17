"""MLflow's errors in our words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import requests
from mlflow.exceptions import MlflowException

from hokusai_nb.errors import ConnectionFailedError, HokusaiError, NotFoundError, ReadOnlyError, RegistryError
from hokusai_nb.log import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["translate", "unreachable"]

_NOT_FOUND = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
_DENIED = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
_READ_ONLY = re.compile(r"readonly database|read-only|permission denied", re.IGNORECASE)
_NO_DATABASE = re.compile(
    r"unable to open database|could not connect|connection (refused|failed|timed out)|server closed the connection",
    re.IGNORECASE,
)
_LOCKED = re.compile(r"database is locked", re.IGNORECASE)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from; MLflow often drops the explicit cause."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def unreachable(uri: str, why: str) -> ConnectionFailedError:
    """Return the error for a store that does not answer.

    Args:
        uri: The store, without credentials.
        why: What was observed, one clause.
    """
    hint = "Check that it is running, or point MLflow elsewhere with mlflow.set_tracking_uri(…)."
    return ConnectionFailedError(f"Failed to connect to MLflow at {uri}: {why}.", hint)


def translate(error: Exception, uri: str) -> HokusaiError:
    """Return our error for one of MLflow's.

    Args:
        error: What MLflow, SQLAlchemy or requests raised.
        uri: The store it was raised by, without credentials.
    """
    return _lost(error, uri) or _refused(error, uri) or _database(error, uri) or _other(error, uri)


def _lost(error: Exception, uri: str) -> HokusaiError | None:
    causes = list(_causes(error))
    if any(isinstance(c, requests.exceptions.Timeout) for c in causes):
        return unreachable(uri, "it did not answer in time")
    if any(isinstance(c, requests.exceptions.ConnectionError) for c in causes):
        return unreachable(uri, "the connection failed")
    return None


def _refused(error: Exception, uri: str) -> HokusaiError | None:
    code = error.error_code if isinstance(error, MlflowException) else None
    if code in _NOT_FOUND:
        return NotFoundError(_first_line(error))
    if code in _DENIED:
        hint = "Check HOKUSAI_API_KEY, MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and its password."
        return RegistryError(f"MLflow at {uri} refused access: {_first_line(error)}", hint)
    return None


def _database(error: Exception, uri: str) -> HokusaiError | None:
    text = str(error)
    if _READ_ONLY.search(text):
        hint = "Check the rights of its file or account."
        return ReadOnlyError(f"The MLflow store at {uri} cannot be written.", hint)
    if _NO_DATABASE.search(text):
        return unreachable(uri, "the database cannot be opened")
    if _LOCKED.search(text):
        hint = "Another process is writing to it; try again, or use a server for many writers."
        return RegistryError(f"The MLflow store at {uri} is locked.", hint)
    return None


def _other(error: Exception, uri: str) -> HokusaiError:
    return RegistryError(f"MLflow Error: {_first_line(error)}", f"The store is {uri}.")


def _first_line(error: Exception) -> str:
    text = redact(str(error)).strip() or type(error).__name__
    first = text.splitlines()[0]
    return first if len(first) <= 300 else f"{first[:300]}…"  # noqa: PLR2004 - one readable line
