"""Metadata of prompts: each value comes back as the type that it was."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import json
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.frozen import FrozenDict
from hokusai_nb.schema.prompt_metadata import (
    RECOMMENDED,
    RESERVED,
    FrozenList,
    Metadata,
    check_metadata,
    decode_metadata,
    encode_metadata,
    frozen_json,
    recommend_metadata,
    reserved_prefix,
    same_value,
    thawed_json,
)
from hokusai_nb.schema.tags import MAX_VALUE_LENGTH, check_extra_tags

modest = settings(max_examples=200, deadline=None)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
)
leaves |= st.sampled_from(
    ["true", "1.0", " null ", "[", '"', "NaN", "-Infinity", "1e999", "{}", "", " ", "-", "3 channels"]
)
values = st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4), v, max_size=3))
keys = st.from_regex(r"[A-Za-z][\w \-]{0,8}", fullmatch=True).filter(str.isascii)


class Stage(enum.StrEnum):
    DEV = "dev"


def typed(value):
    """The value with every type in it, as text; -0.0 and 1 == True differ here."""
    return repr(thawed_json(value))


@modest
@given(st.dictionaries(keys, values, max_size=4))
@example({"engagement_target": 0.06, "n": 1, "one": 1.0, "yes": True, "ticket": "17", "none": None, "word": "null"})
@example({"half": "\ud800", "nul": "a\0b", "mixed": ["\ud800", 1]})
def test_every_json_value_comes_back_as_the_type_that_it_was(metadata):
    texts = encode_metadata(metadata)
    assert all(type(text) is str for text in texts.values())
    assert typed(decode_metadata(texts)) == typed(metadata)
    assert check_extra_tags({f"x {key}": text for key, text in texts.items()}) == []


def test_plain_text_is_stored_as_it_stands():
    given_ = {"author": "content-team", "note": '🔥 it\'s "new"\nline', "tested_on": "threads", "step": "truer than"}
    assert encode_metadata(given_) == given_


def test_numpys_numbers_tuples_and_enums_become_jsons_types():
    given_ = {"i": np.int64(3), "f": np.float64(0.5), "g": np.float32(0.5), "b": np.bool_(1), "t": (1, (2,))}
    assert typed(decode_metadata(encode_metadata(given_))) == repr(
        {"i": 3, "f": 0.5, "g": 0.5, "b": True, "t": [1, [2]]}
    )


def deep(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def circular():
    value = {}
    value["self"] = value
    return value


def wide(levels):
    """Lists of which each holds the next one ten times, as an alias of YAML makes them."""
    value = 1
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (dt.date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        (Decimal("0.1"), "0.1"),
        (Fraction(1, 3), "1/3"),
        (b"x", "b'x'"),
        ({1, 2}, "{1, 2}"),
        (object, "class"),
        (1j, "1j"),
        (float("nan"), "nan"),
        (np.float64("inf"), "inf"),
        ([float("-inf")], "-inf"),
        ({"a": {1: 2}}, "a key of a mapping must be text"),
        (np.array([1]), "array"),
        ([10**5000], "too many digits"),
        (deep(30), "nested more than"),
        (circular(), "nested more than"),
        ("x" * (MAX_VALUE_LENGTH + 1), "100,001 characters; 100,000 is the most"),
        (wide(18), "more than 100,000 characters; 100,000 is the most"),
        (["x" * (MAX_VALUE_LENGTH + 1)], "more than 100,000 characters"),
    ],
)
def test_what_would_not_come_back_is_refused_before_it_is_stored(value, words):
    (problem,) = check_metadata({"field": value})
    assert problem.field == "metadata.field"
    assert words in problem.what
    assert problem.hint
    with pytest.raises(ModelValidationError):
        encode_metadata({"field": value, "fine": 1})


@pytest.mark.parametrize(
    "key", ["", "a/b", "a:b", "é", "..a", 5, None, "k" * 201, "a\nb", "mlflow.x", "_mlflow_x", "hokusai.prompt.version"]
)
def test_keys_that_cannot_be_stored_or_are_reserved_are_refused(key):
    (problem,) = check_metadata({key: 1})
    assert "key" in problem.what
    assert problem.sentence.isprintable()


@pytest.mark.parametrize(
    "key",
    ["MLFLOW.prompt.text", "Hokusai.prompt.version", " hokusai.prompt.version", "  _MLflow_x ", " mlflow.prompt.text "],
)
def test_a_reserved_key_is_reserved_in_every_spelling_that_a_database_may_take_for_it(key):
    (problem,) = check_metadata({key: 1})
    assert problem.what.endswith("is reserved.")
    assert reserved_prefix(key) == reserved_prefix(key.strip().lower()) in RESERVED
    assert check_metadata({f"x{key}": 1, "hokusai": 1, "mlflow_x": 1}) == []


def test_what_is_as_long_as_can_be_stored_is_stored():
    for value in ("x" * MAX_VALUE_LENGTH, ["x" * (MAX_VALUE_LENGTH - 4)], [1] * 33_333, {"k": [0] * 33_331}):
        assert check_metadata({"field": value}) == []
        assert decode_metadata(encode_metadata({"field": value})) == {"field": value}


class Told(pydantic.BaseModel):
    metadata: Metadata


def test_a_record_holds_metadata_as_the_registry_gives_it_back():
    given_ = {"n": np.int64(3), "t": (1, [np.bool_(0)]), "s": Stage.DEV, "deep": {"a": (Stage.DEV,)}}
    held = Told(metadata=given_).metadata
    assert typed(held) == "{'n': 3, 't': [1, [False]], 's': 'dev', 'deep': {'a': ['dev']}}"
    assert json.loads(json.dumps(thawed_json(held))) == held == decode_metadata(encode_metadata(given_))
    assert type(held["t"]) is FrozenList
    assert Told(metadata={"odd": {1}}).metadata == {"odd": {1}}


def test_values_are_the_same_where_they_are_stored_alike():
    assert same_value({"a": 1, "b": (2,)}, {"b": [2], "a": np.int64(1)})
    for first, second in [(1, True), (1, 1.0), ([1], [True]), ({"a": 0.0}, {"a": -0.0}), ("1", 1), (None, "null")]:
        assert not same_value(first, second)
    assert same_value({1}, {1})
    assert not same_value({1}, [1])
    assert same_value([10**5000], [10**5000])


def test_metadata_is_a_mapping():
    for odd in (None, [("a", 1)], "a=1"):
        assert "must be a mapping" in check_metadata(odd)[0].what


@pytest.mark.parametrize(
    "text",
    [
        "[1,",
        "{",
        '"half',
        "1e999",
        "NaN",
        "[NaN]",
        "Infinity",
        "-Infinity",
        "01",
        "1.",
        "[" * 100_000,
        "9" * 5000,
        "free text",
    ],
)
def test_text_of_another_client_stays_text(text):
    assert decode_metadata({"key": text}) == {"key": text}


@modest
@given(st.text(max_size=20) | st.text(alphabet='[]{}",:0 1eE.-trunl', max_size=20))
def test_any_stored_text_is_read_and_never_as_a_number_that_json_lacks(text):
    (value,) = decode_metadata({"key": text}).values()
    json.dumps(value, allow_nan=False)


def test_what_is_recommended_and_missing_is_a_warning_each():
    told = recommend_metadata({"author": "team", "purpose": "", "tested_on": None, "more": 1})
    assert [p.field for p in told] == ["metadata.purpose", "metadata.tested_on", "metadata.performance_metrics"]
    assert {p.severity for p in told} == {"warning"}
    assert recommend_metadata(dict.fromkeys(RECOMMENDED, 0)) == []


def test_frozen_json_is_equal_to_plain_json_and_never_changes():
    plain = {"list": [1, {"deep": [2]}], "text": "t"}
    frozen = frozen_json(plain)
    assert frozen == plain
    assert json.dumps(frozen) == json.dumps(plain)
    assert hash(frozen) == hash(frozen_json(plain))
    for twin in (pickle.loads(pickle.dumps(frozen)), copy.deepcopy(frozen), copy.copy(frozen)):
        assert twin == plain
        assert type(twin["list"]) is FrozenList
        assert type(twin["list"][1]) is FrozenDict
    thawed = thawed_json(frozen)
    thawed["list"][1]["deep"].append(3)
    assert (type(thawed["list"]), frozen) == (list, plain)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.__setitem__(0, 2),
        lambda v: v.__delitem__(0),
        lambda v: v.__iadd__([1]),
        lambda v: v.__imul__(2),
        lambda v: v.append(1),
        lambda v: v.extend([1]),
        lambda v: v.insert(0, 1),
        lambda v: v.pop(),
        lambda v: v.remove(1),
        lambda v: v.clear(),
        lambda v: v.sort(),
        lambda v: v.reverse(),
    ],
)
def test_no_method_changes_a_frozen_list(change):
    frozen = FrozenList([1])
    with pytest.raises(TypeError, match="cannot be changed"):
        change(frozen)
    assert frozen == [1]
