"""What a Python caller gets that a magic line or a form does not need."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Protocol, TypeVar

from hokusai_nb.errors import HokusaiWarning, ValidationError
from hokusai_nb.schema.problems import Problem, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["stated", "warned"]


class _Doubtful(Protocol):
    """A record with what was accepted and should be looked at."""

    @property
    def warnings(self) -> Sequence[Problem]: ...


R = TypeVar("R", bound=_Doubtful)


def stated(argument: str, value: object) -> str:
    """Return an argument that must be given: a verb that lacks it would take the current run's.

    Raises:
        ValidationError: It is None, blank or no text.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValidationError([Problem(field=argument, what=f"{argument} is missing.", hint="It is required.")])
    if not isinstance(value, str):
        what = f"{argument} must be text: {quoted(value)}"
        raise ValidationError([Problem(field=argument, what=what, hint="Such as models:/m-… or a run's id.")])
    return value


def warned(made: R) -> R:
    """Return the record, and warn in the caller's own line of what a card would show below it."""
    level, frame = 1, sys._getframe()  # noqa: SLF001 - the one way to find the line outside of this package
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("hokusai_nb."):
        level, frame = level + 1, frame.f_back
    for problem in made.warnings:
        warnings.warn(problem.sentence, HokusaiWarning, stacklevel=level)
    return made
