"""What a token store says of a token is told in time, in words, and to whoever registers."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.core.standing import PATIENCE_SECONDS, Asked, ask_doubts, ask_token_ids
from hokusai_nb.schema.lifecycle import Status
from hokusai_nb.site.opening import open_store
from tests.tokens import create_token


def doubts(token_id="MSG-AI", registry=None):
    return [(p.field, p.severity, p.sentence) for p in ask_doubts(registry or ModelRegistry(), token_id).answer()]


# What is said


def test_nothing_speaks_against_a_token_in_draft(tokens):
    create_token(tokens, "MSG-AI")
    assert doubts() == []


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (Status.REGISTERING, "MSG-AI is being registered. A version that is registered now stands beside that."),
        (Status.REGISTERED, "MSG-AI is registered. A further version can be registered all the same."),
        (Status.DEPLOYED, "MSG-AI is deployed. A further version can be registered; what is deployed stays as it is."),
        (Status.FAILED, "MSG-AI failed to be registered. A version can be registered all the same."),
        (Status.ARCHIVED, "MSG-AI is archived. It is out of use; check that it is the one you mean."),
    ],
)
def test_any_other_status_is_a_warning_that_says_which_and_what_it_means(tokens, status, sentence):
    create_token(tokens, "MSG-AI", status)
    assert doubts() == [("token", "warning", f"Token is not in Draft status: {sentence}")]


def test_every_status_has_its_words(tokens):
    for status in Status:
        create_token(tokens, f"A-{status.value}".upper(), status)
        assert len(doubts(f"A-{status.value}".upper())) == (status is not Status.DRAFT)


def test_a_registration_that_died_is_not_said_to_be_under_way(tokens):
    create_token(tokens, "MSG-AI", Status.REGISTERING, lease_seconds=0.001)
    time.sleep(0.01)
    ((_, _, sentence),) = doubts()
    assert "MSG-AI was being registered, and that was never finished." in sentence


def test_a_token_that_the_store_does_not_know_is_said_and_the_file_is_not_made_for_that(tokens, tmp_path):
    missing = [
        (
            "token",
            "warning",
            "Token not found: 'MSG-AI'. Check the ID, or create it for local work: hokusai token create MSG-AI",
        )
    ]
    assert doubts() == missing
    assert not (tmp_path / "tokens.db").exists()
    create_token(tokens, "OTHER-1")
    assert doubts() == missing


def test_in_mock_mode_any_token_is_in_draft(monkeypatch):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    registry = ModelRegistry()
    assert registry.names_token_store
    assert doubts("ANY-THING", registry) == []


# What could not be checked


def test_a_store_that_is_described_by_half_is_said_to_be_unchecked(monkeypatch):
    monkeypatch.setenv("HOKUSAI_DB_USER", "me")
    ((_, _, sentence),) = doubts()
    assert sentence.startswith("Whether MSG-AI is in draft could not be checked. HOKUSAI_DB_NAME is not set.")


def test_a_file_that_is_no_database_is_said_without_a_secret(monkeypatch, tmp_path):
    (tmp_path / "tokens.db").write_text("no database at all, and longer than a header of one would be\n" * 20)
    monkeypatch.setenv("HOKUSAI_DB_TYPE", "sqlite")
    monkeypatch.setenv("HOKUSAI_DB_NAME", str(tmp_path / "tokens.db"))
    monkeypatch.setenv("HOKUSAI_DB_PASSWORD", "s3cret")
    ((_, severity, sentence),) = doubts()
    assert severity == "warning"
    assert sentence.startswith("Whether MSG-AI is in draft could not be checked. ")
    assert "s3cret" not in sentence


@contextmanager
def silent_api(monkeypatch):
    """The settings name an API that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HOKUSAI_API_KEY", "hk_key")
        monkeypatch.setenv("HOKUSAI_API_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield
    deadline = time.monotonic() + 30
    while Asked._late and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.impatient
def test_a_store_that_does_not_answer_is_given_two_seconds(monkeypatch, store):  # noqa: ARG001 - MLflow is elsewhere
    with silent_api(monkeypatch):
        began = time.monotonic()
        ((_, _, sentence),) = doubts()
        took = time.monotonic() - began
    assert sentence == (
        "Whether MSG-AI is in draft could not be checked. The token store did not answer within 2 seconds."
    )
    assert PATIENCE_SECONDS - 0.1 < took < PATIENCE_SECONDS + 1


@pytest.mark.impatient
def test_of_many_registrations_a_store_that_hangs_holds_up_the_first_only(monkeypatch, registry, trained):
    runs = [trained(accuracy=0.9) for _ in range(4)]
    with silent_api(monkeypatch):
        made = []
        began = time.monotonic()
        for run in runs:
            with pytest.warns(match="did not answer within 2 seconds"):
                made.append(registry.register_run_model(run.run_id, f"m{len(made)}", "MSG-AI", "accuracy"))
        took = time.monotonic() - began
    assert [m.created for m in made] == [True] * 4
    assert took < 2 * PATIENCE_SECONDS


class Broken:
    """A token store of somebody's own that fails in its own way."""

    def get(self, token_id):
        msg = f"https://me:s3cret@host/{token_id}"
        raise ZeroDivisionError(msg)

    list_tokens = get


def test_a_store_of_ones_own_that_fails_is_told_and_harms_nothing():
    registry = ModelRegistry(token_store=Broken())
    ((_, _, sentence),) = doubts(registry=registry)
    assert sentence.startswith("Whether MSG-AI is in draft could not be checked. ZeroDivisionError: ")
    assert "s3cret" not in sentence
    assert ask_token_ids(registry).answer() == ()


def test_a_question_that_is_overdue_is_forgotten_once_it_is_answered():
    free = threading.Event()
    asked = Asked(lambda: free.wait(20) and "late", "nothing")
    asked._ends = 0.0
    assert asked.answer() == "nothing"
    assert Asked(lambda: "quick", "nothing", in_turn=True).answer() == "nothing"
    assert Asked(lambda: "quick", "nothing").answer() == "quick"
    free.set()
    asked._found.result(10)
    deadline = time.monotonic() + 10
    while Asked._late and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Asked(lambda: "quick", "nothing", in_turn=True).answer() == "quick"


# Who is told


def test_a_registration_carries_the_warning_and_is_made(registry, trained, tokens):
    create_token(tokens, "MSG-AI", Status.REGISTERED)
    run = trained(accuracy=0.9)
    with pytest.warns(match="MSG-AI is registered. A further version can be registered all the same."):
        made = registry.register_run_model(run.run_id, "m", "msg-ai", "accuracy")
    assert made.version == "1"
    assert "Warning: Token is not in Draft status: MSG-AI is registered." in made._text_()


def test_without_a_store_to_ask_nothing_is_asked(registry, trained, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert not registry.names_token_store
    assert registry.register_run_model(trained(accuracy=0.9).run_id, "m", "MSG-AI", "accuracy").warnings == ()
    assert ask_token_ids(registry).answer() == ()
    assert not (tmp_path / "data").exists()


@pytest.fixture
def default_tokens(monkeypatch, tmp_path):
    """The store of a user who set nothing, in a file that was made without a token."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = open_store()
    made.list_tokens()
    assert (tmp_path / "data").exists()
    yield made
    made.database.close()


def test_the_users_own_file_is_asked_once_there_is_a_token_in_it(registry, trained, default_tokens):
    def register():
        return registry.register_run_model(trained(accuracy=0.9).run_id, "m", "MSG-AI", "accuracy")

    assert ask_doubts(registry, "MSG-AI").answer() is None
    assert register().warnings == ()
    create_token(default_tokens, "MSG-AI", Status.DEPLOYED)
    with pytest.warns(match="Token is not in Draft status: MSG-AI is deployed"):
        register()
    assert ask_token_ids(registry).answer() == ("MSG-AI",)


def test_the_ids_of_a_named_store_are_listed(tokens):
    assert ask_token_ids(ModelRegistry()).answer() == ()
    for token_id in ("XRAY", "MSG-AI"):
        create_token(tokens, token_id)
    assert ask_token_ids(ModelRegistry()).answer() == ("MSG-AI", "XRAY")
