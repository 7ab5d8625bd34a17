"""Logging an estimator: our fast path against the flavour's own ``log_model``, each in a fresh process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.figures import Row

ROOT = Path(__file__).resolve().parents[2]
LATER_CALLS = {"ours": 20, "peer": 3}
TREES = 100


def timed_calls(side: str, folder: str) -> list[float]:
    """Log the same forest to one run after another; return the milliseconds of each call."""
    import mlflow
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("bench", artifact_location=f"file://{folder}/files"))
    data, target = load_breast_cancer(return_X_y=True, as_frame=True)
    forest = RandomForestClassifier(TREES, random_state=0).fit(data, target)

    def peer(_: str) -> str:
        # Its default serialisation refuses a forest until this type is trusted.
        return mlflow.sklearn.log_model(forest, name="model", skops_trusted_types=["sklearn.tree._tree.Tree"]).model_uri

    def ours(run_id: str) -> str:
        from hokusai_nb.backends.mlflow.client import Backend
        from hokusai_nb.backends.mlflow.logging import log_estimator

        return log_estimator(Backend.at(uri), forest, run_id=run_id).uri

    log, times = {"ours": ours, "peer": peer}[side], []
    for _ in range(1 + LATER_CALLS[side]):
        with mlflow.start_run() as run:
            mlflow.log_metric("accuracy", 0.9)
            start = time.perf_counter()
            logged = log(run.info.run_id)
            times.append((time.perf_counter() - start) * 1000)
    if (mlflow.pyfunc.load_model(logged).predict(data) != forest.predict(data)).any():
        message = "The model that was loaded back predicts something else."
        raise RuntimeError(message)
    return times


def calls_of(side: str) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", "-m", "tests.bench.bench_logging", side, folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def measure() -> list[Row]:
    ours, peer = calls_of("ours"), calls_of("peer")
    what, note = f"log a forest of {TREES} trees", "mlflow.sklearn.log_model"
    later = statistics.median(ours[1:]), statistics.median(peer[1:])
    return [
        Row(f"{what}, first call", ours[0], peer[0], target=0.2, note=f"{note}, in a fresh process"),
        Row(f"{what}, later calls", *later, target=0.02, note=note),
    ]


if __name__ == "__main__":
    print(json.dumps(timed_calls(*sys.argv[1:])))
