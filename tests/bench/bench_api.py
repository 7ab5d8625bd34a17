"""Fifty clients at once on `hokusai serve` with PostgreSQL, beside a bare `mlflow server` on the same machine.

Nothing may fail and nothing may be lost: each registration that was answered is one version, each event that was
published is written once. Otherwise there are no figures.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hokusai_nb.backends.sql.database import Database
from hokusai_nb.schema.lifecycle import NewToken
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.bench.figures import Row, in_turns
from tests.bench.load import Connection, Plan, load
from tests.bench.platforms import WORKERS, copied, filled, key_headers, mlflow_server, our_server
from tests.postgres import postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from hokusai_nb.config import DatabaseConfig
    from tests.bench.load import Result
    from tests.bench.platforms import Running
    from tests.postgres import Postgres

SECONDS = 30.0
MODELS, VERSIONS = 20, 5
MODEL_CALLS = {"read": 40, "list": 15, "lineage": 10, "register": 15}
ALL_CALLS = {**MODEL_CALLS, "token": 15, "publish": 5}
SHOWN_ERRORS = 5
MOUNT = "/api/mlflow"
TURNS = 200


def stored_versions(postgres: Postgres, models: DatabaseConfig) -> dict[str, list[list[str]]]:
    """The versions that carry a mark, by the mark."""
    query = "SELECT value, name, version FROM model_version_tags WHERE key = 'dataset_version'"
    found: dict[str, list[list[str]]] = {}
    for mark, name, version in postgres.run(query, models.database):
        found.setdefault(mark, []).append([name, str(version)])
    return found


def ensure_all_there(postgres: Postgres, models: DatabaseConfig, tokens: DatabaseConfig, result: Result) -> None:
    """Compare what was answered with what is in the databases.

    Raises:
        RuntimeError: Something was not answered as it should be, is lost, or is there twice.
    """
    if result.errors:
        message = f"{len(result.errors):,} errors under load, such as:\n" + "\n".join(result.errors[:SHOWN_ERRORS])
        raise RuntimeError(message)
    versions = stored_versions(postgres, models)
    if versions != {mark: [place] for mark, place in result.registered.items()}:
        message = f"{len(result.registered):,} registrations were answered, and these are there: {versions}"
        raise RuntimeError(message)
    numbers = [place for places in versions.values() for place in places]
    written = postgres.run("SELECT event_id FROM events WHERE event_type = 'deltaone_achieved'", tokens.database)
    if len({*map(tuple, numbers)}) != len(numbers) or sorted(row[0] for row in written) != sorted(result.published):
        message = f"{len(result.published):,} events were published, and {len(written):,} are there."
        raise RuntimeError(message)


def restore(postgres: Postgres, models: DatabaseConfig, tokens: DatabaseConfig) -> None:
    """Remove what a load has added, so that the next one finds what this one found."""
    for table in ("model_version_tags", "model_versions"):
        postgres.run(f"DELETE FROM {table} WHERE version > {VERSIONS}", models.database)
    postgres.run("TRUNCATE events, event_keys, event_order, event_deliveries", tokens.database)
    postgres.run("VACUUM ANALYZE", models.database)  # as it does by itself every minute


def under_load(ours: dict[str, Result], bare: Result) -> list[Row]:
    """The rows of what fifty clients got."""
    rows = []
    names = {
        "everything": "50 clients, models, tokens and events",
        "models": "50 clients, models only",
        "mount": "50 clients, models only, as MLflow's own calls",
    }
    notes = {
        "everything": f"{SECONDS:.0f} s, {WORKERS} workers, PostgreSQL, no error, nothing lost",
        "models": "mlflow server, to the same end; ours looks for earlier registrations and the token, too",
        "mount": "mlflow server, the same calls; ours checks key and tags",
    }
    for kind, name in names.items():
        result = ours[kind]
        peer = bare if kind != "everything" else None
        note = f"{notes[kind]}, {len(peer.errors)} errors" if peer and peer.errors else notes[kind]
        limits = f"higher is better; processors {result.busy:.0%} busy, {result.share:.0%} by the clients"
        throughput = result.rate, peer and peer.rate, "calls/s"
        rows.append(Row(f"{name}, throughput", *throughput, note=f"{note}; {limits}"))
        worst = result.percentile(99), peer and peer.percentile(99)
        rows.append(Row(f"{name}, 99th percentile", *worst, note=note))
    return rows


def at_once(work: Callable[[], object]) -> float:
    """Time one call; what collects this process's garbage has no part in what a server takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def after_a_pause(work: Callable[[], object]) -> float:
    time.sleep(0.05)
    return at_once(work)


def one_client(ours: Running, bare: Running, headers: dict[str, str], tokens: DatabaseConfig) -> list[Row]:
    """What a key check, and the API itself, add to one call of one client."""
    mine, theirs = (Connection(Plan(port, "", {}, [], headers)) for port in (ours.port, bare.port))
    asked = "/api/2.0/mlflow/model-versions/get?name=model-0&version=1"
    pair = (lambda: mine.ask("GET", f"{MOUNT}{asked}"), lambda: theirs.ask("GET", asked))
    in_turns([pair] * 20, at_once)
    spaced, in_a_row = (in_turns([pair] * TURNS, clock) for clock in (after_a_pause, at_once))
    database = Database.at(tokens)
    store = SqlTokenStore(database)

    def raw_sql() -> None:
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT * FROM tokens WHERE token_id = 'LOAD-0'").first()

    calls = (lambda: mine.ask("GET", "/api/v1/tokens/LOAD-0"), raw_sql, functools.partial(store.get, "LOAD-0"))
    in_turns([calls] * 20, at_once)
    api, sql, python = in_turns([calls] * TURNS, at_once)
    what, note = "one MLflow call through hokusai serve", "mlflow server; ours checks the key"
    # With several processes, uvicorn leaves Nagle's algorithm on.
    kept_back = f"{note}, and keeps no answer back until its head is acknowledged"
    return [
        Row(f"{what}, now and then", *spaced, note=note),
        Row(f"{what}, in a row", *in_a_row, note=kept_back),
        Row("read a token through the API", api, sql, note=f"SELECT; SqlTokenStore.get takes {python:.1f} ms"),
    ]


def figures(folder: Path, postgres: Postgres) -> list[Row]:
    for name in ("tokens", "models"):
        postgres.run(f"CREATE DATABASE {name}")
    tokens, models = postgres.config("tokens"), postgres.config("models")
    made = filled(models, folder, models=MODELS, versions=VERSIONS)
    postgres.run("VACUUM ANALYZE", models.database)
    alone = copied(postgres, models, "alone")
    store = SqlTokenStore(Database.at(tokens))
    for model in made:
        store.create(NewToken(token_id=model["token"]), by="bench")
    headers = key_headers(tokens)

    def loaded(port: int, speech: str, shares: dict[str, int], mount: str = "", seconds: float = SECONDS) -> Result:
        result = load(Plan(port, speech, shares, made, headers, mount, seconds=seconds))
        database = models if port == ours.port else alone
        if database is models:
            ensure_all_there(postgres, database, tokens, result)
        restore(postgres, database, tokens)
        return result

    with our_server(folder, models, tokens) as ours, mlflow_server(folder, alone) as bare:
        everything = loaded(ours.port, "api", ALL_CALLS)
        half = functools.partial(loaded, shares=MODEL_CALLS, seconds=SECONDS / 2)
        sides = {
            "models": functools.partial(half, ours.port, "api"),
            "mount": functools.partial(half, ours.port, "mlflow", mount=MOUNT),
            "bare": functools.partial(half, bare.port, "mlflow"),
        }
        # Forwards and backwards, so that what else the machine does falls on all of them.
        first = {side: ask() for side, ask in sides.items()}
        results = {side: first[side].with_(sides[side]()) for side in reversed(sides)}
        peer = results.pop("bare")
        return [*under_load({"everything": everything, **results}, peer), *one_client(ours, bare, headers, tokens)]


def measure() -> list[Row]:
    try:
        with tempfile.TemporaryDirectory() as name, postgres_server() as postgres:
            return figures(Path(name), postgres)
    except pytest.skip.Exception as missing:
        print(f"NOT MEASURED: {missing}", file=sys.stderr)
        return []
