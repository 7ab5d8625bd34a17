"""What a user can ask for: validated once, with the same words for every face."""

from __future__ import annotations

import enum
import pickle

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema import verbs
from hokusai_nb.schema.metrics import check_benchmark, check_metric
from hokusai_nb.schema.names import check_model_name
from hokusai_nb.schema.problems import errors_in
from hokusai_nb.schema.tags import check_contributor, check_extra_tags
from hokusai_nb.schema.tokens import check_token
from hokusai_nb.schema.values import check_decimal
from hokusai_nb.schema.verbs import (
    Compare,
    Configure,
    Improvement,
    Models,
    Overview,
    Register,
    ShowLineage,
    TokenStatus,
    Verb,
)

modest = settings(max_examples=100, deadline=None)
EVERY = [Compare, Configure, Improvement, Models, Overview, Register, ShowLineage, TokenStatus]
GOOD = {"name": "churn", "token": "CHURN-1", "metric": "accuracy"}
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
MISTYPED = ADDRESS.replace("5aAe", "5AAe")
anything = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["msg-ai", "val_accuracy", "accuracy", "87", "0,91", "a/b", ADDRESS, MISTYPED]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.decimals(),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), st.text(max_size=5) | st.integers(), max_size=3),
)


def words(problems):
    return [(p.field, p.severity) for p in problems]


def checked_tags(tags):
    return [p.under(f"tags.{p.field}") for p in check_extra_tags(tags)]


def test_every_verb_is_here():
    named = {getattr(verbs, name) for name in verbs.__all__}
    assert {v for v in named if issubclass(v, Verb)} - {Verb} == set(EVERY)


def test_one_registration_is_read_whole():
    verb = Register.parse({
        **GOOD, "token": "churn-1", "value": 0.91, "run": "abc", "model": "clf", "input_example": "X", "dry_run": True,
        "tags": {"feature_count": np.int64(30)}, "contributor": ADDRESS, "force_new": True, "as_json": True,
    })  # fmt: skip
    assert (verb.token, verb.value, verb.tags) == ("CHURN-1", "0.91", {"feature_count": "30"})
    assert verb.warnings() == Register.check(verb.model_dump()) == []


@pytest.mark.parametrize("field", ["value", "run", "model", "input_example", "contributor", "tags"])
def test_none_means_that_an_optional_field_is_left_out(field):
    verb = Register.parse({**GOOD, field: None})
    assert verb == Register.parse(GOOD)
    assert verb.tags == {}


@pytest.mark.parametrize("field", ["name", "token", "metric"])
def test_a_required_field_can_be_neither_none_nor_missing(field):
    assert words(Register.check({**GOOD, field: None})) == [(field, "error")]
    assert words(Register.check({k: v for k, v in GOOD.items() if k != field})) == [(field, "error")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("name", b"churn"),
        ("token", 5),
        ("metric", ["accuracy"]),
        ("value", True),
        ("value", [0.9]),
        ("run", 5),
        ("run", b"abc"),
        ("model", object()),
        ("input_example", 1.5),
        ("tags", "a=b"),
        ("tags", ["a"]),
        ("contributor", 0x5AA),
        ("dry_run", "maybe"),
        ("dry_run", "yes"),
        ("dry_run", 1),
        ("force_new", None),
        ("as_json", 0),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_not_converted(field, value):
    assert words(Register.check({**GOOD, field: value})) == [(field, "error")]
    with pytest.raises(ValidationError):
        Register.parse({**GOOD, field: value})


def test_a_misspelt_field_is_refused():
    (problem,) = Register.check({**GOOD, "tokne": "A-B"})
    assert (problem.field, problem.what) == ("tokne", "There is no field tokne.")


@pytest.mark.parametrize(
    ("field", "value", "check"),
    [
        ("name", "a/b", check_model_name),
        ("name", "", check_model_name),
        ("token", "msg_ai", check_token),
        ("token", "MSGAI", check_token),
        ("metric", "test/auc", check_metric),
        ("metric", "{what}", check_metric),
        ("value", "13.4%", check_decimal),
        ("value", "{0} %s", check_decimal),
        ("value", "87", lambda v: check_benchmark("accuracy", v)),
        ("contributor", "alice", lambda v: check_contributor(v, field="contributor")),
        ("tags", {"benchmark_value": "1"}, checked_tags),
        ("tags", {"feature_count": "many", "gpu_type": ""}, checked_tags),
        ("tags", {"token": "\0", "model": "\0"}, checked_tags),
        ("tags", 5, check_extra_tags),
    ],
)
def test_every_face_shows_the_words_of_the_fields_own_check(field, value, check):
    assert Register.check({**GOOD, field: value}) == check(value)
    with pytest.raises(ValidationError) as caught:
        Register.parse({**GOOD, field: value})
    assert list(caught.value.problems) == check(value)


def test_all_problems_are_found_at_once_contradictions_and_warnings_too():
    values = {"name": "a/b", "token": "msg_ai", "metric": "my_metric", "contributor": MISTYPED}
    assert words(Register.check(values)) == [
        ("name", "error"),
        ("token", "error"),
        ("metric", "warning"),
        ("contributor", "warning"),
    ]
    assert words(Register.check({**GOOD, "name": "", "value": "87"})) == [("name", "error"), ("value", "error")]
    assert words(Register.check({**GOOD, "value": "87"})) == [("value", "error")]


def test_a_warning_does_not_refuse_and_is_kept():
    verb = Register.parse({**GOOD, "metric": "my_metric", "contributor": MISTYPED, "tags": {"contributor": MISTYPED}})
    assert words(verb.warnings()) == [
        ("metric", "warning"),
        ("contributor", "warning"),
        ("tags.contributor", "warning"),
    ]


@pytest.mark.parametrize("key", ["contributor", "contributor_address"])
def test_a_contributor_and_its_tag_must_be_the_same(key):
    same = {**GOOD, "contributor": ADDRESS, "tags": {key: ADDRESS.lower()}}
    assert Register.check(same) == []
    other = {**same, "tags": {key: "0x" + "1" * 40}}
    assert words(Register.check(other)) == [("contributor", "error")]
    with pytest.raises(ValidationError, match="different addresses"):
        Register.parse(other)


def test_a_verb_is_frozen_hashable_and_survives_json_and_pickle():
    verb = Register.parse({**GOOD, "value": "0.90", "tags": {"a": "b"}, "contributor": ADDRESS})
    with pytest.raises(pydantic.ValidationError):
        verb.name = "other"
    with pytest.raises(TypeError):
        verb.tags["a"] = "c"
    for twin in (Register.model_validate_json(verb.model_dump_json()), pickle.loads(pickle.dumps(verb))):
        assert twin == verb
        assert hash(twin) == hash(verb)


def test_members_of_enums_are_the_text_they_hold():
    class Words(str, enum.Enum):  # noqa: UP042 - as older code writes them; their str() is "Words.…"
        NAME = "churn"
        TOKEN = "churn-1"
        METRIC = "accuracy"

    verb = Register.parse({"name": Words.NAME, "token": Words.TOKEN, "metric": Words.METRIC, "tags": {Words.NAME: "x"}})
    assert verb == Register.parse({**GOOD, "tags": {"churn": "x"}})


def test_switches_on_a_line_may_be_spelled_in_words():
    assert Configure.parse({"provenance": "off"}).provenance is False
    assert words(Configure.check({"provenance": "perhaps"})) == [("provenance", "error")]


def test_a_token_to_search_for_may_be_any_stored_one():
    assert Models.parse({"token": "xray"}).token == "XRAY"
    assert words(Models.check({"token": ""})) == [("token", "error")]


@pytest.mark.parametrize("verb", EVERY)
def test_every_field_of_a_verb_has_a_spelling_and_a_help(verb):
    assert verb.__doc__.endswith(".")
    options = {name: (info, option) for name, info, option in verb.options()}
    assert set(options) == set(verb.model_fields)
    for info, option in options.values():
        assert info.description.endswith(".")
        assert info.is_required() or option.flag.startswith("--") or not option.flag
    flags = [option.flag for _, option in options.values() if option.flag]
    assert len(flags) == len(set(flags))


@modest
@given(
    st.sampled_from(EVERY),
    st.dictionaries(
        st.sampled_from(sorted(Register.model_fields)) | st.text(max_size=8) | st.integers() | st.none(),
        anything,
        max_size=8,
    ),
    st.booleans(),
)
def test_no_mapping_raises_anything_but_our_error_and_check_agrees_with_parse(verb, values, complete):
    values = {**(GOOD if complete and verb is Register else {}), **values}
    if errors := errors_in(verb.check(values)):
        with pytest.raises(ValidationError) as caught:
            verb.parse(values)
        assert set(caught.value.problems) <= set(errors)
    else:
        made = verb.parse(values)
        assert verb.parse(made.model_dump()) == made
        assert verb.model_validate_json(made.model_dump_json()) == made


@modest
@given(st.sampled_from(sorted(GOOD | {"value": "", "contributor": ""})), anything)
def test_the_repair_of_a_field_makes_the_field_valid(field, value):
    values = {**GOOD, "metric": "r2", field: value}
    for problem in errors_in(Register.check(values)):
        if problem.field == field and problem.repair is not None:
            repaired = Register.check({**values, field: problem.repair})
            assert problem not in errors_in(repaired)
