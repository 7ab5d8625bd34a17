"""Tests of a prompt before it is promoted: named callables, and gates on metrics that were measured."""

from __future__ import annotations

import inspect
import operator
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias

from hokusai_nb.core.prompt_rules import parse_stage, refused
from hokusai_nb.core.user_code import message_of, result_of
from hokusai_nb.errors import HokusaiError, ModelValidationError
from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from hokusai_nb.core.prompt_facts import PromptFacts
    from hokusai_nb.schema.prompts import ModelStage

__all__ = ["PromptTestReport", "Requirements", "TestResult", "kept", "require_passed", "run_tests"]

PromptTest: TypeAlias = Callable[[Any], object]
"""Takes the `PromptModel`; passes unless it raises or returns something false. It may be a coroutine function."""
Requirements: TypeAlias = Iterable[str | PromptTest] | Mapping[str, str | PromptTest]
"""Metric gates (``"engagement_rate > 0.06"``) and callables; in a mapping by name."""

_GATE = re.compile(r"\s*([A-Za-z_][\w./\- ]*?)\s*(>=|<=|==|!=|>|<)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")
_COMPARE: dict[str, Callable[[Decimal, Decimal], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_METRICS = "performance_metrics"


@dataclass(frozen=True)
class TestResult:
    """What became of one test or gate."""

    __test__ = False  # pytest would take it for a test of its own

    name: str
    passed: bool
    detail: str = ""
    """What was measured, or why it failed."""


@dataclass(frozen=True)
class PromptTestReport:
    """What became of all tests of a version; true where all passed."""

    name: str
    version: str
    stage: ModelStage
    """The stage that it was tested for."""
    results: tuple[TestResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return all(result.passed for result in self.results)

    @property
    def failed(self) -> tuple[TestResult, ...]:
        """The tests that did not pass."""
        return tuple(result for result in self.results if not result.passed)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        """One line for each test."""
        lines = [f"{'passed' if r.passed else 'FAILED'}  {r.name}: {r.detail}".rstrip(": ") for r in self.results]
        return "\n".join([f"{self.name} {self.version} for {self.stage.value}", *lines])


def run_tests(
    model: PromptFacts,
    stage: ModelStage | str,
    tests: Requirements = (),
    *,
    metrics: Mapping[str, object] | None = None,
) -> PromptTestReport:
    """Test a prompt for a stage and return what became of it; a test that fails stops no other.

    Args:
        model: The prompt.
        stage: The stage that it would be promoted to.
        tests: Metric gates such as ``"engagement_rate > 0.06"``, and callables, which are given the prompt and
            pass unless they raise, whatever it is, or return something false. A coroutine is run to its end; a
            generator, whose body nobody runs, fails. In a mapping they have names.
        metrics: What the gates look at, by name; the metadata's ``performance_metrics``, and then its
            own numbers, if left out.

    Raises:
        ModelValidationError: A gate cannot be read, a test is neither a gate nor callable, or there is no such
            stage.
    """
    wanted = parse_stage(stage)
    measured = _metrics_of(model) if metrics is None else metrics
    if not isinstance(measured, Mapping):
        what = f"Metrics must be a mapping: {quoted(measured)}"
        raise refused(what, "Such as {'engagement_rate': 0.07}.", field="metrics")
    results = tuple(
        _gate(name, test, measured) if isinstance(test, str) else _called(name, test, model)
        for name, test in _named(tests)
    )
    return PromptTestReport(model.name, model.version, wanted, results)


def require_passed(model: PromptFacts, stage: ModelStage, tests: Requirements) -> None:
    """Refuse a promotion whose tests do not pass.

    Raises:
        ModelValidationError: ``Tests failed``; each test that did is a problem of its own.
    """
    report = run_tests(model, stage, tests)
    if not report.passed:
        head = f"Tests failed: {model.name} {model.version} cannot be promoted to {stage.value}"
        raise ModelValidationError(
            [Problem(field="tests", what=f"{head}: {r.name}: {r.detail}") for r in report.failed]
        )


def kept(tests: Requirements) -> Requirements:
    """Return tests that can be gone through more than once, as an iterator cannot.

    Raises:
        ModelValidationError: They are no tests.
    """
    given: Requirements = dict(tests) if isinstance(tests, Mapping) else _series(tests)
    _named(given)
    return given


def _series(tests: object) -> list[Any]:
    if isinstance(tests, str) or callable(tests):
        return [tests]
    if not isinstance(tests, Iterable):
        what = f"Tests must be a series: {quoted(tests)}"
        raise refused(what, "Give metric gates and callables, or a mapping of them.", field="tests")
    return [*tests]


def _named(tests: Requirements) -> list[tuple[str, str | PromptTest]]:
    if isinstance(tests, Mapping):
        found = [(str(name), test) for name, test in tests.items()]
    else:
        found = [
            (test.strip() if isinstance(test, str) else getattr(test, "__name__", quoted(test)), test)
            for test in _series(tests)
        ]
    for _, test in found:
        if not isinstance(test, str) and not callable(test):
            what = f"A test must be a metric gate or callable: {quoted(test)}"
            raise refused(what, "Such as 'engagement_rate > 0.06', or a function of the prompt.", field="tests")
    return found


def _called(name: str, test: PromptTest, model: PromptFacts) -> TestResult:
    try:
        answer = test(model)
        while inspect.isawaitable(answer):
            answer = result_of(answer)
        if isinstance(answer, (Iterator, AsyncIterator)):
            kind = type(answer).__name__.replace("_", " ")
            detail = f"it returned a {kind}, which nobody runs: return True or False, or raise."
            return TestResult(name, passed=False, detail=detail)
        # numpy's False is no False, but equal to it; None is what an assert leaves.
        passed = answer is None or bool(answer)
    except KeyboardInterrupt:
        raise  # is the user's, and meant for all of them
    except HokusaiError as error:
        return TestResult(name, passed=False, detail=error.what)
    except BaseException as error:  # noqa: BLE001 - a test fails by raising whatever it likes; pytest.fail's is no Exception
        return TestResult(name, passed=False, detail=f"{type(error).__name__}: {message_of(error)}".rstrip(": "))
    return TestResult(name, passed=passed, detail="" if passed else f"it returned {quoted(answer)}.")


def _gate(name: str, gate: str, metrics: Mapping[str, object]) -> TestResult:
    match = _GATE.fullmatch(gate)
    limit = _decimal(match[3]) if match else None
    if match is None or limit is None:
        what = f"A metric gate cannot be read: {quoted(gate)}"
        raise refused(what, "Write NAME, one of > >= < <= == !=, and a number: engagement_rate > 0.06", field="tests")
    metric = match[1]
    value = _decimal(metrics.get(metric))
    if value is None:
        return TestResult(name, passed=False, detail=f"no value of {metric} is known.")
    return TestResult(name, passed=_COMPARE[match[2]](value, limit), detail=f"{metric} is {value}.")


def _metrics_of(model: PromptFacts) -> dict[str, object]:
    measured = model.metadata.get(_METRICS)
    return {**model.metadata, **(measured if isinstance(measured, Mapping) else {})}


def _decimal(value: object) -> Decimal | None:
    """Return a finite number, exactly as it is written; None for anything else."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
