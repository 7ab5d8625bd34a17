"""Whether an attempt is alive can be told from its name, by its own machine only."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from hokusai_nb.core.attempts import Attempt, acting_user, is_gone, new_owner
from hokusai_nb.errors import TokenNotFoundError
from hokusai_nb.schema.lifecycle import NewToken
from hokusai_nb.site.sql_store import SqlTokenStore

OWNER = "from hokusai_nb.core.attempts import new_owner; print(new_owner(), flush=True)"


@pytest.fixture
def tokens(sqlite_database):
    made = SqlTokenStore(sqlite_database)
    made.create(NewToken(token_id="XRAY"), by="site")
    return made


@pytest.fixture
def other():
    """Another process, which is alive, and the name of an attempt in it."""
    line = [sys.executable, "-c", f"{OWNER}; input()"]
    with subprocess.Popen(line, stdin=-1, stdout=-1, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def with_part(owner, place, value):
    parts = owner.split(" ")
    return " ".join([*parts[:place], value, *parts[place + 1 :]])


def test_a_process_is_alive_until_it_has_ended_also_before_its_parent_has_noticed(other):
    process, owner = other
    assert not is_gone(owner)
    process.kill()
    for _ in range(200):  # a process that nobody has waited for is a zombie
        if is_gone(owner):
            break
        time.sleep(0.01)
    assert is_gone(owner)
    process.wait()
    assert is_gone(owner)


def test_a_number_that_was_given_out_again_is_another_process(other):
    _, owner = other
    assert is_gone(with_part(owner, 4, "1"))


@pytest.mark.parametrize("place", [0, 1, 2], ids=["machine", "time it is up", "container"])
def test_of_a_process_elsewhere_nothing_can_be_told(other, place):
    process, owner = other
    process.kill()
    process.wait()
    assert is_gone(owner)
    assert not is_gone(with_part(owner, place, "other"))


@pytest.mark.parametrize("owner", ["", "somebody", "a b c d e f", "a b c -1 e f", "1 2 3 4 5 6 7"])
def test_of_a_name_that_another_program_made_up_nothing_can_be_told(owner):
    assert not is_gone(owner)


@pytest.mark.parametrize("pid", ["0", "9" * 30])
def test_a_number_that_no_process_has_harms_nobody(other, pid):
    _, owner = other
    assert is_gone(with_part(owner, 3, pid)) in (True, False)


def test_an_attempt_of_this_process_is_gone_once_its_block_is_left(tokens):
    with Attempt(tokens, tokens.get("XRAY"), by="me", lease_seconds=60) as attempt:
        assert tokens.get("XRAY").owner == attempt.owner
        assert not is_gone(attempt.owner)
    assert is_gone(attempt.owner)
    assert is_gone(new_owner())


def test_an_attempt_that_cannot_take_the_token_is_over(tokens):
    token = tokens.get("XRAY").model_copy(update={"token_id": "GONE"})
    attempt = Attempt(tokens, token, by="me", lease_seconds=60)
    with pytest.raises(TokenNotFoundError), attempt:
        pytest.fail("it was not taken")
    assert is_gone(attempt.owner)


def test_no_two_attempts_have_one_name():
    assert len({new_owner() for _ in range(100)}) == 100


def test_a_user_without_a_name_is_a_number(monkeypatch):
    assert acting_user()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    if os.geteuid() == 0:
        pid = os.fork()
        if not pid:
            os.setuid(54_321)
            os._exit(0 if acting_user() == "54321" else 1)
        assert os.waitpid(pid, 0)[1] == 0
