"""Registering at once: versions rise, none is there twice, and each follows the one before."""

from __future__ import annotations

import threading

import mlflow
import pytest

from hokusai_nb.backends.mlflow import prompts
from hokusai_nb.core.prompt_cache import CACHE
from hokusai_nb.core.prompt_registration import register
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ConflictError, ModelNotFoundError, ModelValidationError
from hokusai_nb.schema.versioning import parse_version
from tests.prompts import FULL, draft, versions
from tests.racing import race

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


def test_a_version_says_from_its_creation_on_which_one_its_writer_saw(backend):
    register(backend, draft())
    register(backend, draft("1.0.1", "Hi {name}!"))
    found = mlflow.MlflowClient().search_model_versions(prompts.prompt_filter(), order_by=["version_number ASC"])
    assert [v.tags["hokusai.prompt.after"] for v in found] == ["0", "1"]


def test_of_two_with_other_content_the_first_wins_and_the_second_is_taken_back(backend, meanwhile):
    register(backend, draft())
    meanwhile(lambda: register(backend, draft("1.0.1", "Hi {name}!")))
    with pytest.raises(ConflictError, match="was registered by ada at the same time"):
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


def test_a_bump_that_loses_to_the_same_content_is_that_version(backend, meanwhile):
    register(backend, draft())
    meanwhile(lambda: register(backend, draft("1.0.1", "Hi {name}!")))
    again = register(backend, draft(template="Hi {name}!"), bump="patch")
    assert (again.version, again.created) == ("1.0.1", False)
    assert versions(backend) == ["1.0.0", "1.0.1"]


def test_who_loses_again_and_again_goes_on_and_gives_up_in_the_end(backend, monkeypatch):
    monkeypatch.setattr("hokusai_nb.core.prompt_registration.PAUSE_SECONDS", 0)
    register(backend, draft())
    create, left = prompts.create, [3]

    def late(backend, prompt, **kwargs):
        if left[0]:
            left[0] -= 1
            with monkeypatch.context() as patch:
                patch.setattr(prompts, "create", create)
                register(backend, draft(template=f"{prompt.version} of another"), bump="patch", allow_breaking=True)
        return create(backend, prompt, **kwargs)

    monkeypatch.setattr(prompts, "create", late)
    made = register(backend, draft(template="Hi {name}!"), bump="patch", allow_breaking=True)
    assert (made.version, made.parent_version) == ("1.0.4", "1.0.3")
    left[0] = 100
    with pytest.raises(ConflictError, match="are being registered all the time"):
        register(backend, draft(template="Hi {name}?"), bump="patch", allow_breaking=True)
    assert versions(backend) == [f"1.0.{n}" for n in range(35)]


# What a writer left that did not live to take it back


@pytest.fixture
def leftover(backend):
    """A version that lost 1.0.1 to the second, and stays; both are above the first."""
    for version, template, after in [("1.0.0", "Hi {name}", 0), ("1.0.1", "Hi {name}!", 1), ("1.0.1", "lost", 1)]:
        prompts.create(backend, draft(version, template), known=after > 0, after=after)
    CACHE.clear()
    return 3


def test_a_leftover_is_not_loaded_listed_promoted_or_kept(backend, leftover):
    with pytest.raises(ModelNotFoundError):
        PromptModel.load_from_registry("hook", leftover)
    assert PromptModel.load_from_registry("hook").template == "Hi {name}!"
    assert PromptModel.load_from_registry("hook", "1.0.1").template == "Hi {name}!"
    assert PromptModel.load_from_registry("hook", stage="dev").template == "Hi {name}!"
    assert [v.template for v in PromptModel.list()] == ["Hi {name}", "Hi {name}!"]
    found = PromptModel.load_from_registry("hook")
    assert [e["mlflow_version"] for e in found.get_lineage()] == [1, 2]
    assert CACHE.known(backend, "hook", "1.0.1").mlflow_version == 2
    with pytest.raises(ModelValidationError, match="with other content"):
        PromptModel("hook", "lost", "1.0.1", metadata=FULL).promote_to_staging()


def test_the_next_version_follows_what_counts_and_not_a_leftover(backend, leftover):
    assert PromptModel.propose("hook", "Hi {name}.").version == "1.0.2"
    made = register(backend, draft("1.0.2", "Hi {name}."))
    assert (made.parent_version, made.mlflow_version) == ("1.0.1", leftover + 1)
    assert versions(backend) == ["1.0.0", "1.0.1", "1.0.2"]


def test_a_version_that_one_who_lost_still_shows_lets_nothing_below_the_newest_in(backend):
    register(backend, draft())
    register(backend, draft("3.0.0", "Hi {name}!"))
    late = prompts.create(backend, draft("2.0.0", "Hi {name}?"), known=True, after=1)
    with pytest.raises(ModelValidationError, match=r"2\.5\.0 of hook is not above 3\.0\.0"):
        register(backend, draft("2.5.0", "Hi {name}."))
    made = register(backend, draft("3.0.1", "Hi {name}."))
    assert made.parent_version == "3.0.0"
    prompts.withdraw(backend, late)
    assert versions(backend) == ["1.0.0", "3.0.0", "3.0.1"]


MIX = """
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.errors import ConnectionFailedError
while True:
    try:  # so that its connection is there; a busy server may not answer in time
        PromptModel.load_from_registry(name)
        break
    except ConnectionFailedError:
        pass
meet()
told = []
for turn in range(3):
    template = f"Hi {me} {turn} {{name}}"
    def register():
        if turn == 1:
            made = PromptModel.propose(name, template, "patch").register()
        else:
            made = PromptModel(name, template, f"1.{turn * 8 + int(me) + 1}.0").register()
        return made.version
    told.append([*attempt(register), template])
print(json.dumps(told))
"""


@pytest.mark.slow
def test_versions_of_processes_that_register_at_once_rise_and_each_follows_the_one_before(server, unique):
    mlflow.set_tracking_uri(server)
    name = unique("hook")
    PromptModel(name, "Hi {name}", "1.0.0", metadata=FULL).register()
    told = [one for process in race(MIX, server, name, processes=8) for one in process]
    lineage = PromptModel.load_from_registry(name, refresh=True).get_lineage()
    found = [e["version"] for e in lineage]
    numbers = [parse_version(v) for v in found]
    assert numbers == sorted(set(numbers))
    assert [e["parent_version"] for e in lineage] == [None, *found[:-1]]
    texts = {v.version: v.template for v in lineage.versions}
    done = [(version, text) for kind, version, text in told if kind == "ok"]
    assert done
    assert all(texts[version] == text for version, text in done), (done, texts)
    # A call that a busy server did not answer in time may have been carried out.
    refused = {text for kind, _, text in told if kind in ("ModelValidationError", "ConflictError")}
    assert not refused & set(texts.values())
    assert {kind for kind, *_ in told} <= {"ok", "ModelValidationError", "ConflictError", "ConnectionFailedError"}, told
