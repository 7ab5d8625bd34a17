"""The life of a token: its statuses, the one table of allowed changes, and what a change carries."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import pydantic

from hokusai_nb.errors import TokenBusyError, TokenNotFoundError, TokenStatusError
from hokusai_nb.schema.display import SIMULATED, Shown, grid, printable
from hokusai_nb.schema.entries import Entries
from hokusai_nb.schema.frozen import Frozen, FrozenDict
from hokusai_nb.schema.problems import checked, quoted
from hokusai_nb.schema.tokens import MAX_TOKEN_LENGTH, check_token, fold_token
from hokusai_nb.schema.values import DecimalText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

__all__ = [
    "TRANSITIONS",
    "NewToken",
    "RegistrationFacts",
    "SiteTokenId",
    "Status",
    "Token",
    "TokenChange",
    "TokenHistory",
    "TokenPage",
    "Transition",
    "Utc",
    "no_such_token",
    "require_allowed",
    "utc_now",
]


class Status(StrEnum):
    """Where a token stands; the words are the database's own."""

    DRAFT = "draft"
    REGISTERING = "registering"
    REGISTERED = "registered"
    DEPLOYED = "deployed"
    FAILED = "failed"
    ARCHIVED = "archived"


TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.DRAFT: frozenset({Status.REGISTERING, Status.ARCHIVED}),
        # To itself: a registration that died is taken over once its lease has lapsed.
        Status.REGISTERING: frozenset({Status.REGISTERING, Status.REGISTERED, Status.FAILED}),
        Status.FAILED: frozenset({Status.REGISTERING, Status.ARCHIVED}),
        Status.REGISTERED: frozenset({Status.DEPLOYED, Status.ARCHIVED}),
        Status.DEPLOYED: frozenset({Status.ARCHIVED}),
        Status.ARCHIVED: frozenset(),
    }
)
"""Which statuses may follow each; whatever is not here is refused."""


def utc_now() -> dt.datetime:
    """Return the present moment, aware of its zone."""
    return dt.datetime.now(dt.UTC)


def _as_utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


Utc = Annotated[dt.datetime, pydantic.AfterValidator(_as_utc)]
"""A moment in UTC; one without a zone, as some databases return it, is taken to be in UTC."""


def _check_ticker(value: object) -> list[Any]:
    return check_token(value, ticker=True)


SiteTokenId = Annotated[
    str,
    pydantic.BeforeValidator(checked(_check_ticker, fold_token)),
    pydantic.WithJsonSchema(
        {"type": "string", "maxLength": MAX_TOKEN_LENGTH, "pattern": "^[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$"},
        mode="validation",
    ),
]
"""A token id as the site may have it: a one-word ticker such as ``XRAY`` too, which a token store confirms."""


class RegistrationFacts(pydantic.BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a registration has made; the payload of its events."""

    mlflow_run_id: str
    model_name: str
    version: str
    metric_name: str
    metric_value: DecimalText
    """What the version reached, in the metric's own unit."""
    baseline_value: DecimalText
    """What it had to reach."""
    improvement: DecimalText
    """Over the baseline, positive where better."""
    previous_value: DecimalText | None = None
    """The best earlier version's, where this one is better than that."""
    previous_version: str | None = None
    contributor_address: str | None = None
    performance_source: str = ""
    """Where the measured value comes from."""
    api_schema: Frozen[str, Any] | None = None
    """``inputSchema`` and ``outputSchema`` as JSON Schema, where the model states its signature."""


class NewToken(pydantic.BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A token to create, in draft."""

    token_id: SiteTokenId
    metadata: Frozen[str, Any] = pydantic.Field(default_factory=FrozenDict)
    """Whatever the site keeps beside it; anything that JSON can hold."""


class TokenChange(pydantic.BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One step in a token's life, carried out whole or not at all."""

    to: Status
    """The status that follows."""
    by: str
    """Who asks for it."""
    reason: str = ""
    """Why, in a sentence."""
    owner: str | None = None
    """The registration that holds, or is to hold, the token; the way out of ``registering`` needs it."""
    lease_seconds: float | None = pydantic.Field(default=None, gt=0, le=86_400)
    """How long ``registering`` is held before another may take over; needed on the way in."""
    facts: RegistrationFacts | None = None
    """What was made; needed on the way to ``registered``."""


class Token(Shown, frozen=True):
    """A token as its store knows it."""

    token_id: str
    model_status: Status
    mlflow_run_id: str | None = None
    metric_name: str | None = None
    metric_value: DecimalText | None = None
    baseline_value: DecimalText | None = None
    created_at: Utc
    updated_at: Utc
    metadata: Frozen[str, Any] = pydantic.Field(default_factory=FrozenDict)
    owner: str | None = None
    """The registration that holds it; only while ``registering``."""
    lease_until: Utc | None = None
    """Until when it is held."""
    simulated: bool = False
    """True in mock mode."""

    def is_held(self, now: dt.datetime) -> bool:
        """Whether a registration holds the token at this moment."""
        lapsed = self.lease_until is None or self.lease_until <= now
        return self.model_status is Status.REGISTERING and not lapsed

    def _rows(self) -> list[tuple[str, object]]:
        rows: list[tuple[str, object]] = [("Status", self.model_status.value)]
        if self.metric_name:
            rows.append(("Benchmark", f"{self.metric_name} = {self.metric_value or '–'}"))
            rows.append(("Baseline", self.baseline_value or "–"))
        if self.mlflow_run_id:
            rows.append(("Run", self.mlflow_run_id))
        if self.lease_until:
            rows.append(("Held until", f"{self.lease_until:%Y-%m-%d %H:%M:%S} UTC"))
        rows.append(("Updated", f"{self.updated_at:%Y-%m-%d %H:%M:%S} UTC"))
        return rows

    def _grid(self) -> tuple[Markup, str]:
        notes = [SIMULATED] if self.simulated else []
        return grid(f"Token {self.token_id}", self._rows(), notes=notes)


class TokenPage(Entries[Token], frozen=True):
    """Tokens by id, a page of them."""

    next_cursor: str | None = None
    """Where the next page begins; None on the last one."""

    def _grid(self) -> tuple[Markup, str]:
        head = ("Token", "Status", "Metric", "Value", "Baseline", "Updated")
        rows = [
            (
                t.token_id,
                t.model_status.value,
                t.metric_name or "–",
                t.metric_value or "–",
                t.baseline_value or "–",
                f"{t.updated_at:%Y-%m-%d %H:%M UTC}",
            )
            for t in self
        ]
        return grid("Tokens", rows, head, [] if rows else ["Nothing found."])


class Transition(pydantic.BaseModel, frozen=True):
    """One step that a token has taken."""

    token_id: str
    before: Status | None
    """None where the token was created."""
    after: Status
    by: str
    at: Utc
    reason: str = ""


class TokenHistory(Shown, frozen=True):
    """A token and every step it has taken."""

    token: Token
    steps: tuple[Transition, ...]

    def _grid(self) -> tuple[Markup, str]:
        head = ("When", "From", "To", "By", "Why")
        rows = [
            (f"{s.at:%Y-%m-%d %H:%M:%S} UTC", s.before.value if s.before else "–", s.after.value, s.by, s.reason or "–")
            for s in self.steps
        ]
        html, text = grid("History", rows, head)
        return self.token._html_() + html, f"{self.token._text_()}\n\n{text}"


def no_such_token(token_id: str) -> TokenNotFoundError:
    """Return the error for a token that the store does not know."""
    hint = f"Check the ID, or create it for local work: hokusai token create {printable(token_id)}"
    for problem in check_token(token_id, ticker=True):
        hint = problem.hint  # such a token cannot be created
    return TokenNotFoundError(f"Token not found: {quoted(token_id)}.", hint)


def require_allowed(token: Token, change: TokenChange, now: dt.datetime) -> None:
    """Refuse a change that the token's status, or another registration, does not allow.

    Raises:
        TokenBusyError: Another registration holds the token.
        TokenStatusError: No such step leads from its status.
    """
    held = token.is_held(now) and token.owner != change.owner
    if held and token.lease_until is not None:
        what = f"Token is not in Draft status: {token.token_id} is being registered by another process."
        raise TokenBusyError(what, f"It holds the token until {token.lease_until:%H:%M:%S} UTC; try again after that.")
    if change.to not in TRANSITIONS[token.model_status]:
        raise TokenStatusError(*_refusal(token, change.to))
    leaving = token.model_status is Status.REGISTERING and change.to is not Status.REGISTERING
    if leaving and token.owner != change.owner:
        what = f"The registration of {token.token_id} was taken over by another process."
        raise TokenStatusError(what, "Its lease had lapsed; see hokusai model status for what became of it.")


def _refusal(token: Token, to: Status) -> tuple[str, str]:
    now = token.model_status.value
    if to is Status.REGISTERING:
        what = f"Token is not in Draft status: {token.token_id} is {now}."
        return what, "Only a token in draft, or one whose registration failed, can be registered."
    follows = ", ".join(sorted(s.value for s in TRANSITIONS[token.model_status])) or "nothing"
    return f"Token {token.token_id} is {now} and cannot become {to.value}.", f"What can follow is: {follows}."
