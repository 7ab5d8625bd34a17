"""The token store behind the API does what the one in a database does."""

from __future__ import annotations

import pytest

from hokusai_nb import HokusaiClient
from hokusai_nb.config import Settings, configure
from hokusai_nb.errors import EventNotFoundError, TokenBusyError, TokenExistsError, TokenNotFoundError, TokenStatusError
from hokusai_nb.schema.events import DeliveryState, Event
from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange
from hokusai_nb.site import opening
from hokusai_nb.site.http_store import HttpTokenStore
from tests.apis import api_thread
from tests.events import claim, event, record, write
from tests.tokens import FACTS

pytestmark = pytest.mark.slow


@pytest.fixture
def store(api):
    with HokusaiClient(api.url, api.keys["admin"]) as client:
        yield HttpTokenStore(client)


@pytest.fixture
def token_id(unique):
    return unique("MSG").upper()


def changed(to, **more):
    return TokenChange(to=to, by="somebody else", **more)


def test_it_says_where_it_is_and_no_key(api, store):
    assert store.description == f"the Hokusai API at {api.url}"
    assert repr(store) == f"HttpTokenStore(HokusaiClient({api.url!r}))"
    assert store.simulated is False


def test_a_token_is_created_and_found_in_either_case(store, token_id):
    made = store.create(NewToken(token_id=token_id.lower(), metadata={"a": [1]}), by="somebody else")
    assert (made.token_id, made.model_status, made.metadata) == (token_id, Status.DRAFT, {"a": [1]})
    assert store.get(token_id) == store.get(token_id.lower()) == made
    with pytest.raises(TokenExistsError, match=token_id):
        store.create(NewToken(token_id=token_id), by="me")
    with pytest.raises(TokenNotFoundError, match="Token not found: 'NO-SUCH'"):
        store.get("NO-SUCH")


def test_a_registration_holds_its_token_until_it_is_done(store, token_id):
    store.create(NewToken(token_id=token_id), by="me")
    held = store.change(token_id, changed(Status.REGISTERING, owner="one", lease_seconds=60))
    with pytest.raises(TokenBusyError, match="Token is not in Draft status"):
        store.change(token_id, changed(Status.REGISTERING, owner="two", lease_seconds=60))
    store.renew(token_id, owner="one", lease_seconds=600)
    assert store.get(token_id).lease_until > held.lease_until
    with pytest.raises(TokenStatusError):
        store.renew(token_id, owner="two", lease_seconds=600)
    step = changed(Status.REGISTERED, owner="one", facts=FACTS.model_copy(update={"metric_value": "0.850"}))
    done = store.change(token_id, step)
    assert store.change(token_id, step) == done
    assert (done.metric_value, done.owner) == ("0.850", None)


def test_the_history_names_the_key_and_not_who_the_caller_says_it_is(store, token_id):
    store.create(NewToken(token_id=token_id), by="somebody else")
    store.change(token_id, changed(Status.ARCHIVED, reason="replaced"))
    steps = store.history(token_id)
    assert [(s.after, s.by, s.reason) for s in steps] == [
        ("draft", "admin-key", ""),
        ("archived", "admin-key", "replaced"),
    ]


def test_tokens_are_listed_page_by_page(store, token_id):
    names = [f"{token_id}-{n}" for n in range(3)]
    for name in names:
        store.create(NewToken(token_id=name), by="me")
        store.change(name, changed(Status.ARCHIVED))
    found, cursor = [], None
    while cursor is not None or not found:
        page = store.list_tokens(Status.ARCHIVED, cursor=cursor, limit=2)
        assert len(page.entries) <= 2
        found += [t.token_id for t in page.entries]
        cursor = page.next_cursor
    assert [name for name in found if name in names] == names


def test_events_are_written_once_and_listed_newest_first(store, token_id):
    written = [Event(event_type="deltaone_achieved", payload={"token_id": token_id, "n": n}) for n in range(3)]
    assert [store.publish(e, key=e.event_id) for e in written] == [True] * 3
    assert store.publish(written[0], key=written[0].event_id) is False
    first = store.list_events(token_id, limit=2)
    rest = store.list_events(token_id, cursor=first.next_cursor, limit=2)
    assert [e.event for e in (*first.entries, *rest.entries)] == written[::-1]
    assert store.list_events(token_id, state="dead").entries == ()


def test_it_is_the_store_that_an_endpoint_opens(api, token_id):
    configure(api_key=api.keys["admin"])
    try:
        opened = opening.open_store(endpoint=api.url)
        assert isinstance(opened, HttpTokenStore)
        assert opened.create(NewToken(token_id=token_id), by="me").token_id == token_id
        assert opened.get(token_id).model_status is Status.DRAFT
    finally:
        opening._api_store.cache_clear()
        configure(**dict.fromkeys(Settings.model_fields))


def test_what_was_given_up_begins_anew_for_one_event_or_for_all(sqlite_config, sqlite_database):
    ids = write(sqlite_database, event("T-1"), event("T-2"), event("T-3"))
    record(sqlite_database, claim(sqlite_database), DeliveryState.DEAD, error="no answer")
    with (
        api_thread(sqlite_config, deliver_events=False) as running,
        HokusaiClient(running.url, running.keys["admin"]) as client,
    ):
        store = HttpTokenStore(client)
        assert [store.retry(ids[0]), store.retry(), store.retry()] == [1, 2, 0]
        with pytest.raises(EventNotFoundError, match="no-such"):
            store.retry("no-such")
        assert {d.state for e in store.list_events() for d in e.deliveries} == {"pending"}
