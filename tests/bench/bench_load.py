"""Loading the extension in a fresh IPython shell, against jupysql and IPython's own autoreload."""

from __future__ import annotations

import subprocess
import sys

from tests.bench.figures import Row, in_turns

TURNS = 5
MAGICS = {"hokusai_nb": "hokusai_register", "sql": "sql", "autoreload": "autoreload"}
"""Extensions, and a magic by which to see that each was loaded."""
CODE = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
start = time.process_time()
shell.run_line_magic("load_ext", sys.argv[1])
print((time.process_time() - start) * 1000)
assert sys.argv[2] in shell.magics_manager.magics["line"]
"""


def cpu_milliseconds(extension: str) -> float:
    command = [sys.executable, "-c", CODE, extension, MAGICS[extension]]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def measure() -> list[Row]:
    ours, jupysql, autoreload = in_turns([tuple(MAGICS)] * TURNS, cpu_milliseconds)
    what = "CPU of %load_ext"
    return [
        Row(what, ours, jupysql, "ms CPU", target=1.0, limit=30.0, note="jupysql, in a fresh shell"),
        Row(what, ours, autoreload, "ms CPU", note="autoreload, in a fresh shell"),
    ]
