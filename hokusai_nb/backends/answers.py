"""What a webhook's answer, or its silence, means for the next try."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass
from enum import StrEnum

import httpx

from hokusai_nb.log import redact
from hokusai_nb.schema.display import printable, shortened

__all__ = ["UNWELL", "Answer", "Verdict", "judged", "reason", "retry_after"]

_LONGEST_ERROR = 300
_OK = range(200, 300)
_REDIRECTS = range(300, 400)
_GONE = 410
UNWELL = {429, *range(500, 600)}
"""Answers of a server that cannot serve anybody now, which the circuit breaker counts."""
_PASSING = {408, 409, 425, *UNWELL}
"""Answers that say that another time may be better."""


class Verdict(StrEnum):
    """What a try means for the next one."""

    DELIVERED = "delivered"
    LATER = "later"
    """Something that may pass: no connection, no answer in time, a server's error."""
    REFUSED = "refused"
    """Something that will hardly pass: a client's error, a redirect, an address that is not allowed."""
    GONE = "gone"
    """The receiver asks never to be posted to again."""
    UNTRIED = "untried"
    """The endpoint is left alone for now, or there was no time left."""


@dataclass(frozen=True)
class Answer:
    """What became of a post."""

    verdict: Verdict
    error: str = ""
    """Why it was not delivered, without secrets."""
    retry_after: float | None = None
    """Seconds that the receiver asks to wait."""


def judged(response: httpx.Response, place: str) -> Answer:
    """Return what an answer means."""
    status = response.status_code
    if status in _OK:
        return Answer(Verdict.DELIVERED)
    if status == _GONE:
        return Answer(Verdict.GONE, f"{place} answered 410: it is gone.")
    if status in _REDIRECTS:
        return Answer(Verdict.REFUSED, f"{place} answered {status}: it redirects, which is not followed.")
    verdict = Verdict.LATER if status in _PASSING else Verdict.REFUSED
    return Answer(verdict, f"{place} answered {status}.", retry_after(response.headers.get("Retry-After", "")))


def retry_after(text: str) -> float | None:
    """Return the seconds that a receiver asks to wait, which it may also say as a date."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def reason(error: Exception, place: str) -> str:
    """Return why there is no answer, in one line without secrets."""
    if isinstance(error, httpx.ConnectTimeout):
        said = "no connection in time"
    elif isinstance(error, (httpx.TimeoutException, TimeoutError)):
        said = "no answer in time"
    elif isinstance(error, httpx.RemoteProtocolError):
        said = "the answer broke off"
    else:
        said = str(error) or type(error).__name__
    return shortened(printable(redact(f"{place}: {said}")), _LONGEST_ERROR)
