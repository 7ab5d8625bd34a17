import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai_nb.api.parsing import read_json

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)


@given(values)
def test_what_a_database_can_keep_is_read_as_it_is(value):
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Expecting"),
        (b"", "Expecting"),
        (b"\xff", "UTF-8"),
        ('{"a": "ü"}'.encode("utf-16"), "UTF-8"),
        (b'{"a": ["\\u0000"]}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'["\\ud800"]', "half a character"),
        (b"NaN", "not finite"),
        (b"[-Infinity]", "not finite"),
        (b"[1e999]", "not finite"),
        (b"9" * 5000, "too many digits"),
        (b"[" * 100 + b"]" * 100, "nested"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested"),
    ],
)
def test_what_no_database_could_keep_is_no_json_to_us(body, reason):
    with pytest.raises(json.JSONDecodeError, match=reason):
        read_json(body)
