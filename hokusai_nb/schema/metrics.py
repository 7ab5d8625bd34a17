"""The catalogue of benchmark metrics: direction, range, aliases and family of each."""

from __future__ import annotations

import difflib
import re
import threading
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import pydantic

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import Problem, checked, guess_or, joined_words, plain, quoted, raise_for
from hokusai_nb.schema.values import ARITHMETIC, check_decimal, format_decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DELTA_ONE",
    "STANDARD_METRICS",
    "Direction",
    "Metric",
    "MetricName",
    "check_benchmark",
    "check_metric",
    "delta_one_of",
    "find_metric",
    "improvement",
    "known_metrics",
    "register_metric",
    "same_metric",
]

MAX_NAME_LENGTH = 100
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Direction(StrEnum):
    """Which way is better."""

    MAX = "max"
    MIN = "min"

    @property
    def in_words(self) -> str:
        """``higher is better`` or ``lower is better``."""
        return "higher is better" if self is Direction.MAX else "lower is better"


class Metric(pydantic.BaseModel, frozen=True):
    """What is known about a benchmark metric.

    Values are in the metric's own unit; a rate is a fraction (0.1342), never a percentage.
    """

    name: str
    direction: Direction
    lower: Decimal | None = None
    """Smallest possible value, inclusive; None where there is none."""
    upper: Decimal | None = None
    """Largest possible value, inclusive; None where there is none."""
    family: str = "custom"
    aliases: tuple[str, ...] = ()

    @property
    def range_in_words(self) -> str:
        """The range as a message says it; empty where the metric is unbounded.

        >>> find_metric("auc").range_in_words
        'between 0 and 1'
        """
        match (self.lower, self.upper):
            case (None, None):
                return ""
            case (lower, None):
                return f"at least {lower}"
            case (None, upper):
                return f"at most {upper}"
            case (lower, upper):
                return f"between {lower} and {upper}"

    def contains(self, value: Decimal) -> bool:
        """Whether the value lies in the metric's range."""
        return (self.lower is None or value >= self.lower) and (self.upper is None or value <= self.upper)

    def means_the_same(self, other: Metric) -> bool:
        """Whether both have one direction and one range."""
        return (self.direction, self.lower, self.upper) == (other.direction, other.lower, other.upper)

    def better(self, candidate: Decimal, than: Decimal) -> bool:
        """Whether the candidate is strictly better."""
        return improvement(self, baseline=than, candidate=candidate) > 0


def improvement(metric: Metric, *, baseline: Decimal, candidate: Decimal) -> Decimal:
    """Return how far the candidate beats the baseline; negative means worse.

    All three share the metric's unit.

    >>> improvement(find_metric("rmse"), baseline=Decimal("0.15"), candidate=Decimal("0.13"))
    Decimal('0.02')
    """
    gain = ARITHMETIC.subtract(candidate, baseline)
    return gain if metric.direction is Direction.MAX else ARITHMETIC.minus(gain)


def _family(family: str, lower: int | None, upper: int | None, direction: Direction, *names: str) -> list[Metric]:
    """Make metrics that share a range and a direction; ``a=b`` says that b is an alias of a."""
    low, high = (None if bound is None else Decimal(bound) for bound in (lower, upper))
    split = [name.split("=") for name in names]
    return [
        Metric(name=first, aliases=tuple(rest), family=family, lower=low, upper=high, direction=direction)
        for first, *rest in split
    ]


_STANDARD = [
    *_family(
        "classification", 0, 1, Direction.MAX, "accuracy", "auroc=auc=roc_auc", "f1=f1_score", "precision", "recall"
    ),
    *_family("regression", 0, None, Direction.MIN, "mse", "rmse", "mae"),
    *_family("regression", None, 1, Direction.MAX, "r2=r2_score"),
    *_family("nlp", 1, None, Direction.MIN, "perplexity"),
    *_family("nlp", 0, 1, Direction.MAX, "bleu=bleu_score", "rouge=rouge_score"),
    *_family("ranking", 0, 1, Direction.MAX, "ndcg", "map", "mrr"),
    *_family("custom", 0, 1, Direction.MAX, "reply_rate", "conversion_rate"),
    *_family("custom", 0, None, Direction.MAX, "engagement_score"),
]

STANDARD_METRICS: Mapping[str, Mapping[str, Metric]] = MappingProxyType(
    {
        family: MappingProxyType({m.name: m for m in _STANDARD if m.family == family})
        for family in ("classification", "regression", "nlp", "ranking", "custom")
    }
)
"""The catalogue by family: ``STANDARD_METRICS["regression"]["rmse"].direction``."""

_lock = threading.Lock()
_by_name: dict[str, Metric] = {name: m for m in _STANDARD for name in (m.name, *m.aliases)}


def known_metrics() -> list[Metric]:
    """Return every metric of the catalogue and every declared one, in order of declaration."""
    with _lock:
        return list(dict.fromkeys(_by_name.values()))


def find_metric(name: object) -> Metric | None:
    """Return the metric of that name or alias, or None if it is not declared."""
    return _by_name.get(plain(name)) if isinstance(name, str) else None


def same_metric(first: str, second: str) -> bool:
    """Whether two names stand for one metric, aliases resolved.

    >>> same_metric("auc", "roc_auc"), same_metric("f1", "recall")
    (True, False)
    """
    metric = find_metric(first)
    return first == second or (metric is not None and metric == find_metric(second))


def register_metric(
    name: str,
    direction: Direction | str,
    range: tuple[object, object] = (None, None),  # noqa: A002 - the catalogue's own word
    aliases: tuple[str, ...] = (),
) -> Metric:
    """Declare a metric of your own for this process, so that improvement has a direction.

    Declaring it again with the same meaning changes nothing.

    Args:
        name: snake_case name, as it will stand in the tag.
        direction: ``"max"`` if higher is better, ``"min"`` if lower is.
        range: Smallest and largest possible value, either None.
        aliases: Other names for the same metric.

    Raises:
        ValidationError: A name is malformed or taken by a different metric, the direction is
            neither word, or a bound is no number.
    """
    raise_for(_check_declaration(name, direction, range, aliases))
    lower, upper = (None if bound is None else Decimal(format_decimal(bound)) for bound in range)
    keys = [plain(key) for key in (name, *aliases)]
    metric = Metric(name=keys[0], direction=Direction(direction), lower=lower, upper=upper, aliases=tuple(keys[1:]))
    with _lock:
        declared = _by_name.get(keys[0], metric)
        if not declared.means_the_same(metric):
            declared = metric
        for key in keys:
            if _by_name.get(key, declared) != declared:
                what = f"Metric {key} is already declared differently."
                hint = "Choose another name, or restart the kernel to declare it anew."
                raise ValidationError([Problem(field="name", what=what, hint=hint)])
        _by_name.update(dict.fromkeys(keys, declared))
    return declared


def _check_declaration(name: object, direction: object, bounds: object, aliases: object) -> list[Problem]:
    """Return what is wrong with a metric that is to be declared."""
    if not isinstance(aliases, (tuple, list)):
        what = f"Aliases must be a tuple of names: {quoted(aliases)}"
        return [Problem(field="aliases", what=what, hint="Such as ('f1', 'f1_score').")]
    problems = [p.under("name") for p in _check_name(name)]
    problems += [p.under("aliases") for alias in aliases for p in _check_name(alias)]
    if not isinstance(direction, str) or direction not in set(Direction):
        what = f"Direction must be 'max' or 'min': {quoted(direction)}"
        problems.append(Problem(field="direction", what=what, hint="Use 'max' where higher is better."))
    return [*problems, *_check_bounds(bounds)]


def _check_bounds(bounds: object) -> list[Problem]:
    hint = "Such as (0, 1), or (0, None) where there is no largest value."
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:  # noqa: PLR2004 - lower and upper
        return [Problem(field="range", what=f"Range must be a pair: {quoted(bounds)}", hint=hint)]
    given = [bound for bound in bounds if bound is not None]
    for bound in given:
        if check_decimal(bound):
            return [Problem(field="range", what=f"A bound must be a number: {quoted(bound)}", hint=hint)]
    numbers = [Decimal(format_decimal(bound)) for bound in given]
    if numbers != sorted(numbers):
        return [Problem(field="range", what=f"The lower bound is above the upper: {quoted(bounds)}", hint=hint)]
    return []


def _check_name(name: object, *, declared: bool = False) -> list[Problem]:
    """Return what is wrong with the form of a metric's name; the repair is declared where the name must be."""
    text = plain(name) if isinstance(name, str) else ""
    if len(text) > MAX_NAME_LENGTH:
        repair, hint = None, f"It has {len(text):,} characters; {MAX_NAME_LENGTH} is the most."
    elif _NAME.fullmatch(text):
        return []
    else:
        spelled = joined_words(text.lower(), "_") or ""
        fits = len(spelled) <= MAX_NAME_LENGTH and _NAME.fullmatch(spelled) and not declared
        repair = _suggestion(text) or (spelled if fits else None)
        hint = guess_or(repair, "Use lower-case words joined by underscores, such as f1_score.")
    return [Problem(field="metric", what=f"Metric name invalid: {quoted(name)}", hint=hint, repair=repair)]


def _suggestion(name: str) -> str | None:
    """Guess the declared metric behind ``val_accuracy``, ``test/auc`` or a misspelling."""
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w]
    tails = ("_".join(words[i:]) for i in range(len(words)))
    if exact := next((tail for tail in tails if tail in _by_name), None):
        return exact
    return next(iter(difflib.get_close_matches(name.lower(), list(_by_name), n=1, cutoff=0.8)), None)


def check_metric(name: object, *, declared: bool = False) -> list[Problem]:
    """Return what is wrong with a metric's name.

    Args:
        name: What the user gave.
        declared: Refuse a metric that is not in the catalogue, instead of warning.
    """
    if problems := _check_name(name, declared=declared):
        return problems
    assert isinstance(name, str)
    text = plain(name)
    if find_metric(text) is not None:
        return []
    guess = _suggestion(text)
    declare = "Declare it with register_metric(name, direction=…), or improvement will have no direction."
    return [
        Problem(
            field="metric",
            what=f"Metric {text} is not in the catalogue.",
            hint=f"{guess_or(guess, '')} {declare}".strip(),
            repair=guess,
            severity="error" if declared else "warning",
        )
    ]


def check_benchmark(metric: object, value: object, *, field: str = "value") -> list[Problem]:
    """Return what is wrong with a value of a metric: no number, or out of the metric's range."""
    if problems := check_decimal(value, field=field):
        return [_within_range(metric, problem) for problem in problems]
    name = plain(metric) if isinstance(metric, str) else ""
    known, number = find_metric(name), Decimal(format_decimal(value))
    if known is None or known.contains(number):
        return []
    repair, hint = _slip(known, number)
    what = f"{name} must be {known.range_in_words}: {quoted(format_decimal(value))}"
    return [Problem(field=field, what=what, hint=hint, repair=repair)]


def _within_range(metric: object, problem: Problem) -> Problem:
    """Return a finding about a number's form with a repair that also lies in the metric's range."""
    further = [] if problem.repair is None else check_benchmark(metric, problem.repair)
    if not further:
        return problem
    repair = further[0].repair
    return problem.model_copy(update={"repair": repair, "hint": guess_or(repair, further[0].hint)})


def _slip(metric: Metric, number: Decimal) -> tuple[str | None, str]:
    """Guess the value behind a percentage, or behind the sign of a score that is to be maximised."""
    percent = ARITHMETIC.scaleb(number, -2)
    if metric.upper == 1 and number > 1 and metric.contains(percent):
        guess, reason = format(percent, "f"), "Give a fraction, not a percentage."
    elif metric.direction is Direction.MIN and number < 0 and metric.contains(number.copy_negate()):
        guess, reason = format(number.copy_negate(), "f"), "An error has no sign."
    else:
        return None, "Look again at the metric and at the value's unit."
    return (None, reason) if check_decimal(guess) else (guess, f"{guess_or(guess, '')} {reason}")


MetricName = Annotated[
    str,
    pydantic.BeforeValidator(checked(check_metric, plain)),
    pydantic.WithJsonSchema(
        {"type": "string", "maxLength": MAX_NAME_LENGTH, "pattern": "^[a-z][a-z0-9_]*$"}, mode="validation"
    ),
]
"""A well-formed metric name, as the user wrote it."""


DELTA_ONE = Decimal("0.01")
"""One percentage point, the step that is rewarded, in the unit of a fraction."""


def delta_one_of(metric: Metric) -> Decimal | None:
    """Return the step of one DeltaOne in the metric's unit; None where it is no fraction between 0 and 1."""
    return DELTA_ONE if metric.lower == 0 and metric.upper == 1 else None
