"""Events reach a receiver that misbehaves in every way, and survive workers that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict

import pytest

from hokusai_nb.backends.sql import outbox as queries
from hokusai_nb.backends.webhooks import Sender
from hokusai_nb.config import DatabaseConfig
from hokusai_nb.schema.deliveries import Destination
from hokusai_nb.schema.events import Event
from hokusai_nb.site.outbox import Outbox
from tests.conftest import free_port
from tests.processes import described

SECRET = "whsec_c2l4dGVlbiBieXRlcyEh"
PATIENCE = 0.3

# Writes down what it was sent in full and found genuine, then does what its dice say.
RECEIVER = """
import asyncio, json, os, random, sys
from collections import Counter
from standardwebhooks import Webhook, WebhookVerificationError

port, seed, log, secret, patience, wicked = sys.argv[1:]
dice = random.Random(int(seed))
stock = Webhook(secret)
file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
FATES = ["cut", "reset", "error", "stall", "half", "late", "refuse"]
STATUS = {"error": "500 Oh", "refuse": "404 Oh"}
refused = Counter()


def note(headers, body, fate):
    try:
        stock.verify(body, headers)
        genuine = True
    except WebhookVerificationError:
        genuine = False
    key = headers["x-hokusai-idempotency-key"]
    line = {"id": headers["webhook-id"], "key": key, "genuine": genuine, "fate": fate, "body": body.decode()}
    os.write(file, json.dumps(line).encode() + b"\\n")


async def answer(reader, writer):
    try:
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            lines = head.decode().split("\\r\\n")[1:-2]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            fate = dice.choice(FATES) if dice.random() < float(wicked) else "fine"
            if fate in ("cut", "reset"):
                return writer.transport.abort() if fate == "reset" else None
            body = await reader.readexactly(int(headers["content-length"]))
            if fate == "stall":
                await asyncio.sleep(10 * float(patience))
                return
            if fate == "refuse":  # as what stands before a server that starts anew; it forgets whom it refused
                refused[headers["webhook-id"]] += 1
                fate = "refuse" if refused[headers["webhook-id"]] == 1 else "error"
            if fate not in STATUS:
                note(headers, body, fate)
            if fate == "late":
                await asyncio.sleep(2 * float(patience))
            status, size = STATUS.get(fate, "200 OK"), (100 if fate == "half" else 2)
            writer.write(f"HTTP/1.1 {status}\\r\\nContent-Length: {size}\\r\\n\\r\\nok".encode())
            await writer.drain()
            if fate == "half":
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve():
    async with await asyncio.start_server(answer, "127.0.0.1", int(port)) as server:
        print("ready", flush=True)
        await server.serve_forever()


asyncio.run(serve())
"""

WORKER = """
import sys, threading
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.webhooks import Sender
from hokusai_nb.config import read_database_file
from hokusai_nb.site.outbox import Outbox

sender = Sender(allow_private=True, read_seconds=1, total_seconds=1)
outbox = Outbox(Database.at(read_database_file(sys.argv[1])), sender=sender, first_pause=0.05, claim_seconds=4)
print("ready", flush=True)
outbox.watch(threading.Event(), 0.02)
"""


def start(code, *arguments):
    """A process that has said that it is ready."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL


class Receiver:
    """The receiver's process, on one port and with one log however often it is started anew."""

    def __init__(self, folder, *, wicked):
        self.port, self.log, self.wicked = free_port(), folder / "received.jsonl", wicked
        self.log.touch()
        self.start()

    def start(self):
        given = (self.port, random.randrange(10**9), self.log, SECRET, PATIENCE, self.wicked)
        self.process = start(RECEIVER, *given)

    def restart(self, away):
        kill(self.process)
        time.sleep(away)
        self.start()

    @property
    def received(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def receiver(tmp_path, request, monkeypatch):
    monkeypatch.setenv("HOKUSAI_SITE_WEBHOOK_SECRET", SECRET)
    made = Receiver(tmp_path, wicked=request.param)
    yield made
    kill(made.process)


def write(database, receiver, count, tokens):
    """Write events in the order of their numbers, and return their ids by number."""
    place = Destination(handler="webhook", target=f"http://127.0.0.1:{receiver.port}/hook")
    told = [Event(event_type="model_deployed", payload={"token_id": f"T-{n % tokens}", "n": n}) for n in range(count)]
    for event in told:
        with database.transaction() as connection:
            queries.write(connection, [event], (place,))
    return {event.event_id: event for event in told}


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.05)


def assert_all_arrived(received, told):
    """Each event arrived, genuine and as it was written; what arrived twice has the same key; each token's in order."""
    assert all(found["genuine"] for found in received)
    assert {found["id"] for found in received} == set(told)
    keys = defaultdict(set)
    for found in received:
        keys[found["key"]].add((found["id"], found["body"]))
        assert json.loads(found["body"]) == told[found["id"]].model_dump(mode="json")
    assert len(keys) == len(told)
    assert all(len(same) == 1 for same in keys.values())
    first = dict.fromkeys(found["id"] for found in received)
    by_token = defaultdict(list)
    for event_id in first:
        by_token[told[event_id].token_id].append(told[event_id].payload["n"])
    assert all(numbers == sorted(numbers) for numbers in by_token.values())


@pytest.mark.slow
@pytest.mark.parametrize("receiver", [0.25], indirect=True)
def test_a_thousand_events_all_reach_a_receiver_that_misbehaves_in_every_way(sqlite_database, receiver):
    told = write(sqlite_database, receiver, 1000, tokens=250)
    sender = Sender(
        allow_private=True,
        connect_seconds=PATIENCE,
        read_seconds=PATIENCE,
        total_seconds=2 * PATIENCE,
        at_once=16,
        rest_seconds=0.1,
    )
    outbox = Outbox(sqlite_database, sender=sender, tries=1000, first_pause=0.02, longest_pause=0.2)
    stop = threading.Event()
    worker = threading.Thread(target=outbox.watch, args=(stop, 0.02))
    worker.start()
    try:
        for share in (200, 500, 800):
            wait_until(lambda wanted=share: len(receiver.received) >= wanted)
            receiver.restart(away=0.3)
        wait_until(lambda: not outbox.pending().pending)
    finally:
        stop.set()
        worker.join(10)
    assert not worker.is_alive()
    received = receiver.received
    assert_all_arrived(received, told)
    # It did misbehave: late and broken-off answers are those of which the sender cannot know that it arrived.
    fates = Counter(found["fate"] for found in received)
    assert min(fates["late"], fates["half"]) > 5
    assert len(received) > len(told)
    assert (outbox.pending().pending, outbox.pending().dead) == (0, 0)


@pytest.fixture
def any_database(request, tmp_path):
    """A database that other processes open by its description: the test runs on SQLite and on PostgreSQL."""
    from hokusai_nb.backends.sql.database import Database

    if request.param == "sqlite":
        config = DatabaseConfig(db_type="sqlite", database=str(tmp_path / "hokusai.db"))
    else:
        config = request.getfixturevalue("postgres_config")
    database = Database.at(config)
    yield database, described(config, tmp_path)
    database.close()


@pytest.mark.slow
@pytest.mark.parametrize("receiver", [0.0], indirect=True)
@pytest.mark.parametrize("any_database", ["sqlite", "postgresql"], indirect=True)
def test_two_workers_of_which_one_is_killed_lose_nothing(any_database, receiver):
    database, description = any_database
    told = write(database, receiver, 300, tokens=150)
    outbox = Outbox(database)
    workers = [start(WORKER, description) for _ in range(2)]
    try:
        wait_until(lambda: len(receiver.received) >= 60)
        kill(workers.pop(0))
        wait_until(lambda: not outbox.pending().pending)
    finally:
        for worker in workers:
            kill(worker)
    received = receiver.received
    assert_all_arrived(received, told)
    # What the dead one had sent and not written down, a part of one batch, came twice; nothing else did.
    assert len(received) - len(told) <= 64
    assert max(Counter(found["id"] for found in received).values()) <= 2
