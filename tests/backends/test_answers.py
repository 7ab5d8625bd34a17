from __future__ import annotations

import email.utils
import time

import httpx
import pytest

from hokusai_nb.backends.answers import UNWELL, Verdict, judged, reason


def verdict(status, **headers):
    return judged(httpx.Response(status, headers=headers), "https://example.org")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_success_is_a_delivery(status):
    assert verdict(status).verdict is Verdict.DELIVERED


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_later(status):
    answer = verdict(status)
    assert (answer.verdict, answer.error) == (Verdict.LATER, f"https://example.org answered {status}.")
    assert (status in UNWELL) == (status >= 429)


@pytest.mark.parametrize("status", [100, 400, 401, 403, 404, 405, 413, 422])
def test_what_will_hardly_pass_is_refused(status):
    assert verdict(status).verdict is Verdict.REFUSED
    assert status not in UNWELL


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_said_to_be_one(status):
    answer = verdict(status, Location="https://other.example/s3cret")
    assert answer.verdict is Verdict.REFUSED
    assert answer.error == f"https://example.org answered {status}: it redirects, which is not followed."


def test_a_receiver_that_is_gone_is_gone():
    assert verdict(410).verdict is Verdict.GONE


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("120", 120), ("9" * 50, 999_999_999), ("", None), ("soon", None), ("-5", None)]
)
def test_a_receiver_may_ask_for_time_in_seconds(text, seconds):
    assert verdict(503, **{"Retry-After": text}).retry_after == seconds


def test_a_receiver_may_ask_for_time_by_a_date():
    soon = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 55 < verdict(429, **{"Retry-After": soon}).retry_after <= 60
    past = email.utils.formatdate(time.time() - 60, usegmt=True)
    assert verdict(429, **{"Retry-After": past}).retry_after == 0


def test_a_reason_is_one_short_line_without_secrets():
    assert reason(httpx.ConnectTimeout("x"), "https://a") == "https://a: no connection in time"
    assert reason(httpx.ReadTimeout("x"), "https://a") == reason(TimeoutError(), "https://a")
    assert reason(httpx.RemoteProtocolError("x"), "https://a") == "https://a: the answer broke off"
    assert reason(OSError(), "https://a") == "https://a: OSError"
    said = reason(httpx.ConnectError("at\npostgresql://me:s3cret@db " + "x" * 1000), "https://a")
    assert said.startswith("https://a: at\\npostgresql://***@db x")
    assert len(said) < 400
