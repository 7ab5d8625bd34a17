"""A promotion or a rollback that is killed, interrupted or held up at any step leaves a history that is true."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from hokusai_nb.backends.mlflow import model_stages, prompt_stages, stage_changes
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.schema.prompts import ModelStage
from tests.prompts import FULL

SCRIPT = Path(__file__).with_name("changing.py")
VERSIONS = {"model": ["1", "2", "3"], "prompt": ["1.0.0", "1.0.1", "1.0.2"]}
STAGING, PRODUCTION = ModelStage.STAGING, ModelStage.PRODUCTION
kinds = pytest.mark.parametrize("kind", ["model", "prompt"])


class Driver:
    """A process that forks one for each change; see `changing`."""

    def __init__(self):
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen([sys.executable, SCRIPT], stdin=-1, stdout=-1, text=True, env=env)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def driver():
    made = Driver()
    yield made
    with made.process:
        made.process.stdin.close()
        assert made.process.wait() == 0


class Shelf:
    """A model or a prompt of three versions in a store of its own: the first in production, the second in staging."""

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, folder
        self.tracking = f"sqlite:///{folder / 'mlflow.db'}"
        self.versions = VERSIONS[kind]
        self.registry = ModelRegistry(self.tracking)

    def fill(self):
        mlflow.set_tracking_uri(self.tracking)
        if self.kind == "prompt":
            for version in self.versions:
                PromptModel("churn", f"Hi {{name}} {version}", version, metadata=FULL).register()
        else:
            client = mlflow.MlflowClient(self.tracking)
            client.create_registered_model("churn")
            for _ in self.versions:
                client.create_model_version("churn", "models/churn")
        for version, to in ((0, "staging"), (0, "production"), (1, "staging")):
            self.registry.promote("churn", self.versions[version], to)

    def job(self, verb, *given, at=None, by="SIGKILL"):
        told = {"folder": str(self.folder), "tracking": self.tracking, "verb": verb, "given": given}
        return json.dumps({**told, "at": at, "signal": by})

    @property
    def standing(self):
        stages = model_stages if self.kind == "model" else prompt_stages
        return stages.standing(Backend.at(self.tracking), "churn")

    def told(self, after=3):
        """The history after the first entries, each as versions with where they went."""
        entries = list(self.standing.entries.values())[after:]
        return [tuple((m.change.version, m.change.to_stage.value) for m in entry) for entry in entries]


def ensure_true(standing):
    """The history says of each stage what MLflow says."""
    stages = (STAGING, PRODUCTION)
    assert [standing.due(s) for s in stages] == [standing.number_in(s) for s in stages]
    assert sorted(standing.entries) == list(range(1, standing.last_entry + 1))


@pytest.fixture
def shelf_of(tmp_path, migrated_database, store):
    """Make equal shelves: ``shelf_of("model")``; the first is filled, the others are copies of it."""
    made = {}

    def make(kind):
        folder = tmp_path / f"{kind}-{len(made)}"
        folder.mkdir()
        made[folder] = shelf = Shelf(kind, folder)
        if len(made) == 1:
            shutil.copy(migrated_database, folder / "mlflow.db")
            shelf.fill()
            shutil.copy(folder / "mlflow.db", tmp_path / "filled.db")
        else:
            shutil.copy(tmp_path / "filled.db", folder / "mlflow.db")
        return shelf

    yield make
    mlflow.set_tracking_uri(store)


def writes(steps):
    """The steps before and after everything that is written."""
    found = [n for n, step in enumerate(steps) if step.endswith(" write")]
    assert len(found) == 10, steps  # the claim, the entry, two aliases, the claim
    return found


@pytest.mark.slow
@kinds
def test_a_promotion_that_is_killed_at_any_step_is_completed_by_the_same_one(driver, shelf_of, kind, monkeypatch):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    shelf_of(kind)
    second = VERSIONS[kind][1]
    asked = ("promote", "churn", second, "production")
    steps = driver.tell(shelf_of(kind).job(*asked))["steps"]
    for at in writes(steps):
        shelf = shelf_of(kind)
        assert driver.tell(shelf.job(*asked, at=at))["told"] == -signal.SIGKILL
        shelf.registry.promote(*asked[1:])
        found = shelf.standing
        ensure_true(found)
        assert (found.stages, found.claims) == ({2: (PRODUCTION,)}, {})
        assert shelf.told() == [((second, "production"), (VERSIONS[kind][0], "dev"))]


@pytest.mark.slow
@kinds
@pytest.mark.parametrize("verb", ["promote", "rollback"])
def test_what_is_killed_at_any_step_is_cleared_up_by_whoever_comes_next(driver, shelf_of, kind, verb, monkeypatch):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    first, second, third = VERSIONS[kind]
    shelf_of(kind)
    ready = shelf_of(kind)
    if verb == "rollback":
        ready.registry.promote("churn", second, "production")
    asked = ("promote", "churn", second, "production") if verb == "promote" else ("rollback", "churn")
    shutil.copy(ready.folder / "mlflow.db", ready.folder.parent / "filled.db")
    before = len(ready.standing.entries)
    steps = driver.tell(shelf_of(kind).job(*asked))["steps"]
    seen = set()
    for at in [n for n, step in enumerate(steps) if step.endswith(" write")]:
        shelf = shelf_of(kind)
        assert driver.tell(shelf.job(*asked, at=at))["told"] == -signal.SIGKILL
        shelf.registry.promote("churn", third, "staging")
        found = shelf.standing
        ensure_true(found)
        assert found.claims == {}
        assert found.number_in(STAGING) == 3
        *changed, _ = shelf.told(before)
        whole = (
            ((second, "production"), (first, "dev")) if verb == "promote" else ((first, "production"), (second, "dev"))
        )
        assert changed in ([], [whole])
        seen.add(len(changed))
        assert found.number_in(PRODUCTION) == ((2 if changed else 1) if verb == "promote" else (1 if changed else 2))
    assert seen == {0, 1}


@pytest.mark.slow
@kinds
def test_what_is_interrupted_at_any_step_is_done_whole_or_not_at_all(driver, shelf_of, kind):
    shelf_of(kind)
    first, second, _ = VERSIONS[kind]
    asked = ("promote", "churn", second, "production")
    steps = driver.tell(shelf_of(kind).job(*asked))["steps"]
    seen = []
    for at in writes(steps):
        shelf = shelf_of(kind)
        assert driver.tell(shelf.job(*asked, at=at, by="SIGINT"))["told"] == "interrupted"
        found = shelf.standing
        ensure_true(found)
        assert shelf.told() in ([], [((second, "production"), (first, "dev"))])
        # An interrupt while the claim itself is taken back leaves it to whoever comes next.
        assert found.claims == {} or at == writes(steps)[-2]
        seen.append(len(shelf.told()))
    assert seen == sorted(seen)
    assert set(seen) == {0, 1}


@pytest.mark.slow
@kinds
@pytest.mark.parametrize("write", ["entry", "first alias", "second alias"])
def test_who_was_stopped_before_a_write_and_taken_for_dead_undoes_nothing(driver, shelf_of, kind, write, monkeypatch):
    monkeypatch.setattr(stage_changes, "DEAD_SECONDS", 0.1)
    shelf_of(kind)
    first, second, third = VERSIONS[kind]
    asked = ("promote", "churn", second, "production")
    steps = driver.tell(shelf_of(kind).job(*asked))["steps"]
    number = 2 + 2 * ["entry", "first alias", "second alias"].index(write)
    # Stopped where no transaction is open, so that others can go on.
    at = max(n for n in range(writes(steps)[number]) if steps[n] in ("after write", "after end of reading"))
    shelf = shelf_of(kind)
    assert driver.tell(shelf.job(*asked, at=at, by="SIGSTOP"))["told"] == "stopped"
    shelf.registry.promote("churn", second, "production")
    shelf.registry.rollback("churn", stage="production")
    shelf.registry.promote("churn", third, "staging")
    before = shelf.standing.entries
    told = driver.tell("go on")["told"]
    assert told.startswith("ConflictError"), told
    assert f"{third} from dev to staging" in told
    found = shelf.standing
    ensure_true(found)
    assert found.entries == before
    assert shelf.told() == [
        ((second, "production"), (first, "dev")),
        ((first, "production"), (second, "dev")),
        ((third, "staging"),),
    ]  # fmt: skip
    assert (found.stages, found.claims) == ({1: (PRODUCTION,), 3: (STAGING,)}, {})
