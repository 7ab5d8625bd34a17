"""Clients that ask a server all at once, in a process of their own: ``python -m tests.bench.load PLAN RESULT``.

Each client is a thread with one connection, which it keeps; it asks for the next thing as soon as it has the
answer to the last. Nothing is tried twice: whatever is not answered as it should be is an error.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

ROOT = Path(__file__).resolve().parents[2]
API, MLFLOW = "/api/v1", "/api/2.0/mlflow"


@dataclass(frozen=True)
class Plan:
    """What is asked, of whom, and for how long."""

    port: int
    speech: str
    """``api``: our own API; ``mlflow``: what MLflow's client would ask to the same end."""
    shares: dict[str, int]
    """How often each kind of call is made, by its name."""
    models: list[dict[str, Any]]
    """Those that are there: ``name``, ``token``, ``experiment_id``, and the ``runs`` that their versions are of."""
    headers: dict[str, str] = field(default_factory=dict)
    mount: str = ""
    """Where MLflow answers."""
    clients: int = 50
    seconds: float = 30.0
    warm_up: float = 5.0


@dataclass
class Result:
    """What came of it."""

    milliseconds: dict[str, list[float]]
    """By kind, of those that were begun and answered within the seconds of the plan."""
    errors: list[str]
    registered: dict[str, list[str]]
    """By the mark that each registration carries: name and version that it was answered with."""
    published: list[str]
    """Ids of events."""
    seconds: float
    busy: float
    """Share of all processors' time that was not idle."""
    share: float
    """Share of all processors' time that the clients themselves took."""

    def with_(self, other: Result) -> Result:
        """This load and a later one of the same plan, as if they were one."""
        return Result(
            milliseconds={kind: taken + other.milliseconds[kind] for kind, taken in self.milliseconds.items()},
            errors=self.errors + other.errors,
            registered={**self.registered, **other.registered},
            published=self.published + other.published,
            seconds=self.seconds + other.seconds,
            busy=(self.busy + other.busy) / 2,
            share=(self.share + other.share) / 2,
        )

    @property
    def rate(self) -> float:
        """Calls in a second."""
        return sum(map(len, self.milliseconds.values())) / self.seconds

    def percentile(self, percent: int, *kinds: str) -> float:
        """A percentile of the milliseconds of all calls, or of some kinds."""
        taken = [t for kind in kinds or self.milliseconds for t in self.milliseconds[kind]]
        return statistics.quantiles(taken, n=100)[percent - 1]


class Wrong(Exception):  # noqa: N818 - an answer, as it came
    """An answer that is not the one that was wanted."""


class Connection:
    """One connection to the server."""

    def __init__(self, plan: Plan) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", plan.port, timeout=60)
        self.headers = {**plan.headers, "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None, /, **query: object) -> bytes:
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        # So do our own clients; MLflow ignores it.
        headers = {**self.headers, "Idempotency-Key": uuid.uuid4().hex} if method == "POST" else self.headers
        self.http.request(method, target, None if body is None else json.dumps(body).encode(), headers)
        answer = self.http.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            message = f"{method} {path}: {answer.status} {content[:500]!r}"
            raise Wrong(message)
        return content


class Client:
    """What every client can do; a subclass says in which words."""

    def __init__(self, plan: Plan, result: Result, seed: int) -> None:
        self.plan = plan
        self.result = result
        self.random = random.Random(seed)
        self.connection = Connection(plan)

    @property
    def model(self) -> dict[str, Any]:
        return self.random.choice(self.plan.models)

    @property
    def version(self) -> tuple[str, int]:
        model = self.model
        return model["name"], self.random.randint(1, len(model["runs"]))

    @property
    def value(self) -> str:
        return f"0.{self.random.randrange(10**9):09}"


class ApiClient(Client):
    """Asks our API."""

    def read(self) -> None:
        name, version = self.version
        found = self.connection.ask("GET", f"{API}/models/{quote(name)}/versions/{version}")
        assert name.encode() in found

    def list(self) -> None:
        token = self.model["token"]
        assert token.encode() in self.connection.ask("GET", f"{API}/models", token=token)

    def lineage(self) -> None:
        name = self.model["name"]
        assert b'"improvement"' in self.connection.ask("GET", f"{API}/models/{quote(name)}/lineage")

    def register(self) -> None:
        model, mark = self.model, uuid.uuid4().hex
        body = {"name": model["name"], "token": model["token"], "metric": "accuracy", "value": self.value}
        more = {"run": self.random.choice(model["runs"])["run_id"], "tags": {"dataset_version": mark}}
        made = json.loads(self.connection.ask("POST", f"{API}/models", {**body, **more}))
        assert made["created"]
        self.result.registered[mark] = [made["name"], made["version"]]

    def token(self) -> None:
        token = self.model["token"]
        assert token.encode() in self.connection.ask("GET", f"{API}/tokens/{token}")

    def publish(self) -> None:
        event = {
            "event_id": str(uuid.uuid4()),
            "event_type": "deltaone_achieved",
            "payload": {"token_id": self.model["token"], "delta_value": 1.5},
        }
        told = self.connection.ask("POST", f"{API}/events", {"event": event, "key": event["event_id"]})
        assert json.loads(told)["published"]
        self.result.published.append(event["event_id"])


class MlflowClient(Client):
    """Asks MLflow's own API: to the same end, with as few calls as it takes."""

    def ask(self, method: str, path: str, body: object = None, /, **query: object) -> bytes:
        return self.connection.ask(method, f"{self.plan.mount}{MLFLOW}/{path}", body, **query)

    def read(self) -> None:
        name, version = self.version
        assert name.encode() in self.ask("GET", "model-versions/get", name=name, version=version)

    def list(self) -> None:
        token = self.model["token"]
        asked = {"filter": f"tags.`hokusai_token_id` ILIKE '{token}'", "order_by": ["name ASC", "version_number ASC"]}
        assert token.encode() in self.ask("GET", "model-versions/search", max_results=100, **asked)

    def lineage(self) -> None:
        model = self.model
        asked = {"filter": f"name = '{model['name']}'", "max_results": 1000}
        found = json.loads(self.ask("GET", "model-versions/search", order_by="version_number ASC", **asked))
        assert model["name"].encode() in self.ask("GET", "registered-models/search", **asked)
        runs = sorted({version["run_id"] for version in found["model_versions"]})
        condition = f"attributes.run_id IN ({', '.join(map(repr, runs))})"
        body = {"experiment_ids": [model["experiment_id"]], "filter": condition, "max_results": 1000}
        assert runs[0].encode() in self.ask("POST", "runs/search", body)

    def register(self) -> None:
        model, mark = self.model, uuid.uuid4().hex
        tags = {"hokusai_token_id": model["token"], "benchmark_metric": "accuracy", "benchmark_value": self.value}
        tagged = [{"key": key, "value": value} for key, value in {**tags, "dataset_version": mark}.items()]
        body = {"name": model["name"], **self.random.choice(model["runs"]), "tags": tagged}
        made = json.loads(self.ask("POST", "model-versions/create", body))["model_version"]
        self.result.registered[mark] = [made["name"], made["version"]]


SPEECHES = {"api": ApiClient, "mlflow": MlflowClient}


def work(client: Client, wait: float, begin: float, end: float) -> None:
    """Ask one thing after the other until the end; what was begun in the warm-up is not timed."""
    time.sleep(wait)
    plan, result = client.plan, client.result
    kinds = [kind for kind, share in plan.shares.items() for _ in range(share)]
    while (started := time.monotonic()) < end:
        kind = client.random.choice(kinds)
        try:
            getattr(client, kind)()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the load is there to find
            result.errors.append(f"{kind}: {type(error).__name__} {error}")
            client.connection.http.close()
            continue
        answered = time.monotonic()
        if begin <= started and answered <= end:
            result.milliseconds[kind].append(1000 * (answered - started))


def processors() -> tuple[float, float]:
    """Clock ticks of all processors: idle, and all."""
    ticks = [float(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def carried_out(plan: Plan) -> Result:
    """Ask in this process."""
    result = Result({kind: [] for kind in plan.shares}, [], {}, [], plan.seconds, 0.0, 0.0)
    clients = [SPEECHES[plan.speech](plan, result, seed) for seed in range(plan.clients)]
    begin = time.monotonic() + plan.warm_up
    # Of clients that come in the same moment, one process of a server takes nearly all.
    waits = [number * plan.warm_up / 2 / plan.clients for number in range(plan.clients)]
    ends = begin, begin + plan.seconds
    threads = [threading.Thread(target=work, args=(c, w, *ends)) for c, w in zip(clients, waits, strict=True)]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, begin - time.monotonic()))
    (idle, total), own = processors(), time.process_time()
    time.sleep(max(0.0, begin + plan.seconds - time.monotonic()))
    (idle_now, total_now), own_now = processors(), time.process_time()
    for thread in threads:
        thread.join()
    result.busy = 1 - (idle_now - idle) / (total_now - total)
    result.share = (own_now - own) / plan.seconds / (os.cpu_count() or 1)
    return result


def load(plan: Plan) -> Result:
    """Ask from a process of its own, so that no thread of this one takes part."""
    with tempfile.TemporaryDirectory() as name:
        given, taken = Path(name, "plan.json"), Path(name, "result.json")
        given.write_text(json.dumps(dataclasses.asdict(plan)))
        subprocess.run([sys.executable, "-m", "tests.bench.load", given, taken], check=True, cwd=ROOT)
        return Result(**json.loads(taken.read_text()))


if __name__ == "__main__":
    asked, answered = map(Path, sys.argv[1:])
    answered.write_text(json.dumps(dataclasses.asdict(carried_out(Plan(**json.loads(asked.read_text()))))))
