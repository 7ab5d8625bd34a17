from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import mlflow
import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException

from hokusai_nb.backends.mlflow.registry_plugin import confirm_tickers, database_of, guarded_store
from tests.conftest import free_port, mlflow_server

VALID = {"hokusai_token_id": "MSG-AI", "benchmark_metric": "reply_rate", "benchmark_value": "0.1342"}
BROKEN = {**VALID, "benchmark_value": "13.42"}


def create(client, name, tags=None):
    return client.create_model_version(name, "s3://bucket/model", tags=tags, await_creation_for=0)


def tags_of(client, made):
    return client.get_model_version(made.name, made.version).tags


def versions(client, name):
    return client.search_model_versions(f"name='{name}'")


@contextmanager
def refused(*words):
    with pytest.raises(MlflowException) as caught:
        yield
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert caught.value.get_http_status_code() == 400
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def client(store):
    return mlflow.MlflowClient(store, f"hokusai+{store}")


@pytest.fixture
def name(client, unique):
    return client.create_registered_model(unique("model")).name


def test_a_version_that_breaks_the_schema_is_refused_whole(client, name):
    with refused("reply_rate must be", "Did you mean 0.1342?"):
        create(client, name, BROKEN)
    with refused("Tag benchmark_metric is missing.", "Every Hokusai model version has it."):
        create(client, name, {"hokusai_token_id": "MSG-AI"})
    assert versions(client, name) == []


def test_a_version_that_keeps_the_schema_passes_and_so_does_one_without_our_tags(client, name):
    for tags in (VALID, {**VALID, "note": "x"}, {"note": "x"}, {}, None):
        assert tags_of(client, create(client, name, tags)) == (tags or {})


def test_the_last_of_two_tags_of_one_key_counts(client, name):
    store = guarded_store(client._registry_uri)
    tags = [mlflow.entities.model_registry.ModelVersionTag(k, v) for k, v in [*VALID.items(), ("benchmark_value", "7")]]
    with refused("reply_rate must be"):
        store.create_model_version(name, "s3://bucket/model", tags=tags)
    assert versions(client, name) == []


def test_a_tag_that_would_break_the_schema_is_not_set(client, name):
    made = create(client, name, VALID)
    with refused("reply_rate must be"):
        client.set_model_version_tag(name, made.version, "benchmark_value", "13.42")
    with refused("contribution_hash"):
        client.set_model_version_tag(name, made.version, "contribution_hash", "abc")
    plain = create(client, name)
    with refused("Tag hokusai_token_id is missing."):
        client.set_model_version_tag(name, plain.version, "benchmark_metric", "accuracy")
    assert tags_of(client, made) == VALID
    assert tags_of(client, plain) == {}


def test_a_tag_that_the_schema_needs_is_not_deleted(client, name):
    made = create(client, name, {**VALID, "note": "x"})
    for key in VALID:
        with refused(f"Tag {key} is missing."):
            client.delete_model_version_tag(name, made.version, key)
    client.delete_model_version_tag(name, made.version, "note")
    client.delete_model_version_tag(name, made.version, "never there")
    assert tags_of(client, made) == VALID


def test_tags_that_keep_the_schema_are_set_and_replaced(client, name):
    made = create(client, name, VALID)
    client.set_model_version_tag(name, made.version, "benchmark_value", "0.2")
    client.set_model_version_tag(name, made.version, "note", "x")
    client.set_model_version_tag(name, made.version, "note", "y")
    assert tags_of(client, made) == {**VALID, "benchmark_value": "0.2", "note": "y"}


def test_what_mlflow_refuses_is_refused_as_before(client, name):
    made = create(client, name, VALID)
    with pytest.raises(MlflowException, match="not found") as missing:
        client.set_model_version_tag(name, "99", "note", "x")
    assert missing.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    with refused():
        client.set_model_version_tag(name, made.version, "/a/../b", "x")
    client.delete_model_version(name, made.version)
    with pytest.raises(MlflowException, match="not found"):
        client.delete_model_version_tag(name, made.version, "note")


def test_everything_else_of_the_registry_works_as_before(client, name, unique):
    made = create(client, name, VALID)
    client.set_registered_model_alias(name, "production", made.version)
    copied = client.copy_model_version(f"models:/{name}/{made.version}", unique("copy"))
    assert tags_of(client, copied) == VALID
    client.delete_registered_model(name)
    assert versions(client, name) == []


def test_prompts_pass_as_before(client, unique):
    made = client.register_prompt(unique("prompt"), "Hello {{name}}", tags={"author": "anna"})
    client.set_prompt_version_tag(made.name, made.version, "note", "x")
    client.delete_prompt_version_tag(made.name, made.version, "note")
    assert client.get_prompt_version(made.name, made.version).template == "Hello {{name}}"


def test_a_version_from_an_unguarded_registry_can_be_mended_tag_by_tag(client, store, name):
    made = create(mlflow.MlflowClient(store), name, {**BROKEN, "hokusai_token_id": "msg_ai"})
    client.set_model_version_tag(name, made.version, "note", "x")
    client.set_model_version_tag(name, made.version, "hokusai_token_id", "MSG-AI")
    with refused("reply_rate must be"):
        client.set_model_version_tag(name, made.version, "benchmark_value", "14")
    client.set_model_version_tag(name, made.version, "benchmark_value", "0.14")
    with refused("reply_rate must be"):
        client.set_model_version_tag(name, made.version, "benchmark_value", "14")


def test_a_ticker_that_a_token_store_confirms_is_taken(client, name):
    xray = {**VALID, "hokusai_token_id": "XRAY"}
    with refused("only where a token store confirms it"):
        create(client, name, xray)
    confirm_tickers(lambda token: token == "XRAY")
    try:
        assert tags_of(client, create(client, name, xray)) == xray
        with refused("Token ID format invalid: 'ABSENT'"):
            create(client, name, {**VALID, "hokusai_token_id": "ABSENT"})
    finally:
        confirm_tickers(None)


def change_both_at_once(database_uri, name):
    """Set a value and a metric at once that do not suit each other, each right by itself; return what came of it.

    Another connection holds the version until both have come as far as they can.
    """
    clients = [mlflow.MlflowClient(registry_uri=f"hokusai+{database_uri}") for _ in range(2)]
    made = create(clients[0], name, {**VALID, "benchmark_metric": "r2"})

    def change(client, key, value):
        try:
            client.set_model_version_tag(name, made.version, key, value)
        except MlflowException as error:
            return error.error_code
        return "done"

    engine = sqlalchemy.create_engine(database_uri)
    with ThreadPoolExecutor(2) as pool, engine.connect() as other:
        other.execute(sqlalchemy.text("UPDATE model_versions SET user_id = user_id WHERE name = :name"), {"name": name})
        asked = [
            pool.submit(change, clients[0], "benchmark_value", "-3"),
            pool.submit(change, clients[1], "benchmark_metric", "accuracy"),
        ]
        assert not wait(asked, 0.5).done
        other.rollback()
        outcomes = sorted(answer.result() for answer in asked)
    engine.dispose()
    tags = tags_of(clients[0], made)
    return outcomes, (tags["benchmark_metric"], tags["benchmark_value"])


ONE_REFUSED = ["INVALID_PARAMETER_VALUE", "done"]
UNBROKEN = {("r2", "-3"), ("accuracy", "0.1342")}


def test_of_two_changes_at_once_that_only_together_break_the_schema_one_is_refused(store, name):
    outcomes, left = change_both_at_once(store, name)
    assert outcomes == ONE_REFUSED
    assert left in UNBROKEN


def test_the_database_behind_a_guarded_registry_is_named():
    assert database_of("Hokusai+postgresql+psycopg://u@h/d") == "postgresql+psycopg://u@h/d"
    assert database_of("sqlite:///x") == "sqlite:///x"


def uri_of(config):
    secret = config.password.get_secret_value()
    return f"postgresql://{config.username}:{secret}@{config.host}:{config.port}/{config.database}"


@pytest.mark.slow
def test_a_registry_in_postgresql_is_guarded_the_same(postgres_config, unique):
    uri = uri_of(postgres_config)
    mlflow.tracking._tracking_service.utils._get_store(uri)  # makes the tables
    client = mlflow.MlflowClient(uri, f"hokusai+{uri}")
    name = client.create_registered_model(unique("model")).name
    with refused("reply_rate must be"):
        create(client, name, BROKEN)
    made = create(client, name, VALID)
    with refused("Tag benchmark_metric is missing."):
        client.delete_model_version_tag(name, made.version, "benchmark_metric")
    client.set_model_version_tag(name, made.version, "note", "x")
    client.delete_model_version_tag(name, made.version, "note")
    assert [tags_of(client, v) for v in versions(client, name)] == [VALID]
    outcomes, left = change_both_at_once(uri, name)
    assert outcomes == ONE_REFUSED
    assert left in UNBROKEN
    for kind in ("hokusai+postgresql+psycopg", "HOKUSAI+postgresql"):
        other = mlflow.MlflowClient(uri, uri.replace("postgresql", kind, 1))
        with refused("reply_rate must be"):
            create(other, name, BROKEN)


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory, migrated_database):
    """Address of a plain ``mlflow server`` with our registry."""
    folder = tmp_path_factory.mktemp("guarded")
    with pytest.MonkeyPatch.context() as patch:
        # What the option --registry-store-uri reads where it is not given.
        patch.setenv("MLFLOW_REGISTRY_STORE_URI", f"hokusai+sqlite:///{folder / 'server.db'}")
        with mlflow_server(folder, migrated_database) as (address, _):
            yield address


@pytest.mark.slow
def test_a_plain_mlflow_server_refuses_what_a_stock_client_sends(guarded_server, unique):
    client = mlflow.MlflowClient(guarded_server)
    name = client.create_registered_model(unique("model")).name
    with refused("reply_rate must be", "Did you mean 0.1342?"):
        create(client, name, BROKEN)
    made = create(client, name, VALID)
    with refused("Token ID format invalid: 'msg_ai'"):
        client.set_model_version_tag(name, made.version, "hokusai_token_id", "msg_ai")
    with refused("Tag hokusai_token_id is missing."):
        client.delete_model_version_tag(name, made.version, "hokusai_token_id")
    assert [v.tags for v in versions(client, name)] == [VALID]
    client.register_prompt(unique("prompt"), "Hello {{name}}")
    assert tags_of(client, create(client, name)) == {}


@pytest.mark.slow
def test_a_client_of_any_other_kind_gets_a_clean_400(guarded_server, unique):
    name = mlflow.MlflowClient(guarded_server).create_registered_model(unique("model")).name
    tags = [{"key": key, "value": value} for key, value in BROKEN.items()]
    body = json.dumps({"name": name, "source": "s3://bucket/model", "tags": tags}).encode()
    for prefix in ("api", "ajax-api"):
        request = urllib.request.Request(
            f"{guarded_server}/{prefix}/2.0/mlflow/model-versions/create", body, {"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        answer = json.load(caught.value)
        assert (caught.value.code, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert answer["message"].startswith("reply_rate must be between 0 and 1: '13.42'")


@pytest.mark.slow
def test_our_own_client_registers_through_it(guarded_server, unique):
    from hokusai_nb.core.registry import ModelRegistry
    from tests.conftest import train

    made = train(guarded_server, reply_rate=0.1342)
    registered = ModelRegistry(guarded_server).register_tokenized_model(
        made.model_uri, unique("model"), "MSG-AI", "reply_rate", "0.1342"
    )
    assert registered.tags["benchmark_value"] == "0.1342"


def test_our_own_client_registers_in_a_guarded_registry(store, trained, unique):
    from hokusai_nb.core.registry import ModelRegistry

    mlflow.set_registry_uri(f"hokusai+{store}")
    model = trained(reply_rate=0.1342)
    registry = ModelRegistry()
    name = unique("model")
    registered = registry.register_tokenized_model(model.model_uri, name, "MSG-AI", "reply_rate", "0.1342")
    assert registered.version == "1"
    assert [v.tags["hokusai_token_id"] for v in registry.list_models().entries] == ["MSG-AI"]
    with refused("reply_rate must be"):
        registry.backend.client.set_tag_of_version(name, "1", "benchmark_value", "9")


def test_a_guarded_registry_in_a_database_that_is_down_is_noticed_at_once(store):
    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.errors import ConnectionFailedError

    began = time.monotonic()
    with pytest.raises(ConnectionFailedError, match="the database does not answer") as caught:
        _ = Backend(store, f"hokusai+postgresql://me:secret@127.0.0.1:{free_port()}/d").client
    assert time.monotonic() - began < 5
    assert "secret" not in str(caught.value)
