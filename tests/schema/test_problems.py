"""Findings about fields: one wording for every face, quoted and shortened."""

from __future__ import annotations

import enum
import pickle
from typing import Annotated

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import (
    Problem,
    checked,
    errors_in,
    guess_or,
    joined_words,
    plain,
    problems_in,
    quoted,
    raise_for,
)

modest = settings(max_examples=100, deadline=None)


class Unspeakable:
    """Fails even at being shown."""

    def __repr__(self):
        msg = "no"
        raise RuntimeError(msg)

    __str__ = __repr__


def test_text_is_quoted_and_anything_else_is_written_as_python_writes_it():
    values = ["a'b", None, 5, 1.5, float("nan"), np.float32(0.5), True, b"x", [1]]
    assert [quoted(v) for v in values] == ['"a\'b"', "None", "5", "1.5", "nan", "0.5", "True", "b'x'", "[1]"]


def test_a_quoted_value_is_one_short_line():
    assert len(quoted("x" * 10_000)) < 100
    assert len(quoted(list(range(10_000)))) < 100
    assert quoted(np.zeros((2, 2))) == "array([[0., 0.], [0., 0.]])"
    assert quoted("a\nb\x1b[31m\ud800") == r"'a\nb\x1b[31m\ud800'"


def test_a_value_that_cannot_be_shown_is_named_by_its_type():
    assert quoted(Unspeakable()) == "<Unspeakable>"
    assert quoted(10**5000) == "<int>"


@modest
@given(st.text() | st.binary() | st.lists(st.text()) | st.dictionaries(st.text(), st.floats()) | st.complex_numbers())
def test_whatever_is_quoted_can_be_printed_on_one_line(value):
    assert quoted(value).isprintable()


def test_a_subclass_of_text_is_the_characters_it_holds():
    class Colour(str, enum.Enum):  # noqa: UP042 - its str() is "Colour.RED"
        RED = "red"

    assert (plain(Colour.RED), type(plain(Colour.RED)), quoted(Colour.RED)) == ("red", str, "'red'")


def test_words_are_joined_only_where_nothing_gets_lost():
    assert joined_words("  two words\n", "-") == "two-words"
    assert joined_words("é\u0301", "-") is None
    assert joined_words("\u2460", "-") == "1"
    assert joined_words("🚀", "-") == ""


def test_a_repair_is_offered_in_words_and_shown_escaped_where_it_cannot_be_read():
    assert guess_or("MSG-AI", "Else.") == "Did you mean MSG-AI?"
    assert guess_or("a\nb", "Else.") == r"Did you mean 'a\nb'?"
    assert guess_or(None, "Else.") == "Else."


def test_only_errors_refuse_a_write():
    warning = Problem(field="a", what="Odd.", severity="warning")
    error = Problem(field="b", what="Wrong.", hint="Right it.")
    raise_for([warning])
    assert errors_in([warning, error]) == [error]
    with pytest.raises(ValidationError) as caught:
        raise_for([warning, error])
    assert caught.value.problems == (error,)
    assert str(caught.value) == "Wrong.\nRight it."


def test_a_problem_is_frozen_hashable_and_survives_json_and_pickle():
    problem = Problem(field="a", what="Wrong.", hint="h", repair="r")
    assert Problem.model_validate_json(problem.model_dump_json()) == problem
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert {problem, problem.under("a")} == {problem}
    assert problem.under("b").field == "b"
    with pytest.raises(pydantic.ValidationError):
        problem.what = "Fine."


class Form(pydantic.BaseModel, extra="forbid"):
    word: Annotated[str, pydantic.BeforeValidator(checked(lambda v: [Problem(field="word", what=v, hint="{x}")], str))]
    number: int = 0


def found(**values):
    with pytest.raises(pydantic.ValidationError) as caught:
        Form.model_validate(values)
    return problems_in(caught.value)


@pytest.mark.parametrize("what", ["plain", "{what} %s {0} {problems}", "<b>", ""])
def test_a_finding_reaches_the_user_word_for_word(what):
    assert found(word=what) == [Problem(field="word", what=what, hint="{x}")]


def test_what_pydantic_finds_is_said_in_our_words():
    assert [(p.field, p.what) for p in found(number="many", other=1)] == [
        ("word", "word is missing."),
        ("number", "number: Input should be a valid integer, unable to parse string as an integer: 'many'"),
        ("other", "There is no field other."),
    ]


def test_a_made_up_field_name_is_shown_escaped():
    assert [p.field for p in found(word="x", **{"a\n\x1b": 1})] == ["word", r"a\n\x1b"]


def test_a_value_of_endless_text_is_named_by_its_class():
    value = "end"
    for _ in range(300):
        value = [value, value]
    assert quoted(value) == "<list>"
    assert quoted([1, "two"]) == "[1, 'two']"
