from __future__ import annotations

import threading

import mlflow
import pytest

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.core.prompt_registration import register
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ConflictError, ModelValidationError
from hokusai_nb.schema.prompts import PromptVersion

DONE = {"author": "a", "purpose": "b", "tested_on": "c", "performance_metrics": {"d": 1}}


def draft(version="1.0.0", template="Hi {name}", name="hook", **metadata):
    return PromptVersion(name=name, version=version, template=template, metadata={**DONE, **metadata})


@pytest.fixture
def backend(store):
    return Backend.at(store)


def versions(backend, name="hook"):
    return [v.version for v in prompts.all_versions(backend, name)]


def test_the_same_content_under_the_same_number_is_the_same_version(backend):
    first, again = register(backend, draft()), register(backend, draft())
    register(backend, draft("1.0.1", "Hello {name}"))
    later = register(backend, draft())
    assert (first.created, again.created, later.created) == (True, False, False)
    assert first.mlflow_version == again.mlflow_version == later.mlflow_version == 1


@pytest.mark.parametrize("other", [{"template": "Hello {name}"}, {"note": "new"}, {"author": "b"}])
def test_other_content_under_the_same_number_is_refused(backend, other):
    register(backend, draft())
    with pytest.raises(ModelValidationError, match="is registered already, with other content") as caught:
        register(backend, draft(**other))
    assert caught.value.problems[0].repair == "1.0.1"
    assert versions(backend) == ["1.0.0"]


@pytest.mark.parametrize("version", ["1.0.9", "1.1.0-rc.1", "0.9.0", "1.1.0+build"])
def test_a_version_that_is_not_above_the_newest_is_refused(backend, version):
    register(backend, draft("1.1.0"))
    with pytest.raises(ModelValidationError, match=r"is not above 1\.1\.0, the newest"):
        register(backend, draft(version, "Hello {name}"))


@pytest.mark.parametrize(
    ("template", "refused", "accepted", "reason"),
    [
        ("Hi {who}", "1.1.0", "2.0.0", "callers still pass name"),
        ("Hi", "1.9.0", "2.0.0-rc.1", "callers still pass name"),
        ("Hi {name} {greeting}", "1.0.1", "1.1.0", "callers have to pass greeting"),
        ("Hello {name}", "1.0.0+b2", "1.0.1", "not above"),
    ],
)
def test_a_step_that_says_less_than_the_change_is_refused_and_the_right_one_proposed(
    backend, template, refused, accepted, reason
):
    register(backend, draft())
    with pytest.raises(ModelValidationError, match=reason) as caught:
        register(backend, draft(refused, template))
    assert caught.value.problems[0].repair == accepted.partition("-")[0]
    assert register(backend, draft(accepted, template)).parent_version == "1.0.0"


def test_a_small_step_can_be_allowed(backend):
    register(backend, draft())
    assert register(backend, draft("1.0.1", "Hi"), allow_breaking=True).version == "1.0.1"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("bump", "version"), [(None, "1.1.0"), ("patch", "1.0.1"), ("major", "2.0.0")])
def test_the_next_version_is_proposed_by_step_or_by_what_the_change_means(bump, version):
    assert PromptModel.propose("hook", "Hi {name}", bump).version == "1.0.0"
    PromptModel("hook", "Hi {name}", "1.0.0", metadata=DONE).register()
    made = PromptModel.propose("hook", "Hi {name} {x}", bump, DONE)
    assert made.version == version
    if bump == "patch":
        with pytest.raises(ModelValidationError, match=r"Did you mean 1\.1\.0"):
            made.register()
    else:
        assert made.register().version == version


def test_the_next_version_is_the_one_after_it_where_somebody_else_took_it(backend):
    PromptModel("hook", "Hi {name}", "1.0.0", metadata=DONE).register()
    made = PromptModel.propose("hook", "Hi {name}!", "patch", DONE)
    register(backend, draft("1.0.1", "Hi {name}?"))
    assert made.register().version == "1.0.2"


# Somebody else registers between our look and our own registration


@pytest.fixture
def meanwhile(monkeypatch):
    """Have somebody else act right before the next version is created."""

    def arrange(act):
        create = prompts.create

        def late(*args, **kwargs):
            monkeypatch.setattr(prompts, "create", create)
            act()
            return create(*args, **kwargs)

        monkeypatch.setattr(prompts, "create", late)

    return arrange


def test_of_two_with_other_content_the_first_wins_and_the_second_is_taken_back(backend, meanwhile):
    register(backend, draft())
    meanwhile(lambda: register(backend, draft("1.0.1", "Hi {name}!")))
    with pytest.raises(ConflictError, match="was registered by a at the same time"):
        register(backend, draft("1.0.1", "Hi {name}?"))
    assert versions(backend) == ["1.0.0", "1.0.1"]
    assert prompts.of_version(backend, "hook", "1.0.1").template == "Hi {name}!"
    assert mlflow.genai.load_prompt("hook").template == "Hi {name}!"


def test_of_two_with_the_same_content_both_get_the_same_version(backend, meanwhile):
    made = []
    meanwhile(lambda: made.append(register(backend, draft())))
    second = register(backend, draft())
    assert (second.created, second.mlflow_version) == (False, made[0].mlflow_version)
    assert versions(backend) == ["1.0.0"]


def test_a_later_number_that_still_fits_follows_the_one_that_came_between(backend, meanwhile):
    register(backend, draft())
    meanwhile(lambda: register(backend, draft("1.0.1", "Hi {name}!")))
    assert register(backend, draft("1.0.2", "Hi {name}?")).parent_version == "1.0.1"
    assert prompts.of_version(backend, "hook", "1.0.2").parent_version == "1.0.1"


def test_a_number_whose_step_is_too_small_after_what_came_between_is_taken_back(backend, meanwhile):
    register(backend, draft())
    meanwhile(lambda: register(backend, draft("1.1.0", "Hi {name} {x}")))
    with pytest.raises(ModelValidationError, match="callers still pass x"):
        register(backend, draft("1.2.0", "Hi {name}?"))
    assert versions(backend) == ["1.0.0", "1.1.0"]


def test_a_withdrawn_version_that_could_not_be_deleted_is_passed_over(backend):
    register(backend, draft())
    lost = prompts.create(backend, draft("1.0.1", "lost"), known=True)
    with backend.calling() as client:
        prompts.registry_of(client).set_model_version_tag("hook", str(lost.mlflow_version), prompts.WITHDRAWN, "x")
    assert versions(backend) == ["1.0.0"]
    assert prompts.of_version(backend, "hook", "1.0.1") is None
    assert prompts.numbered(backend, "hook", lost.mlflow_version) is None
    assert register(backend, draft("1.0.1", "Hi {name}!")).parent_version == "1.0.0"
    assert PromptModel.list()[-1].template == "Hi {name}!"


def test_threads_that_all_want_the_next_version_get_one_each(backend):
    register(backend, draft())
    found = []

    def one(index):
        found.append(register(backend, draft(template=f"Hi {{name}} {index}"), bump="patch").version)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["1.0.1", "1.0.2", "1.0.3", "1.0.4"]
    assert versions(backend)[0] == "1.0.0"
    assert len(versions(backend)) == 5
