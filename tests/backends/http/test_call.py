from __future__ import annotations

import json

import pytest

from hokusai_nb.backends.http.call import Call, as_body, as_query, event_path, model_path, token_path, version_path
from hokusai_nb.errors import EventNotFoundError, ModelNotFoundError, TokenNotFoundError, ValidationError
from hokusai_nb.schema.lifecycle import NewToken, no_such_token

STRANGE = [
    "churn",
    "a b",
    "it's",
    'a"b',
    "50%",
    "%2F..%2F",
    "a?b=c",
    "a#b",
    "größe",
    "a\nb",
    "..hidden",
    "\\",
    ";",
    "&",
]


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_stays_one_segment_of_the_path_whatever_it_holds(name):
    import urllib.parse

    path = model_path(name)
    assert path.isascii()
    assert path.isprintable()
    assert not {"?", "#", " "} & set(path)
    *before, last = path.split("/")
    assert before == ["", "api", "v1", "models"]
    assert urllib.parse.unquote(last) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../tokens", "a:b", "a\0b", "\ud800", "n" * 257])
def test_a_name_that_nothing_can_be_stored_under_leads_nowhere(name):
    with pytest.raises(ModelNotFoundError, match="does not exist"):
        model_path(name)


@pytest.mark.parametrize("version", ["", "latest", "1/tags", "-1", "1.0", "٣", "1" * 10, ".."])
def test_what_is_no_version_number_leads_nowhere(version):
    with pytest.raises(ModelNotFoundError, match="has no version"):
        version_path("churn", version)


def test_a_version_may_be_given_as_a_number_or_as_text():
    assert version_path("churn", 3) == version_path("churn", "3") == "/api/v1/models/churn/versions/3"


@pytest.mark.parametrize("token_id", ["", "..", "MSG/AI", "a\0b", "\ud800", "A" * 256])
def test_a_token_that_no_store_can_have_is_unknown_in_the_stores_own_words(token_id):
    with pytest.raises(TokenNotFoundError) as caught:
        token_path(token_id)
    assert caught.value.args == no_such_token(token_id).args


@pytest.mark.parametrize("event_id", ["", "../x", "no-such-event!", "a" * 37])
def test_an_event_that_no_store_can_have_is_unknown(event_id):
    with pytest.raises(EventNotFoundError, match="There is no event"):
        event_path(event_id)


def test_a_query_leaves_out_what_was_not_given_and_keeps_the_rest_as_text():
    assert as_query(prefix=None, token="A&B=C", limit=5) == (("token", "A&B=C"), ("limit", "5"))
    with pytest.raises(ValidationError, match="prefix holds half a character"):
        as_query(prefix="\ud800")


def test_a_call_for_a_later_page_differs_by_its_cursor_only():
    call = Call("GET", "/x", bytes.decode, (("limit", "5"),))
    assert call.at(None) is call
    assert call.at("c1").query == (("limit", "5"), ("cursor", "c1"))
    assert call.at("c1").path == call.path


def test_a_body_is_the_records_own_json():
    body = as_body(NewToken(token_id="msg-ai", metadata={"name": "größe", "n": [1, None, 0.5]}))
    assert json.loads(body) == {"token_id": "MSG-AI", "metadata": {"name": "größe", "n": [1, None, 0.5]}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}.__iter__, b"\xff"])
def test_what_json_has_no_form_for_is_refused_before_anything_is_sent(value):
    with pytest.raises(ValidationError, match="cannot be sent as JSON") as caught:
        as_body(NewToken(token_id="MSG-AI", metadata={"x": value}))
    assert "finite numbers" in caught.value.hint
