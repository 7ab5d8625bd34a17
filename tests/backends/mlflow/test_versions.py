from __future__ import annotations

import mlflow
import pytest

from hokusai_nb.backends.mlflow import versions
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.errors import ModelNotFoundError, RegistryError
from hokusai_nb.schema.tags import METRIC_TAG, TOKEN_TAG, VALUE_TAG
from tests.rows import add_versions
from tests.servers import scripted

ODD = [
    "it's", 'say "x"', "it's \"x\"", "a\\", "%", "_", "a_b", "a%b", "x' AND name != 'y", "`", "-- ", "line\nbreak", "😀"
]  # fmt: skip


def tags(token="MSG-AI", metric="accuracy", value="0.9"):
    return {TOKEN_TAG: token, METRIC_TAG: metric, VALUE_TAG: value}


def test_a_version_is_read_with_everything_that_it_says(store, backend):
    add_versions(
        store, [{"name": "m", "version": 7, "tags": tags("msg-ai"), "run_id": "r1", "source": "models:/m-abc"}]
    )
    mlflow.MlflowClient(store).set_registered_model_alias("m", "champion", "7")
    found = versions.get(backend, "m", "7")
    assert (found.name, found.version, found.token_id, found.run_id, found.model_id) == (
        "m", "7", "MSG-AI", "r1", "m-abc",
    )  # fmt: skip
    assert found.tags[TOKEN_TAG] == "msg-ai", "the tag is what was stored, the field what it means"
    assert found.aliases == ("champion",)
    assert found.creation_timestamp == 1


def test_the_logged_model_is_told_from_the_source(store, backend):
    sources = {
        "models:/m-0a1": "m-0a1",
        "/data/artifacts/1/models/m-0a1/artifacts": "m-0a1",
        "file:///data/artifacts/1/models/m-0a1/artifacts/": "m-0a1",
        "mlflow-artifacts:/1/models/m-0a1/artifacts": "m-0a1",
        "mlflow-artifacts:/1/0a1/artifacts/model": None,
        "models:/churn/1": None,
        "/data/models/my-folder": None,
        "": None,
    }
    add_versions(store, [{"name": "m", "version": i, "tags": {}, "source": s} for i, s in enumerate(sources, 1)])
    assert {v.source: v.model_id for v in versions.by_name(backend, "m")} == sources


def test_a_version_of_another_client_has_what_it_has(store, backend):
    add_versions(store, [{"name": "plain", "version": 1, "tags": {}}])
    found = versions.get(backend, "plain", "1")
    assert (found.token_id, found.benchmark_metric, found.benchmark_value, found.run_id) == (None, None, None, None)
    assert found.value is None


def test_a_version_that_does_not_exist_is_named(store, backend):
    add_versions(store, [{"name": "m", "version": 1, "tags": tags()}])
    for name, version in (("m", "2"), ("m", "x"), ("m", "-1"), ("m", "9" * 30), ("none", "1"), ("a/b", "1")):
        for call in (versions.get, versions.delete, lambda *args: versions.set_tags(*args, {"gpu_type": "A100"})):
            with pytest.raises(ModelNotFoundError) as caught:
                call(backend, name, version)
            assert repr(name) in caught.value.what
            assert repr(version) in caught.value.what


def test_what_a_server_cannot_tell_is_not_taken_for_missing():
    broken = (500, {"error_code": "INTERNAL_ERROR", "message": "disk"}, {})
    with scripted(lambda _, path: (200, "OK", {}) if path == "/health" else broken) as server:
        backend = Backend.at(server.address)
        for call in (versions.get, versions.delete, lambda *args: versions.set_tags(*args, {"a": "b"})):
            with pytest.raises(RegistryError, match="disk"):
                call(backend, "m", "1")


def test_the_latest_is_the_one_with_the_highest_number_and_has_its_aliases(store, backend):
    add_versions(store, [{"name": "m", "version": v, "tags": tags()} for v in (2, 10, 9)])
    mlflow.MlflowClient(store).set_registered_model_alias("m", "champion", "10")
    found = versions.latest(backend, "m")
    assert (found.version, found.aliases) == ("10", ("champion",))


def test_there_is_no_latest_of_nothing(backend):
    assert versions.latest(backend, "none") is None


def test_odd_names_are_found_each_by_its_own(store, backend):
    add_versions(store, [{"name": n, "version": v, "tags": tags()} for n in ODD for v in (1, 2)])
    for name in ODD:
        assert [(v.name, v.version) for v in versions.by_name(backend, name)] == [(name, "1"), (name, "2")]
        assert (versions.latest(backend, name).name, versions.latest(backend, name).version) == (name, "2")


def test_versions_come_in_the_order_of_their_numbers_each_with_its_aliases(store, backend):
    add_versions(store, [{"name": "m", "version": v, "tags": tags()} for v in (1, 2, 10, 11)])
    client = mlflow.MlflowClient(store)
    for alias, version in (("champion", "10"), ("best", "10"), ("first", "1")):
        client.set_registered_model_alias("m", alias, version)
    found = versions.by_name(backend, "m")
    assert [(v.version, v.aliases) for v in found] == [
        ("1", ("first",)), ("2", ()), ("10", ("best", "champion")), ("11", ()),
    ]  # fmt: skip
    assert versions.by_name(backend, "none") == []


def test_a_token_is_found_in_whatever_case_it_was_stored(store, backend):
    add_versions(store, [{"name": t, "version": 1, "tags": tags(t)} for t in ("msg-ai", "MSG-AI", "Msg-Ai", "msg-aid")])
    assert {v.name for v in versions.by_token(backend, "mSG-ai")} == {"msg-ai", "MSG-AI", "Msg-Ai"}
    assert {v.token_id for v in versions.by_token(backend, "MSG-AI")} == {"MSG-AI"}


def test_wildcards_in_a_token_stand_for_themselves(store, backend):
    stored = [*ODD, "axb", "aXb", ""]
    add_versions(store, [{"name": f"m{i}", "version": 1, "tags": tags(token)} for i, token in enumerate(stored)])
    for token in stored:
        assert {v.tags[TOKEN_TAG] for v in versions.by_token(backend, token)} == {token} | (
            {"axb", "aXb"} if token.lower() == "axb" else set()
        )
    for token in ("a_", "%%", "__", "nothing", "\0", "\ud800", "a" * 5000):
        assert versions.by_token(backend, token) == []


def test_a_token_with_a_letter_that_grows_in_upper_case_is_another(store, backend):
    add_versions(store, [{"name": t, "version": 1, "tags": tags(t)} for t in ("STRASSE-1", "straße-1")])
    assert [v.name for v in versions.by_token(backend, "straße-1")] == ["straße-1"]


def test_listing_goes_beyond_a_thousand_versions_and_past_other_peoples_models(store, backend):
    ours = [{"name": f"model-{i % 40:02}", "version": i // 40 + 1, "tags": tags()} for i in range(2400)]
    theirs = [{"name": f"other-{i % 40}", "version": i // 40 + 1, "tags": tags("OTHER-1")} for i in range(1200)]
    plain = [{"name": f"plain-{i}", "version": 1, "tags": {"team": "MSG-AI"}} for i in range(100)]
    add_versions(store, ours + theirs + plain)
    found = versions.by_token(backend, "MSG-AI")
    assert [(v.name, v.version) for v in found] == sorted(
        ((v["name"], str(v["version"])) for v in ours), key=lambda pair: (pair[0], int(pair[1]))
    )
    everything = versions.list_all(backend)
    assert len(everything) == 3600
    assert not any(v.name.startswith("plain") for v in everything)
    assert len(versions.by_name(backend, "model-00")) == 60


def test_listing_by_prefix_takes_wildcards_and_quotes_for_themselves(store, backend):
    names = [f"{odd}-1" for odd in ODD] + ["axb-1"]
    add_versions(store, [{"name": n, "version": 1, "tags": tags()} for n in names])
    for prefix in [*ODD, "a", "A", "it's \"", "\\", "nothing", "\0"]:
        found = [v.name for v in versions.list_all(backend, prefix)]
        assert sorted(found) == sorted(n for n in names if n.startswith(prefix))
    assert len(versions.list_all(backend, "")) == len(names)


def test_a_deleted_version_is_gone_and_its_number_is_not_given_out_again(store, backend):
    add_versions(store, [{"name": "m", "version": v, "tags": tags()} for v in (1, 2)])
    versions.delete(backend, "m", "2")
    assert [v.version for v in versions.by_name(backend, "m")] == ["1"]
    assert mlflow.MlflowClient(store).create_model_version("m", "/x", "").version in (3, "3")


def test_tags_are_set_and_come_back_unchanged(store, backend):
    add_versions(store, [{"name": "m", "version": 1, "tags": tags()}])
    more = {"note": 'it\'s "x" \\ 100%\n😀', "gpu_type": "A100"}
    assert versions.set_tags(backend, "m", "1", more).tags == {**tags(), **more}
