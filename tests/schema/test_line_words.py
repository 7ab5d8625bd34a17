"""A line is split as a shell would, and its variables are put in word by word."""

from __future__ import annotations

import contextlib
import json
import shlex
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import HokusaiError, UsageError
from hokusai_nb.magics.references import in_namespace
from hokusai_nb.schema.line_words import scan, split
from hokusai_nb.schema.lines import quote

modest = settings(max_examples=300, deadline=None)
lines = st.text(alphabet="ab $5{}'\"\\#;=-:x.[]()é😀\n\t\0", max_size=40) | st.text()
NAMESPACE = {"x": "one two", "n": 0.1342, "d": {"k": "v w"}, "five": 5}


def words(text, **variables):
    return [word.text(in_namespace({**NAMESPACE, **variables})) for word in split(text).words]


@modest
@given(st.text(alphabet="ab '\"\\\t\n=-é", max_size=30))
def test_quotes_and_backslashes_mean_what_they_mean_to_shlex(text):
    try:
        expected = shlex.split(text)
    except ValueError:
        with pytest.raises(UsageError):
            split(text)
    else:
        assert words(text) == expected


@modest
@given(st.text(max_size=60), st.sampled_from(["", "'", '"']))
def test_a_quoted_text_is_one_word_that_means_that_text(text, mark):
    assert words(f"before {quote(text, mark)} after") == ["before", text, "after"]


@modest
@given(lines)
def test_no_line_fails_with_anything_but_our_error(text):
    with contextlib.suppress(HokusaiError):
        words(text)


@modest
@given(lines)
def test_an_unfinished_line_can_always_be_scanned_and_its_words_lie_in_it(text):
    line = scan(text)
    assert all(0 <= word.start <= word.end <= len(text) for word in line.words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a # don't", ["a"]),
        ("a #b c", ["a"]),
        ("# only a comment", []),
        ("issue=#12 b", ["issue=#12", "b"]),
        ("'#12' \"# x\"", ["#12", "# x"]),
        (r"\#12", ["#12"]),
        ("sqlite:///a#b", ["sqlite:///a#b"]),
    ],
)
def test_a_comment_begins_only_where_a_word_begins_and_never_in_quotes(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$x", ["one two"]),
        ("'$x'", ["one two"]),
        ('"$x!"', ["one two!"]),
        ("k=$x,$five", ["k=one two,5"]),
        ("{n}", ["0.1342"]),
        ("{n:.2f}", ["0.13"]),
        ("{five + 1}", ["6"]),
        ('{d["k"]}', ["v w"]),
        ("{d['k'] + '}'}", ["v w}"]),
        ("{ {'a': 'b'}['a'] }", ["b"]),
        ("{[i for i in (1, 2)][1]}{five}", ["25"]),
    ],
)
def test_a_variable_or_an_expression_becomes_part_of_one_word(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("costs $5", ["costs", "$5"]),
        ("$", ["$"]),
        ("a$ b", ["a$", "b"]),
        ("$$x", ["$x"]),
        ("{{x}}", ["{x}"]),
        ("'{{\"lr\": 1}}'", ['{"lr": 1}']),
        (r"\$x \{x\}", ["$x", "{x}"]),
        (r'"\$x"', ["$x"]),
        ("}", ["}"]),
    ],
)
def test_dollars_and_braces_can_be_text(text, expected):
    assert words(text) == expected


def test_a_value_is_never_taken_apart_or_for_an_option():
    hostile = "--force-new # $x {y} 'z"
    (word,) = split("$hostile").words
    assert word.text(in_namespace({"hostile": hostile})) == hostile
    assert word.lead == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"),
        (np.float64(0.9132), "0.9132"),
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (Decimal("0.90"), "0.90"),
        (Path("a b"), "a b"),
        (True, "True"),
        (np.str_("s"), "s"),
    ],
)
def test_text_and_numbers_of_every_kind_can_be_put_in(value, expected):
    assert words("$v", v=value) == [expected]


@pytest.mark.parametrize("value", [None, object(), [1], {"a": 1}, np.zeros(2), ValueError("x"), b"bytes"])
def test_an_object_is_refused_and_never_written_as_its_repr(value):
    with pytest.raises(UsageError, match="is no text and no number"):
        words("$v", v=value)


@pytest.mark.parametrize("text", ["$nope", "{nope}", "{nope.x}", "a={nope[0]}"])
def test_an_unknown_variable_is_an_error_that_names_it(text):
    with pytest.raises(UsageError, match="'nope' is not defined"):
        words(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{1/0}", "ZeroDivisionError: division by zero"),
        ("{d['no']}", "KeyError: 'no'"),
        ("{a b}", "invalid syntax"),
        ("{,}", "invalid syntax"),
        ("{x:.2f}", "cannot be formatted"),
        ("{x:{five}}", "cannot be formatted"),
        ("{(yield)}", "is no expression"),
        ("{'\0'}", "is no expression"),
        ("{import os}", "is no expression"),
    ],
)
def test_an_expression_that_fails_says_how(text, reason):
    with pytest.raises(UsageError, match=reason):
        words(text)


json_objects = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@modest
@given(json_objects, st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]), st.sampled_from(["", "'"]))
def test_a_json_object_comes_through_as_it_was_typed(value, ascii_only, separators, mark):
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
    assert words(f"before {mark}key={text}{mark} {{x}} {{{{x}}}}") == ["before", f"key={text}", "one two", "{x}"]
    assert words(f"'[{text}, {text}]'") == [f"[{text}, {text}]"]


@pytest.mark.parametrize(
    "text",
    [
        "{'a': 1}",
        '{"a":}',
        "{'a':1,'b':2}",
        '{"a": True}',
        '{"a": 1, "b": None}',
        '{"a":1,}',
        '"{1:2}"',
        "{3.14159:.2f}",
    ],
)
def test_what_is_nearly_json_is_refused_and_told_how_json_is_written(text):
    with pytest.raises(UsageError) as raised:
        words(f"key={text}")
    assert '{"key": "text"}' in raised.value.hint


def test_an_error_whose_own_message_fails_is_reported_all_the_same():
    class Rude(Exception):  # noqa: N818 - any name will do
        def __str__(self):
            raise RuntimeError

    def fail():
        raise Rude

    with pytest.raises(UsageError, match=r"failed: Rude: \(its message failed: RuntimeError\)"):
        words("{fail()}", fail=fail)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("'a", "A quote is not closed: '"),
        ('a "b', 'A quote is not closed: "'),
        ("it's", "A quote is not closed: '"),
        ("a\\", "backslash that escapes nothing"),
        ("{x", "A brace is not closed"),
        ("'{x", "A brace is not closed"),
    ],
)
def test_what_is_not_closed_is_said(text, what):
    with pytest.raises(UsageError) as raised:
        split(text)
    assert what in raised.value.what
    assert raised.value.hint


@pytest.mark.parametrize(
    ("text", "silent", "expected"),
    [
        ("a ;", True, ["a"]),
        ("a;", True, ["a"]),
        ("a ; # note", True, ["a"]),
        ("'a;'", False, ["a;"]),
        (r"a\;", False, ["a;"]),
        ("a;b", False, ["a;b"]),
        ("a # b;", False, ["a"]),
    ],
)
def test_a_closing_semicolon_silences_unless_it_is_text(text, silent, expected):
    assert split(text).silent is silent
    assert words(text) == expected


def test_an_expression_in_a_comment_is_not_evaluated():
    calls = []
    assert words("a # {calls.append(1)} {open", calls=calls) == ["a"]
    assert calls == []


def test_an_expression_is_evaluated_once_and_cannot_change_the_namespace():
    namespace = {"calls": []}
    (word,) = split("{(y := 3) + len(calls)}").words
    assert word.text(in_namespace(namespace)) == "3"
    assert "y" not in namespace
