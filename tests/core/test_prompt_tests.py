from __future__ import annotations

import asyncio
import signal
import sys
import threading
from decimal import Decimal

import numpy as np
import pytest

from hokusai_nb.core.prompts import PromptModel, run_tests
from hokusai_nb.errors import ModelValidationError
from tests.prompts import FULL

MEASURED = {**FULL, "performance_metrics": {"engagement_rate": 0.07}}


def prompt(**metadata):
    return PromptModel("hook", "Hi {name}", "1.0.0", metadata={**MEASURED, **metadata})


def fits_a_post(model):
    return len(model.render(name="x" * 100)) <= 280


def fails(model):
    assert model.name == "other", "not mine"


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        ("engagement_rate > 0.06", True),
        ("engagement_rate>=0.07", True),
        ("engagement_rate > 0.07", False),
        ("engagement_rate < 7e-2", False),
        (" engagement_rate == 0.07 ", True),
        ("engagement_rate != 0.07", False),
        ("engagement_rate <= 0.07", True),
        ("target >= -1", True),
        ("unknown > 0", False),
        ("author > 0", False),
        ("flag > 0", False),
    ],
)
def test_a_gate_compares_what_was_measured_exactly(gate, passed):
    report = run_tests(prompt(target=0.5, flag=True), "production", [gate])
    assert report.passed is passed
    assert bool(report) is passed


@pytest.mark.parametrize("gate", ["rate != 0.1", "rate > 0", "rate < 1", "rate >= 0", "rate <= 1", "rate == 1"])
@pytest.mark.parametrize("measured", ["NaN", "Infinity", "-inf", float("nan"), float("inf"), np.float64("nan")])
def test_what_is_no_finite_number_passes_no_gate(gate, measured):
    assert not run_tests(prompt(), "staging", [gate], metrics={"rate": measured}).passed


@pytest.mark.parametrize(("measured", "passed"), [(0.07, True), (0.01, False), (None, False), ("much", False)])
def test_what_was_measured_counts_before_another_number_of_the_metadata(measured, passed):
    metadata = {"rate": 0.02 if passed else 0.5, "performance_metrics": {"rate": measured}}
    assert run_tests(prompt(**metadata), "staging", ["rate > 0.06"]).passed is passed


def test_metrics_may_be_given():
    assert run_tests(prompt(), "staging", ["auc > 0.9"], metrics={"auc": "0.95"}).passed
    assert not run_tests(prompt(), "staging", ["engagement_rate > 0"], metrics={}).passed


@pytest.mark.parametrize("gate", ["", "engagement_rate", "> 0.06", "a > b", "a => 1", "a > 1.2.3", "a > 1 > 0"])
def test_a_gate_that_cannot_be_read_is_an_error_and_no_failed_test(gate):
    with pytest.raises(ModelValidationError, match="A metric gate cannot be read"):
        run_tests(prompt(), "production", [gate])


def test_one_that_fails_stops_no_other_and_each_says_why():
    tests = {"long": fits_a_post, "mine": fails, "no": lambda _: False, "values": lambda m: m.render(), "none": print}
    report = run_tests(prompt(), "staging", tests)
    assert [(r.name, r.passed) for r in report.results] == [
        ("long", True), ("mine", False), ("no", False), ("values", False), ("none", True),
    ]  # fmt: skip
    assert "AssertionError: not mine" in report.failed[0].detail
    assert "Missing required variables: name" in report.failed[2].detail
    assert "FAILED  no: it returned False" in str(report)


@pytest.mark.parametrize("answer", [False, 0, 0.0, "", [], np.False_, np.array([0]), Decimal(0)])
def test_whatever_is_false_fails(answer):
    (result,) = run_tests(prompt(), "staging", [lambda _: answer]).results
    assert not result.passed
    assert result.detail.startswith("it returned ")


@pytest.mark.parametrize("answer", [None, True, 1, "text", np.True_, np.array([1])])
def test_nothing_and_whatever_is_true_passes(answer):
    assert run_tests(prompt(), "staging", [lambda _: answer]).passed


async def waits(model):
    await asyncio.sleep(0)
    return model.name == "hook"


async def waits_and_fails(model):
    await waits(model)
    assert model.name == "other", "not mine"


class Awaited:
    """Is no coroutine, but can be awaited."""

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return False


async def leaves():
    sys.exit(3)


@pytest.mark.parametrize(
    ("test", "passed", "detail"),
    [
        (waits, True, ""),
        (waits_and_fails, False, "AssertionError: not mine"),
        (lambda _: Awaited(), False, "it returned False."),
        (lambda m: asyncio.wait_for(waits(m), 5), True, ""),
        (lambda _: leaves(), False, "SystemExit: 3"),
    ],
)
def test_a_coroutine_is_run_to_its_end_also_where_a_loop_is_running(test, passed, detail):
    async def in_a_notebook():
        return run_tests(prompt(), "staging", {"it": test})

    for report in (run_tests(prompt(), "staging", {"it": test}), asyncio.run(in_a_notebook())):
        assert [(r.passed, r.detail.partition("\n")[0]) for r in report.results] == [(passed, detail)]


def yields(model):
    yield model.name
    raise AssertionError


async def yields_later(model):
    yield model.name
    raise AssertionError


@pytest.mark.parametrize(
    ("test", "kind"),
    [(yields, "generator"), (yields_later, "async generator"), (lambda m: map(fails, [m]), "map")],
)
def test_a_generator_whose_body_nobody_runs_fails(test, kind):
    (result,) = run_tests(prompt(), "staging", [test]).results
    assert (result.passed, result.detail) == (
        False,
        f"it returned a {kind}, which nobody runs: return True or False, or raise.",
    )


class Mute(Exception):  # noqa: N818 - what it is is all that it says
    def __str__(self):
        raise OSError


def raises(error):
    def test(_):
        raise error

    return test


@pytest.mark.parametrize(
    ("test", "detail"),
    [
        (lambda _: pytest.fail("by hand"), "Failed: by hand"),
        (lambda _: pytest.skip("not today"), "Skipped: not today"),
        (lambda _: sys.exit("gone"), "SystemExit: gone"),
        (raises(GeneratorExit()), "GeneratorExit"),
        (raises(asyncio.CancelledError()), "CancelledError"),
        (raises(Mute()), "Mute: (its message failed: OSError)"),
        (lambda _: np.array([True, False]), "ValueError: The truth value of an array"),
    ],
)
def test_whatever_is_raised_fails_that_test_alone(test, detail):
    first, second = run_tests(prompt(), "staging", [test, fits_a_post]).results
    assert (first.passed, second.passed) == (False, True)
    assert first.detail.startswith(detail)


@pytest.mark.parametrize("tests", [None, 5, [5], [None], {"it": 5}, ["engagement_rate > 0", fails, b"x"]])
def test_what_is_no_test_is_refused_before_any_is_run(tests):
    with pytest.raises(ModelValidationError, match=r"Tests must be a series|must be a metric gate or callable"):
        run_tests(prompt(), "staging", tests)


def test_metrics_that_are_no_mapping_are_refused():
    with pytest.raises(ModelValidationError, match="Metrics must be a mapping"):
        run_tests(prompt(), "staging", ["a > 1"], metrics=[("a", 2)])


def test_one_test_may_be_given_without_a_list():
    assert not run_tests(prompt(), "staging", fails).passed
    assert run_tests(prompt(), "staging", "engagement_rate > 0").passed


def test_an_interrupt_is_the_users_and_ends_all_tests_and_a_coroutine_that_waits():
    ended = threading.Event()

    def main_thread_waits():
        return sys._current_frames()[threading.main_thread().ident].f_code.co_name == "result_of"

    async def waits_for_ever(_):
        while not main_thread_waits():  # noqa: ASYNC110 - nothing tells of a thread that it waits
            await asyncio.sleep(0)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_tests(prompt(), "staging", [waits_for_ever, fails])
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.is_set()


@pytest.mark.usefixtures("store")
def test_a_promotion_can_require_tests():
    made = prompt().register()
    with pytest.raises(
        ModelValidationError, match=r"Tests failed: hook 1\.0\.0 cannot be promoted to staging"
    ) as caught:
        made.promote_to_staging(require=[fits_a_post, fails, "engagement_rate > 0.08"])
    assert len(caught.value.problems) == 2
    assert len(made.get_history()) == 0
    with pytest.raises(ModelValidationError, match="Tests failed"):
        made.promote_to_staging(require=[waits_and_fails])
    made.promote_to_staging(require=[fits_a_post, waits]).promote_to_production(
        require={"rate": "engagement_rate > 0.06"}
    )
    assert made.stage == "production"
