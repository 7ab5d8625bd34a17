"""The command in this process, on a store and a database of the test's own."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner


@pytest.fixture
def shell(store, sqlite_config, monkeypatch):
    """Run a command: ``shell("token", "list")`` returns click's result; it must succeed unless ``code`` says other."""
    from hokusai_nb.backends.sql.database import Database
    from hokusai_nb.cli.main import main
    from hokusai_nb.log import logger

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", sqlite_config.database)
    before = logger.handlers[0].formatter

    def run(*line, code=0, **given):
        result = CliRunner().invoke(main, [str(word) for word in line], **given)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    yield run
    logger.handlers[0].setFormatter(before)
    Database.at(sqlite_config).close()


@pytest.fixture
def as_json(shell):
    """Run a command with ``--json`` and return what it printed."""
    return lambda *line: json.loads(shell(*line, "--json").stdout)


@pytest.fixture
def model_file(tmp_path):
    """A file that must not be unpickled: loading it would fail the test."""
    path = tmp_path / "final_model.pkl"
    path.write_bytes(b"\x80\x04cos\nabort\n(tR.")
    return path


@pytest.fixture
def reader(as_json, trained):
    """A model with two versions, 0.88 and 0.91."""
    for value in (0.88, 0.91):
        run = trained(accuracy=value)
        as_json("model", "register-run", "reader", "--token", "MSG-AI", "--metric", "accuracy", "--run", run.run_id)
