"""Names of prompts: hierarchical, and one to one with what MLflow stores."""

from __future__ import annotations

import re

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.names import check_model_name
from hokusai_nb.schema.prompt_names import PromptName, check_prompt_name, parse_prompt_name, shown_name, stored_name

modest = settings(max_examples=200, deadline=None)
names = st.from_regex(r"[A-Za-z0-9_\-]+(/[A-Za-z0-9_\-]+){0,3}", fullmatch=True).filter(lambda s: len(s) <= 256)
stored = st.from_regex(r"[a-zA-Z0-9_.\-]{1,30}", fullmatch=True)


@pytest.mark.parametrize(
    "name", ["viral-hook-generator", "persona/entrepreneur/hook-generator", "T", "a_b/1", "n" * 256]
)
def test_words_joined_by_slashes_are_a_name(name):
    assert check_prompt_name(name) == []
    assert parse_prompt_name(name) == name


@pytest.mark.parametrize(
    ("name", "repair"),
    [
        ("persona.hook", "persona/hook"),
        ("/persona//hook/", "persona/hook"),
        ("viral hook", "viral-hook"),
        ("prompts:/hook", "prompts/hook"),
        ("a\nb", "a-b"),
        ("hook!", "hook"),
        ("größe", None),
        ("🔥", None),
        ("//", None),
        ("../..", None),
        ("<script>", "script"),
        (5, None),
        ("n" * 257, None),
    ],
)
def test_anything_else_is_refused_with_the_name_that_was_meant(name, repair):
    (problem,) = check_prompt_name(name)
    assert problem.what.startswith("Model name invalid")
    assert problem.repair == repair
    assert problem.sentence.isprintable()
    with pytest.raises(ModelValidationError):
        parse_prompt_name(name)


@pytest.mark.parametrize("name", ["", " \n", None])
def test_a_name_cannot_be_empty(name):
    with pytest.raises(ModelValidationError, match="Model name cannot be empty"):
        parse_prompt_name(name)


@modest
@given(names)
def test_every_name_comes_back_from_storage_and_mlflow_takes_it(name):
    assert check_prompt_name(name) == []
    assert shown_name(stored_name(name)) == name
    assert re.fullmatch(r"[a-zA-Z0-9_.\-]+", stored_name(name))
    assert check_model_name(stored_name(name)) == []


@modest
@given(stored)
def test_every_stored_name_leads_back_also_if_another_client_made_it(name):
    assert stored_name(shown_name(name)) == name


@modest
@given(st.text(max_size=20) | st.text(alphabet="ab/.:\\ -_é🔥", max_size=10))
def test_every_repair_is_a_name(name):
    for problem in check_prompt_name(name):
        assert problem.repair is None or check_prompt_name(problem.repair) == []


def test_a_field_takes_what_the_check_takes():
    adapter = pydantic.TypeAdapter(PromptName)
    assert adapter.validate_python("a/b") == "a/b"
    with pytest.raises(pydantic.ValidationError, match="Model name invalid"):
        adapter.validate_python("a.b")
    shape = adapter.json_schema()["pattern"]
    assert re.search(shape, "a/b")
    assert not re.search(shape, "a//b")
