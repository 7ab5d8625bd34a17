"""A registration that is killed at any step and run again leaves one of everything."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest

from hokusai_nb.backends.sql.database import Database
from hokusai_nb.config import DatabaseConfig
from hokusai_nb.schema.lifecycle import NewToken, Status
from hokusai_nb.schema.tags import KEY_TAG, check_tags
from hokusai_nb.site.sql_store import SqlTokenStore

SCRIPT = Path(__file__).with_name("killing.py")
CONTENT = {"weights.bin": b"weights" * 1000, "vocabulary.txt": b"a b c"}
LASTING = ("write", "commit", "replace", "sent")


@pytest.fixture(scope="module")
def template(tmp_path_factory, migrated_database):
    """A folder with an MLflow database, a database with one token in draft, and a model; to be copied."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copy(migrated_database, folder / "mlflow.db")
    create_token({"db_type": "sqlite", "database": str(folder / "tokens.db")}, "X-RAY")
    (folder / "model").mkdir()
    for name, content in CONTENT.items():
        (folder / "model" / name).write_bytes(content)
    return folder


@pytest.fixture
def job_of(template, tmp_path):
    """Make a job in a folder of its own: ``job_of(17)`` is killed at step 17, ``job_of(None)`` is not."""

    def make(kill_at, **changes):
        folder = tmp_path / f"killed-at-{kill_at}"
        shutil.copytree(template, folder)
        job = {
            "folder": str(folder),
            "tracking": f"sqlite:///{folder / 'mlflow.db'}",
            "database": {"db_type": "sqlite", "database": str(folder / "tokens.db")},
            "token": "X-RAY",
            "path": str(folder / "model"),
            "kill_at": kill_at,
        }
        return {**job, **changes}

    return make


class Driver:
    """A process that forks one for each attempt; see `killing`."""

    def __init__(self):
        env = {**os.environ, "HOKUSAI_EVENT_HANDLERS": '["database"]'}
        self.process = subprocess.Popen([sys.executable, SCRIPT], stdin=-1, stdout=-1, text=True, env=env)

    def carry_out(self, jobs):
        found = []
        for job in jobs:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            found.append(json.loads(self.process.stdout.readline()))
        return found


@pytest.fixture(scope="module")
def carried_out():
    """Tell what became of jobs, of which two are done at a time: ``carried_out(jobs)``."""
    drivers = [Driver(), Driver()]

    def carry_out(jobs):
        with ThreadPoolExecutor(len(drivers)) as pool:
            shares = [jobs[n :: len(drivers)] for n in range(len(drivers))]
            done = pool.map(Driver.carry_out, drivers, shares)
            return [one for some in done for one in some]

    yield carry_out
    for driver in drivers:
        with driver.process:
            driver.process.stdin.close()
            assert driver.process.wait() == 0


def create_token(database, token):
    opened = Database.at(DatabaseConfig.model_validate(database))
    SqlTokenStore(opened).create(NewToken(token_id=token), by="test")
    opened.close()


def sampled(whole, lasting, others):
    """Steps from first to last: some of those that leave something, and some of the others."""
    steps = whole["first"]["steps"]
    left = [n for n, step in enumerate(steps) if step.split(" ", 1)[1] in LASTING]
    return [*spread(left, lasting), *spread(sorted(set(range(len(steps))) - set(left)), others)]


def spread(found, count):
    """As many of the things found, evenly, with the first and the last."""
    assert len(found) >= count
    return [found[n * (len(found) - 1) // max(count - 1, 1)] for n in range(count)]


def rows(path, query):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def in_sqlite(job):
    """The versions, the runs and the stored files of a job, as the database and the disk have them."""
    database = Path(job["folder"], "mlflow.db")
    versions = rows(database, "SELECT version, run_id, source FROM model_versions")
    tags = dict(rows(database, "SELECT key, value FROM model_version_tags"))
    runs = rows(database, "SELECT run_uuid, status FROM runs")
    files = {p.name: p.read_bytes() for _, _, source in versions for p in Path(source).iterdir()}
    return [(str(version), run) for version, run, _ in versions], tags, runs, files


def on_server(job):
    """The same as a client of MLflow sees it."""
    client = mlflow.MlflowClient(job["tracking"])
    (version,) = client.search_model_versions(f"name = 'hokusai-{job['token'].lower()}'")
    experiment = client.get_experiment_by_name("hokusai").experiment_id
    runs = client.search_runs([experiment], f"tags.hokusai_token_id = '{job['token']}'")
    folder = Path(client.download_artifacts(version.run_id, "model", job["folder"]))
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    return [(str(version.version), version.run_id)], version.tags, [(r.info.run_id, r.info.status) for r in runs], files


def ensure_one_of_everything(done, facts=in_sqlite):
    job = done["job"]
    assert done["first"] == {"ended": -signal.SIGKILL}, done
    assert done["second"]["version"] == "1", done

    ((version, run_id),), tags, runs, files = facts(job)
    assert version == "1"
    assert check_tags(tags) == []
    assert {"note", KEY_TAG, "hokusai.files.sha256"} <= set(tags)
    assert runs == [(run_id, "FINISHED")]
    assert files == CONTENT

    database = Database.at(DatabaseConfig.model_validate(job["database"]))
    store = SqlTokenStore(database)
    token = store.get(job["token"])
    assert (token.model_status, token.mlflow_run_id, token.owner) == (Status.REGISTERED, run_id, None)
    steps = Counter(step.after for step in store.history(job["token"]))
    assert (steps[Status.REGISTERED], steps[Status.FAILED]) == (1, 0)
    events = sorted(e.event.event_type.value for e in store.list_events(job["token"]).entries)
    assert events == ["model_registered", "token_ready_for_deploy"]
    database.close()


@pytest.mark.slow
def test_killed_at_any_step_and_run_again_there_is_one_version_one_run_and_each_event_once(carried_out, job_of):
    (whole,) = carried_out([job_of(None)])
    done = carried_out([job_of(n) for n in sampled(whole, 13, 3)])
    for one in done:
        ensure_one_of_everything(one)
    # Made after the kill, and found after it: each was among them.
    assert {one["second"]["created"] for one in done} == {True, False}


@pytest.mark.slow
def test_the_same_holds_with_tokens_in_postgresql(carried_out, job_of, postgres_config):
    database = {**postgres_config.model_dump(exclude={"password"}), "password": postgres_password(postgres_config)}

    def job(kill_at):
        token = f"KILLED-AT-{'NEVER' if kill_at is None else kill_at}"
        create_token(database, token)
        return job_of(kill_at, token=token, database=database)

    (whole,) = carried_out([job(None)])
    for one in carried_out([job(n) for n in sampled(whole, 5, 1)]):
        ensure_one_of_everything(one)


def postgres_password(config):
    return None if config.password is None else config.password.get_secret_value()


@pytest.mark.slow
def test_the_same_holds_with_mlflow_behind_a_server(carried_out, job_of, server, unique):
    def job(kill_at):
        token = unique("KILLED").upper()
        made = job_of(kill_at, token=token, tracking=server)
        create_token(made["database"], token)
        return made

    (whole,) = carried_out([job(None)])
    for one in carried_out([job(n) for n in sampled(whole, 5, 1)]):
        ensure_one_of_everything(one, on_server)
