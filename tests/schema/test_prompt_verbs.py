"""What a user can ask of prompts and stages, and what is refused in which words."""

from __future__ import annotations

import pytest

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.arguments import arguments
from hokusai_nb.schema.prompt_verbs import EditPrompt, Promote, Prompts, Rollback


def test_metadata_is_of_the_type_that_json_says():
    given = {"a": "0.06", "b": "true", "c": "null", "d": "[1, 2]", "e": '{"k": 1}', "f": "threads", "g": '"17"', "h": 3}
    made = EditPrompt.parse({"name": "hook", "meta": given}).meta
    assert made == {
        "a": 0.06, "b": True, "c": None, "d": [1, 2], "e": {"k": 1}, "f": "threads", "g": "17", "h": 3,
    }  # fmt: skip
    assert type(made["b"]) is bool


def test_values_to_render_stay_as_they_are_typed():
    assert EditPrompt.parse({"name": "hook", "render": {"a": "1.50"}}).render == {"a": "1.50"}


@pytest.mark.parametrize(
    ("verb", "values", "words"),
    [
        (EditPrompt, {}, "name is missing"),
        (EditPrompt, {"name": "my hook"}, "Did you mean my-hook"),
        (EditPrompt, {"name": "a", "bump": "big"}, "'major', 'minor' or 'patch'"),
        (EditPrompt, {"name": "a", "bump": "major", "version": "1.0.0"}, "exclude each other"),
        (EditPrompt, {"name": "a", "meta": {"mlflow.x": "1"}}, "reserved"),
        (Promote, {"name": "a", "to": "dev"}, "'staging' or 'production'"),
        (Rollback, {"name": "a", "stage": "dev"}, "'staging' or 'production'"),
        (Promote, {}, "name is missing"),
        (Prompts, {"prefix": None}, "prefix"),
    ],
)
def test_what_is_wrong_is_said(verb, values, words):
    with pytest.raises(ValidationError, match=words):
        verb.parse(values)


@pytest.mark.parametrize("verb", [EditPrompt, Prompts, Promote, Rollback])
def test_every_argument_is_explained(verb):
    assert verb.__doc__
    assert all(argument.help for argument in arguments(verb))
