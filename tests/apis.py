"""The real API server on loopback: in a process of its own with MLflow inside, or in a thread without it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hokusai_nb.config import DatabaseConfig
from tests.conftest import free_port

if TYPE_CHECKING:
    from pathlib import Path

NO_MLFLOW = "http://127.0.0.1:9"
"""Where nothing listens, for servers that are asked for tokens and events only."""
_GENEROUS = {"rate_limit": "100000/second", "wrong_key_limit": "100000/second"}
_SERVE = (
    "import sys; from hokusai_nb.api.options import ServerConfig; from hokusai_nb.api.serving import serve; "
    "serve(ServerConfig.model_validate_json(sys.argv[1]), '127.0.0.1', int(sys.argv[2]), int(sys.argv[3]))"
)


@dataclass
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: dict
    """By names in lower case."""
    content: bytes

    def json(self):
        return json.loads(self.content)


@dataclass
class Api:
    """A running server: its address, and a key for each scope."""

    url: str
    keys: dict = field(default_factory=dict)
    database: DatabaseConfig | None = None
    process: subprocess.Popen | None = None
    log: Path | None = None
    mlflow_uri: str = NO_MLFLOW
    app: object = None

    @property
    def mlflow(self):
        """Where MLflow answers below it."""
        return f"{self.url}/api/mlflow"

    def ask(self, method, path, body=None, *, key="admin", headers=None, content=None):
        """Send a request with the key of a scope, a key's own text, or None for no key."""
        given = {"Content-Type": "application/json"}
        if key is not None:
            given["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        data = content if content is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {**given, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return _read(answer.status, answer)
        except urllib.error.HTTPError as error:
            with error:
                return _read(error.code, error)

    def lines(self):
        """What it has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def _read(status, answer):
    return Answer(status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())


def make_keys(database):
    """Make a key of each scope in a database."""
    from hokusai_nb.backends.sql.database import Database
    from hokusai_nb.backends.sql.keys import create_key

    opened = Database.at(database)
    return {scope: create_key(opened, f"{scope}-key", scope).key for scope in ("read", "register", "admin")}


def close(database):
    """Forget a database in this process: the next of its name may be another."""
    from hokusai_nb.backends.sql.database import Database

    Database.at(database).close()


@contextmanager
def api_server(folder, migrated=None, *, database=None, workers=1, env=None, **options):
    """Start the server in a process of its own.

    Args:
        folder: Where its databases and its log lie.
        migrated: An MLflow database to copy, where it has MLflow inside.
        database: Of tokens and keys; a SQLite file in the folder if left out.
        workers: Processes.
        env: Further environment variables.
        options: Fields of `ServerConfig`.
    """
    database = database or DatabaseConfig(db_type="sqlite", database=str(folder / "hokusai.db"))
    if migrated is not None and not (folder / "mlflow.db").exists():
        shutil.copy(migrated, folder / "mlflow.db")
    inside = {"mlflow_uri": f"sqlite:///{folder / 'mlflow.db'}"} if migrated else {"mlflow_uri": NO_MLFLOW}
    given = {**_GENEROUS, **inside, **options}
    described = database.model_dump(mode="json")
    if database.password:
        described["password"] = database.password.get_secret_value()
    keys, port, log = make_keys(database), free_port(), folder / "api.log"
    command = [sys.executable, "-c", _SERVE, json.dumps({"database": described, **given}), str(port), str(workers)]
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=folder, env={**os.environ, **(env or {})}, start_new_session=True
        )
    api = Api(f"http://127.0.0.1:{port}", keys, database, process, log, given["mlflow_uri"])
    try:
        _wait_until_up(api)
        yield api
    finally:
        end(process)
        close(database)


def _wait_until_up(api):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if api.process.poll() is not None:
            pytest.fail(f"the API server ended: {api.log.read_text()[-3000:]}")
        with suppress(OSError):  # it does not listen yet, or not for long
            if api.ask("GET", "/api/v1/health", key=None).status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"the API server did not start: {api.log.read_text()[-3000:]}")


def end(process):
    """Ask a server to stop, and make it where it does not."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


@contextmanager
def app_thread(app):
    """Serve an application of any kind in a thread of this process; yields its address."""
    import uvicorn

    class Attentive(uvicorn.Server):
        """Notices sooner that it is told to stop: many tests start one."""

        async def main_loop(self):
            counter = 0
            while not await self.on_tick(counter):
                counter += 1
                await asyncio.sleep(0.02)

    port = free_port()
    server = Attentive(uvicorn.Config(app, port=port, log_config=None, access_log=False, server_header=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def api_thread(database, **options):
    """Run the server in a thread of this process, without MLflow, which would be this process's only one."""
    from hokusai_nb.api.app import create_app
    from hokusai_nb.api.options import ServerConfig

    app = create_app(ServerConfig(database=database, **{**_GENEROUS, "mlflow_uri": NO_MLFLOW, **options}))
    keys = make_keys(database)
    try:
        with app_thread(app) as url:
            yield Api(url, keys, database, app=app)
    finally:
        close(database)
