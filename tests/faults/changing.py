"""Promotes and rolls back in processes that signal themselves at a step: they are killed, interrupted or stopped.

Run as a script. Each line of its input is a job in JSON; each line of its output says what became of it.
A process that stopped itself goes on when a further line comes in. What a step is, `killing` says.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from tests.faults.killing import Watch


class Signals(Watch):
    """Counts the steps of this process, and sends it a signal at one of them, once."""

    def __init__(self, at, what):
        super().__init__(None)
        self.at = at
        self.what = what

    def __call__(self, frame, event, arg):
        before = len(self.seen)
        super().__call__(frame, event, arg)
        if before == self.at < len(self.seen):
            os.kill(os.getpid(), self.what)


def change(job):
    """Do what is asked; returns how it ended, and the steps that it took."""
    from hokusai_nb.core.registry import ModelRegistry
    from hokusai_nb.errors import HokusaiError

    registry = ModelRegistry(job["tracking"])
    registry.get_history(job["given"][0])  # opens the store: its steps are not those of the change, and many
    watch = Signals(job["at"], getattr(signal, job["signal"]))
    watch.start()
    try:
        getattr(registry, job["verb"])(*job["given"])
        told = "done"
    except HokusaiError as error:
        told = f"{type(error).__name__}: {error.what}"
    except KeyboardInterrupt:
        told = "interrupted"
    finally:
        sys.setprofile(None)
    return {"told": told, "steps": watch.seen}


def in_a_child(job):
    """Change in a process of its own; returns what it says, or with which signal it ended."""
    answer = Path(job["folder"], "answer.json")
    child = os.fork()
    if not child:
        code = 1
        try:
            answer.write_text(json.dumps(change(job)))
            code = 0
        except Exception:
            traceback.print_exc()
            raise
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        print(json.dumps({"told": "stopped"}), flush=True)
        sys.stdin.readline()
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
    return json.loads(answer.read_text()) if answer.exists() else {"told": os.waitstatus_to_exitcode(status)}


def main():
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - loaded once for all that are forked

    import hokusai_nb.core.registry  # noqa: F401 - the same

    for line in sys.stdin:
        print(json.dumps(in_a_child(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
