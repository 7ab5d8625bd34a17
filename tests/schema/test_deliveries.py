from __future__ import annotations

import datetime as dt

import pytest

from hokusai_nb.schema.deliveries import Backlog, DeliveryReport, Destination, place_of
from hokusai_nb.schema.events import Event


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://hooks.example.org/T0/s3cret", "https://hooks.example.org"),
        ("https://hooks.example.org:8443/?key=s3cret#s3cret", "https://hooks.example.org:8443"),
        ("https://me:s3cret@hooks.example.org", "https://hooks.example.org"),
        ("https://[::1]:1/s3cret", "https://[::1]:1"),
        ("https://[s3cret", "an address that cannot be read"),
        ("s3cret", "://"),
    ],
)
def test_of_an_address_only_scheme_host_and_port_are_shown(url, place):
    assert place_of(url) == place


def test_a_destination_does_not_show_its_secret():
    place = Destination(handler="webhook", target="https://hooks.example.org/s3cret")
    assert place.shown == "webhook https://hooks.example.org"
    assert "s3cret" not in f"{place!r} {place} {[place]}"
    assert Destination(handler="console").shown == "console"


def test_deltaone_endpoints_are_told_of_nothing_else():
    achieved, deployed = (Event(event_type=kind, payload={}) for kind in ("deltaone_achieved", "model_deployed"))
    endpoint = Destination(handler="deltaone", target="https://example.org")
    assert endpoint.takes(achieved)
    assert not endpoint.takes(deployed)
    assert all(Destination(handler="webhook").takes(event) for event in (achieved, deployed))


def test_a_report_says_what_happened_in_a_sentence():
    assert DeliveryReport(delivered=3).sentence == "Delivered 3; 0 pending."
    sentence = DeliveryReport(delivered=1, failed=2, dead=1, left=1000).sentence
    assert sentence == (
        "Delivered 1; 2 tries failed; 1 given up (see: hokusai events list --state dead); "
        "1,000 pending (why, and until when: hokusai events list --state pending)."
    )


def test_a_backlog_shows_its_oldest_event_where_there_is_one():
    since = Backlog(pending=2, dead=1, oldest=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))._text_()
    assert "2026-01-02 03:04:05 UTC" in since
    empty = Backlog(pending=0, dead=0)
    assert "Oldest" not in empty._text_()
    assert "Oldest" not in str(empty._html_())
