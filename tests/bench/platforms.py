"""Servers as somebody would run them: two processes each, on one PostgreSQL server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from hokusai_nb.core.registry import ModelRegistry
from tests.apis import make_keys
from tests.conftest import free_port, train
from tests.processes import described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hokusai_nb.config import DatabaseConfig
    from tests.postgres import Postgres

WORKERS = 2
UP = "Application startup complete"
"""What each process of a server logs."""
START_SECONDS = 180
PROGRAMS = Path(sys.executable).parent
OURS = {"HOKUSAI_RATE_LIMIT": "1000000/second"}
"""Clients that share one key ask for more than a key may ask for."""
CALM = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": ""}


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def url_of(config: DatabaseConfig) -> str:
    """The address of a PostgreSQL database as MLflow is given it."""
    assert config.password
    return f"postgresql://{config.username}:{config.password.get_secret_value()}@{config.host}:{config.port}/{config.database}"


@contextmanager
def started(command: list[str], port: int, health: str, log: Path, env: dict[str, str]) -> Iterator[Running]:
    """Start a server and wait until all its processes answer; it is ended afterwards, by force if need be.

    Raises:
        RuntimeError: It did not start.
    """
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=log.parent, env={**os.environ, **env}, start_new_session=True
        )
    try:
        _wait_until_up(f"http://127.0.0.1:{port}{health}", process, log)
        yield Running(port, process, log)
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
        # The first of them that answers would get all the clients.
        if log.read_text().count(UP) == WORKERS:
            with urlopen(address, timeout=30):
                return
    message = f"{address} does not answer:\n{log.read_text()[-3000:]}"
    raise RuntimeError(message)


@contextmanager
def our_server(folder: Path, models: DatabaseConfig, tokens: DatabaseConfig) -> Iterator[Running]:
    """`hokusai serve` with MLflow inside."""
    port = free_port()
    command = [str(PROGRAMS / "hokusai"), "serve", "--port", str(port), "--workers", str(WORKERS)]
    command += ["--mlflow-uri", url_of(models), "--artifacts", str(folder / "files")]
    command += ["--db-config", str(described(tokens, folder))]
    with started(command, port, "/api/v1/ready", folder / "ours.log", OURS) as running:
        yield running


@contextmanager
def mlflow_server(folder: Path, models: DatabaseConfig) -> Iterator[Running]:
    """`mlflow server`, which asks nobody for a key and checks no tags."""
    port = free_port()
    command = [str(PROGRAMS / "mlflow"), "server", "--port", str(port), "--workers", str(WORKERS)]
    command += ["--backend-store-uri", url_of(models), "--artifacts-destination", str(folder / "files")]
    with started(command, port, "/health", folder / "mlflow.log", CALM) as running:
        yield running


def filled(config: DatabaseConfig, folder: Path, *, models: int, versions: int) -> list[dict[str, Any]]:
    """Make models in an empty database, each version of a run of its own; return what a `Plan` needs of them."""
    import mlflow

    uri = url_of(config)
    mlflow.set_tracking_uri(uri)
    experiment_id = mlflow.create_experiment("tests", artifact_location=(folder / "files").as_uri())
    registry, made = ModelRegistry(uri), []
    for number in range(models):
        name, token, runs = f"model-{number}", f"LOAD-{number}", []
        for version in range(versions):
            run = train(uri, accuracy=0.5 + version / 1000, params={"depth": version})
            registry.register_tokenized_model(run.runs_uri, name, token, "accuracy", 0.5 + version / 1000)
            runs.append({"run_id": run.run_id, "model_id": run.model_id, "source": run.model_uri})
        made.append({"name": name, "token": token, "experiment_id": experiment_id, "runs": runs})
    mlflow.set_tracking_uri(None)
    return made


def copied(postgres: Postgres, config: DatabaseConfig, name: str) -> DatabaseConfig:
    """A database with all that another holds, to which nobody is connected."""
    postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{config.database}'")
    postgres.run(f"CREATE DATABASE {name} TEMPLATE {config.database}")
    return postgres.config(name)


def key_headers(tokens: DatabaseConfig) -> dict[str, str]:
    """What a client with a new key sends."""
    return {"Authorization": f"Bearer {make_keys(tokens)['admin']}"}
