"""Names of registered models: whatever this package accepts, MLflow accepts too."""

from __future__ import annotations

import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hokusai_nb.schema.names import MAX_NAME_LENGTH, ModelName, check_model_name

modest = settings(max_examples=100, deadline=None)
names = st.text(max_size=20) | st.text(alphabet="./:\0a \ud800-", max_size=8)


@pytest.mark.parametrize(
    "name",
    [
        "churn-classifier",
        "MSG-AI",
        'it\'s 100% "quoted"',
        "<script>",
        "two\nlines",
        "模型🚀",
        ".hidden",
        " a ",
        "n" * 256,
    ],
)
def test_a_name_may_hold_almost_anything(name):
    assert check_model_name(name) == []


@pytest.mark.parametrize(
    ("name", "repair"),
    [
        ("a/b", "a-b"),
        ("models:/churn/1", "models--churn-1"),
        ("a\0b", "ab"),
        ("a\ud800", "a"),
        ("..a", "a"),
        ("../a", "a"),
        ("", None),
        (" \n", None),
        (".", None),
        ("..", None),
        ("\ud800", None),
        ("n" * 257, None),
    ],
)
def test_a_name_that_cannot_be_stored_everywhere_is_refused(name, repair):
    (problem,) = check_model_name(name)
    assert problem.what.startswith("Model name invalid: ")
    assert (problem.field, problem.repair) == ("name", repair)
    assert problem.hint


@pytest.mark.parametrize("value", [None, 5, True, b"churn", ["churn"]])
def test_what_is_no_text_is_refused(value):
    assert check_model_name(value)[0].what.startswith("Model name invalid: ")
    with pytest.raises(pydantic.ValidationError, match="Model name invalid"):
        pydantic.TypeAdapter(ModelName).validate_python(value)


def test_a_message_about_a_name_stays_on_one_line():
    (problem,) = check_model_name("two\nlines/and\x1b[31mred")
    assert (problem.what + problem.hint).isprintable()


@modest
@given(names)
@example("..foo")
@example("../x")
@example("...")
@example("./.")
def test_every_accepted_name_is_accepted_by_mlflow_and_every_repair_is_valid(name):
    from mlflow.utils.validation import _validate_model_name

    problems = check_model_name(name)
    for problem in problems:
        assert problem.repair is None or check_model_name(problem.repair) == []
    if not problems:
        _validate_model_name(name)
        assert len(name) <= MAX_NAME_LENGTH
        assert "\0" not in name
        assert pydantic.TypeAdapter(ModelName).validate_python(name) == name
