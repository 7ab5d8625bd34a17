"""Processes that begin with everything imported, which takes a process of its own four seconds.

One process, which does nothing else, imports it all and is forked for each. Where a test is about what a process
imports, or about its beginning, `tests.processes` starts a fresh one.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = "import sys\nfrom hokusai_nb.cli.main import main\nsys.argv[0] = 'hokusai'\nmain()"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([
    "mlflow.genai",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.rest_store",
    "hokusai_nb.cli.main",
    "hokusai_nb.core.prompts",
    "hokusai_nb.core.registry",
    "hokusai_nb.site.opening",
    "hokusai_nb.site.outbox",
])  # fmt: skip


class Forked:
    """A process that runs Python code, to be driven as a `subprocess.Popen` with text in pipes.

    Args:
        code: What it runs, as ``python -c`` would.
        arguments: What ``sys.argv`` holds behind the first.
        env: Its environment, whole.
        cwd: Where it begins.
    """

    def __init__(self, code, *arguments, env=None, cwd=None):
        theirs, self.stdin = _pipe("w")
        self.stdout, out = _pipe("r")
        self.stderr, err = _pipe("r")
        environment = {"PYTHONPATH": str(ROOT), **(os.environ if env is None else env)}
        given = (code, tuple(map(str, arguments)), environment, str(cwd or Path.cwd()), theirs, out, err)
        self._process = _context.Process(target=_run, args=given, daemon=True)
        self._process.start()
        for end in (theirs, out, err):
            end.close()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self.returncode

    def kill(self):
        self._process.kill()

    def communicate(self, text="", timeout=60):
        """Hand in a text, and return all that it prints and all that it complains of, once it has ended."""
        import threading

        found = {}
        reading = [
            threading.Thread(target=lambda stream=stream, name=name: found.update({name: stream.read()}))
            for name, stream in (("out", self.stdout), ("err", self.stderr))
        ]
        for thread in reading:
            thread.start()
        with self:
            self.stdin.write(text)
            self.stdin.close()
            self.wait(timeout)
            for thread in reading:
                thread.join()
        return found["out"], found["err"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.poll() is None:
            self.kill()
            self.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()


def _pipe(mode):
    """A pipe of which one end is a text file of ours, and the other is handed on; in their order, to read first."""
    read, write = _context.Pipe(duplex=False)
    ours, theirs = (read, write) if mode == "r" else (write, read)
    file = os.fdopen(os.dup(ours.fileno()), mode)
    ours.close()
    return (file, theirs) if mode == "r" else (theirs, file)


def _run(code, arguments, environment, folder, *pipes):
    for number, end in enumerate(pipes):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115 - numbers
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115 - numbers
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(ROOT))
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<forked>", "exec"), {"__name__": "__main__"})


def hokusai(*line, env=None, cwd=None, text="", timeout=120):
    """Run the command and return what came of it, as `subprocess.run` does."""
    process = Forked(COMMAND, *line, env=env, cwd=cwd)
    out, err = process.communicate(text, timeout)
    return subprocess.CompletedProcess(["hokusai", *map(str, line)], process.returncode, out, err)
