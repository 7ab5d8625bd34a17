"""What the form says of a token: where it stands with the token store that somebody named, as a warning only."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from hokusai_nb.core.standing import Asked
from hokusai_nb.schema.lifecycle import Status, TokenChange
from hokusai_nb.site.opening import open_store
from tests.tokens import create_token
from tests.widgets.looking import button, html_of, versions

VALUES = {"name": "m", "metric": "accuracy"}
REGISTERED = "Token is not in Draft status: DONE-1 is registered. A further version can be registered all the same."


@pytest.fixture
def form(opened, current, tokens):
    """A form that lacks only its token, beside a store with one token in draft, one registered, one archived."""
    current(accuracy=0.91)
    create_token(tokens, "NEW-1")
    create_token(tokens, "DONE-1", Status.REGISTERED)
    create_token(tokens, "OLD-1", Status.ARCHIVED)
    create_token(tokens, "XRAY")
    return opened(values=VALUES)


def said(form, text):
    """Type a token and return what stands below it once everything was answered."""
    form.fields["token"].value = text
    assert form.wait(20)
    return form.fields["token"].message


def test_a_token_that_is_not_in_draft_is_a_warning_and_can_be_registered(form):
    assert said(form, "done-1") == REGISTERED
    assert 'class="hokusai-said hokusai-warning" role="status"' in html_of(form)
    assert form.can_register
    assert not button(form, "Register").disabled
    assert said(form, "OLD-1").startswith("Token is not in Draft status: OLD-1 is archived.")
    assert said(form, "NEW-1") == "In draft."
    assert "hokusai-said hokusai-warning" not in html_of(form)


def test_a_token_that_the_store_does_not_know_is_said_and_can_be_registered(form):
    assert said(form, "NO-SUCH").startswith("Token not found: 'NO-SUCH'.")
    assert form.can_register
    assert "hokusai token create NO-SUCH" in form._repr_mimebundle_()["text/plain"], "it is saved with the notebook"


def test_the_warning_stays_with_what_is_registered(form):
    said(form, "DONE-1")
    assert form.submit().version == "1"
    assert [p.sentence for p in form.receipt.model.warnings] == [REGISTERED]
    assert f"Warning: {REGISTERED}" in form._repr_mimebundle_()["text/plain"]
    assert len(versions("m")) == 1


def test_a_ticker_is_refused_although_the_store_has_it(form):
    assert said(form, "XRAY").startswith("Token ID format invalid: 'XRAY'")
    assert not form.can_register


def test_tokens_of_the_store_are_offered_except_those_that_the_form_refuses(form):
    assert form.fields["token"].input.options == ("DONE-1", "NEW-1", "OLD-1")


def test_a_token_that_changes_is_seen_when_it_is_checked_again(form, tokens):
    assert said(form, "NEW-1") == "In draft."
    tokens.change("NEW-1", TokenChange(to=Status.ARCHIVED, by="test"))
    assert form.fields["token"].message == "In draft."
    form.check_again()
    assert form.wait(20)
    assert form.fields["token"].message.startswith("Token is not in Draft status: NEW-1 is archived.")
    assert button(form, "Check again") is not None, "it may be mended elsewhere, so it can be asked for once more"


def test_while_somebody_types_only_the_last_token_is_asked_for(form, tokens, monkeypatch):
    asked = []
    find = type(tokens).get
    monkeypatch.setattr(type(tokens), "get", lambda store, token_id: asked.append(token_id) or find(store, token_id))
    for text in ("D", "DONE", "DONE-", "DONE-1", "DONE-12", "DONE-1"):
        form.fields["token"].value = text
    assert form.wait(20)
    assert form.fields["token"].message == REGISTERED
    assert set(asked) == {"DONE-1"}


def test_a_wrong_token_is_told_before_anything_that_a_store_could_say(form):
    said(form, "DONE-1")
    form.fields["token"].value = "done_1"
    assert form.fields["token"].message == "Token ID format invalid: 'done_1'. Did you mean DONE-1?"
    form.fields["token"].repair()
    assert form.wait(20)
    assert form.fields["token"].message == REGISTERED


@pytest.mark.impatient
def test_a_store_that_does_not_answer_keeps_no_key_waiting_and_is_said_to_be_unchecked(opened, current, monkeypatch):
    current(accuracy=0.91)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HOKUSAI_API_KEY", "hk_s3cret")
        monkeypatch.setenv("HOKUSAI_API_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        form = opened(values=VALUES, wait=False)
        token = form.fields["token"]
        began = time.monotonic()
        for text in ("M", "MS", "MSG", "MSG-", "MSG-A", "MSG-AI"):
            token.value = text
        assert time.monotonic() - began < 1
        assert form.wait(20)
        assert token.message == (
            "Whether MSG-AI is in draft could not be checked. The token store did not answer within 2 seconds."
        )
        assert form.can_register
        assert "What will be written: m version 1 (new)" in html_of(form)
        assert "s3cret" not in html_of(form)
    deadline = time.monotonic() + 30
    while Asked._late and time.monotonic() < deadline:
        time.sleep(0.05)


def test_without_a_store_to_ask_nothing_is_asked(opened, current, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    current(accuracy=0.91)
    form = opened(values=VALUES)
    assert said(form, "MSG-AI") == "New here: no version carries this token yet."
    assert not (tmp_path / "data").exists()
    assert "hokusai-token-store" not in {thread.name for thread in threading.enumerate()}


def test_the_users_own_file_is_asked_once_there_is_a_token_in_it(opened, current, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    current(accuracy=0.91)
    made = open_store()
    made.list_tokens()
    assert said(opened(values=VALUES), "MSG-AI") == "New here: no version carries this token yet."
    create_token(made, "MSG-AI", Status.DEPLOYED)
    assert "Token is not in Draft status: MSG-AI is deployed." in said(opened(values=VALUES), "MSG-AI")
    made.database.close()


def test_in_mock_mode_any_token_is_in_draft(opened, monkeypatch, tmp_path):
    monkeypatch.setenv("HOKUSAI_MOCK_MODE", "true")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    form = opened(values=VALUES)
    assert said(form, "ANY-THING") == "In draft."
    assert not (tmp_path / "data").exists()
