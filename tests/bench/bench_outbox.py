"""Webhooks delivered from the outbox, against the same posts sent by httpx with nothing written down."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.webhooks import Sender
from hokusai_nb.config import DatabaseConfig, configure
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import Event
from hokusai_nb.site.outbox import Outbox
from tests.bench.figures import Row
from tests.events import write
from tests.postgres import postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS, TOKENS, AT_ONCE = 2000, 200, 8
"""The events of one token go one after the other, so there are many tokens."""
RECEIVER = """
import asyncio

async def answer(reader, writer):
    try:
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            size = next(line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(size.partition(b":")[2]))
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except asyncio.IncompleteReadError:
        writer.close()

async def serve():
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

asyncio.run(serve())
"""


@contextmanager
def receiver() -> Iterator[str]:
    """The address of a receiver in a process of its own, which takes whatever comes."""
    command = [sys.executable, "-c", RECEIVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/hook"
        finally:
            process.terminate()


def delivered(config: DatabaseConfig, url: str) -> float:
    """Write events and deliver them; return how many in a second."""
    database = Database.at(config)
    told = [Event(event_type="model_deployed", payload={"token_id": f"T-{n % TOKENS}"}) for n in range(EVENTS)]
    write(database, *told, to=(Destination(handler="webhook", target=url),))
    outbox = Outbox(database, sender=Sender(allow_private=True, at_once=AT_ONCE))
    start = time.perf_counter()
    report = outbox.deliver()
    taken = time.perf_counter() - start
    assert (report.delivered, report.left) == (EVENTS, 0)
    database.close()
    return EVENTS / taken


async def posted(url: str) -> float:
    """Send as many posts with as many at once; return how many in a second."""
    body = Event(event_type="model_deployed", payload={"token_id": "T-1"}).model_dump_json()
    room = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(trust_env=False) as client:

        async def post() -> None:
            async with room:
                (await client.post(url, content=body)).raise_for_status()

        start = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(EVENTS)))
        return EVENTS / (time.perf_counter() - start)


def measure() -> list[Row]:
    configure(site_webhook_secret="whsec_c2l4dGVlbiBieXRlcyEh")
    note = "httpx.AsyncClient; ours claims, signs, checks the address and writes down; higher is better"
    rows = []
    with tempfile.TemporaryDirectory() as folder, receiver() as url:
        plain = asyncio.run(posted(url))
        file = DatabaseConfig(db_type="sqlite", database=str(Path(folder, "hokusai.db")))
        rows.append(Row("deliver 2,000 webhooks, SQLite", delivered(file, url), plain, "events/s", note=note))
        try:
            with postgres_server() as postgres, postgres.database() as config:
                ours = delivered(config, url)
        except pytest.skip.Exception as missing:
            print(f"NOT MEASURED: {missing}", file=sys.stderr)
            return rows
        return [*rows, Row("deliver 2,000 webhooks, PostgreSQL", ours, plain, "events/s", note=note)]
