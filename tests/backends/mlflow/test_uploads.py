"""Files reach a run's artifacts whole or not at all, and an interrupted upload goes on where it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from hokusai_nb.backends.mlflow import registration_runs, runs, uploads
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.backends.mlflow.model_bytes import digest
from hokusai_nb.backends.mlflow.model_files import find_files
from hokusai_nb.errors import RegistryError, ValidationError
from tests.conftest import both, mlflow_server

ODD = ["a b.bin", "modèle.bin", "sub/50%.txt", "sub/..foo", "q'uo\"te", "semi;colon", "a+b&c=d", "[1]", "~", ".hidden"]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    for n, name in enumerate(ODD):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(b"x" * (n + 1))
    (made / "empty.py").touch()
    return made


def files_of(path):
    return digest(*find_files(path), lambda _: None)


def run_for(uri, key):
    return registration_runs.obtain(Backend.at(uri), key, "a name", {"a": "b"})


def upload(uri, run, files):
    told = []
    location = uploads.upload(Backend.at(uri), run, files, told.append)
    return location, told


def downloaded(uri, run, place):
    client = mlflow.MlflowClient(uri)
    found = Path(client.download_artifacts(run.run_id, "model", str(place)))
    return {p.relative_to(found).as_posix(): p.read_bytes() for p in found.rglob("*") if p.is_file()}


@pytest.fixture
def place(tmp_path):
    made = tmp_path / "downloaded"
    made.mkdir()
    return made


@both
def test_a_folder_is_stored_with_every_name_and_comes_back_as_it_was(sqlite_or_server, folder, unique, place):
    run = run_for(sqlite_or_server, unique("k"))
    files = files_of(folder)
    location, told = upload(sqlite_or_server, run, files)
    assert location == f"{run.artifact_uri}/model"
    assert sum(told) == files.size
    assert downloaded(sqlite_or_server, run, place) == {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def times_of(run):
    return {p.name: p.stat().st_ino for p in Path(run.artifact_uri, "model").rglob("*") if p.is_file()}


def test_only_what_is_missing_or_incomplete_is_stored_again(store, folder):
    run = run_for(store, "k")
    upload(store, run, files_of(folder))
    before = times_of(run)
    stored = Path(run.artifact_uri, "model")
    (stored / "a b.bin").unlink()
    (stored / "[1]").write_bytes(b"x")
    (stored / ".artifact.uploading.abc").write_bytes(b"half")
    _, told = upload(store, run, files_of(folder))
    after = times_of(run)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} <= {"a b.bin", "[1]"}
    assert (stored / "[1]").read_bytes() == (folder / "[1]").read_bytes()
    assert sum(told) == files_of(folder).size


@pytest.mark.slow
def test_a_server_is_sent_only_what_is_missing(proxy, folder, unique):
    run = run_for(proxy.address, unique("k"))
    files = files_of(folder)
    upload(proxy.address, run, files)
    assert len([m for m, _ in proxy.requests if m == "PUT"]) == len(ODD) + 1
    proxy.requests.clear()
    _, told = upload(proxy.address, run, files)
    assert [m for m, _ in proxy.requests if m == "PUT"] == []
    assert sum(told) == files.size


@pytest.mark.slow
def test_a_broken_connection_is_tried_again_and_what_was_told_is_taken_back(proxy, tmp_path, unique, place):
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(300_000))
    run = run_for(proxy.address, unique("k"))
    broken = iter(["drop", "drop first"])
    proxy.spoil = lambda method, _: next(broken, None) if method == "PUT" else None
    _, told = upload(proxy.address, run, files_of(path))
    assert sum(told) == 300_000
    assert min(told) < 0
    assert downloaded(proxy.address, run, place) == {"weights.bin": path.read_bytes()}


@pytest.mark.slow
def test_a_server_that_refuses_a_file_is_reported_in_our_words(proxy, folder, unique):
    run = run_for(proxy.address, unique("k"))
    proxy.spoil = lambda method, _: 403 if method == "PUT" else None
    with pytest.raises(RegistryError, match="refused access"):
        upload(proxy.address, run, files_of(folder))


@pytest.mark.slow
def test_a_file_that_something_before_the_server_lost_is_missed(proxy, folder, unique):
    run = run_for(proxy.address, unique("k"))

    def lose(method, path):
        return 200 if method == "PUT" and path.endswith("/~") else None

    asked, ask = [], proxy.server.RequestHandlerClass.ask

    def swallow(handler, body):
        if handler.command == "PUT" and handler.path.endswith("/~"):
            asked.append(handler.path)
            return 200, "application/json", b"{}"
        return ask(handler, body)

    proxy.server.RequestHandlerClass.ask = swallow
    proxy.spoil = lose
    with pytest.raises(RegistryError, match=re.escape("does not hold ~ as it was sent")):
        upload(proxy.address, run, files_of(folder))
    assert asked


@both
def test_a_file_that_changes_before_it_is_sent_never_appears(sqlite_or_server, tmp_path, unique):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"a" * 3_000_000)
    run = run_for(sqlite_or_server, unique("k"))
    files = files_of(path)
    path.write_bytes(b"b" * 3_000_000)
    with pytest.raises(ValidationError, match="was changed while it was being registered"):
        upload(sqlite_or_server, run, files)
    time.sleep(0.2)  # for the server to see that the rest will not come
    client = mlflow.MlflowClient(sqlite_or_server)
    assert client.list_artifacts(run.run_id, "model") == []


@both
def test_a_file_that_grows_while_it_is_sent_never_appears(sqlite_or_server, tmp_path, unique):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"a" * 3_000_000)
    run = run_for(sqlite_or_server, unique("k"))
    files = files_of(path)

    def grow(_):
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(ValidationError, match="was changed"):
        uploads.upload(Backend.at(sqlite_or_server), run, files, grow)
    time.sleep(0.2)
    assert mlflow.MlflowClient(sqlite_or_server).list_artifacts(run.run_id, "model") == []


def test_a_folder_that_cannot_be_written_is_named(store, folder):
    run = run_for(store, "k")
    Path(run.artifact_uri).parent.mkdir(parents=True)
    Path(run.artifact_uri).write_text("a file where a folder should be")
    with pytest.raises(RegistryError, match="The model's files cannot be written to") as caught:
        upload(store, run, files_of(folder))
    assert "store of the experiment's artifacts" in caught.value.hint


class Bucket(ArtifactRepository):
    """A store as a plugin of MLflow brings it, which takes the path of a file and no stream."""

    def __init__(self, artifact_uri, tracking_uri=None, registry_uri=None):
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self.disk = LocalArtifactRepository(artifact_uri.replace("bucket:", "file:"))

    def log_artifact(self, local_file, artifact_path=None):
        self.disk.log_artifact(local_file, artifact_path)
        if Path(local_file).name == "grows":
            with Path(local_file).open("ab") as file:
                file.write(b"more")

    def log_artifacts(self, local_dir, artifact_path=None):
        self.disk.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path=None):
        return self.disk.list_artifacts(path)

    def _download_file(self, remote_file_path, local_path):
        self.disk._download_file(remote_file_path, local_path)


@pytest.fixture
def run_in_bucket(store, tmp_path, monkeypatch):
    monkeypatch.setitem(artifact_repository_registry._artifact_repository_registry._registry, "bucket", Bucket)
    mlflow.MlflowClient(store).create_experiment("hokusai", artifact_location=f"bucket://{tmp_path}/bucket")
    return run_for(store, "k")


def test_a_store_that_takes_paths_only_is_given_paths_and_everything_comes_back(store, run_in_bucket, folder, place):
    (folder / "link").symlink_to("a b.bin")
    location, told = upload(store, run_in_bucket, files_of(folder))
    assert location.startswith("bucket:")
    assert sum(told) == files_of(folder).size
    assert downloaded(store, run_in_bucket, place) == {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_a_file_that_changes_while_such_a_store_takes_it_is_noticed(store, run_in_bucket, tmp_path):
    (tmp_path / "grows").write_bytes(b"a")
    with pytest.raises(ValidationError, match="was changed"):
        upload(store, run_in_bucket, files_of(tmp_path / "grows"))


@pytest.mark.slow
def test_where_parts_are_wanted_mlflow_decides_if_the_server_takes_them(server, folder, unique, place, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1")
    (folder / "empty.py").unlink()
    run = run_for(server, unique("k"))
    _, told = upload(server, run, files_of(folder))
    assert sum(told) == files_of(folder).size
    assert len(downloaded(server, run, place)) == len(ODD)


SCRIPT = """
import os, resource, sys
from hokusai_nb.backends.mlflow import registration_runs, uploads
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.backends.mlflow.model_bytes import digest
from hokusai_nb.backends.mlflow.model_files import find_files

path, key, *uris = sys.argv[1:]
for uri in uris:
    if not os.fork():  # each with a greatest size of its own
        backend = Backend.at(uri)
        run = registration_runs.obtain(backend, key, "big", {})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        uploads.upload(backend, run, digest(*find_files(path), lambda _: None), lambda _: None)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        break
    assert os.wait()[1] == 0
"""


@pytest.mark.slow
def test_the_memory_that_an_upload_takes_does_not_grow_with_the_file(store, server, tmp_path, unique):
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(300_000_000)
    line = [sys.executable, "-c", SCRIPT, str(path), unique("k"), store, server]
    grown = subprocess.run(line, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split()
    assert len(grown) == 2
    assert max(map(int, grown)) < 60_000  # KiB


@pytest.mark.slow
def test_a_server_that_was_asked_too_often_is_waited_for(proxy, tmp_path, unique, place):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"w" * 1000)
    run = run_for(proxy.address, unique("k"))
    refused = iter([429] * 3)
    proxy.spoil = lambda method, _: next(refused, None) if method == "PUT" else None
    _, told = upload(proxy.address, run, files_of(path))
    assert sum(told) == 1000
    assert downloaded(proxy.address, run, place) == {"weights.bin": path.read_bytes()}


@pytest.mark.slow
def test_nobody_is_waited_for_without_end(proxy, folder, unique, monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE_SECONDS", 0.7)
    run = run_for(proxy.address, unique("k"))
    proxy.spoil = lambda method, _: 429 if method == "PUT" else None
    with pytest.raises(RegistryError, match="429"):
        upload(proxy.address, run, files_of(folder))


@pytest.mark.slow
def test_for_a_server_nothing_is_written_to_this_machines_disk(migrated_database, tmp_path, folder, place):
    """The experiment was made beside the database, whose files a server hands out later."""
    shutil.copy(migrated_database, tmp_path / "server.db")
    own = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'server.db'}")
    made = own.create_experiment("hokusai", artifact_location=str(tmp_path / "of-the-server"))
    with mlflow_server(tmp_path, migrated_database) as (address, _):
        run = run_for(address, "k")
        upload(address, run, files_of(folder))
        assert downloaded(address, run, place) == {p: (folder / p).read_bytes() for p in [*ODD, "empty.py"]}
        there = Backend.at(address)
        other = runs.get_run(there, mlflow.MlflowClient(address).create_run(made).info.run_id)
        with pytest.raises(RegistryError, match="is not on this machine"):
            upload(address, other, files_of(folder))
    assert not (tmp_path / "of-the-server").exists()


def test_beside_a_server_its_files_are_left_to_it(store, folder, place):
    mlflow.MlflowClient(store).create_experiment("hokusai", artifact_location="mlflow-artifacts:/1")
    run = run_for(store, "k")
    upload(store, run, files_of(folder))
    assert len(downloaded(store, run, place)) == len(ODD) + 1
