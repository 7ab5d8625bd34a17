from __future__ import annotations

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.prompts import ModelStage, PromptVersion
from tests.conftest import both


def draft(name="hook", version="1.0.0", template="Hi {name}", **metadata):
    return PromptVersion(name=name, version=version, template=template, metadata=metadata, author="ada")


@both
def test_a_version_is_written_and_read_whole(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), f"a/{unique('hook')}"
    made = prompts.create(backend, draft(name, template='it\'s "{x}" \\ %_ 🔥\n', note="n"), known=False)
    assert prompts.of_version(backend, name, "1.0.0") == made
    assert prompts.numbered(backend, name, 1) == made
    assert prompts.all_versions(backend, name) == prompts.by_prefix(backend, name) == [made]
    assert (made.author, made.metadata, made.stages) == ("ada", {"note": "n"}, ())
    assert (made.url is None) is not backend.is_server


def test_what_is_kept_beside_the_metadata_cannot_be_set_through_it(store):
    backend = Backend.at(store)
    for key in ("mlflow.prompt.text", "hokusai.prompt.version", "_mlflow_prompt_type"):
        with pytest.raises(ModelValidationError, match=key):
            prompts.create(backend, draft(**{key: "chat"}), known=False)
    with backend.calling() as client:
        assert client.search_registered_models("tags.`mlflow.prompt.is_prompt` = 'true'") == []


@pytest.mark.parametrize("version", ["9.9.9", "it's", '"', "`", "%"])
def test_what_is_not_there_is_none(store, version):
    backend = Backend.at(store)
    prompts.create(backend, draft(), known=False)
    assert prompts.of_version(backend, "hook", version) is None
    assert prompts.numbered(backend, "hook", 9) is None
    assert prompts.numbered(backend, "other", 1) is None
    assert prompts.all_versions(backend, "other") == []


def test_a_prefix_is_no_pattern(store):
    backend = Backend.at(store)
    for name in ("a/b", "a/c", "axb", "a_b"):
        prompts.create(backend, draft(name), known=False)
    mlflow.genai.register_prompt("a.theirs", "Hi")
    assert [v.name for v in prompts.by_prefix(backend, "a/")] == ["a/b", "a/c"]
    assert [v.name for v in prompts.by_prefix(backend, "a_")] == ["a_b"]
    assert len(prompts.by_prefix(backend)) == 4


def test_of_two_with_one_number_all_readers_take_the_first(store):
    backend = Backend.at(store)
    prompts.create(backend, draft(template="first"), known=False)
    prompts.create(backend, draft(template="second"), known=True)
    assert prompts.of_version(backend, "hook", "1.0.0").template == "first"
    assert [v.template for v in prompts.all_versions(backend, "hook")] == ["first"]
    assert [v.template for v in prompts.by_prefix(backend)] == ["first"]


@pytest.mark.slow
def test_a_version_whose_answer_was_lost_is_found_and_not_made_twice(proxy, unique):
    backend, name = Backend.at(proxy.address), unique("hook")
    prompts.create(backend, draft(name), known=False)
    proxy.spoil = lambda _, path: "drop" if path.endswith("model-versions/create") else None
    made = prompts.create(backend, draft(name, "1.0.1"), known=True)
    assert (made.version, made.mlflow_version) == ("1.0.1", 2)
    assert proxy.count("model-versions/create") == 2


def test_stages_are_read_from_the_aliases_that_we_know():
    found = prompts.stages_by_number({"staging": "2", "production": 2, "champion": 1})
    assert found == {2: (ModelStage.STAGING, ModelStage.PRODUCTION)}
