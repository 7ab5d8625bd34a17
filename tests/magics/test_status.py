"""``%hokusai``, ``%hokusai_config`` and ``%hokusai_status`` tell the truth, quickly, and never a secret."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pytest

from hokusai_nb.config import settings
from hokusai_nb.schema.lifecycle import Status, Token, TokenChange
from hokusai_nb.schema.overview import OverviewCard, SettingsCard
from tests.tokens import create_token


def text(record):
    return record._repr_mimebundle_()["text/plain"]


@pytest.fixture(autouse=True)
def _isolated(store):
    """Give every test a store of its own."""


def test_without_a_run_the_card_says_where_it_writes_and_how_to_begin(run, store):
    card = run("%hokusai")
    assert isinstance(card, OverviewCard)
    assert store in text(card)
    assert "set in MLflow" in text(card)
    assert "Current run  none" in text(card)
    assert "%%hokusai_register" in text(card)


def test_an_active_run_is_shown_with_its_metrics_and_models(run):
    with mlflow.start_run(run_name="mine") as active:
        mlflow.log_metric("rmse", 0.5)
        card = run("%hokusai")
    assert card.run.run_id == active.info.run_id
    assert "mine, RUNNING" in text(card)
    assert "rmse = 0.5" in text(card)
    assert "--metric rmse --model VARIABLE" in text(card)


def test_the_last_finished_run_is_current_and_a_failed_one_is_not_offered(run):
    with mlflow.start_run():
        pass
    assert "FINISHED" in text(run("%hokusai"))
    with pytest.raises(KeyError), mlflow.start_run():
        raise KeyError
    card = run("%hokusai")
    assert "FAILED" in text(card)
    assert card.next_steps[0].startswith("%%")


def test_a_run_of_another_store_is_not_taken_for_the_current_one(run, tmp_path, migrated_database):
    import shutil

    with mlflow.start_run():
        pass
    shutil.copy(migrated_database, tmp_path / "other.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
    assert run("%hokusai").run is None


def test_a_store_that_is_not_there_yet_is_not_made_by_looking(run, tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'new.db'}")
    assert "made with the first run" in text(run("%hokusai"))
    assert not (tmp_path / "new.db").exists()


def test_credentials_are_never_shown(run):
    mlflow.set_tracking_uri("http://me:s3cret@127.0.0.1:9/")
    for line in ("%hokusai", "%hokusai_config"):
        record = run(line)
        assert "s3cret" not in str(record._repr_mimebundle_()) + record.model_dump_json() + repr(record)


def test_a_dead_server_is_said_within_five_seconds_and_the_cell_succeeds(run):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
    started = time.monotonic()
    card = run("%hokusai")
    assert time.monotonic() - started < 5
    assert "Failed to connect to MLflow" in card.trouble
    assert "Current run  not known" in text(card)


def test_a_server_that_takes_calls_and_never_answers_is_said_within_five_seconds(run):
    with mlflow.start_run():
        pass
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mlflow.set_tracking_uri(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        card = run("%hokusai")
        assert time.monotonic() - started < 5
    assert card.trouble


@contextmanager
def healthy_but_hanging():
    """A server that says it is well, and answers nothing else until the test is over."""
    over = threading.Event()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/health":
                over.wait(30)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            over.set()
            server.shutdown()


def test_a_server_that_hangs_after_its_health_was_seen_is_said_within_five_seconds(run):
    with mlflow.start_run():
        pass
    with healthy_but_hanging() as address:
        mlflow.set_tracking_uri(address)
        started = time.monotonic()
        card = run("%hokusai")
        assert time.monotonic() - started < 5
    assert card.trouble


@pytest.mark.slow
def test_a_server_is_shown_with_its_run(run, server):
    mlflow.set_tracking_uri(server)
    mlflow.set_experiment("overview")
    with mlflow.start_run(run_name="remote"):
        pass
    card = run("%hokusai")
    assert (card.trouble, card.run.name) == ("", "remote")


def test_config_shows_every_setting_and_its_variable_and_no_secret(run, monkeypatch):
    monkeypatch.setenv("HOKUSAI_API_KEY", "key-12345")
    card = run("%hokusai_config")
    assert isinstance(card, SettingsCard)
    assert {s.variable for s in card.settings} >= {
        f"HOKUSAI_{name}" for name in ("API_KEY", "API_ENDPOINT", "CONTRIBUTOR", "NOTEBOOK_PROVENANCE", "HTTP_TIMEOUT")
    }
    assert "key-12345" not in text(card)


def test_config_changes_hold_until_the_kernel_ends(run, tmp_path):
    address = "0x" + "ab" * 20
    run(f"%hokusai_config --contributor {address} --provenance off --tracking-uri sqlite:///{tmp_path}/b.db")
    assert settings().contributor == address
    assert settings().notebook_provenance is False
    assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/b.db"
    run("%hokusai_config --provenance on")
    assert settings().notebook_provenance is True


def test_a_wrong_setting_is_refused_and_none_is_changed(run, refused, store):
    run("%hokusai_config")
    lines = refused("%hokusai_config --contributor me --provenance off --tracking-uri sqlite:///b.db")
    assert "Contributor address invalid: 'me'" in lines[0]
    assert settings().notebook_provenance is True
    assert mlflow.get_tracking_uri() == store


# Tokens


def test_a_token_is_shown_with_its_status_and_its_benchmark_as_html_and_text(run, tokens):
    create_token(tokens, "MSG-AI", Status.REGISTERED)
    token = run("%hokusai_status msg-ai")
    assert isinstance(token, Token)
    bundle = token._repr_mimebundle_()
    assert bundle["text/plain"].startswith(
        "Token MSG-AI\nStatus     registered\nBenchmark  auroc = 0.85\nBaseline   0.82"
    )
    assert "registered" in bundle["text/html"]
    assert "<table" in bundle["text/html"]


def test_a_ticker_is_read_too_and_a_token_in_draft_has_no_benchmark(run, tokens):
    create_token(tokens, "XRAY")
    assert run("%hokusai_status XRAY").model_status is Status.DRAFT
    assert "Benchmark" not in text(run("%hokusai_status XRAY"))


def test_a_failed_token_says_why_and_an_impossible_one_what_it_may_have_been(run, refused, tokens):
    create_token(tokens, "MSG-AI", Status.REGISTERING)
    tokens.change("MSG-AI", TokenChange(to=Status.FAILED, by="test", owner="one", reason="<i>It is weak.</i>"))
    failed = run("%hokusai_status MSG-AI")
    assert "Why      <i>It is weak.</i>" in text(failed)
    assert "<i>" not in failed._repr_mimebundle_()["text/html"]
    assert "Did you mean MSG-AI?" in "".join(refused("%hokusai_status msg_ai"))


def test_the_record_is_a_value_and_json_is_text(run, tokens):
    create_token(tokens, "MSG-AI", Status.DEPLOYED)
    assert run("t = %hokusai_status MSG-AI\nt.model_status.value") == "deployed"
    found = json.loads(run("%hokusai_status MSG-AI --json"))
    assert (found["token_id"], found["model_status"], found["metric_value"]) == ("MSG-AI", "deployed", "0.85")


def test_a_token_that_is_held_says_until_when(run, tokens):
    create_token(tokens, "MSG-AI", Status.REGISTERING)
    assert "Held until" in text(run("%hokusai_status MSG-AI"))


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("%hokusai_status NO-SUCH", "TokenNotFoundError: Token not found: 'NO-SUCH'."),
        ("%hokusai_status msg_ai", "ValidationError: Token ID format invalid: 'MSG_AI'"),
        ("%hokusai_status", "ValidationError: TOKEN is missing."),
        ("%hokusai_status A-B C-D", "UsageError: There is no place for the argument 'C-D'."),
    ],
)
def test_a_token_that_cannot_be_shown_is_an_error_of_few_lines(refused, tokens, line, first):
    create_token(tokens, "MSG-AI")
    lines = refused(line)
    assert lines[0].startswith(first)
    assert len(lines) <= 3


def test_a_database_that_is_down_is_said_within_five_seconds_and_without_its_password(refused, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    given = {"TYPE": "postgresql", "HOST": "127.0.0.1", "PORT": str(port), "NAME": "site", "PASSWORD": "s3cret"}
    for name, value in given.items():
        monkeypatch.setenv(f"HOKUSAI_DB_{name}", value)
    started = time.monotonic()
    lines = refused("%hokusai_status MSG-AI")
    assert time.monotonic() - started < 5
    assert lines[0].startswith("DatabaseConnectionError: Database Connection Failed")
    assert "s3cret" not in "".join(lines)


def test_in_mock_mode_a_status_says_that_it_is_simulated(run, monkeypatch):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    assert "Simulated" in text(run("%hokusai_status ANY-THING"))


def test_the_overview_and_the_settings_show_where_tokens_are_kept(run, tokens):
    assert f"{tokens.description} (set by HOKUSAI_DB_…)" in text(run("%hokusai"))
    assert tokens.description in text(run("%hokusai_config"))


def test_a_registration_by_a_line_says_that_its_token_is_not_in_draft(run, tokens, trained):
    create_token(tokens, "MSG-AI", Status.ARCHIVED)
    made = run(f"%hokusai_register m --token MSG-AI --metric accuracy --run {trained(accuracy=0.9).run_id}")
    assert made.version == "1"
    assert "Warning: Token is not in Draft status: MSG-AI is archived." in text(made)
    assert "Token is not in Draft status" in run(
        f"%hokusai_register n --token MSG-AI --metric accuracy --run {made.run_id} --dry-run --json"
    )
