from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.servers import scripted

HOKUSAI = str(Path(sys.executable).with_name("hokusai"))
NEXT = r"next try at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture
def deployed(shell, as_json, model_file, monkeypatch):
    """Have a token be deployed with a webhook; return the id of the event that tells of it."""
    monkeypatch.setenv("HOKUSAI_WEBHOOK_ALLOW_PRIVATE", "true")
    monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["console"]')

    def deploy(url):
        shell("token", "create", "XRAY")
        file = ["--model-path", model_file, "--metric", "auroc", "--baseline", "0.82", "--value", "0.9"]
        shell("model", "register", "--token-id", "XRAY", *file)
        monkeypatch.setenv("HOKUSAI_EVENT_HANDLERS", '["console", "webhook"]')
        shell("token", "deploy", "XRAY", "--webhook-url", url)
        return as_json("events", "list", "--limit", 1)["entries"][0]["event"]["event_id"]

    return deploy


def test_a_list_says_until_when_a_delivery_waits_and_why(shell, deployed):
    deployed(f"http://127.0.0.1:{free_port()}/hook?key=s3cret")
    shown = shell("events", "list", "--state", "pending").stdout
    assert re.search(rf"pending \(\d+\); {NEXT}; last error: \S", shown), shown
    assert "s3cret" not in shown
    assert "hokusai events list --state pending" in shell("events", "deliver").stdout


def test_beginning_anew_with_what_is_pending_says_that_it_waits_and_until_when(shell, deployed):
    event = deployed(f"http://127.0.0.1:{free_port()}/hook")
    said = shell("events", "retry", event).stdout
    assert said.startswith(
        "0 deliveries begin anew.\nNone was given up; the event is pending:\nwebhook http://127.0.0.1"
    )
    assert re.search(f"{NEXT}; last error: ", said.splitlines()[2])
    assert "console" not in said


def test_beginning_anew_with_what_was_delivered_says_that_it_was(shell, as_json, deployed):
    with scripted(lambda *_: (204, "", {})) as receiver:
        event = deployed(receiver.address)
        assert shell("events", "retry", event).stdout.splitlines()[:2] == [
            "0 deliveries begin anew.",
            "None was given up, and none is pending: whoever was to be told of the event has been told.",
        ]
    assert as_json("events", "list", "--state", "pending")["entries"] == []


def test_what_was_given_up_begins_anew_without_an_excuse(shell, deployed):
    answers = iter([410])
    with scripted(lambda *_: (next(answers, 204), "", {})) as receiver:
        event = deployed(receiver.address)
        assert "dead (1); last error: " in shell("events", "list", "--state", "dead").stdout
        assert shell("events", "retry", event).stdout == "1 deliveries begin anew.\nDelivered 1; 0 pending.\n"


def test_the_usage_shows_that_an_event_can_be_left_out(shell):
    assert "events retry [OPTIONS] [EVENT]" in shell("events", "retry", "--help").stdout


@pytest.mark.slow
def test_a_watching_worker_delivers_what_comes_and_ends_well_when_it_is_told_to_stop(as_json, deployed):
    from hokusai_nb.site.opening import open_store

    answers = iter([410])
    with scripted(lambda *_: (next(answers, 204), "", {})) as receiver:
        event = deployed(f"{receiver.address}/hook")
        command, env = [HOKUSAI, "events", "deliver", "--watch"], dict(os.environ)
        worker = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert worker.stderr.readline() == "Delivering events; stop with Ctrl-C.\n"
            assert len(receiver.requests) == 1, "nothing was due yet"
            assert open_store().retry(event) == 1
            deadline = time.monotonic() + 60
            while as_json("events", "list", "--state", "pending")["entries"] and time.monotonic() < deadline:
                assert worker.poll() is None
                time.sleep(0.1)
            worker.send_signal(signal.SIGTERM)
            out, err = worker.communicate(timeout=20)
        finally:
            worker.kill()
            worker.wait()
    assert (worker.returncode, out) == (0, ""), err
    assert len(receiver.requests) == 2
    states = {d["handler"]: d["state"] for d in as_json("events", "list", "--limit", 1)["entries"][0]["deliveries"]}
    assert states == {"console": "delivered", f"webhook {receiver.address}": "delivered"}
