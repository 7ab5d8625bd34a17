from __future__ import annotations

import sqlite3

import pytest

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.core.prompt_batches import register_prompts
from hokusai_nb.core.prompt_registration import register
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import HokusaiError, ModelValidationError
from hokusai_nb.schema.prompts import ModelStage
from tests.prompts import FULL, draft, versions


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
    PromptModel("hook", "Hi {name}", "1.0.0", metadata=FULL).register()
    made = PromptModel.propose("hook", "Hi {name} {x}", bump, FULL)
    assert made.version == version
    if bump == "patch":
        with pytest.raises(ModelValidationError, match=r"Did you mean 1\.1\.0"):
            made.register()
    else:
        assert made.register().version == version


def test_the_next_version_is_the_one_after_it_where_somebody_else_took_it(backend):
    PromptModel("hook", "Hi {name}", "1.0.0", metadata=FULL).register()
    made = PromptModel.propose("hook", "Hi {name}!", "patch", FULL)
    register(backend, draft("1.0.1", "Hi {name}?"))
    assert made.register().version == "1.0.2"


# Pre-releases


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("bump", [None, "patch", "minor", "major"])
def test_what_is_proposed_after_a_pre_release_can_be_registered(bump):
    for version, template in [("1.4.0", "Hi {name}"), ("2.0.0-rc.1", "Hi {who}"), ("2.0.0-rc.2", "Hi {who} {x}")]:
        PromptModel("hook", template, version, metadata=FULL).register()
    made = PromptModel.propose("hook", "Hi {who} {x}", bump, FULL).register()
    assert (made.version, made.parent_version) == ("2.0.0", "2.0.0-rc.2")


def test_pre_releases_of_one_release_owe_what_the_release_owes(backend):
    register(backend, draft("1.0.0-rc.1"))
    register(backend, draft("1.0.0-rc.2", "Hi {who}"))
    register(backend, draft("1.0.0", "Hi {who} {x}"))
    register(backend, draft("1.1.0-rc.1", "Hi {who} {x} {y}"))
    with pytest.raises(
        ModelValidationError, match=r"from 1\.0\.0 to 1\.1\.0-rc\.2 of hook is major.*still pass x"
    ) as caught:
        register(backend, draft("1.1.0-rc.2", "Hi {who} {y}"))
    assert caught.value.problems[0].repair == "2.0.0"
    with pytest.raises(ModelValidationError, match=r"is not above 1\.1\.0-rc\.1"):
        register(backend, draft("1.1.0-beta.1", "Hi {who} {x}"))
    assert register(backend, draft("1.1.0", "Hi {who} {x}")).parent_version == "1.1.0-rc.1"


@pytest.mark.usefixtures("store")
def test_a_batch_of_pre_releases_is_judged_by_the_release_before_them():
    wanted = [("1.0.0", "{a}"), ("1.1.0-rc.1", "{a} {b}"), ("1.1.0-rc.2", "{b}"), ("1.1.0", "{a} {c}")]
    items = [PromptModel("hook", template, version, metadata=FULL) for version, template in wanted]
    assert [r.ok for r in register_prompts(items, progress=False)] == [True, True, False, True]


# What another client stored


def test_a_text_that_is_no_template_is_followed_by_a_major_step(backend):
    prompts.create(backend, draft(template="50} off"), known=False, after=0)
    assert PromptModel.propose("hook", "Hi {name}").version == "2.0.0"
    with pytest.raises(ModelValidationError, match=r"the text of 1\.0\.0 is no template") as caught:
        register(backend, draft("1.1.0"))
    assert caught.value.problems[0].repair == "2.0.0"
    assert register(backend, draft("2.0.0")).parent_version == "1.0.0"


# Registered for staging


def staged(version="1.0.0"):
    return PromptModel("hook", "Hi {name}", version, stage="staging", metadata=FULL)


@pytest.fixture
def without_history(store):
    """Have the database refuse entries of histories until this is called."""
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        database.execute(
            "CREATE TRIGGER no BEFORE INSERT ON registered_model_tags WHEN NEW.key LIKE '%.history.%'"
            " BEGIN SELECT RAISE(ABORT, 'forbidden'); END"
        )
    database.close()

    def allow():
        with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
            database.execute("DROP TRIGGER no")
        database.close()

    return allow


@pytest.mark.parametrize("way", ["the same object", "another", "a batch"])
def test_what_was_registered_and_not_promoted_is_promoted_when_it_is_registered_again(without_history, way):
    made = staged()
    with pytest.raises(HokusaiError):
        made.register()
    assert (made.registered, made.stage) == (True, ModelStage.DEV)
    without_history()
    if way == "a batch":
        (result,) = register_prompts([staged()], progress=False)
        made = result.prompt
    else:
        made = (made if way == "the same object" else staged()).register()
    assert made.stage is ModelStage.STAGING
    assert [c.to_stage for c in made.get_history()] == [ModelStage.STAGING]


@pytest.mark.usefixtures("store")
def test_what_was_taken_back_or_went_on_is_not_promoted_when_it_is_registered_again():
    staged().register().promote_to_production()
    assert staged().register().stage is ModelStage.PRODUCTION
    second = staged("1.0.1").register()
    second.rollback()
    assert staged("1.0.1").register().stage is ModelStage.DEV
    assert second.register().stage is ModelStage.DEV
