"""Tokens and their events: whatever face is asked, the same is done, answered and refused."""

from __future__ import annotations

import itertools
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from hokusai_nb.errors import HokusaiError
from hokusai_nb.schema.events import Event
from hokusai_nb.schema.lifecycle import Status
from tests.contract.faces import Refused, refusal, refused_alike, told
from tests.tokens import FACT_FIELDS

pytestmark = pytest.mark.slow
LEASE = {"to": "registering", "owner": "one", "lease_seconds": 60}
DONE = {"to": "registered", "owner": "one", "facts": {**FACT_FIELDS, "metric_value": "0.850"}}


def test_a_token_is_created_in_draft_under_its_canonical_id(face, token_id):
    made = face.create_token({"token_id": token_id.lower(), "metadata": {"name": "größe", "n": [1, None, {"x": 0.5}]}})
    assert (made.token_id, made.model_status, made.simulated) == (token_id, Status.DRAFT, False)
    assert made.metadata == {"name": "größe", "n": [1, None, {"x": 0.5}]}
    assert face.show_token(token_id) == made
    assert face.show_token(token_id.lower()) == made


@pytest.mark.also("command", "command with a key")
def test_a_one_word_ticker_can_be_a_token_of_the_site(face, unique):
    ticker = unique("X").upper().replace("-", "")
    assert face.create_token({"token_id": ticker}).token_id == ticker


@pytest.mark.also("command", "command with a key")
def test_every_face_shows_the_same_token(every, token_id):
    every[0].create_token({"token_id": token_id, "metadata": {"a": 1}})
    every[0].change_token(token_id, LEASE)
    found = [face.show_token(token_id) for face in every]
    assert found == [found[0]] * len(every)
    assert found[0].owner == "one"


@pytest.mark.parametrize(
    ("status", "size", "expected"),
    [
        (None, 100, range(5)),
        (None, 2, range(5)),
        (Status.ARCHIVED, 1, range(2)),
        pytest.param(Status.DRAFT, 2, range(2, 5), marks=pytest.mark.also("command")),
    ],
)
def test_every_face_lists_the_same_tokens_page_by_page(every, unique, status, size, expected):
    stem = unique("A-0").upper()  # early in the list, which holds what other tests make
    names = [f"{stem}-{n}" for n in range(5)]
    for name in names:
        every[0].create_token({"token_id": name})
    for name in names[:2]:
        every[0].change_token(name, {"to": "archived"})

    def listed(face):
        found = itertools.takewhile(lambda t: t.token_id <= names[-1], face.list_tokens(status, page_size=size))
        return [t for t in found if t.token_id in names]

    found = [listed(face) for face in every]
    assert found == [found[0]] * len(every)
    assert [t.token_id for t in found[0]] == [names[n] for n in expected]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda f, _: f.create_token({"token_id": "msg_ai"}), marks=pytest.mark.also("command")),
        lambda f, _: f.create_token({"token_id": ""}),
        lambda f, _: f.create_token({"token_id": 7}),
        lambda f, _: f.create_token({}),
        lambda f, _: f.create_token({"token_id": "MSG-AI", "colour": "red"}),
        pytest.param(
            lambda f, name: f.create_token({"token_id": name}), marks=pytest.mark.also("command", "command with a key")
        ),
        pytest.param(lambda f, _: f.show_token("NO-SUCH"), marks=pytest.mark.also("command", "command with a key")),
        lambda f, _: f.history("NO-SUCH"),
        lambda f, _: f.change_token("NO-SUCH", {"to": "archived"}),
        lambda f, _: f.renew_lease("NO-SUCH", "one", 5),
        pytest.param(lambda f, name: f.change_token(name, {"to": "deployed"}), marks=pytest.mark.also("command")),
        lambda f, name: f.change_token(name, {"to": "flying"}),
        lambda f, name: f.change_token(name, {"to": "registering"}),
        lambda f, name: f.change_token(name, {**LEASE, "lease_seconds": 0}),
        lambda f, name: f.renew_lease(name, "one", 5),
    ],
)
def test_what_is_refused_is_refused_in_the_same_words_everywhere(every, token_id, ask):
    every[0].create_token({"token_id": token_id})
    refused_alike(every, lambda f: ask(f, token_id))


def test_an_id_that_is_no_part_of_an_address_is_missed_in_the_same_words(platform):
    for token_id in ("no such/../token", "..", "", "a\0b", "A" * 300):
        said = refused_alike(platform.with_our_package, lambda f, name=token_id: f.show_token(name))
        assert said[0] == "TokenNotFoundError"


@pytest.mark.parametrize("size", [0, -1, 100_000])
def test_a_page_has_a_smallest_and_a_largest_size(face, size):
    for ask in (lambda f: list(f.list_tokens(page_size=size)), lambda f: list(f.list_events(page_size=size))):
        assert refusal(face, ask)[0] == "ValidationError"


def test_a_token_lives_from_draft_to_its_registration(face, token_id):
    face.create_token({"token_id": token_id})
    held = face.change_token(token_id, LEASE)
    assert (held.model_status, held.owner) == (Status.REGISTERING, "one")
    face.renew_lease(token_id, "one", 3600)
    assert face.show_token(token_id).lease_until > held.lease_until
    done = face.change_token(token_id, DONE)
    assert (done.model_status, done.owner, done.lease_until) == (Status.REGISTERED, None, None)
    assert (done.metric_value, done.baseline_value, done.mlflow_run_id) == ("0.850", "0.82", "run-1")
    assert face.change_token(token_id, DONE) == done, "the same owner's step again changes nothing"
    assert [s.after for s in face.history(token_id)] == ["draft", "registering", "registered"]


@pytest.mark.also("command", "command with a key")
def test_a_registered_token_is_deployed_and_goes_to_the_archive_for_a_reason(face, platform, token_id):
    python = platform.faces["python"]
    python.create_token({"token_id": token_id})
    for step in (LEASE, DONE):
        python.change_token(token_id, step)
    assert face.change_token(token_id, {"to": "deployed"}).model_status is Status.DEPLOYED
    assert face.change_token(token_id, {"to": "archived", "reason": "replaced"}).model_status is Status.ARCHIVED
    steps = face.history(token_id)
    assert [s.after for s in steps] == ["draft", "registering", "registered", "deployed", "archived"]
    assert steps[-1].reason == "replaced"
    kinds = [e.event.event_type.value for e in face.list_events(token_id, page_size=2)]
    assert sorted(kinds) == ["model_deployed", "model_registered", "token_ready_for_deploy"]


def test_every_face_tells_the_same_history_and_the_same_events(every, token_id):
    for face, change in zip([*every, *every], [LEASE, DONE, {"to": "deployed"}], strict=False):
        if change is LEASE:
            face.create_token({"token_id": token_id})
        face.change_token(token_id, change)
    histories = [face.history(token_id) for face in every]
    assert histories == [histories[0]] * len(every)
    events = [[e.event for e in face.list_events(token_id)] for face in every]
    assert events == [events[0]] * len(every)
    assert len(events[0]) == 3


def test_who_holds_a_token_keeps_others_away_in_the_same_words_everywhere(every, token_id):
    every[-1].create_token({"token_id": token_id})
    every[-1].change_token(token_id, LEASE)
    kind, what, *_ = refused_alike(every, lambda f: f.change_token(token_id, {**LEASE, "owner": "two"}))
    assert kind == "TokenBusyError"
    assert what.startswith("Token is not in Draft status")
    assert refused_alike(every, lambda f: f.renew_lease(token_id, "two", 60))[0] == "TokenStatusError"


def test_of_registrations_at_once_through_all_faces_exactly_one_wins(every, token_id):
    every[0].create_token({"token_id": token_id})
    ready = threading.Barrier(2 * len(every))

    def attempt(number):
        ready.wait()
        try:
            return every[number % len(every)].change_token(token_id, {**LEASE, "owner": f"owner-{number}"}).owner
        except (HokusaiError, Refused) as error:
            return told(error)[0]

    with ThreadPoolExecutor(2 * len(every)) as pool:
        found = list(pool.map(attempt, range(2 * len(every))))
    assert sorted(found)[:-1] == ["TokenBusyError"] * (2 * len(every) - 1)
    assert every[0].show_token(token_id).owner in found


def event_of(token_id):
    return Event(event_type="deltaone_achieved", payload={"token_id": token_id, "delta_value": 1.5, "note": "größe"})


def test_an_event_is_written_once_for_its_key_whatever_face_writes_it(every, token_id):
    event, key = event_of(token_id), str(uuid.uuid4())
    assert [face.publish(event, key) for face in every] == [True, *[False] * (len(every) - 1)]
    for face in every:
        assert [e.event for e in face.list_events(token_id)] == [event]


def test_an_event_is_told_as_it_was_written(face, token_id):
    written = [event_of(token_id) for _ in range(3)]
    assert all(face.publish(event, event.event_id) for event in written)
    found = list(face.list_events(token_id, page_size=1))
    assert {e.event.event_id: e.event for e in found} == {e.event_id: e for e in written}
    assert all(e.deliveries[0].handler == "console" for e in found)
    assert list(face.list_events("NO-SUCH")) == []


@pytest.mark.also("command")
def test_an_event_can_be_sent_again(face, platform, token_id):
    event = event_of(token_id)
    platform.faces["python"].publish(event, event.event_id)
    assert face.retry_event(event.event_id).event == event


@pytest.mark.also("command")
def test_an_event_that_is_not_there_is_missed_in_the_same_words_everywhere(every, platform):
    missing = str(uuid.uuid4())
    refused_alike(every, lambda f: f.retry_event(missing))
    for event_id in ("no-such-event", "../tokens", ""):
        said = refused_alike(platform.with_our_package, lambda f, name=event_id: f.retry_event(name))
        assert said[0] == "EventNotFoundError"
