from __future__ import annotations

import datetime as dt
import signal
import threading

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql.idempotency import Answer, Claim, UnderWayError, claim, complete, release
from hokusai_nb.backends.sql.tables import idempotency_keys
from hokusai_nb.errors import ConflictError
from tests.processes import described, start

DONE = Answer(201, '{"token_id": "MSG-AI", "name": "ö\u2028"}')


def age(database, seconds):
    with database.transaction() as connection:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)
        connection.execute(sa.update(idempotency_keys).values(created_at=past))


def test_a_request_is_carried_out_once_and_answered_the_same_again(database):
    taken = claim(database, "me", "k", b"POST /tokens {}")
    assert isinstance(taken, Claim)
    complete(database, taken, DONE)
    assert [claim(database, "me", "k", b"POST /tokens {}") for _ in range(2)] == [DONE, DONE]


def test_a_request_that_is_under_way_is_not_begun_again(database):
    assert isinstance(claim(database, "me", "k", b"r"), Claim)
    with pytest.raises(UnderWayError, match="is being carried out"):
        claim(database, "me", "k", b"r")


def test_the_same_key_with_another_request_is_a_conflict(database):
    taken = claim(database, "me", "k", b"r")
    for _ in range(2):
        with pytest.raises(ConflictError, match="was used for another request") as caught:
            claim(database, "me", "k", b"another")
        assert not isinstance(caught.value, UnderWayError)
        complete(database, taken, DONE)
    assert claim(database, "me", "k", b"r") == DONE


def test_another_owners_request_of_the_same_key_is_another_request(database):
    complete(database, claim(database, "me", "k", b"r"), DONE)
    assert isinstance(claim(database, "you", "k", b"r"), Claim)
    assert isinstance(claim(database, "m", "ek", b"r"), Claim)


def test_a_request_that_was_given_back_is_begun_anew(database):
    release(database, claim(database, "me", "k", b"r"))
    assert isinstance(claim(database, "me", "k", b"other"), Claim)


def test_the_claim_of_a_process_that_died_lapses(database):
    dead = claim(database, "me", "k", b"r")
    age(database, 100)
    with pytest.raises(UnderWayError):
        claim(database, "me", "k", b"r")
    age(database, 121)
    with pytest.raises(ConflictError, match="another request"):
        claim(database, "me", "k", b"another")
    taken = claim(database, "me", "k", b"r")
    assert isinstance(taken, Claim)
    with pytest.raises(UnderWayError):
        claim(database, "me", "k", b"r")
    # It was only slow: whoever took over decides what the answer is.
    complete(database, dead, Answer(500, "late"))
    release(database, dead)
    complete(database, taken, DONE)
    complete(database, taken, Answer(500, "twice"))
    assert claim(database, "me", "k", b"r") == DONE


DYING = """
import os, signal, sys
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.sql.idempotency import claim
from hokusai_nb.config import read_database_file
claim(Database.at(read_database_file(sys.argv[1])), "me", "k", b"r")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_keeps_its_claim_until_it_lapses(database, database_config, tmp_path):
    killed = start(DYING, described(database_config, tmp_path))
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(UnderWayError):
        claim(database, "me", "k", b"r")
    assert isinstance(claim(database, "me", "k", b"r", lapse_seconds=0), Claim)


def test_an_answer_is_forgotten_after_a_day(database):
    complete(database, claim(database, "me", "k", b"r"), DONE)
    age(database, 23 * 3600)
    assert claim(database, "me", "k", b"r") == DONE
    age(database, 25 * 3600)
    assert isinstance(claim(database, "me", "k", b"another"), Claim)
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(idempotency_keys)).scalar_one() == 1


@pytest.mark.parametrize("key", ["", "'; DROP TABLE idempotency_keys; --", "\x00", "\ud800", "x" * 10_000, "ö\n"])
def test_a_hostile_key_is_a_key(database, key):
    complete(database, claim(database, "me", key, b"\x00\xff"), DONE)
    assert claim(database, "me", key, b"\x00\xff") == DONE
    assert isinstance(claim(database, "me", key + "x", b"\x00\xff"), Claim)


def test_of_threads_that_send_one_request_at_once_exactly_one_carries_it_out(database):
    for number in range(5):
        gate, taken, refused = threading.Barrier(4, timeout=30), [], []

        def send(key=f"k-{number}", gate=gate, taken=taken, refused=refused):
            gate.wait()
            try:
                taken.append(claim(database, "me", key, b"r"))
            except UnderWayError as error:
                refused.append(error)

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(taken), len(refused)) == (1, 3)
