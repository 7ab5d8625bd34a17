"""Shells to load the extension into: one in this process, one behind a real kernel."""

from __future__ import annotations

import atexit
import os
import time

import pytest

SETUP = """
import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True)
"""


@pytest.fixture
def bare_shell(tmp_path, monkeypatch):
    """A fresh shell with nothing loaded."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell(config=config)
    yield shell
    atexit.unregister(shell.atexit_operations)  # it collects garbage, which takes a second with MLflow loaded
    shell.restore_sys_module_state()


@pytest.fixture
def shell(bare_shell):
    """A fresh shell with the extension."""
    bare_shell.run_line_magic("load_ext", "hokusai_nb")
    yield bare_shell
    from hokusai_nb.config import configure
    from hokusai_nb.core.provenance import set_collector

    configure(contributor=None, notebook_provenance=None)
    set_collector(None)


@pytest.fixture
def run(shell):
    """Run a cell that must succeed, and return what it put into ``_``."""

    def execute(cell):
        result = shell.run_cell(cell, store_history=True)
        result.raise_error()
        return result.result

    return execute


@pytest.fixture
def refused(shell, capsys):
    """Run a cell that must fail, and return the lines it shows."""

    def execute(cell):
        capsys.readouterr()
        result = shell.run_cell(cell, store_history=True)
        assert not result.success
        shown = capsys.readouterr().out
        assert "Traceback" not in shown
        return shown.strip().splitlines()

    return execute


class Kernel:
    """A real ipykernel, asked as a front end asks it."""

    def __init__(self, client):
        self.client = client

    def execute(self, code, timeout=60):
        """Run a cell; return its reply, and the messages it sent."""
        sent = []
        reply = self.client.execute_interactive(code, timeout=timeout, store_history=True, output_hook=sent.append)
        return reply["content"], sent

    def shown(self, code):
        """Run a cell that must succeed; return the bundles it showed and the text it printed."""
        reply, sent = self.execute(code)
        assert reply["status"] == "ok", "\n".join(reply["traceback"])
        bundles = [m["content"]["data"] for m in sent if m["msg_type"] in ("execute_result", "display_data")]
        return bundles, "".join(m["content"]["text"] for m in sent if m["msg_type"] == "stream")

    def refused(self, code):
        """Run a cell that must fail; return its reply and the errors that were shown."""
        reply, sent = self.execute(code)
        assert reply["status"] == "error"
        return reply, [m["content"] for m in sent if m["msg_type"] == "error"]

    def complete(self, code, cursor=None):
        """Return the completions at the cursor, and what each would make of the code."""
        cursor = len(code) if cursor is None else cursor
        reply = self.client.complete(code, cursor, reply=True, timeout=30)["content"]
        start, end = reply["cursor_start"], reply["cursor_end"]
        return reply["matches"], [code[:start] + m + code[end:] for m in reply["matches"]]

    def complete_until(self, code, wanted, seconds=30):
        """Return the completions once the background has brought the wanted one."""
        deadline = time.monotonic() + seconds
        while wanted not in (found := self.complete(code)[0]) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def inspect(self, code):
        """Return the help for the name at the end of the code."""
        content = self.client.inspect(code, len(code), reply=True, timeout=30)["content"]
        assert content["found"]
        return content["data"]["text/plain"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory, migrated_database):
    """A real ipykernel with the extension, on a store of its own; shared by the tests of a module."""
    import shutil

    from jupyter_client.manager import start_new_kernel

    folder = tmp_path_factory.mktemp("kernel")
    shutil.copy(migrated_database, folder / "mlflow.db")
    homes = {name: str(folder / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HOKUSAI_", "JPY_"))}
    env |= {**homes, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true", "NO_COLOR": "1"}
    manager, client = start_new_kernel(kernel_name="python3", env=env, cwd=str(folder))
    try:
        kernel = Kernel(client)
        kernel.shown("%load_ext hokusai_nb\n%colors nocolor" + SETUP)
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
