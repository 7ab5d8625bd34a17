"""Other Python processes, which work on the same database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def described(config, folder):
    """Write the file that describes a database, with its password, and return its path."""
    given = config.model_dump(mode="json")
    given["password"] = config.password and config.password.get_secret_value()
    path = folder / "db.json"
    path.write_text(json.dumps(given))
    return path


def start(code, *arguments):
    """Start Python on some code; it can import the tests' own helpers."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, env=env, **pipes)


def release(*processes):
    """Wait until each has printed ``ready``, and tell all of them, in a line, the moment at which to go on."""
    for process in processes:
        line = process.stdout.readline()
        assert line == "ready\n", process.communicate()
    moment = time.time() + 0.2
    for process in processes:
        process.stdin.write(f"{moment}\n")
        process.stdin.flush()


def finish(process):
    """Wait for a process and return what it printed; it must not have failed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def python(code, *arguments):
    """Run Python on some code and return what it printed."""
    return finish(start(code, *arguments))
