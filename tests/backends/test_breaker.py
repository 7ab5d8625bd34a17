from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from hokusai_nb.backends.breaker import Breaker


def opened(rest=60.0):
    breaker = Breaker(failures=3, rest=rest)
    for _ in range(3):
        assert breaker.admits()
        breaker.fail()
    return breaker


def test_it_opens_after_so_many_failures_in_a_row():
    breaker = opened()
    assert breaker.is_open
    assert not breaker.admits()


def test_a_success_between_failures_starts_the_count_anew():
    breaker = Breaker(failures=2, rest=60)
    for _ in range(5):
        breaker.fail()
        breaker.succeed()
    assert breaker.admits()
    assert not breaker.is_open


def test_after_its_rest_one_probe_is_admitted_at_a_time():
    breaker = opened(rest=0.02)
    time.sleep(0.03)
    assert not breaker.is_open
    gate = threading.Barrier(8)

    def ask(_):
        gate.wait()
        return breaker.admits()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1
    assert breaker.is_open  # for everybody but the probe


def test_a_probes_success_closes_it_and_its_failure_opens_it_anew():
    breaker = opened(rest=0.02)
    time.sleep(0.03)
    assert breaker.admits()
    breaker.fail()
    assert breaker.is_open
    time.sleep(0.03)
    assert breaker.admits()
    breaker.succeed()
    assert breaker.admits()
    assert breaker.admits()


def test_a_probe_that_was_broken_off_leaves_its_place_to_another():
    breaker = opened(rest=0.02)
    time.sleep(0.03)
    assert breaker.admits()
    assert not breaker.admits()
    breaker.withdraw()
    assert breaker.admits()
