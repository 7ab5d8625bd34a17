"""What a key may tell: an event, or what a registration has made."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING

from hokusai_nb.api.auth import require
from hokusai_nb.api.bodies import Improvement
from hokusai_nb.core.improving import decimal_text
from hokusai_nb.schema.events import EventType
from hokusai_nb.schema.lifecycle import Status
from hokusai_nb.schema.metrics import find_metric, improvement
from hokusai_nb.schema.problems import Problem, quoted, raise_for, validated

if TYPE_CHECKING:
    from hokusai_nb.api.bodies import Publishing
    from hokusai_nb.schema.events import Event
    from hokusai_nb.schema.keys import ApiKey
    from hokusai_nb.schema.lifecycle import RegistrationFacts, Token, TokenChange
    from hokusai_nb.site.store import TokenStore

__all__ = ["check", "check_step", "key_of", "seen_by"]

_DECIDED = (Status.DEPLOYED, Status.ARCHIVED)
"""What no registration does."""


def check(store: TokenStore, event: Event, key: ApiKey) -> None:
    """Refuse an event that a key may not tell of.

    Raises:
        AccessError: Only `admin` may tell of such an event.
        ValidationError: Its payload is not that of its type.
        TokenNotFoundError: The store does not know its token.
    """
    if key.allows("admin"):
        return
    if event.event_type is not EventType.METRIC_IMPROVED:
        require(key, "admin")
    told = validated(Improvement, dict(event.payload))
    store.get(told.token_id)


def key_of(publishing: Publishing) -> str:
    """Return what an event is kept under.

    An improvement cannot take the key of a registration, which could not be told of any more.
    """
    if publishing.event.event_type is not EventType.METRIC_IMPROVED:
        return publishing.key
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{EventType.METRIC_IMPROVED}:{publishing.key}"))


def check_step(change: TokenChange, key: ApiKey) -> None:
    """Refuse a step that a key may not take, or whose facts contradict each other.

    Raises:
        AccessError: Only `admin` may deploy a token or put it into the archive.
        ValidationError: The improvement is not the one of the values, or is none.
    """
    if change.to in _DECIDED:
        require(key, "admin")
    if change.facts is not None:
        raise_for(_contradictions(change.facts))


def _contradictions(facts: RegistrationFacts) -> list[Problem]:
    given, right = facts.improvement, _improvement(facts)
    field, hint = "facts.improvement", "It is how far the value is better than the baseline."
    if right is not None and Decimal(given) not in (right, Decimal(decimal_text(right))):
        reached = f"{facts.metric_value} over {facts.baseline_value}"
        what = f"The improvement of {reached} in {quoted(facts.metric_name)} is {decimal_text(right)}, not {given}."
        return [Problem(field=field, what=what, hint=hint)]
    if Decimal(given) < 0:
        return [Problem(field=field, what=f"An improvement of {given} is none.", hint=hint)]
    return []


def _improvement(facts: RegistrationFacts) -> Decimal | None:
    """Return the difference of the values; None where the metric has no direction that is known here."""
    metric = find_metric(facts.metric_name)
    if metric is None:
        return None
    return improvement(metric, baseline=Decimal(facts.baseline_value), candidate=Decimal(facts.metric_value))


def seen_by(token: Token, key: ApiKey) -> Token:
    """Return a token as a key may see it: who knows the name of its holder can act for him."""
    return token if key.allows("register") else token.model_copy(update={"owner": None})
