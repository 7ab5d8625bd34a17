"""Signatures: known answers, and the stock library on the other side."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from hokusai_nb.site.signing import compact, deltaone_headers, event_key, site_headers, standard_headers

BODY = b'{"a":1}'
IN_BASE64 = "whsec_c2l4dGVlbiBieXRlcyEh"


def now(zone=dt.UTC):
    return dt.datetime.now(zone)


def test_the_deltaone_signature_is_the_known_answer():
    assert deltaone_headers(compact({"a": 1}), "whsec_test", timestamp=1700000000, nonce="nonce-1") == {
        "X-Hokusai-Signature": "sha256=08bfb51e7d4858be7e73679922812a39e6713e3fc877bbc3e25a9d298089e704",
        "X-Hokusai-Timestamp": "1700000000",
        "X-Hokusai-Nonce": "nonce-1",
    }


def test_the_sites_signature_is_of_the_body_with_the_secret_as_it_is_written():
    digest = hmac.new(b"whsec_test", BODY, hashlib.sha256).hexdigest()
    assert site_headers(BODY, "whsec_test") == {"X-Hokusai-Signature": f"sha256={digest}"}


@pytest.mark.parametrize(
    ("secret", "stock"),
    [
        (IN_BASE64, IN_BASE64),
        (IN_BASE64, b"sixteen bytes!!"),
        ("correct horse battery", b"correct horse battery"),
        ("c2l4dGVlbiBieXRlcyEh", b"c2l4dGVlbiBieXRlcyEh"),
        ("pässwört", "pässwört".encode()),
        ("whsec_", b"whsec_"),
        ("whsec_x", b"whsec_x"),
        ("my whsec_test", b"my whsec_test"),
    ],
)
def test_a_receiver_verifies_with_the_stock_library_set_up_as_documented(secret, stock):
    body = compact({"z": 1, "a": "ü"})
    headers = standard_headers(body, secret, message_id="msg-1", moment=now(dt.timezone(dt.timedelta(hours=-7))))
    assert Webhook(stock).verify(body, headers) == {"z": 1, "a": "ü"}
    assert headers["webhook-id"] == "msg-1"


def test_what_was_changed_on_the_way_is_not_genuine():
    headers = standard_headers(BODY, IN_BASE64, message_id="msg-1", moment=now())
    for body, more in [(b'{"a":2}', {}), (BODY, {"webhook-id": "msg-2"}), (BODY, {"webhook-timestamp": "1"})]:
        with pytest.raises(WebhookVerificationError):
            Webhook(IN_BASE64).verify(body, headers | more)
    with pytest.raises(WebhookVerificationError):
        Webhook(b"another secret").verify(BODY, headers)


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_only_the_signature_is_missing(secret):
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    headers = standard_headers(BODY, secret, message_id="msg-1", moment=moment)
    assert headers == {"webhook-id": "msg-1", "webhook-timestamp": str(int(moment.timestamp()))}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values))
def test_a_body_is_the_same_whatever_the_order_of_its_keys(body):
    backwards = dict(reversed(body.items()))
    assert compact(backwards) == compact(body)
    assert json.loads(compact(body)) == body
    compact(body).decode("ascii")


def test_a_number_that_json_lacks_is_not_sent():
    with pytest.raises(ValueError, match="not JSON compliant"):
        compact({"a": float("nan")})


def test_an_event_has_the_same_key_whenever_it_is_sent():
    assert event_key("a") == event_key("a") != event_key("b")


def test_a_secret_that_only_looks_like_base64_signs_by_its_bytes():
    moment = dt.datetime.now(dt.UTC)
    headers = standard_headers(b"{}", "whsec_é", message_id="m", moment=moment)
    assert Webhook("whsec_é".encode()).verify("{}", headers) == {}
