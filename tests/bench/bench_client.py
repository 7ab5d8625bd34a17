"""One shared client against a new one for every call, on a server."""

from __future__ import annotations

from mlflow import MlflowClient

from hokusai_nb.backends.mlflow import versions
from hokusai_nb.backends.mlflow.client import Backend
from tests.bench.figures import Row, in_turns
from tests.bench.stores import served

TURNS = 60


def measure() -> list[Row]:
    with served({"model": 1}) as uri:
        pair = (
            lambda: versions.get(Backend.at(uri), "model", "1"),
            lambda: MlflowClient(uri).get_model_version("model", "1"),
        )
        in_turns([pair] * 5)
        mine, theirs = in_turns([pair] * TURNS)
    return [Row("get a version, server", mine, theirs, note="a new MlflowClient for the call; ours shares one by URI")]
