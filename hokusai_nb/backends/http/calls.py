"""The calls of the Hokusai API, each described once; the clients make them.

Pure functions: nothing here knows whether somebody waits for the answer or awaits it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hokusai_nb.backends.http import replies
from hokusai_nb.backends.http.call import (
    HEALTH,
    Call,
    Page,
    as_body,
    as_query,
    event_path,
    model_path,
    token_path,
    version_of,
    version_path,
)
from hokusai_nb.schema.events import Event, EventPage, EventRecord, RegistrationEvent
from hokusai_nb.schema.lifecycle import NewToken, Status, Token, TokenChange, TokenPage, Transition
from hokusai_nb.schema.problems import raise_for
from hokusai_nb.schema.records import Comparison, Lineage, RegisteredModel
from hokusai_nb.schema.tags import REQUIRED_TAGS, check_extra_tags, check_tags, tag_text

if TYPE_CHECKING:
    from hokusai_nb.schema.metrics import Metric
    from hokusai_nb.schema.verbs import Register

__all__ = [
    "PAGE_SIZE",
    "change_token",
    "compare",
    "create_token",
    "delete_version",
    "events",
    "health",
    "history",
    "lineage",
    "metrics",
    "model",
    "models",
    "publish",
    "ready",
    "register",
    "renew_lease",
    "report_registration",
    "retry_event",
    "token",
    "tokens",
    "update_tags",
]

PAGE_SIZE = 100
"""Entries that are asked for at a time, unless a caller wants another number."""


# Models


def register(verb: Register) -> Call[RegisteredModel]:
    """Register a model under a token and return the version; asking again returns the same one.

    What only a notebook has, a variable or the current run, the server cannot see: name the run or
    the model.

    Raises:
        ValidationError: Some field is wrong; nothing was written.
        NotFoundError: There is no such run or model.
    """
    return Call("POST", "/api/v1/models", RegisteredModel.model_validate_json, body=as_body(verb))


def models(
    prefix: str | None = None, *, token: str | None = None, page_size: int = PAGE_SIZE
) -> Call[Page[RegisteredModel]]:
    """Return the versions that carry a token, by name and version.

    Args:
        prefix: Only of names that begin with this.
        token: Only of this token.
        page_size: How many are asked for at a time.
    """
    query = as_query(prefix=prefix or None, token=token, limit=page_size)
    return Call("GET", "/api/v1/models", replies.ModelPage.model_validate_json, query)


def model(name: str, version: int | str | None = None) -> Call[RegisteredModel]:
    """Return a version; None means the latest.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    path = model_path(name) if version is None else version_path(name, version)
    return Call("GET", path, RegisteredModel.model_validate_json)


def lineage(name: str) -> Call[Lineage]:
    """Return all versions of a model in order, each with its parent, improvement and run.

    Raises:
        ModelNotFoundError: No such model, or it has no version.
    """
    return Call("GET", f"{model_path(name)}/lineage", Lineage.model_validate_json)


def compare(name: str, first: int | str, second: int | str) -> Call[Comparison]:
    """Return two versions side by side: tags, metrics, parameters and the improvement.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    query = as_query(first=version_of(name, first), second=version_of(name, second))
    return Call("GET", f"{model_path(name)}/compare", Comparison.model_validate_json, query)


def update_tags(name: str, version: int | str, tags: Mapping[str, object]) -> Call[RegisteredModel]:
    """Set tags of a version; the whole set of tags must stay valid.

    Raises:
        ValidationError: The version's tags would no longer be valid; none is changed.
        ModelNotFoundError: No such model or version.
    """
    if not isinstance(tags, Mapping):
        raise_for(check_extra_tags(tags))
    if not tags:
        return model(name, version)
    required = [key for key in tags if key in REQUIRED_TAGS]
    raise_for(check_extra_tags({key: value for key, value in tags.items() if key not in required}))
    texts = {key: tag_text(value) for key, value in tags.items()}
    raise_for(p for p in check_tags(tags) if p.field in required and texts[p.field] is None)
    body = as_body({"tags": texts})
    return Call("PATCH", f"{version_path(name, version)}/tags", RegisteredModel.model_validate_json, body=body)


def delete_version(name: str, version: int | str) -> Call[None]:
    """Delete one version; its number is not given out again.

    Raises:
        ModelNotFoundError: No such model or version.
    """
    return Call("DELETE", version_path(name, version), replies.nothing, gone_is_done=True)


def metrics() -> Call[tuple[Metric, ...]]:
    """Return the metrics that the server knows."""
    return Call("GET", "/api/v1/metrics", replies.catalogue)


# Tokens


def create_token(token: NewToken) -> Call[Token]:
    """Create a token in draft.

    Raises:
        TokenExistsError: There is one of this id.
    """
    return Call("POST", "/api/v1/tokens", Token.model_validate_json, body=as_body(token))


def token(token_id: str) -> Call[Token]:
    """Return a token.

    Raises:
        TokenNotFoundError: There is no such token.
    """
    return Call("GET", token_path(token_id), Token.model_validate_json)


def tokens(status: Status | None = None, *, page_size: int = PAGE_SIZE) -> Call[TokenPage]:
    """Return tokens by id.

    Args:
        status: Only those in it.
        page_size: How many are asked for at a time.
    """
    return Call("GET", "/api/v1/tokens", TokenPage.model_validate_json, as_query(status=status, limit=page_size))


def history(token_id: str) -> Call[tuple[Transition, ...]]:
    """Return every step that a token has taken, oldest first.

    Raises:
        TokenNotFoundError: There is no such token.
    """
    return Call("GET", f"{token_path(token_id)}/history", replies.transitions)


def change_token(token_id: str, change: TokenChange) -> Call[Token]:
    """Take one step of a token's life; ``by`` becomes the name of the API key.

    Raises:
        TokenNotFoundError: There is no such token.
        TokenBusyError: Another registration holds it.
        TokenStatusError: The step does not start from its status.
    """
    return Call("POST", f"{token_path(token_id)}/changes", Token.model_validate_json, body=as_body(change))


def renew_lease(token_id: str, *, owner: str, lease_seconds: float) -> Call[None]:
    """Hold a token for longer.

    Raises:
        TokenStatusError: The owner does not hold it any more.
    """
    lease = as_body({"owner": owner, "lease_seconds": lease_seconds})
    return Call("PUT", f"{token_path(token_id)}/lease", replies.nothing, body=lease)


# Events


def events(token_id: str | None = None, *, state: str | None = None, page_size: int = PAGE_SIZE) -> Call[EventPage]:
    """Return events, newest first.

    Args:
        token_id: Only those of this token.
        state: Only those with a delivery in it: pending, delivered or dead.
        page_size: How many are asked for at a time.
    """
    query = as_query(token_id=token_id, state=state, limit=page_size)
    return Call("GET", "/api/v1/events", EventPage.model_validate_json, query)


def publish(event: Event, *, key: str) -> Call[bool]:
    """Write an event that goes with no change of status, and return whether it was written now.

    Args:
        event: The event.
        key: What it is recognised by when it is published again.
    """
    body = as_body({"event": event.model_dump(mode="json"), "key": key})
    return Call("POST", "/api/v1/events", replies.published, body=body)


def retry_event(event_id: str) -> Call[EventRecord]:
    """Begin anew with the deliveries of an event that were given up.

    Raises:
        EventNotFoundError: There is no such event.
    """
    return Call("POST", f"{event_path(event_id)}/retry", EventRecord.model_validate_json)


def report_registration(event: RegistrationEvent) -> Call[bool]:
    """Tell of a registration that was made elsewhere, and return whether it was news."""
    return Call("POST", "/api/models/tokenized-registration-events", replies.published, body=as_body(event))


def health() -> Call[str]:
    """Return ``ok`` if the server is up."""
    return Call("GET", HEALTH, replies.status, repeat=False)


def ready() -> Call[str]:
    """Return ``ok`` if the server can do its work.

    Raises:
        DatabaseConnectionError, ConnectionFailedError: What stands behind it does not answer.
    """
    return Call("GET", "/api/v1/ready", replies.status, repeat=False)
