"""A process that is killed while it registers leaves whole versions only, and can be run again."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import mlflow
import pytest

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.schema.tags import KEY_TAG, check_tags
from tests.conftest import train
from tests.forked import Forked

COUNT = 160
"""So many that a machine busy with other tests kills the process long before it is done."""
SCRIPT = """
import json, sys
from hokusai_nb.core.registry import ModelRegistry

records = json.loads(sys.stdin.read())
print("ready", flush=True)
results = ModelRegistry(sys.argv[1]).register_many(records, max_workers=4, progress=False)
print(sum(r.ok for r in results), flush=True)
"""


def records_for(uri, name, count=COUNT):
    made = [train(uri, accuracy=i / 100) for i in range(4)]
    return [
        {
            "uri": made[i % 4].model_uri,
            "name": name,
            "token_id": "MSG-AI",
            "metric": "accuracy",
            "value": f"0.{i:03}",
            "tags": {"note": "x" * 2000, "number": i, **{f"t{n}": n for n in range(10)}},
        }
        for i in range(count)
    ]


def start(uri, records):
    """A process that registers the records, begun and not yet at it."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": "sqlite://"}
    process = Forked(SCRIPT, uri, env=env)
    process.stdin.write(json.dumps(records))
    process.stdin.close()
    assert process.stdout.readline() == "ready\n"
    return process


def numbers(uri, name):
    """The records that are registered; fails if a version lacks any of its tags."""
    found = mlflow.MlflowClient(uri).search_model_versions(f"name = '{name}'", max_results=1000)
    for version in found:
        assert check_tags(version.tags) == []
        assert {"number", KEY_TAG, *(f"t{n}" for n in range(10))} <= set(version.tags)
        assert len(version.tags["note"]) == 2000
    assert len({v.tags[KEY_TAG] for v in found}) == len(found)
    return {int(v.tags["number"]) for v in found}


def kill_at(process, uri, name, wanted):
    """Kill the process once so many versions are there, at no particular instruction."""
    client = mlflow.MlflowClient(uri)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if len(client.search_model_versions(f"name = '{name}'", max_results=1000)) >= wanted:
            time.sleep(random.uniform(0, 0.02))
            break
    with process:
        process.kill()
        assert process.wait() == -signal.SIGKILL


def killed_and_run_again(uri, name, moments):
    records = records_for(uri, name)
    for wanted in moments:
        kill_at(start(uri, records), uri, name, wanted)
        assert wanted <= len(numbers(uri, name)) < COUNT
    results = ModelRegistry(uri).register_many(records, progress=False)
    assert all(r.ok for r in results)
    assert 0 < sum(r.model.created for r in results) < COUNT
    assert numbers(uri, name) == set(range(COUNT))
    assert len(ModelRegistry(uri).list_models(name)) == COUNT


@pytest.mark.slow
def test_a_killed_process_leaves_no_half_version_in_sqlite_and_a_second_run_completes_it(store):
    killed_and_run_again(store, "bulk", [1, 9, 17])


@pytest.mark.slow
def test_a_killed_process_leaves_no_half_version_on_a_server_and_a_second_run_completes_it(server, unique):
    killed_and_run_again(server, unique("bulk"), [1, 13])
