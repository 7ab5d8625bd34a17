"""What may follow what: a step says enough of the change since the last release, and what is proposed is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.core.prompt_rules import Line, check_follows, proposed, taken, warranted
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.prompts import PromptVersion
from hokusai_nb.schema.versioning import is_enough, parse_version

templates = st.sampled_from(["Hi", "Ho", "{a}", "{a}!", "{b}", "{a} {b}", "{b} {c}", "50} off", "{"])
valid = st.sampled_from(["Hi", "Ho", "{a}", "{a}!", "{b}", "{a} {b}", "{b} {c}"])
parts = st.integers(0, 3)
endings = st.sampled_from(["", "", "-rc.1", "-rc.2", "-alpha", "+build"])
versions = st.builds("{}.{}.{}{}".format, parts, parts, parts, endings)


def version(text, template="Hi {name}"):
    return PromptVersion(name="hook", version=text, template=template)


def line_of(*texts, template="Hi {name}"):
    return Line.of([version(text, template) for text in texts])


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(versions, templates), max_size=6), valid, st.sampled_from([None, "patch", "minor", "major"]))
def test_every_proposal_is_accepted_unless_its_step_was_chosen_too_small(earlier, template, bump):
    line = Line()
    for text, before in earlier:
        if line.newest is None or parse_version(text) > parse_version(line.newest.version):
            line = line.then(version(text, before))
    following = proposed(line, template, bump)
    least = warranted(line.release, template).step if line.release else "patch"
    if bump is None or is_enough(bump, least):
        check_follows(line, version(following, template), allow_breaking=False)
    check_follows(line, version(following, template), allow_breaking=True)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(versions, templates), max_size=6), versions, valid)
def test_every_repair_of_a_refusal_is_accepted_and_is_another_version(earlier, text, template):
    line = Line()
    for number, before in earlier:
        if line.newest is None or parse_version(number) > parse_version(line.newest.version):
            line = line.then(version(number, before))
    wanted = version(text, template)
    try:
        check_follows(line, wanted, allow_breaking=False)
    except ModelValidationError as error:
        (problem,) = error.problems
        assert problem.repair != text
        check_follows(line, version(problem.repair, template), allow_breaking=False)


@pytest.mark.parametrize(
    ("earlier", "template", "bump", "following"),
    [
        ([], "x", None, "1.0.0"),
        (["1.0.0-rc.1"], "{other}", None, "1.0.0"),
        (["1.4.0"], "Hi {name}!", None, "1.4.1"),
        (["1.4.0", "1.5.0-rc.1"], "Hi {name}!", None, "1.5.0"),
        (["1.4.0", "1.5.0-rc.1"], "Hi {name} {x}", None, "1.5.0"),
        (["1.4.0", "1.5.0-rc.1"], "Hi", None, "2.0.0"),
        (["1.4.0", "1.4.1-rc.1"], "Hi {name} {x}", None, "1.5.0"),
        (["1.4.0", "2.1.0-rc.1"], "Hi", None, "2.1.0"),
        (["1.4.0", "1.5.0-rc.1"], "Hi {name}", "patch", "1.5.0"),
        (["1.4.0", "1.5.0-rc.1"], "Hi {name}", "major", "2.0.0"),
    ],
)
def test_a_pre_release_is_followed_by_the_release_it_prepares_where_that_says_enough(
    earlier, template, bump, following
):
    assert proposed(line_of(*earlier), template, bump) == following


@pytest.mark.parametrize(
    ("earlier", "wanted", "template", "words"),
    [
        (["1.0.0-rc.1"], "1.0.0-rc.2", "{other}", None),
        (["1.0.0-rc.1"], "1.0.0", "{other}", None),
        (["1.0.0-rc.1"], "1.0.0-alpha", "{other}", "is not above 1.0.0-rc.1"),
        (["1.0.0", "2.0.0-rc.1"], "2.0.0-rc.2", "{other}", None),
        (["1.0.0", "2.0.0-rc.1"], "2.0.0", "{other}", None),
        (["1.0.0", "1.1.0-rc.1"], "1.1.0-rc.2", "Hi {name} {x}", None),
        (["1.0.0", "1.1.0-rc.1"], "1.1.0", "Hi", "The change from 1.0.0 to 1.1.0 of hook is major"),
        (["1.0.0", "1.1.0-rc.1"], "1.2.0-rc.1", "Hi", "callers still pass name"),
        (["1.0.0"], "1.0.1-rc.1", "Hi {name} {x}", "and the step of its version is patch: callers have to pass x"),
    ],
)
def test_a_step_is_measured_from_the_last_release(earlier, wanted, template, words):
    line = line_of(*earlier)
    if words is None:
        check_follows(line, version(wanted, template), allow_breaking=False)
        return
    with pytest.raises(ModelValidationError) as caught:
        check_follows(line, version(wanted, template), allow_breaking=False)
    assert words in caught.value.what


@pytest.mark.parametrize(
    ("before", "after", "step", "reason", "sentence"),
    [
        ("{a} {b}", "{c}", "major", "callers still pass a, b", "a, b are removed or renamed, and callers still pass"),
        ("{a}", "{a} {b}", "minor", "callers have to pass b", "b is new, and callers have to pass it."),
        ("{a}", "{a}!", "patch", "its text differs", "callers go on passing the same variables."),
        ("{a}", "{a}", "patch", "its text is the same", "callers go on passing the same variables."),
        ("50} off", "{a}", "major", "the text of 1.0.0 is no template", "the text of 1.0.0 is no template"),
        ("", "{a}", "major", "the text of 1.0.0 is no template", "so nothing is known of its variables."),
    ],
)
def test_the_step_that_a_change_warrants_is_told_with_its_reason(before, after, step, reason, sentence):
    found = warranted(version("1.0.0", before), after)
    assert found.step == step
    assert found.reason.startswith(reason)
    assert sentence in found.sentence


def test_a_number_that_is_taken_is_answered_with_one_that_is_free():
    error = taken(line_of("1.0.0", "1.1.0"), version("1.0.0", "Hi {name}!"))
    assert error.what == "Version 1.0.0 of hook is registered already, with other content."
    assert error.problems[0].repair == "1.1.1"
