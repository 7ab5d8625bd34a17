from __future__ import annotations

import sqlite3

import mlflow
import mlflow.genai
import pytest

from hokusai_nb.backends.mlflow import prompt_stages, prompts
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


def seen(backend, name="hook"):
    """What each reader finds, by MLflow's numbers; all of them must agree."""
    listed = [(v.mlflow_version, v.version) for v in prompts.all_versions(backend, name)]
    assert [(v.mlflow_version, v.version) for v in prompts.by_prefix(backend, name) if v.name == name] == listed
    by_number = [prompts.numbered(backend, name, n) for n in range(1, 9)]
    assert [(v.mlflow_version, v.version) for v in by_number if v] == listed
    for number, version in listed:
        assert prompts.of_version(backend, name, version).mlflow_version == number
    newest = prompt_stages.standing(backend, name).newest
    assert ((newest.mlflow_version, newest.version) if newest else None) == (listed[-1] if listed else None)
    return listed


@both
def test_what_was_registered_at_once_with_an_earlier_one_is_invisible_to_every_reader(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique("hook")
    for version, after in [("1.0.0", 0), ("1.0.1", 1), ("1.0.1", 1), ("9.0.0", 1), ("1.0.2", 2), ("1.0.3", 2)]:
        prompts.create(backend, draft(name, version, f"after {after}"), known=version != "1.0.0", after=after)
    assert seen(backend, name) == [(1, "1.0.0"), (2, "1.0.1"), (5, "1.0.2")]
    assert prompts.of_version(backend, name, "9.0.0") is None
    with backend.calling() as client:
        prompts.registry_of(client).delete_model_version(name, "2")
    assert seen(backend, name) == [(1, "1.0.0"), (5, "1.0.2")]


def test_of_two_of_another_client_with_one_number_all_readers_take_the_first(store):
    backend = Backend.at(store)
    prompts.create(backend, draft(template="first"), known=False)
    prompts.create(backend, draft(template="second"), known=True)
    assert seen(backend) == [(1, "1.0.0")]
    assert prompts.of_version(backend, "hook", "1.0.0").template == "first"


@pytest.mark.parametrize("text", ["", "x", "-1", "\N{SUPERSCRIPT TWO}", "1.5"])
def test_a_mark_that_says_nothing_is_none(store, text):
    backend = Backend.at(store)
    prompts.create(backend, draft(), known=False, after=0)
    prompts.create(backend, draft(version="1.0.1"), known=True, after=0)
    assert seen(backend) == [(1, "1.0.0")]
    with backend.calling() as client:
        prompts.registry_of(client).set_model_version_tag("hook", "2", "hokusai.prompt.after", text)
    assert seen(backend) == [(1, "1.0.0"), (2, "1.0.1")]


def test_a_template_of_very_many_variables_is_stored(store):
    backend = Backend.at(store)
    text = "".join(f"{{{chr(0x4E00 + n)}}}" for n in range(20_000))
    assert prompts.create(backend, draft(template=text), known=False).template == text


def test_what_mlflows_own_users_made_is_foreign_and_what_is_not_there_is_not(store):
    backend = Backend.at(store)
    prompts.create(backend, draft(), known=False, after=0)
    mlflow.genai.register_prompt("hook", "Hi")
    assert [prompts.is_foreign(backend, "hook", n) for n in (1, 2, 3)] == [False, True, False]
    assert not prompts.is_foreign(backend, "other", 1)


def forbid(store, *writes):
    """Have the database itself refuse some writes."""
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        for number, write in enumerate(writes):
            database.execute(f"CREATE TRIGGER no{number} BEFORE {write} BEGIN SELECT RAISE(ABORT, 'forbidden'); END")
    database.close()


@pytest.mark.parametrize("forbidden", [[], ["UPDATE ON model_versions"]])
def test_what_is_taken_back_is_deleted_or_else_marked_for_whoever_sees_it_in_mlflow(store, forbidden):
    backend = Backend.at(store)
    prompts.create(backend, draft(), known=False, after=0)
    lost = prompts.create(backend, draft(version="1.0.1"), known=True, after=1)
    forbid(store, *forbidden)
    prompts.withdraw(backend, lost)
    assert seen(backend) == [(1, "1.0.0")]
    left = [v for v in mlflow.MlflowClient().search_model_versions(prompts.prompt_filter()) if v.version == 2]
    assert [v.tags.get(prompts.WITHDRAWN) for v in left] == ["another version was first"] * len(forbidden)


def test_what_can_neither_be_deleted_nor_marked_does_not_count_all_the_same(store):
    backend = Backend.at(store)
    prompts.create(backend, draft(), known=False, after=0)
    lost = prompts.create(backend, draft(version="1.0.1"), known=True, after=0)
    forbid(store, "UPDATE ON model_versions", "INSERT ON model_version_tags")
    prompts.withdraw(backend, lost)
    assert seen(backend) == [(1, "1.0.0")]


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


def test_the_order_of_keys_makes_no_other_version_and_a_type_does():
    stored = draft(limits={"a": 1, "b": [True]}, note="n")
    assert prompts.is_same(stored, draft(note="n", limits={"b": [True], "a": 1}))
    assert not prompts.is_same(stored, draft(note="n", limits={"b": [1], "a": 1}))
    assert not prompts.is_same(stored, draft(limits={"a": 1, "b": [True]}))
    assert not prompts.is_same(stored, draft(limits={"a": 1, "b": [True]}, note="n", more=None))


def test_a_version_of_no_time_that_a_calendar_holds_is_read_all_the_same(store):
    backend = Backend.at(store)
    prompts.create(backend, draft(), known=False)
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET creation_time = ?", (10**17,))
    database.close()
    assert prompts.numbered(backend, "hook", 1).created_at is None
