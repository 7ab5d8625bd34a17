"""What a shell waits for before it sees the help of the command, against MLflow's command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.figures import Row, in_turns

TURNS = 5
HOKUSAI, MLFLOW = (str(Path(sys.executable).with_name(name)) for name in ("hokusai", "mlflow"))


def helped(program: str) -> None:
    subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)


def wall(program: str) -> float:
    start = time.perf_counter()
    helped(program)
    return (time.perf_counter() - start) * 1000


def processor(program: str) -> float:
    before = os.times()
    helped(program)
    after = os.times()
    return 1000 * (after.children_user + after.children_system - before.children_user - before.children_system)


def measure() -> list[Row]:
    pair = (HOKUSAI, MLFLOW)
    in_turns([pair], wall)  # reads both from the disk
    waited, peer_waited = in_turns([pair] * TURNS, wall)
    worked, peer_worked = in_turns([pair] * TURNS, processor)
    return [
        Row("hokusai --help", waited, peer_waited, limit=150.0, note="mlflow --help"),
        Row("CPU of hokusai --help", worked, peer_worked, "ms CPU", limit=150.0, note="mlflow --help"),
    ]
