"""The prompt form decides as the core does, whatever versions there are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.core.prompt_rules import Line, check_follows
from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.prompts import PromptVersion
from hokusai_nb.schema.versioning import parse_version
from hokusai_nb.widgets.prompt_inquiry import Known
from hokusai_nb.widgets.prompt_state import Entered, PromptState

parts = st.integers(0, 3)
versions = st.builds("{}.{}.{}{}".format, parts, parts, parts, st.sampled_from(["", "", "-rc.1", "-rc.2"]))
valid = st.sampled_from(["Hi", "Ho", "{a}", "{b}", "{a} {b}"])
stored = valid | st.sampled_from(["50} off", "{"])


def known(*pairs):
    made = [
        PromptVersion(name="hook", version=text, template=template, mlflow_version=number)
        for number, (text, template) in enumerate(pairs, 1)
    ]
    return Known("hook", tuple(made))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(versions, stored), max_size=4), valid, versions | st.just(""), st.booleans())
def test_the_form_takes_just_what_the_core_takes(pairs, template, text, allow):
    rising = sorted(dict(pairs).items(), key=lambda pair: parse_version(pair[0]))
    there = known(*rising)
    state = PromptState(Entered("hook", template, text, allow_breaking=allow), there)
    if state.same_as:
        assert state.same_as.template == template
        return
    wanted = PromptVersion(name="hook", version=state.version, template=template)
    try:
        assert there.version(state.version) is None
        check_follows(Line.of(there.versions), wanted, allow_breaking=allow)
    except (AssertionError, ModelValidationError):
        assert [p.field for p in state.problems] == ["version"]
    else:
        assert state.problems == ()


@pytest.mark.parametrize(
    ("pairs", "template", "version", "note", "first"),
    [
        ([], "{a}", "1.0.0", "The first version is 1.0.0.", "As the change warrants"),
        ([("1.0.0-rc.1", "{a}")], "{b}", "1.0.0", "", "As the change warrants"),
        (
            [("1.4.0", "{a}"), ("1.5.0-rc.1", "{a} {b}")],
            "{a} {c}",
            "1.5.0",
            "The change since 1.4.0 is minor: c is new, and callers have to pass it.",
            "As the change warrants (minor → 1.5.0)",
        ),
        (
            [("1.4.0", "{a}"), ("1.5.0-rc.1", "{a} {b}")],
            "{b}",
            "2.0.0",
            "The change since 1.4.0 is major: a is removed or renamed, and callers still pass it.",
            "As the change warrants (major → 2.0.0)",
        ),
        (
            [("1.0.0", "50} off")],
            "{a}",
            "2.0.0",
            "This change is major: the text of 1.0.0 is no template, so nothing is known of its variables.",
            "As the change warrants (major → 2.0.0)",
        ),
    ],
)
def test_the_step_is_the_one_since_the_last_release(pairs, template, version, note, first):
    state = PromptState(Entered("hook", template), known(*pairs))
    assert (state.version, state.step_note(), state.steps()[0][0]) == (version, note, first)
    assert not state.breaks
    assert state.problems == ()
