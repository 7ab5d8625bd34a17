from __future__ import annotations

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.core.prompts import PromptModel, load_prompt_template
from hokusai_nb.errors import ModelNotFoundError, ModelValidationError
from tests.prompts import FULL


def missing(call, *args, **kwargs):
    with pytest.raises(ModelNotFoundError) as caught:
        call(*args, **kwargs)
    return caught.value


@pytest.fixture
def foreign(store):
    """A prompt that only MLflow's own functions know, in production."""
    del store
    mlflow.genai.register_prompt("a.b", "Hi {{name}}")
    mlflow.genai.set_prompt_alias("a.b", "production", 1)


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: PromptModel.load_from_registry("a/b", 1), ""),
        (lambda: PromptModel.load_from_registry("a/b", "1"), ""),
        (lambda: PromptModel.load_from_registry("a/b"), ""),
        (lambda: PromptModel.load_from_registry("a/b", stage="production"), "in production "),
        (lambda: load_prompt_template("a/b"), "in production "),
    ],
)
def test_a_version_of_mlflows_own_users_is_said_to_be_one_and_how_to_read_it(call, where):
    error = missing(call)
    assert error.what.startswith(f"MLflow's version 1 of prompt 'a/b' {where}in sqlite")
    assert error.what.endswith("was not registered with hokusai_nb, so it has no semantic version.")
    assert error.hint == "Read it with mlflow.genai.load_prompt('a.b', version=1)."
    assert mlflow.genai.load_prompt("a.b", version=1).template == "Hi {{name}}"


@pytest.mark.usefixtures("foreign")
def test_what_is_not_there_at_all_is_said_to_be_missing():
    assert missing(PromptModel.load_from_registry, "other", 1).what.startswith("Prompt 'other' has no semantic version")
    assert missing(PromptModel.load_from_registry, "a/b", 2).what.startswith("Prompt 'a/b' has no semantic version")
    assert missing(PromptModel.load_from_registry, "other").what.startswith("There is no prompt 'other'")
    assert missing(load_prompt_template, "a/b", "staging").what.startswith("Prompt 'a/b' has no version in staging")
    assert missing(PromptModel.load_from_registry, "a/b", stage="dev").what.startswith("Prompt 'a/b' has no version in")


@pytest.mark.usefixtures("foreign")
def test_versions_of_both_kinds_live_side_by_side():
    made = PromptModel("a/b", "Hi {name}", "1.0.0", metadata=FULL).register()
    assert (made.mlflow_version, made.parent_version) == (2, None)
    mlflow.genai.register_prompt("a.b", "Ho {{name}}")
    later = PromptModel("a/b", "Hi {name}!", "1.0.1", metadata=FULL).register()
    assert (later.mlflow_version, later.parent_version) == (4, "1.0.0")
    assert PromptModel.load_from_registry("a/b").version == "1.0.1"
    assert [v.version for v in PromptModel.list()] == ["1.0.0", "1.0.1"]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", [["x"], {"x"}, None, 5, b"hook"])
def test_a_name_that_is_no_text_is_refused_in_words(name):
    for version in ("1.0.0", 1, None):
        with pytest.raises(ModelValidationError, match="Model name"):
            PromptModel.load_from_registry(name, version)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("prefix", [None, 5, ["a"]])
def test_a_prefix_that_is_no_text_is_refused_in_words(prefix):
    with pytest.raises(ModelValidationError, match="A prefix must be text") as caught:
        PromptModel.list(prefix)
    assert caught.value.problems[0].field == "prefix"
