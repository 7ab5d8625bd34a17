"""Two versions of a prompt side by side."""

from __future__ import annotations

import time

import numpy as np
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


def test_a_change_of_type_is_a_change_at_every_depth():
    before = {"rows": [1, {"deep": 1}], "same": [1, {"a": 1, "b": [True]}], "zero": [0.0]}
    after = {"rows": [True, {"deep": 1.0}], "same": [1, {"b": [True], "a": 1}], "zero": [-0.0]}
    comparison = compare_prompts(version("1.0.0", "x", **before), version("1.0.1", "x", **after))
    changed = comparison["metadata_diff"]["changed"]
    assert list(changed) == ["rows", "zero"]
    assert repr(changed["rows"]) == "{'from': [1, {'deep': 1}], 'to': [True, {'deep': 1.0}]}"


def test_what_is_stored_alike_is_no_change():
    before = {"tuple": (1, (2,)), "figure": np.float64(0.5), "flag": np.bool_(1)}
    after = {"tuple": [1, [2]], "figure": 0.5, "flag": True}
    comparison = compare_prompts(version("1.0.0", "x", **before), version("1.0.1", "x", **after))
    assert comparison["metadata_diff"] == {"added": {}, "removed": {}, "changed": {}}


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


def few_kinds(lines, step=1):
    """Lines of which each comes again and again: where nothing says what moved, difflib tries it all."""
    return "\n".join(str(n * step % 90) for n in range(lines))


def test_a_diff_up_to_the_limit_takes_little_time():
    start = time.process_time()
    diff = text_diff(few_kinds(MAX_DIFF_LINES // 2), few_kinds(MAX_DIFF_LINES // 2, 7))
    assert time.process_time() - start < 10
    assert len(diff.split("\n")) < MAX_DIFF_LINES


def test_texts_above_the_limit_are_compared_as_wholes_so_that_no_length_takes_long():
    lines = MAX_DIFF_LINES // 2
    same = few_kinds(lines - 1)
    assert text_diff(f"{same}\na", f"{same}\nb").split("\n")[2:] == [
        "@@ -997,4 +997,4 @@",
        *(f" {line}" for line in same.split("\n")[-3:]),
        "-a",
        "+b",
    ]
    longer = text_diff(f"{same}\na", f"{same}\nb\nc").split("\n")
    assert longer[:3] == ["--- old", "+++ new", f"@@ -1,{lines} +1,{lines + 1} @@"]
    assert longer[3:] == [
        *(f"-{line}" for line in [*same.split("\n"), "a"]),
        *(f"+{line}" for line in [*same.split("\n"), "b", "c"]),
    ]
    start = time.process_time()
    assert text_diff(few_kinds(20_000), few_kinds(20_000, 7)).startswith("--- old\n+++ new\n@@ -1,20000 +1,20000 @@")
    assert time.process_time() - start < 10
