"""Questions in the background: the last one is answered, no key waits, no thread stays."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from hokusai_nb.core.background import Background

PAUSE = 0.05


def gathered(ask=lambda question: question * 10, pause=PAUSE):
    told = []
    return Background(ask, lambda question, answer: told.append((question, answer)), pause=pause), told


def test_only_the_last_of_many_quick_questions_is_asked():
    asked = []
    background, told = gathered(lambda question: asked.append(question) or question)
    for question in range(20):
        background.put(question)
    assert background.wait(5)
    assert asked == [19]
    assert told == [(19, 19)]


def test_asking_never_waits_for_an_answer_that_is_under_way():
    free = threading.Event()
    background, told = gathered(lambda question: free.wait(5) and question, pause=0)
    background.put(1)
    time.sleep(0.05)
    began = time.monotonic()
    background.put(2)
    assert time.monotonic() - began < 0.05
    free.set()
    assert background.wait(5)
    assert told == [(2, 2)]


def test_waiting_gives_up_after_its_time():
    free = threading.Event()
    background, _ = gathered(lambda _: free.wait(5), pause=0)
    background.put(1)
    assert not background.wait(0.05)
    free.set()
    assert background.wait(5)


def test_the_thread_ends_with_its_answer_and_the_next_question_finds_another():
    background, told = gathered()
    before = threading.active_count()
    for question in (1, 2):
        background.put(question)
        assert background.wait(5)
        assert threading.active_count() == before
    assert told == [(1, 10), (2, 20)]


def test_whoever_is_told_may_ask_anew():
    told = []

    def tell(question, answer):
        told.append(answer)
        if question < 3:
            background.put(question + 1)

    background = Background(lambda question: question, tell, pause=0)
    background.put(1)
    assert background.wait(5)
    assert told == [1, 2, 3]


def test_after_a_stop_nothing_is_asked_and_nothing_told():
    free = threading.Event()
    background, told = gathered(lambda question: free.wait(5) and question, pause=0)
    background.put(1)
    time.sleep(0.02)
    background.stop()
    background.put(2)
    free.set()
    assert background.wait(5)
    assert told == []


def test_a_stop_during_the_pause_ends_the_thread_at_once():
    background, told = gathered(pause=60)
    background.put(1)
    background.stop()
    assert background.wait(1)
    assert told == []


def test_a_question_that_fails_is_logged_and_the_next_one_is_answered(caplog):
    background, told = gathered(lambda question: 1 / question, pause=0)
    with caplog.at_level(logging.ERROR, logger="hokusai_nb"):
        background.put(0)
        assert background.wait(5)
    assert "A question in the background failed." in caplog.text
    background.put(1)
    assert background.wait(5)
    assert told == [(1, 1.0)]


def test_a_question_that_ends_its_thread_is_logged_too_and_the_next_one_is_answered(caplog):
    def ask(question):
        if question == 0:
            raise SystemExit
        return question

    background, told = gathered(ask, pause=0)
    with caplog.at_level(logging.ERROR, logger="hokusai_nb"):
        background.put(0)
        assert background.wait(5)
    assert "A question in the background failed." in caplog.text
    background.put(1)
    assert background.wait(5)
    assert told == [(1, 1)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_was_killed_is_replaced_by_the_next_question():
    class Deadly(logging.Handler):
        def emit(self, record):
            raise SystemExit(record.getMessage())

    background, told = gathered(lambda question: 1 / question, pause=0)
    logger, deadly = logging.getLogger("hokusai_nb"), Deadly()
    logger.addHandler(deadly)
    try:
        background.put(0)
        began = time.monotonic()
        assert not background.wait(5), "its question was never answered"
        assert time.monotonic() - began < 2
    finally:
        logger.removeHandler(deadly)
    background.put(1)
    assert background.wait(5)
    assert told == [(1, 1.0)]
