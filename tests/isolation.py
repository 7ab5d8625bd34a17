"""What every test, doctest and notebook runs with, whatever the user has set."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from typing import Any

import pytest

_DATA = pytest.StashKey[str]()


def _sanitize_charts_too(cell_type: Any) -> None:
    """Have nbval sanitise a chart as its JSON text: its patterns reach text only, and a tooltip may hold a date."""
    sanitize = cell_type.sanitize

    def sanitize_any(cell: Any, output: Any) -> Any:
        text = output if isinstance(output, str) else json.dumps(output, indent=1, sort_keys=True, ensure_ascii=False)
        return sanitize(cell, text)

    cell_type.sanitize = sanitize_any


def pytest_configure(config: pytest.Config) -> None:
    """Hide the user's settings, so that no test reaches a store or a profile of theirs."""
    if "nbval.plugin" in sys.modules:  # not every run has notebooks
        _sanitize_charts_too(sys.modules["nbval.plugin"].IPyNbCell)
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "HOKUSAI_", "WEBHOOK_", "DELTAONE_")):
            del os.environ[name]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    config.stash[_DATA] = os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="hokusai-tests-")
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        os.environ[name] = str(config.cache.mkdir(name.lower()))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder that stood for the user's folder of data."""
    shutil.rmtree(config.stash.get(_DATA, ""), ignore_errors=True)
