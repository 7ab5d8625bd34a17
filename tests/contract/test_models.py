"""Models: whatever face is asked, the same is done, answered and refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.contract.faces import refusal, refused_alike

pytestmark = pytest.mark.slow
STRANGE = ['it\'s a "model"', "50% off?x=1&y#z", "größe 数", "a\nb", "a\\b;c", " lead", "%2F"]


def values(run_id, name, token_id, **more):
    """What a registration is asked for with; None leaves a field out."""
    given = {"name": name, "token": token_id, "metric": "accuracy", "value": "0.90", "run": run_id, **more}
    return {key: value for key, value in given.items() if value is not None}


@pytest.fixture
def two_versions(platform, unique, token_id):
    """A model of two versions, 0.80 and 0.85, made in Python."""
    name = unique("churn")
    for value in ("0.80", "0.85"):
        run = platform.trained(accuracy=float(value), params={"depth": value[-1]}, broken=float("nan"))
        tags = {"dataset_version": value}
        platform.faces["python"].register(values(run.run_id, name, token_id, value=value, tags=tags))
    return name


@pytest.mark.also("command", "command with a key")
def test_a_registration_makes_a_version_with_what_was_asked_for(face, platform, unique, token_id):
    platform.faces["python"].create_token({"token_id": token_id})
    run, name = platform.trained(accuracy=0.9), unique("churn")
    made = face.register(values(run.run_id, name, token_id.lower(), tags={"gpu_type": "A100"}))
    assert (made.name, made.version, made.token_id) == (name, "1", token_id)
    assert (made.benchmark_metric, made.benchmark_value) == ("accuracy", "0.90")
    assert made.tags["gpu_type"] == "A100"
    assert made.run_id == run.run_id
    assert (made.created, made.dry_run, made.warnings) == (True, False, ())
    assert face.show(name) == made


def test_a_value_may_be_a_number(face, platform, unique, token_id):
    run = platform.trained(accuracy=0.9)
    assert face.register(values(run.run_id, unique("churn"), token_id, value=0.9)).benchmark_value == "0.9"


def test_the_value_is_read_from_the_run_if_it_is_left_out(face, platform, unique, token_id):
    run = platform.trained(accuracy=0.875)
    assert face.register(values(run.run_id, unique("churn"), token_id, value=None)).benchmark_value == "0.875"


def test_the_same_registration_is_the_same_version_whatever_face_it_is_made_through(every, platform, unique, token_id):
    run, name = platform.trained(accuracy=0.9), unique("churn")
    made = [face.register(values(run.run_id, name, token_id)) for face in every]
    assert [m.version for m in made] == ["1"] * len(every)
    assert [m.created for m in made] == [True, *[False] * (len(every) - 1)]
    assert [m.warnings for m in made] == [made[0].warnings] * len(every)
    assert made[0].warnings[0].what == f"Token not found: '{token_id}'."
    made = [face.register(values(run.run_id, name, token_id, force_new=True)) for face in every]
    assert [m.version for m in made] == ["2", "3", "4", "5"][: len(every)]


def test_a_dry_run_says_what_would_be_and_writes_nothing(face, platform, unique, token_id):
    run, name = platform.trained(accuracy=0.9), unique("churn")
    made = face.register(values(run.run_id, name, token_id, dry_run=True))
    assert (made.dry_run, made.version) == (True, "1")
    assert refusal(face, lambda f: f.show(name))[0] == "ModelNotFoundError"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"token": "msg_ai"}, marks=pytest.mark.also("command")),
        {"token": "XRAY"},
        pytest.param({"value": "13.4", "metric": "reply_rate"}, marks=pytest.mark.also("command")),
        {"value": "ninety"},
        {"metric": "F1 Score"},
        {"name": "a/b"},
        {"tags": {"contributor_address": "0x12"}},
        {"tags": {"benchmark_value": "1"}, "token": "x"},
        {"no_such_field": 1},
        pytest.param({"run": "0" * 32}, marks=pytest.mark.also("command")),
        {"run": "it's no run"},
        {"model": "no-such-model"},
        {"model": "models:/m-0000"},
        {"value": None, "metric": "f1"},
    ],
    ids=str,
)
def test_what_is_refused_is_refused_in_the_same_words_everywhere(every, platform, unique, token_id, wrong):
    run = platform.trained(accuracy=0.9)
    given = values(**{"run_id": run.run_id, "name": unique("churn"), "token_id": token_id, **wrong})
    refused_alike(every, lambda f: f.register(given))


def test_every_face_shows_the_same_record(every, two_versions):
    for version in (None, 1, "2"):
        found = [face.show(two_versions, version) for face in every]
        assert found == [found[0]] * len(every)
    assert found[0].benchmark_value == "0.85"


@pytest.mark.parametrize(
    "asked",
    [
        lambda name, _: {"prefix": name[:-2]},
        lambda _, token: {"token": token},
        lambda _, token: {"token": token.lower()},
        pytest.param(lambda name, token: {"prefix": name, "token": token}, marks=pytest.mark.also("command")),
    ],
)
def test_every_face_lists_the_same_versions(every, two_versions, token_id, asked):
    found = [face.list_models(**asked(two_versions, token_id)) for face in every]
    assert found == [found[0]] * len(every)
    assert [(m.name, m.version) for m in found[0]] == [(two_versions, "1"), (two_versions, "2")]


def test_no_face_lists_what_is_not_there(every):
    assert [face.list_models(prefix="no-such-") for face in every] == [[]] * len(every)
    assert [face.list_models(token="NO-SUCH") for face in every] == [[]] * len(every)


@pytest.mark.also("command")
def test_every_face_tells_the_same_lineage_exactly(every, two_versions):
    found = [face.lineage(two_versions) for face in every]
    assert [str(f.model_dump()) for f in found] == [str(found[0].model_dump())] * len(every)
    assert [e.improvement for e in found[0]] == [None, Decimal("0.05")]
    assert str(found[0][1].run.metrics["broken"]) == "nan"


@pytest.mark.also("command")
def test_every_face_compares_alike(every, two_versions):
    found = [face.compare(two_versions, 1, "2") for face in every]
    assert {str(f.model_dump()) for f in found} == {str(found[0].model_dump())}
    assert found[0].improvement == Decimal("0.05")
    assert ("parameter", "depth", "0", "5") in found[0].differences()


@pytest.mark.also("command")
def test_tags_are_set_and_the_others_stay(face, platform, two_versions):
    changed = face.update_tags(two_versions, 1, {"gpu_type": "H100", "training_hours": 2})
    assert (changed.tags["gpu_type"], changed.tags["training_hours"]) == ("H100", "2")
    assert changed.tags["dataset_version"] == "0.80"
    assert platform.faces["python"].show(two_versions, 1).tags == changed.tags


@pytest.mark.parametrize(
    "tags",
    [
        {"benchmark_value": "87"},
        {"hokusai_token_id": "msg_ai"},
        {"contributor_address": "0x12"},
        {"gpu_type": ""},
        {"bad key?": "x"},
        {"hokusai.registered_by": "me"},
        {"gpu_type": "x", "contribution_hash": "y", "full_version": "one"},
    ],
    ids=str,
)
def test_tags_that_would_not_be_valid_are_refused_in_the_same_words_everywhere(every, two_versions, tags):
    before = every[0].show(two_versions, 1)
    assert refused_alike(every, lambda f: f.update_tags(two_versions, 1, tags))[0] == "ValidationError"
    assert every[0].show(two_versions, 1) == before


def test_setting_no_tag_or_one_of_no_value_changes_nothing(platform, two_versions):
    before = platform.faces["python"].show(two_versions, 1)
    for face in platform.with_our_package:
        assert face.update_tags(two_versions, 1, {}) == before
        assert refusal(face, lambda f: f.update_tags(two_versions, 1, {"gpu_type": None}))[0] == "ValidationError"
        assert face.show(two_versions, 1) == before


@pytest.mark.also("command")
def test_a_deleted_version_is_gone_and_its_number_is_not_given_out_again(face, platform, two_versions, token_id):
    face.delete(two_versions, 2)
    for other in platform.faces.values():
        assert refusal(other, lambda f: f.show(two_versions, 2))[0] == "ModelNotFoundError"
        assert refusal(other, lambda f: f.delete(two_versions, 2))[0] == "ModelNotFoundError"
    run = platform.trained(accuracy=0.9)
    made = platform.faces["python"].register(values(run.run_id, two_versions, token_id))
    assert made.version in ("2", "3")


@pytest.mark.parametrize(
    "ask",
    [
        lambda f, _: f.show("no-such-model"),
        lambda f, _: f.show("no-such-model", 1),
        pytest.param(lambda f, name: f.show(name, 99), marks=pytest.mark.also("command")),
        lambda f, _: f.lineage("no-such-model"),
        lambda f, _: f.compare("no-such-model", 1, 2),
        lambda f, name: f.compare(name, 1, 99),
        lambda f, name: f.update_tags(name, 99, {"gpu_type": "A100"}),
        lambda f, _: f.delete("no-such-model", 1),
        lambda f, name: f.delete(name, 99),
    ],
)
def test_what_is_not_there_is_missed_in_the_same_words_everywhere(every, two_versions, ask):
    assert refused_alike(every, lambda f: ask(f, two_versions))[0] == "ModelNotFoundError"


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_comes_back_as_it_was_given(every, platform, unique, token_id, name):
    run, name = platform.trained(accuracy=0.9), f"{name}{unique('')}"
    assert every[0].register(values(run.run_id, name, token_id)).name == name
    for found in (
        [f.show(name) for f in every],
        [f.show(name, 1) for f in every],
        [f.list_models(prefix=name) for f in every],
        [[e.version for e in f.lineage(name)] for f in every],
    ):
        assert found == [found[0]] * len(every)
    assert [m.name for m in every[-1].list_models(prefix=name)] == [name]
    for number, face in enumerate(every):
        assert face.update_tags(name, 1, {"gpu_type": str(number)}).tags["gpu_type"] == str(number)
    every[-1].delete(name, 1)
    assert refusal(every[0], lambda f: f.show(name))[0] == "ModelNotFoundError"
