from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest

from hokusai_nb.backends.mlflow import creation, models, versions
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.errors import ConnectionFailedError, RunNotFoundError, ValidationError
from hokusai_nb.schema.tags import KEY_TAG
from tests.conftest import both, train
from tests.rows import row_counts


def tags(key="k1", **more):
    return {KEY_TAG: key, "hokusai_token_id": "MSG-AI", "note": 'it\'s "x"\n😀', **more}


def create(backend, name, model, recorded, **more):
    return creation.create(backend, name, model, recorded[KEY_TAG], lambda: recorded, **more)


def asked(proxy):
    """The calls of MLflow's API that went through the proxy, in order."""
    return [path.removeprefix("/api/2.0/mlflow/") for _, path in proxy.requests if path != "/health"]


CREATE, CREATE_MODEL = "model-versions/create", "registered-models/create"
FIND, FIND_MODEL = "model-versions/search", "registered-models/search"


@both
def test_a_version_is_made_with_all_its_tags_and_is_found_again(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique('it\'s "x" \\ 100%')
    made = train(sqlite_or_server)
    model = models.find_model(backend, made.model_uri)
    first = create(backend, name, model, tags())
    again = create(backend, name, model, tags())
    assert (first.version, first.created, again.version, again.created) == ("1", True, "1", False)
    assert (first.tags, first.run_id, first.model_id) == (tags(), made.run_id, made.model_id)
    assert again.model_copy(update={"created": True}) == first
    assert creation.find_registration(backend, name, "k1").version == "1"
    assert creation.find_registration(backend, name, "k2") is None
    assert creation.find_registration(backend, unique("other"), "k1") is None


@both
def test_another_key_or_the_wish_makes_another_version(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique("m")
    model = models.find_model(backend, train(sqlite_or_server).model_uri)
    made = [
        create(backend, name, model, tags("k1")).version,
        create(backend, name, model, tags("k2")).version,
        create(backend, name, model, tags("k1"), force_new=True).version,
        create(backend, name, model, tags("k1")).version,
    ]
    assert made == ["1", "2", "3", "1"]


def test_the_same_registration_may_be_of_another_run_where_the_caller_says_so(store):
    backend = Backend.at(store)
    first, second = (models.find_model(backend, train(store).model_uri) for _ in range(2))
    assert create(backend, "m", first, tags()).version == "1"
    assert create(backend, "m", second, tags(), any_run=True).version == "1"
    assert create(backend, "m", second, tags()).version == "2"


def test_a_version_that_was_deleted_can_be_made_again(store):
    backend = Backend.at(store)
    model = models.find_model(backend, train(store).model_uri)
    create(backend, "m", model, tags())
    versions.delete(backend, "m", "1")
    assert create(backend, "m", model, tags()).version == "2"


@both
def test_tags_that_cannot_be_had_are_the_error_and_nothing_is_made(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique("m")
    model = models.find_model(backend, train(sqlite_or_server).model_uri)

    def gone():
        raise RunNotFoundError("gone")  # noqa: EM101 - any error of ours

    with pytest.raises(RunNotFoundError, match="gone"):
        creation.create(backend, name, model, "k1", gone)
    assert versions.by_name(backend, name) == []


@both
def test_the_name_of_a_prompt_is_refused_and_nothing_is_written(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique("prompt")
    client = mlflow.MlflowClient(sqlite_or_server)
    client.register_prompt(name, "Say {{x}}")
    model = models.find_model(backend, train(sqlite_or_server).model_uri)
    for call in (lambda: create(backend, name, model, tags()), lambda: creation.ensure_model(backend, name)):
        with pytest.raises(ValidationError, match="is the name of a prompt"):
            call()
    assert client.get_prompt_version(name, 1).template == "Say {{x}}"
    assert versions.by_name(backend, name) == []


def test_a_name_that_reads_like_a_filter_of_prompts_is_a_name(store):
    backend = Backend.at(store)
    model = models.find_model(backend, train(store).model_uri)
    for name in ('experiment_id = "7"', "experiment_id = '7'", "' AND tags.x = 'y"):
        assert create(backend, name, model, tags()).name == name


@both
def test_eight_threads_with_the_same_registration_make_one_version(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique("m")
    model = models.find_model(backend, train(sqlite_or_server).model_uri)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create(backend, name, model, tags()), range(8)))
    assert {m.version for m in made} == {"1"}
    assert sum(m.created for m in made) == 1
    assert len(versions.by_name(backend, name)) == 1


@both
def test_eight_threads_with_versions_of_one_model_lose_and_double_none(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique("m")
    model = models.find_model(backend, train(sqlite_or_server).model_uri)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: create(backend, name, model, tags(f"k{i}")), range(24)))
    stored = versions.by_name(backend, name)
    assert [int(v.version) for v in stored] == list(range(1, 25))
    assert {m.version: m.tags[KEY_TAG] for m in made} == {v.version: v.tags[KEY_TAG] for v in stored}
    assert len({v.tags[KEY_TAG] for v in stored}) == 24


def test_a_store_that_is_not_mlflows_own_looks_its_models_up_in_itself(store, tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path / "second.db")
    second = f"sqlite:///{tmp_path / 'second.db'}"
    made, before = train(second), row_counts(store)
    backend = Backend.at(second)
    model = models.find_model(backend, made.model_uri)
    found = create(backend, "m", model, tags())
    assert (found.run_id, found.model_id) == (made.run_id, made.model_id)
    assert row_counts(store) == before


@pytest.mark.usefixtures("store")
def test_a_model_without_a_run_is_registered_in_a_store_that_is_not_mlflows_own(tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path / "second.db")
    second = f"sqlite:///{tmp_path / 'second.db'}"
    client = mlflow.MlflowClient(second)
    loose = client.create_logged_model(client.create_experiment("tests"), name="loose")
    client.finalize_logged_model(loose.model_id, "READY")
    model = models.find_model(Backend.at(second), f"models:/{loose.model_id}")
    found = create(Backend.at(second), "m", model, tags())
    assert (found.run_id, found.model_id) == (None, loose.model_id)


# How it is asked for


@pytest.mark.slow
def test_for_a_name_that_exists_there_is_one_look_and_one_call(proxy, unique):
    backend, name = Backend.at(proxy.address), unique("m")
    model = models.find_model(backend, train(proxy.address).model_uri)
    create(backend, name, model, tags("k1"))
    proxy.requests.clear()
    create(backend, name, model, tags("k2"))
    assert asked(proxy) == [FIND, CREATE]
    proxy.requests.clear()
    create(backend, name, model, tags("k2"))
    assert asked(proxy) == [FIND]


@pytest.mark.slow
def test_the_registered_model_is_made_only_when_mlflow_says_that_there_is_none(proxy, unique):
    backend, name = Backend.at(proxy.address), unique("m")
    model = models.find_model(backend, train(proxy.address).model_uri)
    proxy.requests.clear()
    create(backend, name, model, tags())
    assert asked(proxy) == [FIND, FIND_MODEL, CREATE, CREATE_MODEL, CREATE]


def spoil_nth(proxy, ending, spoilt, which=1):
    """Spoil one request of a kind and pass the others."""
    seen = []

    def spoil(_, path):
        seen.append(path)
        return spoilt if path.endswith(ending) and sum(p.endswith(ending) for p in seen) == which else None

    proxy.spoil = spoil


@pytest.mark.slow
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("spoilt", ["drop", "drop first", 503, 502])
def test_a_lost_answer_ends_in_one_version_and_the_call_returns_it(proxy, unique, exists, spoilt):
    backend, name = Backend.at(proxy.address), unique("m")
    model = models.find_model(backend, train(proxy.address).model_uri)
    if exists:
        create(backend, name, model, tags("before"))
    spoil_nth(proxy, CREATE, spoilt, which=1 if exists else 2)
    made = create(backend, name, model, tags())
    assert made.tags == tags()
    assert [v.tags[KEY_TAG] for v in versions.by_name(backend, name)] == (["before"] if exists else []) + ["k1"]


@pytest.mark.slow
@pytest.mark.parametrize("ending", [CREATE, CREATE_MODEL])
@pytest.mark.parametrize("spoilt", ["drop", 503])
def test_a_lost_answer_on_the_way_to_a_new_name_is_got_over(proxy, unique, ending, spoilt):
    backend, name = Backend.at(proxy.address), unique("m")
    model = models.find_model(backend, train(proxy.address).model_uri)
    spoil_nth(proxy, ending, spoilt)
    assert create(backend, name, model, tags()).version == "1"
    assert len(versions.by_name(backend, name)) == 1


@pytest.mark.slow
def test_a_forced_version_whose_answer_is_lost_is_told_from_the_one_before(proxy, unique):
    backend, name = Backend.at(proxy.address), unique("m")
    model = models.find_model(backend, train(proxy.address).model_uri)
    assert create(backend, name, model, tags()).version == "1"
    spoil_nth(proxy, CREATE, "drop")
    assert create(backend, name, model, tags(), force_new=True).version == "2"
    assert len(versions.by_name(backend, name)) == 2


@pytest.mark.slow
def test_a_server_that_goes_down_in_the_call_is_an_error_and_no_second_attempt(proxy, unique):
    backend, name = Backend.at(proxy.address), unique("m")
    model = models.find_model(backend, train(proxy.address).model_uri)
    create(backend, name, model, tags("before"))
    down = []

    def spoil(_, path):
        if path.endswith(CREATE):
            down.append(path)
        return "drop" if down else None

    proxy.spoil = spoil
    proxy.requests.clear()
    with pytest.raises(ConnectionFailedError):
        create(backend, name, model, tags())
    assert asked(proxy).count(CREATE) == 1
    proxy.spoil = lambda *_: None
    again = create(backend, name, model, tags())
    assert (again.version, again.created) == ("2", False)


@pytest.mark.slow
def test_a_forced_version_of_a_server_that_went_down_is_found_by_who_tried_it(proxy, unique):
    backend, name = Backend.at(proxy.address), unique("m")
    model = models.find_model(backend, train(proxy.address).model_uri)
    create(backend, name, model, tags())
    down, tried = [], {}

    def spoil(_, path):
        if path.endswith(CREATE):
            down.append(path)
        return "drop" if down else None

    proxy.spoil = spoil
    with pytest.raises(ConnectionFailedError):
        create(backend, name, model, tags(), force_new=True, tried=tried)
    proxy.spoil = lambda *_: None
    again = create(backend, name, model, tags(), force_new=True, tried=tried)
    assert (again.version, again.created) == ("2", False)
    assert create(backend, name, model, tags(), force_new=True).version == "3"


@both
def test_whoever_says_what_it_tried_forces_one_version_of_each_registration(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique("m")
    model = models.find_model(backend, train(sqlite_or_server).model_uri)
    tried = {}
    made = [create(backend, name, model, tags(), force_new=True, tried=tried).version for _ in range(3)]
    made += [create(backend, name, model, tags("k2"), force_new=True, tried=tried).version]
    made += [create(backend, name, model, tags(), force_new=True, tried={}).version for _ in range(2)]
    assert made == ["1", "1", "1", "2", "3", "4"]


@pytest.mark.slow
def test_an_error_of_the_server_that_wrote_nothing_is_reported(proxy, unique):
    backend, name = Backend.at(proxy.address), unique("m")
    model = models.find_model(backend, train(proxy.address).model_uri)
    create(backend, name, model, tags("before"))
    refused = model.model_copy(update={"source": "/etc", "model_id": None})
    with pytest.raises(Exception, match="Invalid model version source") as caught:
        create(backend, name, refused, tags())
    assert type(caught.value).__module__ == "hokusai_nb.errors"
    assert len(versions.by_name(backend, name)) == 1


@both
def test_a_prompt_that_was_made_after_the_name_was_free_is_refused_too(sqlite_or_server, unique):
    backend, name = Backend.at(sqlite_or_server), unique("late-prompt")
    creation.ensure_model(backend, name)
    mlflow.MlflowClient(sqlite_or_server).register_prompt(name, "Say {{x}}")
    model = models.find_model(backend, train(sqlite_or_server).model_uri)
    with pytest.raises(ValidationError, match="is the name of a prompt"):
        create(backend, name, model, tags())


@pytest.mark.slow
def test_of_two_versions_that_two_processes_made_at_once_the_older_one_is_kept(proxy, server, unique):
    name, model = unique("name"), models.find_model(Backend.at(server), train(server).model_uri)
    other = []

    def be_quicker(_, path):
        if path.endswith(CREATE) and not other:
            other.append(create(Backend.at(server), name, model, tags(), any_run=True))

    proxy.spoil = be_quicker
    made = create(Backend.at(proxy.address), name, model, tags(), any_run=True)
    assert (made.version, made.created, other[0].version, other[0].created) == ("1", False, "1", True)
    assert [v.version for v in mlflow.MlflowClient(server).search_model_versions(f"name = '{name}'")] == ["1"]
