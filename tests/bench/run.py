"""Take the figures, print them as a table and write them to results.json.

Each subject is measured in a fresh process, so that none warms the caches of the next.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # when it is run as a script, its own folder is there instead
    sys.path.insert(0, str(ROOT))

from tests.bench.figures import Row, as_json, from_json, markdown, table  # noqa: E402 - needs the path

SUBJECTS = (
    *("load", "register", "many", "lineage", "listing", "client", "logging", "plots", "form", "browser"),
    *("command", "outbox", "api", "prompts"),
)
RESULTS = Path(__file__).with_name("results.json")
CALM = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def measured_here(subject: str) -> list[Row]:
    return importlib.import_module(f"tests.bench.bench_{subject}").measure()


def measured_apart(subject: str, folder: Path) -> list[Row]:
    """Measure a subject in a process of its own.

    Raises:
        CalledProcessError: It failed; what it said was printed.
    """
    out = folder / f"{subject}.json"
    command = [sys.executable, "-W", "ignore", __file__, "--only", subject, "--here", str(out)]
    env = {**os.environ, **CALM, "BENCH_DATABASE": str(folder / "mlflow.db")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
        done.check_returncode()
    return from_json(out.read_text())


def measured(subjects: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Measure one subject after the other; return the rows and the subjects that failed."""
    rows: list[Row] = []
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        code = "import sys, pathlib, tests.bench.stores as s; s.migrate(pathlib.Path(sys.argv[1]))"
        command = [sys.executable, "-W", "ignore", "-c", code, str(folder / "mlflow.db")]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**os.environ, **CALM})
        for subject in subjects:
            start = time.monotonic()
            print(f"{subject} …", end=" ", flush=True, file=sys.stderr)
            try:
                rows += measured_apart(subject, folder)
            except subprocess.CalledProcessError:
                failed.append(subject)
            print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    return rows, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SUBJECTS, action="append", help="measure this subject; may be repeated")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        options.here.write_text(as_json(measured_here(options.only[0])))
        return 0
    rows, failed = measured(options.only or SUBJECTS)
    print(markdown(rows) if options.markdown else table(rows))
    RESULTS.write_text(as_json(rows) + "\n")
    if failed:
        print(f"Not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
