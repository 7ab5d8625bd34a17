from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai_nb.backends.sql.paging import MOST, check_limit, decode_cursor, encode_cursor
from hokusai_nb.errors import ValidationError


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.integers(-(2**63) + 1, 2**63 - 1)
)
def test_a_cursor_says_where_its_page_ended(last):
    assert decode_cursor("list", encode_cursor("list", last), type(last)) == last


@given(st.text())
def test_any_other_text_is_refused_as_a_cursor(text):
    with pytest.raises(ValidationError, match="does not belong to this list"):
        decode_cursor("list", text, str)


@pytest.mark.parametrize("last", ["a\x00", "\ud800", 2**63, -(2**63), 10**100])
def test_a_cursor_that_no_database_could_compare_is_refused(last):
    with pytest.raises(ValidationError, match="does not belong to this list"):
        decode_cursor("list", encode_cursor("list", last), type(last))


@pytest.mark.parametrize("cursor", [encode_cursor("tokens", "A-1"), encode_cursor("events", "A-1")])
def test_another_lists_cursor_is_refused(cursor):
    with pytest.raises(ValidationError) as caught:
        decode_cursor("events", cursor, int)
    assert caught.value.problems[0].field == "cursor"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_a_cursor_needs_no_quoting_in_an_address(last):
    assert encode_cursor("list", last).replace("-", "").replace("_", "").isalnum()


def test_a_page_has_at_least_one_entry_and_at_most_a_thousand():
    assert [check_limit(1), check_limit(MOST)] == [1, 1000]
    for limit in (0, -5, 1001):
        with pytest.raises(ValidationError) as caught:
            check_limit(limit)
        assert caught.value.problems[0].field == "limit"
