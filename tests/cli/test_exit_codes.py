"""Codes that scripts rely on, each from the real refusal that it stands for."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from tests.apis import api_thread
from tests.conftest import free_port
from tests.processes import described, start

REFUSED = 7
# The command as a user who may read nothing of ours: root may read anything, and first loads what it needs.
AS_SOMEBODY = (
    "import os, sys, click.testing, hokusai_nb.cli.main as m, hokusai_nb.cli.token, hokusai_nb.cli.token_commands, "
    "hokusai_nb.site.opening, hokusai_nb.backends.sql.database, hokusai_nb.site.outbox\n"
    "if not os.geteuid():\n    os.setuid(65534)\n"
    "m.main(sys.argv[1:])"
)


def test_a_wrong_api_key_is_access_refused_whatever_is_asked_for(shell, sqlite_config, tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "HOKUSAI_DB_TYPE", "HOKUSAI_DB_NAME"):
        monkeypatch.delenv(name)
    import mlflow

    mlflow.set_tracking_uri(None)
    with api_thread(sqlite_config.model_copy(update={"database": str(tmp_path / "api.db")})) as api:
        monkeypatch.setenv("HOKUSAI_API_ENDPOINT", api.url)
        monkeypatch.setenv("HOKUSAI_API_KEY", "hk_wrong_0123456789")
        models, tokens = shell("model", "list", code=REFUSED), shell("token", "list", code=REFUSED)
    assert "refused access" in models.stderr
    assert "Check HOKUSAI_API_KEY" in models.stderr
    assert "HOKUSAI_API_KEY" in tokens.stderr


@pytest.mark.slow
def test_a_wrong_password_of_the_database_of_tokens_is_access_refused(shell, postgres, tmp_path):
    wrong = postgres.config(password="wr0ng-s3cret")
    refused = shell("token", "list", "--db-config", described(wrong, tmp_path), code=REFUSED)
    assert "the user name or the password is refused" in refused.stderr
    assert "wr0ng-s3cret" not in refused.output


@pytest.mark.slow
def test_a_wrong_password_of_a_database_of_models_is_access_refused(shell, postgres):
    uri = f"postgresql+psycopg://{postgres.config().username}:wr0ng-s3cret@127.0.0.1:{postgres.port}/postgres"
    refused = shell("model", "list", "--mlflow-uri", uri, code=REFUSED)
    assert "refused access" in refused.stderr
    assert "wr0ng-s3cret" not in refused.output


def test_a_database_that_does_not_answer_is_no_refusal(shell, tmp_path):
    given = {"host": "127.0.0.1", "port": free_port(), "database": "x", "username": "me", "password": "s3cret"}
    (tmp_path / "db.json").write_text(json.dumps(given))
    assert "s3cret" not in shell("token", "list", "--db-config", tmp_path / "db.json", code=6).output


def test_a_file_without_rights_is_access_refused_and_one_that_is_not_there_a_wrong_value():
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        file = Path(place, "db.json")
        file.write_text(json.dumps({"db_type": "sqlite", "database": str(Path(place, "x.db"))}))
        file.chmod(0o000)
        for path, code, said in ((file, REFUSED, "Permission denied"), (Path(place, "no.json"), 2, "No such file")):
            process = start(AS_SOMEBODY, "token", "list", "--db-config", path)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out) == (code, ""), err
            assert said in err
        file.chmod(0o600)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HOKUSAI_MOCK_MODE", "maybe"), ("HOKUSAI_LOG_LEVEL", "NOISY"), ("HOKUSAI_DB_PORT", "0")],
)
@pytest.mark.parametrize("line", [("token", "list"), ("model", "list"), ("key", "list")], ids=" ".join)
def test_a_wrong_setting_is_a_wrong_value_as_it_is_in_a_file(shell, monkeypatch, variable, value, line):
    monkeypatch.setenv(variable, value)
    assert variable in shell(*line, code=2).stderr


def test_half_a_description_of_a_database_is_a_wrong_value_in_variables_and_in_a_file(shell, monkeypatch, tmp_path):
    (tmp_path / "db.json").write_text('{"host": "db"}')
    assert "database" in shell("token", "list", "--db-config", tmp_path / "db.json", code=2).stderr
    monkeypatch.delenv("HOKUSAI_DB_NAME")
    monkeypatch.setenv("HOKUSAI_DB_HOST", "db")
    assert "HOKUSAI_DB_NAME is not set" in shell("token", "list", code=2).stderr
