"""A Jupyter server of our own, the browser that looks at it, and a watch on what the browser asks for."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import nbformat
import pytest

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "browser-tests"
ANNOUNCEMENTS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# None of these changes what a page does; they keep the browser itself from calling home.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
)
# One server has all three faces: JupyterLab under /lab, Notebook 7 under /notebooks, Voila under /voila.
FLAGS = (
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--JupyterNotebookApp.expose_app_in_browser=True",
    "--AsyncIOLoopKernelRestarter.time_to_dead=0.5",  # how long it looks away before it sees a kernel dead
)
HERE = ("127.0.0.1", "localhost")
INSIDE = ("data", "blob", "about")

IMPORTS = """\
%load_ext hokusai_nb
import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
"""
TRAIN = """\
X, y = load_iris(return_X_y=True)
with mlflow.start_run():
    clf = LogisticRegression(max_iter=200).fit(X, y)
    mlflow.log_metrics({"accuracy": 0.91, "f1_score": 0.9})
    mlflow.sklearn.log_model(clf, name="model", pip_requirements=["scikit-learn"])
"""


def find_browser():
    """Return the path of a Chromium, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def chromium():
    """Debian's Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=find_browser(), args=list(QUIET))
        try:
            yield started
        finally:
            started.close()


@dataclass
class Jupyter:
    """A running Jupyter server and the folder it serves."""

    address: str
    root: Path

    @property
    def store(self):
        """URI of the MLflow store that its kernels use."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    def versions(self, name, store=None):
        """Return the versions of a model, as MLflow itself finds them."""
        import mlflow

        found = mlflow.MlflowClient(store or self.store).search_model_versions(f"name = '{name}'")
        return sorted(found, key=lambda version: int(version.version))

    def write(self, name, *cells):
        """Save a notebook of code cells and return its name."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.root / name)
        return name

    def read(self, name):
        """Return a saved notebook."""
        return nbformat.read(self.root / name, as_version=4)

    def kernels(self):
        """Return the ids of the running kernels."""
        return {kernel["id"] for kernel in self._ask("GET", "kernels")}

    def shut_down(self, kernel):
        """End a kernel, as closing its notebook does not."""
        self._ask("DELETE", f"kernels/{kernel}")

    def attach(self, name, kernel):
        """Give a notebook this kernel, if it has none: opened, it finds it."""
        notebook = {"path": name, "name": name, "type": "notebook", "kernel": {"id": kernel}}
        self._ask("POST", "sessions", notebook)

    def detach(self, name):
        """Take a notebook's kernel from it; the kernel goes on for others."""
        (session,) = (session for session in self._ask("GET", "sessions") if session["path"] == name)
        self._ask("PATCH", f"sessions/{session['id']}", {"path": f"{name}, detached"})

    def _ask(self, method, path, given=None):
        body = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(f"{self.address}/api/{path}?token={TOKEN}", body, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")


def free_port():
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def jupyter(folder, database):
    """Start Jupyter on a free port of loopback, with settings and a store of its own."""
    root, config = folder / "notebooks", folder / "config"
    root.mkdir()
    for name in ("labconfig", "data", "runtime", "ipython", "home"):
        (config / name).mkdir(parents=True)
    (config / "labconfig" / "page_config.json").write_text(json.dumps(ANNOUNCEMENTS))
    shutil.copy(database, root / "mlflow.db")
    port = free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HOKUSAI_"))},
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(config / "data"),
        "JUPYTER_RUNTIME_DIR": str(config / "runtime"),
        "IPYTHONDIR": str(config / "ipython"),
        "HOME": str(config / "home"),
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", *FLAGS, f"--port={port}", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={root}", "--allow-root", f"--IdentityProvider.token={TOKEN}"]
    log = folder / "jupyter.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=root, env=env, stdout=out, stderr=out, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api/status?token={TOKEN}", process, log)
        yield Jupyter(address, root)
    finally:
        process.terminate()  # it ends its kernels before itself
        process.wait(30)


def _wait_for(address, process, log):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    process.terminate()
    pytest.fail(f"Jupyter did not start: {log.read_text()[-2000:]}")


def outside(urls):
    """Return the addresses that are not on this machine."""
    return [url for url in urls if (p := urlsplit(url)).scheme not in INSIDE and p.hostname not in HERE]


@dataclass
class Watched:
    """What a browser did that no test may cause: requests to elsewhere, dialogs of scripts, errors."""

    requests: list = field(default_factory=list)
    dialogs: list = field(default_factory=list)

    @property
    def outside(self):
        """The requests that left this machine."""
        return outside(self.requests)

    def watch(self, context):
        """Write down everything that the pages of this context ask for."""
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("page", self._watch_page)

    def _watch_page(self, page):
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog):
        if dialog.type != "beforeunload":  # Lab's own: the notebook has changes
            self.dialogs.append(dialog.message)
        dialog.accept()
