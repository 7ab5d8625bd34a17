"""Versions of prompts: strictly semantic, and raised by at least what a change warrants."""

from __future__ import annotations

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.templates import parse_template
from hokusai_nb.schema.versioning import (
    Place,
    VersionText,
    check_version,
    counting,
    is_enough,
    is_prerelease,
    least_step,
    next_version,
    parse_version,
    step_between,
)

modest = settings(max_examples=200, deadline=None)
numbers = st.integers(0, 10**6)
releases = st.builds("{}.{}.{}".format, numbers, numbers, numbers)
endings = st.sampled_from(["", "", "-rc.1", "-alpha", "-0.3.7", "+build.5", "-rc.1+001"])
versions = st.builds(str.__add__, releases, endings)
bumps = st.sampled_from(["major", "minor", "patch"])


@pytest.mark.parametrize(
    "text", ["0.0.0", "1.0.0", "10.20.30", "1.0.0-rc.1", "1.0.0-alpha+001", "1.0.0+20130313144700"]
)
def test_semantic_versions_are_taken(text):
    assert check_version(text) == []
    assert str(parse_version(text)) == text


@pytest.mark.parametrize(
    ("value", "repair"),
    [
        ("1.0", "1.0.0"),
        ("1", "1.0.0"),
        ("v1.2.3", "1.2.3"),
        (" 1.2.3\n", "1.2.3"),
        ("01.2.03", "1.2.3"),
        ("V 1.2", "1.2.0"),
        ("1.2-rc.1", "1.2.0-rc.1"),
        (1.5, "1.5.0"),
        (2, "2.0.0"),
        ("1.2.3.4", None),
        ("1.0.0-01", None),
        ("1..0", None),
        ("latest", None),
        ("", None),
        (None, None),
        (True, None),
        ("1.0.0-" + "a" * 300, None),
        ("9" * 5000, None),
        ("\N{ARABIC-INDIC DIGIT ONE}.0.0", None),
        ("1.0.0\n", "1.0.0"),
    ],
)
def test_anything_else_is_refused_with_the_version_that_was_meant(value, repair):
    (problem,) = check_version(value)
    assert problem.what.startswith("Invalid version format: ")
    assert problem.repair == repair
    assert problem.field == "version"
    with pytest.raises(ModelValidationError, match="Invalid version format"):
        parse_version(value)


@modest
@given(st.text(max_size=12) | st.text(alphabet="0123456789.-+v ", max_size=12) | versions)
def test_every_repair_is_a_version(text):
    for problem in check_version(text):
        assert problem.repair is None or check_version(problem.repair) == []
        assert problem.what.isprintable()


@pytest.mark.parametrize(
    ("current", "bump", "following"),
    [
        ("1.4.2", "patch", "1.4.3"),
        ("1.4.2", "minor", "1.5.0"),
        ("1.4.2", "major", "2.0.0"),
        ("2.0.0-rc.1", "major", "2.0.0"),
        ("1.5.0-rc.1", "minor", "1.5.0"),
        ("1.4.3-rc.1", "patch", "1.4.3"),
        ("1.4.3-rc.1", "minor", "1.5.0"),
        ("1.0.0+build", "patch", "1.0.1"),
    ],
)
def test_the_next_version_is_raised_by_the_step(current, bump, following):
    assert next_version(current, bump) == following


@modest
@given(versions, bumps)
def test_the_next_version_is_later_a_release_and_far_enough(current, bump):
    following = next_version(current, bump)
    assert parse_version(following) > parse_version(current)
    assert not is_prerelease(following)
    if parse_version(current).prerelease is None:
        assert step_between(current, following) == bump


def test_a_step_that_there_is_not_is_refused():
    for bump in ("prerelease", "Major", "", None, 1):
        with pytest.raises(ModelValidationError, match="There is no version step"):
            next_version("1.0.0", bump)
    with pytest.raises(ModelValidationError, match="Invalid version format"):
        next_version("1.0", "patch")


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        ("1.0.0", "2.0.0", "major"),
        ("2.3.4", "1.3.4", "major"),
        ("1.0.0", "1.1.5", "minor"),
        ("1.0.0", "1.0.1", "patch"),
        ("1.0.0-rc.1", "1.0.0", "prerelease"),
        ("1.9.0", "2.0.0-rc.1", "major"),
        ("1.0.0", "1.0.0", "none"),
        ("1.0.0+a", "1.0.0+b", "none"),
    ],
)
def test_the_step_between_two_versions_is_the_first_part_that_differs(old, new, step):
    assert step_between(old, new) == step == step_between(new, old)


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        ("{a} {b}", "{a}", "major"),
        ("{a}", "{renamed}", "major"),
        ("{a} {b}", "{a} {c} {d}", "major"),
        ("{a}", "{a} {b}", "minor"),
        ("{a}", "{a:{width}}", "minor"),
        ("{a} {b}", "{b}, {a!r}", "patch"),
        ("{a}", "{a.name}", "patch"),
        ("Hi", "Hello", "patch"),
        ("Hi", "Hi", "patch"),
    ],
)
def test_a_change_of_the_variables_says_the_least_step(old, new, step):
    assert least_step(parse_template(old), parse_template(new)) == step


def test_a_larger_step_is_enough_and_a_smaller_one_is_not():
    order = ["none", "prerelease", "patch", "minor", "major"]
    for least in ("patch", "minor", "major"):
        assert [is_enough(step, least) for step in order] == [order.index(s) >= order.index(least) for s in order]


def test_a_field_takes_what_the_check_takes():
    adapter = pydantic.TypeAdapter(VersionText)
    assert adapter.validate_python("1.0.0-rc.1") == "1.0.0-rc.1"
    with pytest.raises(pydantic.ValidationError, match="Invalid version format"):
        adapter.validate_python("1.0")


def test_a_text_that_prints_as_another_is_taken_by_its_characters():
    class Sly(str):
        __slots__ = ()

        def __str__(self):
            return "9.9.9"

    assert str(parse_version(Sly("1.0.0"))) == "1.0.0"


# Which of those that were written at once count


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ([], set()),
        ([(1, "1.0.0", 0), (2, "1.0.1", 1)], {1, 2}),
        ([(3, "1.0.0", 0), (7, "1.0.1", 3)], {3, 7}),  # what is between is not ours, or deleted
        ([(1, "1.0.0", 0), (2, "1.0.0", 0)], {1}),
        ([(1, "1.0.0", 0), (2, "3.0.0", 1), (3, "2.0.0", 1), (4, "3.5.0", 1)], {1, 2}),
        ([(4, "4.0.0", 2), (2, "3.0.0", 1), (3, "2.0.0", 1), (1, "1.0.0", 0)], {1, 2, 4}),
        ([(1, "1.0.0", 0), (3, "2.0.0", 1), (4, "4.0.0", 2)], {1, 4}),  # the second was deleted
        ([(1, "1.0.0", None), (2, "1.0.1", None), (3, "1.0.1", None), (4, "1.0.2", 2)], {1, 2, 4}),
        ([(1, "1.0.0", 9), (2, "1.0.1", 1)], {1, 2}),
    ],
)
def test_a_version_counts_if_none_that_counts_came_after_what_its_writer_saw(places, found):
    assert counting(Place(*place) for place in places) == found


class Registry:
    """A registry as its writers see it: numbers rise, each step of a writer is alone, and a writer may never go on."""

    def __init__(self):
        self.last = 0
        self.rows = {}
        self.parents = {}
        self.looked = {}

    def newest(self):
        return max(counting(self.rows.values()), default=0)

    def act(self, writer, rise):
        if writer not in self.looked:
            self.looked[writer] = self.newest()
            return
        seen = self.looked.pop(writer)
        self.last += 1
        parent = self.rows[seen].version if seen in self.rows else None
        number = int(parent.partition(".")[0]) + rise if parent else rise
        self.rows[self.last] = Place(self.last, f"{number}.0.0", seen)
        self.parents[self.last] = parent

    def withdraw(self, which):
        lost = sorted(set(self.rows) - counting(self.rows.values()))
        if lost:
            del self.rows[lost[which % len(lost)]]

    def delete(self, which):
        if self.rows and not self.looked:
            del self.rows[sorted(self.rows)[which % len(self.rows)]]


turns = st.tuples(st.just("act"), st.integers(0, 4), st.integers(1, 3))
withdrawals = st.tuples(st.just("withdraw"), st.integers(0, 9))
deletions = st.tuples(st.just("delete"), st.integers(0, 9))


@modest
@given(st.lists(turns | withdrawals, max_size=60))
def test_however_writers_take_turns_versions_are_unique_rise_and_follow_the_one_before(steps):
    registry = Registry()
    for name, *given_ in steps:
        before = counting(registry.rows.values())
        getattr(registry, name)(*given_)
        found = counting(registry.rows.values())
        assert before <= found <= before | {registry.last}  # what counts stays so, and what does not, too
        versions = [registry.rows[n].version for n in sorted(found)]
        numbers = [parse_version(v) for v in versions]
        assert numbers == sorted(set(numbers))
        assert [registry.parents[n] for n in sorted(found)] == [None, *versions][: len(versions)]


@modest
@given(st.lists(turns | withdrawals | deletions, max_size=60))
def test_no_deletion_while_nobody_registers_takes_away_what_counts_or_keeps_the_next_out(steps):
    registry = Registry()
    for name, *given_ in steps:
        before = counting(registry.rows.values())
        getattr(registry, name)(*given_)
        assert before & set(registry.rows) <= counting(registry.rows.values())
    registry.act("alone", 1)
    registry.act("alone", 1)
    assert registry.last in counting(registry.rows.values())
