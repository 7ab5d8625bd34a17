"""How posts to webhooks are signed, and how their receivers check that.

Every post carries the headers of `Standard Webhooks <https://www.standardwebhooks.com>`_, so that a
receiver needs nothing of ours::

    from standardwebhooks import Webhook

    Webhook("whsec_…").verify(body, headers)  # raises if it is not genuine

A secret that begins with ``whsec_`` is handed to that library as it is; it decodes the rest from
base64. Any other secret is no base64, and is given as bytes: ``Webhook(b"correct horse battery")``.
What is received twice has the same ``webhook-id`` and the same ``X-Hokusai-Idempotency-Key``.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import uuid
from typing import TYPE_CHECKING, Any

from standardwebhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "IDEMPOTENCY_KEY",
    "SIGNATURE",
    "compact",
    "deltaone_headers",
    "event_key",
    "site_headers",
    "standard_headers",
]

SIGNATURE = "X-Hokusai-Signature"
IDEMPOTENCY_KEY = "X-Hokusai-Idempotency-Key"


def compact(body: Mapping[str, Any]) -> bytes:
    r"""Return JSON with sorted keys and no spaces, in ASCII: the bytes that are signed and sent.

    >>> compact({"b": [1, 2], "a": "ü"})
    b'{"a":"\\u00fc","b":[1,2]}'
    """
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def event_key(event_id: str) -> str:
    """Return the idempotency key of an event that has none of its own.

    >>> event_key("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
    '461e224e-3b76-5abb-9ba0-6da5cd70b0d0'
    """
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, event_id))


def site_headers(body: bytes, secret: str) -> dict[str, str]:
    """Return the site's signature: HMAC-SHA256 of the body."""
    return {SIGNATURE: _signature(secret, body)}


def deltaone_headers(body: bytes, secret: str, *, timestamp: int, nonce: str) -> dict[str, str]:
    """Return the signature that DeltaOne endpoints check: of timestamp, nonce and body.

    Args:
        body: What is posted, as `compact` writes it.
        secret: Used as it is written, also with the prefix ``whsec_``.
        timestamp: Seconds since the epoch; receivers refuse one that is old.
        nonce: Differs from post to post; receivers refuse one that they have seen.
    """
    signed = f"{timestamp}.{nonce}.".encode() + body
    return {SIGNATURE: _signature(secret, signed), "X-Hokusai-Timestamp": str(timestamp), "X-Hokusai-Nonce": nonce}


def standard_headers(body: bytes, secret: str | None, *, message_id: str, moment: dt.datetime) -> dict[str, str]:
    """Return the headers of Standard Webhooks.

    Args:
        body: What is posted.
        secret: Without one, only the signature is missing.
        message_id: Stays the same when the message is sent again.
        moment: When it is sent, aware of its zone; receivers allow five minutes.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(moment.timestamp()))}
    if secret:
        stock = Webhook(_key(secret))
        headers["webhook-signature"] = stock.sign(message_id, moment.astimezone(dt.UTC), body.decode("ascii"))
    return headers


def _signature(secret: str, signed: bytes) -> str:
    return f"sha256={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def _key(secret: str) -> bytes:
    """Return the bytes that the stock library signs with when it is set up as the module says."""
    prefix, found, encoded = secret.partition("whsec_")
    try:
        decoded = base64.b64decode(encoded + "==") if found and not prefix else b""
    except ValueError:  # looks like such a secret and is none; letters beyond ASCII are no binascii.Error
        decoded = b""
    return decoded or secret.encode()
