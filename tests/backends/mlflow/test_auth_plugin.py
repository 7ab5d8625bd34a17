from __future__ import annotations

import logging
import subprocess
import sys

import mlflow
import pytest
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric
from mlflow.environment_variables import MLFLOW_TRACKING_AUTH

from hokusai_nb.backends.mlflow.auth_plugin import NAME, KeyAuth, KeyContext, KeyProvider
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.log import logger
from tests.recorders import recording

KEY = "hk-live-0123456789"
RUN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def hokusai(monkeypatch):
    """The configured Hokusai endpoint; the key is set."""
    with recording() as server:
        monkeypatch.setenv("HOKUSAI_API_KEY", KEY)
        monkeypatch.setenv("HOKUSAI_API_ENDPOINT", server.address)
        monkeypatch.setenv("NETRC", "/dev/null")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield server


@pytest.fixture
def other():
    with recording() as server:
        yield server


def log_metric(tracking_uri):
    mlflow.MlflowClient(tracking_uri).log_batch(RUN, metrics=[Metric("a", 1.0, 0, 0)])


@pytest.fixture
def run(unique):
    """A run that no other test uses: MLflow remembers where a run's artifacts lie."""
    return unique("run")


def artifacts_at(address, run):
    return f"{address}/api/2.0/mlflow-artifacts/artifacts/1/{run}/artifacts"


def with_artifacts(run, root):
    return {"run": {"info": {"run_id": run, "experiment_id": "1", "artifact_uri": root}}}


def test_the_plugin_is_asked_by_default_and_nothing_is_exported(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_AUTH", raising=False)
    assert MLFLOW_TRACKING_AUTH.get() == NAME
    assert not MLFLOW_TRACKING_AUTH.is_set()


def test_another_default_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(MLFLOW_TRACKING_AUTH, "default", "corporate")
    context = KeyContext()
    assert MLFLOW_TRACKING_AUTH.default == "corporate"
    assert (context.in_context(), context.tags()) == (False, {})


def test_requests_to_the_endpoint_carry_the_key(hokusai):
    log_metric(f"{hokusai.address}/api/mlflow")
    assert [(s.method, s.path, s.authorization) for s in hokusai.seen] == [
        ("POST", "/api/mlflow/api/2.0/mlflow/runs/log-batch", f"Bearer {KEY}")
    ]


def test_the_fluent_calls_carry_it_too(hokusai, monkeypatch):
    hokusai.answers["runs/log-metric"] = {}
    hokusai.answers["runs/get"] = {"run": {"info": {"run_id": RUN, "experiment_id": "0"}, "data": {}}}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{hokusai.address}/api/mlflow")
    mlflow.log_metric("a", 1.0, run_id=RUN)
    assert hokusai.seen
    assert set(hokusai.authorizations) == {f"Bearer {KEY}"}


def test_requests_to_any_other_place_do_not(hokusai, other):
    for uri in (other.address, f"{hokusai.address}/elsewhere", f"{hokusai.address}/api/mlflow-not"):
        log_metric(uri)
    log_metric(other.address.replace("http://", f"http://{hokusai.address.removeprefix('http://')}@"))
    assert len(hokusai.seen) == 2
    assert len(other.seen) == 2
    assert KEY not in str(hokusai.seen) + str(other.seen)


def test_a_redirect_to_another_host_does_not_carry_the_key(hokusai, other):
    hokusai.answers["log-batch"] = (307, {}, {"Location": f"{other.address}/api/2.0/mlflow/runs/log-batch"})
    log_metric(f"{hokusai.address}/api/mlflow")
    assert hokusai.authorizations == [f"Bearer {KEY}"]
    assert other.authorizations == [None]


@pytest.mark.parametrize("target", ["/elsewhere", "/api/mlflow/../elsewhere", "//{other}/elsewhere"])
def test_a_redirect_away_from_the_endpoint_on_its_own_host_does_not_either(hokusai, other, target):
    target = target.format(other=other.address.removeprefix("http://"))
    hokusai.answers["log-batch"] = (307, {}, {"Location": target})
    log_metric(f"{hokusai.address}/api/mlflow")
    first, *further = [*hokusai.authorizations, *other.authorizations]
    assert (first, further) == (f"Bearer {KEY}", [None])


def test_a_redirect_within_the_endpoint_carries_the_key(hokusai):
    hokusai.answers["log-batch"] = (307, {}, {"Location": "/api/mlflow/moved"})
    log_metric(f"{hokusai.address}/api/mlflow")
    assert [(s.path, s.authorization) for s in hokusai.seen[1:]] == [("/api/mlflow/moved", f"Bearer {KEY}")]


def test_a_redirect_that_comes_back_does_not_carry_it_again(hokusai, other):
    hokusai.answers["log-batch"] = (307, {}, {"Location": f"{other.address}/back"})
    other.answers["/back"] = (307, {}, {"Location": f"{hokusai.address}/api/mlflow/again"})
    log_metric(f"{hokusai.address}/api/mlflow")
    assert hokusai.authorizations == [f"Bearer {KEY}", None]


def test_artifacts_through_the_endpoint_carry_the_key_and_arrive_whole(hokusai, run, tmp_path):
    content = bytes(range(256)) * 4096
    (tmp_path / "weights.bin").write_bytes(content)
    root = artifacts_at(f"{hokusai.address}/api/mlflow", run)
    hokusai.answers["/weights.bin"] = (200, content, {})
    hokusai.answers["/mlflow-artifacts/artifacts"] = {"files": []}
    hokusai.answers["/runs/get"] = with_artifacts(run, root)
    mlflow.MlflowClient(f"{hokusai.address}/api/mlflow").log_artifact(run, str(tmp_path / "weights.bin"))
    uploads = [s.body for s in hokusai.seen if s.method == "PUT"]
    assert uploads == [content]
    download_artifacts(artifact_uri=f"{root}/weights.bin", dst_path=str(tmp_path / "there"))
    assert (tmp_path / "there" / "weights.bin").read_bytes() == content
    assert set(hokusai.authorizations) == {f"Bearer {KEY}"}


def test_artifacts_of_another_server_do_not_carry_the_key(hokusai, other, run, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    hokusai.answers["/runs/get"] = with_artifacts(run, artifacts_at(other.address, run))
    mlflow.MlflowClient(f"{hokusai.address}/api/mlflow").log_artifact(run, str(tmp_path / "a.txt"))
    assert [(s.method, s.authorization) for s in other.seen] == [("PUT", None)]


def test_parts_of_an_upload_to_presigned_addresses_do_not_carry_the_key(hokusai, other, run, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", "4")
    (tmp_path / "a.txt").write_text("12345678")
    parts = [{"url": f"{other.address}/{n}?X-Amz-Signature=s", "part_number": n, "headers": {}} for n in (1, 2)]
    hokusai.answers[f"/mpu/create/1/{run}/artifacts"] = {"upload_id": "u", "credentials": parts}
    hokusai.answers["/runs/get"] = with_artifacts(run, artifacts_at(f"{hokusai.address}/api/mlflow", run))
    mlflow.MlflowClient(f"{hokusai.address}/api/mlflow").log_artifact(run, str(tmp_path / "a.txt"))
    assert sorted((s.method, s.path, s.authorization, s.body) for s in other.seen) == [
        ("PUT", "/1", None, b"1234"),
        ("PUT", "/2", None, b"5678"),
    ]
    assert [s.path.rsplit("/mpu/")[-1].partition("/")[0] for s in hokusai.seen[1:]] == ["create", "complete"]
    assert set(hokusai.authorizations) == {f"Bearer {KEY}"}


def test_the_key_is_stronger_than_other_credentials_at_the_endpoint_only(hokusai, other, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "for-the-other")
    for uri in (f"{hokusai.address}/api/mlflow", other.address):
        log_metric(uri)
    assert (hokusai.authorizations, other.authorizations) == ([f"Bearer {KEY}"], ["Bearer for-the-other"])


def test_user_names_and_passwords_for_other_servers_keep_working(hokusai, other, monkeypatch, tmp_path):
    log_metric(other.address.replace("http://", "http://me:in-the-address@"))
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "in-the-environment")
    log_metric(other.address)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password in-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    log_metric(other.address)
    log_metric(f"{hokusai.address}/api/mlflow")
    basic = [
        "bWU6aW4tdGhlLWFkZHJlc3M=",
        "bWU6aW4tdGhlLWVudmlyb25tZW50",
        "bWU6aW4tbmV0cmM=",
    ]
    assert other.authorizations == [f"Basic {text}" for text in basic]
    assert hokusai.authorizations == [f"Bearer {KEY}"]


def test_without_a_key_requests_are_left_as_they_were(hokusai, monkeypatch):
    monkeypatch.delenv("HOKUSAI_API_KEY")
    assert KeyProvider().get_auth() is None
    log_metric(f"{hokusai.address}/api/mlflow")
    assert hokusai.authorizations == [None]


def test_a_provider_that_the_user_named_is_used_instead(hokusai, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "nobody")
    with pytest.warns(UserWarning, match="Could not find any registered plugin for nobody"):
        log_metric(f"{hokusai.address}/api/mlflow")
    assert hokusai.authorizations == [None]


@pytest.mark.usefixtures("hokusai")
def test_a_setting_that_is_wrong_is_said_and_fails_no_request_to_others(other, monkeypatch, caplog):
    monkeypatch.setenv("HOKUSAI_HTTP_TIMEOUT", "soon")
    logger.addHandler(caplog.handler)
    try:
        log_metric(other.address)
    finally:
        logger.removeHandler(caplog.handler)
    assert "MLflow's requests go without an API key. A setting is not valid: HOKUSAI_HTTP_TIMEOUT" in caplog.text
    assert other.authorizations == [None]


def test_the_key_stands_in_no_log_and_in_no_repr(hokusai, caplog):
    root = logging.getLogger()
    caplog.set_level(logging.DEBUG)
    assert root.handlers
    auth = KeyProvider().get_auth()
    assert isinstance(auth, KeyAuth)
    log_metric(f"{hokusai.address}/api/mlflow")
    hokusai.answers["log-batch"] = (400, {"error_code": "BAD_REQUEST", "message": "no"}, {})
    with pytest.raises(mlflow.MlflowException) as caught:
        log_metric(f"{hokusai.address}/api/mlflow")
    assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}
    assert KEY not in caplog.text + repr(auth) + str(vars(auth)) + repr(caught.value) + repr(caught.getrepr())


IMPORTING = """
import os, sys
import mlflow
from mlflow.environment_variables import MLFLOW_TRACKING_AUTH
ours = sorted(name for name in sys.modules if name.startswith("hokusai_nb"))
heavy = [name for name in ("pydantic_settings", "sqlalchemy", "httpx") if name in sys.modules]
print(MLFLOW_TRACKING_AUTH.get(), "MLFLOW_TRACKING_AUTH" in os.environ, heavy, len(ours))
assert "hokusai_nb.config" not in ours and len(ours) <= 6, ours
"""


@pytest.mark.slow
def test_importing_mlflow_loads_the_plugin_and_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["hokusai", "False", "[]", "6"], done.stderr


def test_our_own_client_sends_the_key_whatever_is_set_for_other_servers(hokusai, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password in-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "nobody")
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")
    hokusai.answers["/health"] = (200, b"OK", {})
    with Backend.at(f"{hokusai.address}/api/mlflow").calling() as client:
        assert client.search_experiments() == []
    assert len(hokusai.seen) == 2
    assert set(hokusai.authorizations) == {f"Bearer {KEY}"}
