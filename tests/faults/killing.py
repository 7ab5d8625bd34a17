"""Registers files in processes that kill themselves at a step, and once more in a process that does not.

Run as a script. Each line of its input is a job in JSON; each line of its output says what became of it.
One process imports everything and is forked for each attempt: importing takes longer than registering.

A step is a call that leaves something outside of the process: a statement or a commit of a database, a
file that gets its name, bytes for a server. Python's profiler tells of each before and after it; nothing
of the package is changed for it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

STEPS = {
    ("Cursor", "execute"): "statement",
    ("Cursor", "executemany"): "statement",
    ("Connection", "commit"): "commit",
    ("socket", "sendall"): "sent",
    ("module", "replace"): "replace",
}
IN_POSTGRESQL = {"Connection.commit": "commit", "Cursor.execute": "statement"}


class Watch:
    """Counts the steps of this process, and kills it at one of them."""

    def __init__(self, kill_at):
        self.kill_at = kill_at
        self.seen = []
        self.written = {}
        self.known = {}

    def __call__(self, frame, event, arg):
        kind = self.kind(frame.f_code, event, arg)
        if kind is None:
            return
        self.seen.append(f"{'before' if event.endswith('call') else 'after'} {kind}")
        if len(self.seen) - 1 == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def kind(self, code, event, arg):
        """What kind of step it is, if any; a commit in SQLite by whether it writes anything."""
        if not event.startswith("c_"):
            known = self.known.get(code)
            if known is None:
                ours = f"{os.sep}psycopg{os.sep}" in code.co_filename
                known = self.known[code] = IN_POSTGRESQL.get(code.co_qualname, "") if ours else ""
            return known or None
        owner = getattr(arg, "__self__", None)
        kind = STEPS.get((type(owner).__name__, getattr(arg, "__name__", "")))
        if kind != "commit":
            return kind
        before = self.written.get(id(owner), 0)
        if event != "c_call":
            self.written[id(owner)] = owner.total_changes
        return "write" if owner.total_changes != before else "end of reading"

    def start(self):
        threading.setprofile(self)
        sys.setprofile(self)


def register(job, kill_at):
    """Register as a user's program does; returns what became of it and the steps that it took."""
    from hokusai_nb.config import DatabaseConfig
    from hokusai_nb.core.registry import ModelRegistry
    from hokusai_nb.site.opening import open_store

    os.chdir(job["folder"])
    watch = Watch(kill_at)
    store = open_store(database=DatabaseConfig.model_validate(job["database"]))
    registry = ModelRegistry(job["tracking"], token_store=store)
    watch.start()
    try:
        made = registry.register_model(job["token"], job["path"], "auroc", "0.85", "0.8", tags={"note": "n"})
        found = {"version": made.version, "run": made.mlflow_run_id, "created": made.created}
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return {**found, "steps": watch.seen}


def in_a_child(job, kill_at=None):
    """Register in a process of its own; returns what it says, or with which signal it ended."""
    answer = Path(job["folder"], "answer.json")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        code = 1
        try:
            answer.write_text(json.dumps(register(job, kill_at)))
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return json.loads(answer.read_text()) if answer.exists() else {"ended": os.waitstatus_to_exitcode(status)}


def main():
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - the same

    import hokusai_nb.core.registry
    import hokusai_nb.site.opening
    import hokusai_nb.site.outbox  # noqa: F401 - loaded once for all that are forked

    for line in sys.stdin:
        job = json.loads(line)
        first = in_a_child(job, job["kill_at"])
        second = in_a_child(job) if job["kill_at"] is not None else None
        print(json.dumps({"job": job, "first": first, "second": second}), flush=True)


if __name__ == "__main__":
    main()
