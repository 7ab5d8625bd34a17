"""Every error this package raises on purpose.

    HokusaiError
    ├── ValidationError (ValueError)      a field is wrong; ``problems`` lists each with its repair
    │   ├── UsageError                    a magic line or a call that cannot be understood
    │   ├── MetricValidationError         the metric is not known, or a value lies outside its range
    │   ├── ModelValidationError          a prompt's name, template, version, stage or values are wrong
    │   ├── UnsafeTargetError             a webhook address that we do not send to
    │   └── FileAccessError (PermissionError)  the rights of a file that was named do not let us read it
    ├── SettingsError (ValueError)        a setting has a value that it cannot have, or lacks another
    ├── NotFoundError (LookupError)
    │   ├── ModelNotFoundError            no such registered model, version or logged model
    │   ├── RunNotFoundError              no such run, or the run was deleted
    │   ├── TokenNotFoundError            the token store knows no such token
    │   ├── EventNotFoundError            no such event
    │   └── KeyNotFoundError              no such API key
    ├── ConflictError                     it cannot be done in the state that things are in
    │   ├── TokenStatusError              the token's status does not allow it
    │   │   └── TokenBusyError            another registration of the token is under way
    │   └── TokenExistsError              a token of this id exists already
    ├── BaselineError                     the model does not reach the baseline
    ├── NoCurrentRunError (LookupError)   nothing is running and nothing has run in this process
    ├── NoModelError (LookupError)        the run holds no model
    ├── AmbiguousModelError (LookupError) the run holds several models; ``candidates`` names them
    ├── RegistryError                     MLflow answered with an error
    │   ├── ConnectionFailedError (ConnectionError)  the server cannot be reached in time
    │   ├── RegistryBusyError                        it has no time for the request just now
    │   ├── RegistryAccessError (PermissionError)    it, or its database, refuses the key or the password
    │   └── ReadOnlyError (PermissionError)          the store refuses to be written
    ├── DatabaseError                     the database of tokens and events answered with an error
    │   ├── DatabaseBusyError                          it is locked, or has no connection left, just now
    │   └── DatabaseConnectionError (ConnectionError)  it cannot be reached, or refuses access
    │       └── DatabaseAccessError (PermissionError)  it refuses the user, the password, or to be written
    ├── ServiceError                      the Hokusai API answered with an error
    │   ├── ServiceConnectionError (ConnectionError)   it cannot be reached in time
    │   ├── AccessError (PermissionError)              the key is missing, wrong or has too few rights
    │   └── RateLimitError                             too many requests; ``retry_after`` says how long to wait
    └── MissingExtraError (ImportError)   an optional dependency is not installed

Each says what failed and what to try; a notebook shows just those lines, without a stack trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AccessError",
    "AmbiguousModelError",
    "BaselineError",
    "ConflictError",
    "ConnectionFailedError",
    "DatabaseAccessError",
    "DatabaseBusyError",
    "DatabaseConnectionError",
    "DatabaseError",
    "EventNotFoundError",
    "FileAccessError",
    "HokusaiError",
    "HokusaiWarning",
    "KeyNotFoundError",
    "MetricValidationError",
    "MissingExtraError",
    "ModelNotFoundError",
    "ModelValidationError",
    "NoCurrentRunError",
    "NoModelError",
    "NotFoundError",
    "RateLimitError",
    "ReadOnlyError",
    "RegistryAccessError",
    "RegistryBusyError",
    "RegistryError",
    "RunNotFoundError",
    "ServiceConnectionError",
    "ServiceError",
    "SettingsError",
    "TokenBusyError",
    "TokenExistsError",
    "TokenNotFoundError",
    "TokenStatusError",
    "UnsafeTargetError",
    "UsageError",
    "ValidationError",
]


class HokusaiWarning(UserWarning):
    """Something was accepted that the user should look at again."""


class HokusaiError(Exception):
    """What failed, and what to try.

    Attributes:
        what: One sentence with the value that was refused.
        hint: What to try; empty where there is nothing sensible to say.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        """Both lines, so that a log or a ``pytest.raises(match=…)`` sees the hint too."""
        return f"{self.what}\n{self.hint}" if self.hint else self.what

    def _render_traceback_(self) -> list[str]:
        """Lines that IPython and ipykernel show in place of a stack trace, without control characters."""
        text = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(self))
        lines = f"{type(self).__name__}: {text}".splitlines()
        return [lines[0], *(f"  {line}" for line in lines[1:])]


class ProblemLike(Protocol):
    """The part of `hokusai_nb.schema.problems.Problem` that an error speaks of."""

    @property
    def what(self) -> str: ...
    @property
    def hint(self) -> str: ...


class ValidationError(HokusaiError, ValueError):
    """One or more fields are wrong; nothing was written.

    Attributes:
        problems: What is wrong, one entry per field at least, each with its hint and repair.
    """

    def __init__(self, problems: Sequence[ProblemLike]) -> None:
        first, *rest = problems
        lines = [first.hint, *(f"{p.what} {p.hint}".strip() for p in rest)]
        super().__init__(first.what, "\n".join(line for line in lines if line))
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[type[ValidationError], tuple[Sequence[ProblemLike]]]:
        """Pickle by the problems, from which the message is made again."""
        return type(self), (self.problems,)


class UsageError(ValidationError):
    """A magic line or a call that cannot be understood."""


class MetricValidationError(ValidationError):
    """``Metric Validation Failed``: the metric is not known, or a value lies outside its range."""


class ModelValidationError(ValidationError):
    """``Invalid template format: …``, ``Missing required variables: …`` and what else a prompt is refused for."""


class UnsafeTargetError(ValidationError):
    """A webhook address that we do not send to: another scheme, or a private network's."""


class FileAccessError(ValidationError, PermissionError):
    """The rights of a file that was named do not let us read it."""


class SettingsError(HokusaiError, ValueError):
    """A setting has a value that it cannot have, or lacks another; an environment variable sets most of them."""


class NotFoundError(HokusaiError, LookupError):
    """Something that was named does not exist."""


class ModelNotFoundError(NotFoundError):
    """No such registered model, version or logged model."""


class RunNotFoundError(NotFoundError):
    """No such run, or the run was deleted."""


class TokenNotFoundError(NotFoundError):
    """``Token not found``: the token store knows no such token."""


class EventNotFoundError(NotFoundError):
    """No such event."""


class KeyNotFoundError(NotFoundError):
    """No such API key."""


class ConflictError(HokusaiError):
    """It cannot be done in the state that things are in."""


class TokenStatusError(ConflictError):
    """``Token is not in Draft status``, or in another that a change does not start from."""


class TokenBusyError(TokenStatusError):
    """Another registration of the token is under way; the hint says until when it holds the token."""


class TokenExistsError(ConflictError):
    """A token of this id exists already."""


class BaselineError(HokusaiError):
    """``Model performance does not meet baseline``."""


class NoCurrentRunError(HokusaiError, LookupError):
    """Nothing is running and nothing has finished in this process."""


class NoModelError(HokusaiError, LookupError):
    """The run holds no model."""


class AmbiguousModelError(HokusaiError, LookupError):
    """The run holds several models.

    Attributes:
        candidates: Model URIs to choose from, newest first.
    """

    def __init__(self, what: str, hint: str, candidates: Sequence[str] = ()) -> None:
        super().__init__(what, hint)
        self.args = (what, hint, candidates)
        self.candidates = tuple(candidates)


class RegistryError(HokusaiError):
    """MLflow answered with an error."""


class ConnectionFailedError(RegistryError, ConnectionError):
    """The server cannot be reached, or does not answer in time."""


class RegistryBusyError(RegistryError):
    """MLflow turns requests away, or its database is locked; a moment later it may not be."""


class RegistryAccessError(RegistryError, PermissionError):
    """MLflow, or its database, refuses the key or the password."""


class ReadOnlyError(RegistryError, PermissionError):
    """The store refuses to be written."""


class DatabaseError(HokusaiError):
    """The database of tokens and events answered with an error."""


class DatabaseBusyError(DatabaseError):
    """It is locked, or every connection is in use; a moment later it may not be."""


class DatabaseConnectionError(DatabaseError, ConnectionError):
    """``Database Connection Failed``: it cannot be reached, or refuses access."""


class DatabaseAccessError(DatabaseConnectionError, PermissionError):
    """It refuses the user, the password, or to be written."""


class ServiceError(HokusaiError):
    """The Hokusai API answered with an error."""


class ServiceConnectionError(ServiceError, ConnectionError):
    """The Hokusai API cannot be reached in time."""


class AccessError(ServiceError, PermissionError):
    """The API key is missing, wrong, expired, or has too few rights."""


class RateLimitError(ServiceError):
    """Too many requests.

    Attributes:
        retry_after: Seconds to wait before the next one.
    """

    def __init__(self, what: str, hint: str = "", retry_after: float = 0.0) -> None:
        super().__init__(what, hint)
        self.args = (what, hint, retry_after)
        self.retry_after = retry_after


class MissingExtraError(HokusaiError, ImportError):
    """An optional dependency is not installed; the hint is the command that installs it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra that is not installed.", f"pip install 'hokusai_nb[{extra}]'")
        self.args = (feature, extra)
