"""Two versions of a prompt side by side."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.prompt_comparison import MAX_DIFF_LINES, compare_prompts, text_diff
from hokusai_nb.schema.prompts import PromptVersion

modest = settings(max_examples=100, deadline=None)
HOSTILE = "<script>alert('x')</script>\n\x1b[31m\u202e&\"%🚀{x}"


def version(number, template, /, name="hook", **metadata):
    return PromptVersion(name=name, version=number, template=template, metadata=metadata)


def test_a_comparison_is_a_mapping_of_what_differs():
    comparison = compare_prompts(
        version("1.0.0", "Check this: {text} {old}", author="ada", target=0.05, gone=[1]),
        version("2.0.0", "🚀 Check this: {text} - {cta}", author="ada", target=0.06, new={"a": 1}),
    )
    assert comparison["template_diff"]["variables_added"] == ["cta"]
    assert comparison["template_diff"]["variables_removed"] == ["old"]
    assert comparison["template_diff"]["text_diff"].split("\n") == [
        "--- 1.0.0",
        "+++ 2.0.0",
        "@@ -1 +1 @@",
        "-Check this: {text} {old}",
        "+🚀 Check this: {text} - {cta}",
    ]
    assert comparison["metadata_diff"] == {
        "added": {"new": {"a": 1}},
        "removed": {"gone": [1]},
        "changed": {"target": {"from": 0.05, "to": 0.06}},
    }
    assert comparison["version_step"] == "major"
    assert list(comparison) == ["template_diff", "metadata_diff", "version_step"]
    assert dict(comparison) == comparison.parts
    assert comparison.get("nothing") is None
    with pytest.raises(KeyError):
        comparison["nothing"]


def test_versions_that_do_not_differ_say_so():
    comparison = compare_prompts(version("1.0.0", "{x}", a=1), version("1.0.0", "{x}", a=1))
    assert comparison["template_diff"] == {"variables_added": [], "variables_removed": [], "text_diff": ""}
    assert comparison["metadata_diff"] == {"added": {}, "removed": {}, "changed": {}}
    assert comparison["version_step"] == "none"
    assert "The texts are equal." in comparison._text_()


def test_a_change_of_type_is_a_change():
    changed = compare_prompts(version("1.0.0", "x", a=1, b=1), version("1.0.1", "x", a=True, b=1.0))["metadata_diff"][
        "changed"
    ]
    assert [type(changed[key]["to"]) for key in ("a", "b")] == [bool, float]


def test_versions_of_different_prompts_cannot_be_compared():
    with pytest.raises(ModelValidationError, match="Cannot compare models with different names: 'hook' and 'other'"):
        compare_prompts(version("1.0.0", "x"), version("1.0.0", "x", name="other"))


def test_what_another_client_stored_can_be_compared_too():
    comparison = compare_prompts(version("1.0.0", "{x} {y}"), version("latest", "{x} {"))
    assert comparison["template_diff"]["variables_removed"] == ["x", "y"]
    assert comparison["version_step"] is None
    assert "Version step" in comparison._text_()


def test_a_comparison_shows_itself_safely():
    comparison = compare_prompts(
        version("1.0.0", HOSTILE, key=HOSTILE), version("1.1.0", "{x}\nStage  production", key=1, more=HOSTILE)
    )
    shown = comparison._repr_mimebundle_()
    assert "<script" not in shown["text/html"]
    lines = shown["text/plain"].split("\n")
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("Stage")]
    assert "Metadata added" in shown["text/plain"]


@modest
@given(st.text(alphabet="ab\n\r ", max_size=30), st.text(alphabet="ab\n\r ", max_size=30))
def test_a_diff_holds_both_texts_and_is_empty_only_where_they_are_equal(old, new):
    diff = text_diff(old, new)
    assert (diff == "") == (old == new)
    removed = [line[1:] for line in diff.split("\n")[3:] if line.startswith("-")]
    assert all(line in old.split("\n") for line in removed)
    added = [line[1:] for line in diff.split("\n")[3:] if line.startswith("+")]
    assert all(line in new.split("\n") for line in added)


def test_a_diff_of_hostile_length_takes_little_time():
    old = "\n".join(str(n % 90) for n in range(MAX_DIFF_LINES // 2))
    new = "\n".join(str(n * 7 % 90) for n in range(MAX_DIFF_LINES // 2))
    start = time.process_time()
    assert text_diff(old, new)
    longer = text_diff("a\n" * 50_000, "b\n" * 50_000)
    assert time.process_time() - start < 10
    assert longer.startswith("--- old\n+++ new\n@@ -1,50001 +1,50001 @@\n-a\n")
