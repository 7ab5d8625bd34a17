"""Semantic versions of prompts: which may follow which, and what a change warrants."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, get_args

from pydantic import BeforeValidator, WithJsonSchema

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem, checked, guess_or, plain, quoted
from hokusai_nb.schema.tag_values import parse_semver

if TYPE_CHECKING:
    from collections.abc import Iterable

    import semver

    from hokusai_nb.schema.templates import Template

__all__ = [
    "Bump",
    "Place",
    "Step",
    "VersionText",
    "check_version",
    "counting",
    "is_enough",
    "is_prerelease",
    "least_step",
    "next_version",
    "parse_version",
    "step_between",
]

Bump = Literal["major", "minor", "patch"]
"""What a version is raised by."""
Step = Literal["major", "minor", "patch", "prerelease", "none"]
"""How far two versions are apart: the first part that differs."""
_COMPARED: tuple[Step, ...] = ("major", "minor", "patch", "prerelease")
_ORDER: tuple[Step, ...] = ("none", "prerelease", "patch", "minor", "major")
_PARTS = re.compile(r"[vV]?\s*(\d{1,18})(?:\.(\d{1,18}))?(?:\.(\d{1,18}))?([-+].*)?", re.ASCII | re.DOTALL)
_EXAMPLE = "Give MAJOR.MINOR.PATCH, such as 1.4.0."


def check_version(value: object, *, field: str = "version") -> list[Problem]:
    """Return what is wrong with a prompt's version: it is strictly semantic, so without leading zeros."""
    text = plain(value) if isinstance(value, str) else ""
    if parse_semver(text):
        return []
    repair = _repair(text if isinstance(value, str) else quoted(value))
    hint = guess_or(repair, _EXAMPLE)
    return [Problem(field=field, what=f"Invalid version format: {quoted(value)}", hint=hint, repair=repair)]


def _repair(text: str) -> str | None:
    """Guess the version in white space, after a v, with parts left out or with leading zeros."""
    parts = _PARTS.fullmatch(text.strip())
    if not parts:
        return None
    *numbers, rest = parts.groups()
    guess = ".".join(str(int(n or "0")) for n in numbers) + (rest or "")
    return guess if parse_semver(guess) else None


def parse_version(text: object, *, field: str = "version") -> semver.Version:
    """Return the version, which compares by precedence: builds (``+…``) of one version are equal.

    Raises:
        ModelValidationError: ``Invalid version format: …``.

    >>> parse_version("1.10.0") > parse_version("1.9.0") > parse_version("1.9.0-rc.1")
    True
    """
    if problems := check_version(text, field=field):
        raise ModelValidationError(problems)
    assert isinstance(text, str)
    version = parse_semver(plain(text))
    assert version is not None
    return version


def is_prerelease(text: str) -> bool:
    """Whether a text is a version that prepares a release; a text that is no version is none.

    >>> is_prerelease("2.0.0-rc.1"), is_prerelease("2.0.0+build"), is_prerelease("latest")
    (True, False, False)
    """
    version = parse_semver(plain(text))
    return version is not None and version.prerelease is not None


def next_version(current: str, bump: Bump) -> str:
    """Return the version that follows; a pre-release is followed by the release that it prepares.

    Raises:
        ModelValidationError: The version or the step is none.

    >>> next_version("1.4.2", "minor"), next_version("2.0.0-rc.1", "major")
    ('1.5.0', '2.0.0')
    """
    version = parse_version(current)
    if bump not in get_args(Bump):
        what = f"There is no version step {quoted(bump)}."
        raise ModelValidationError([Problem(field="bump", what=what, hint="Use major, minor or patch.")])
    return str(version.next_version(bump))


def step_between(old: str, new: str) -> Step:
    """Return the first part in which two versions differ, whichever of them is the later.

    Raises:
        ModelValidationError: One of them is no version.

    >>> step_between("1.4.2", "1.5.0"), step_between("2.0.0-rc.1", "2.0.0"), step_between("1.0.0", "1.0.0+b")
    ('minor', 'prerelease', 'none')
    """
    first, second = parse_version(old), parse_version(new)
    for part in _COMPARED:
        if getattr(first, part) != getattr(second, part):
            return part
    return "none"


def least_step(old: Template, new: Template) -> Bump:
    """Return the smallest step that says what the change means for callers.

    A variable removed, or renamed, is major; a variable added is minor; any other change is a patch.
    """
    before, after = set(old.variables), set(new.variables)
    return "major" if before - after else "minor" if after - before else "patch"


def is_enough(step: Step, least: Bump) -> bool:
    """Whether a step is at least as large as the one that a change warrants.

    >>> is_enough("major", "minor"), is_enough("patch", "minor"), is_enough("prerelease", "patch")
    (True, False, False)
    """
    return _ORDER.index(step) >= _ORDER.index(least)


class Place(NamedTuple):
    """A registered version among those of its prompt.

    Attributes:
        number: MLflow's number, which it gives in the order of creation.
        version: Its semantic version.
        after: The number of the newest version that counted when its writer looked, 0 where none did;
            None where the writer did not say.
    """

    number: int
    version: str
    after: int | None


def counting(places: Iterable[Place]) -> set[int]:
    """Return the numbers of the versions that count: of those written at once from one look, only the first does.

    A version was judged against the one that its writer saw. Where another came between, that judgement says
    nothing, and the version does not count, whether or not its writer lives to take it back. What a writer saw did
    count, also where it was deleted since: else a deletion could bring back what lost to it, and so take away what
    came later. Where a writer did not say what it saw, its version counts, unless its semantic version was there
    before.

    >>> sorted(counting([Place(1, "1.0.0", 0), Place(2, "3.0.0", 1), Place(3, "2.0.0", 1), Place(4, "3.0.1", 2)]))
    [1, 2, 4]
    """
    ordered = sorted(places, key=lambda p: p.number)
    seen = sorted({p.after for p in ordered if p.after is not None and p.after < p.number})
    found: set[int] = set()
    versions: set[str] = set()
    last = 0
    for number, version, after in ordered:
        if after is None:
            counts = version not in versions
        else:
            before = bisect_left(seen, number)
            counts = max(last, seen[before - 1] if before else 0) <= after
        if counts:
            last = number
            found.add(number)
            versions.add(version)
    return found


VersionText = Annotated[
    str,
    BeforeValidator(checked(check_version, plain)),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\.\d+\.\d+([\-+].*)?$"}, mode="validation"),
]
"""A prompt's version: strictly semantic."""
