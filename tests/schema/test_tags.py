"""Tags of a version: three required, known ones checked, the rest as MLflow can store them."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hokusai_nb.schema.problems import errors_in
from hokusai_nb.schema.tags import (
    BASELINE_TAG,
    KEY_TAG,
    MAX_VALUE_LENGTH,
    NOTEBOOK_PREFIX,
    REQUIRED_TAGS,
    check_contributor,
    check_extra_tags,
    check_tags,
    iter_recommended,
    known_tags,
    stored_texts,
    tag_text,
)

modest = settings(max_examples=100, deadline=None)
GOOD = {"hokusai_token_id": "TEST-001", "benchmark_metric": "accuracy", "benchmark_value": "0.95"}
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # the first example of EIP-55
DIGEST = "0123456789abcdef" * 4
KNOWN = {
    "dataset_version", "preprocessing", "feature_count", "training_samples", "test_samples", "contributor_address",
    "contribution_hash", "contribution_type", "data_contribution", "dataset_size", "training_hours", "gpu_type",
    "improvement_method", "previous_version", "major_version", "minor_version", "patch_version", "full_version",
    "contributor", "hokusai.baseline_requirement",
}  # fmt: skip
anything = st.one_of(
    st.text(max_size=70),
    st.text(alphabet="0x1,._%v-abF \n٣", max_size=45),
    st.sampled_from([ADDRESS, ADDRESS.lower(), ADDRESS[2:], DIGEST, DIGEST.upper(), "1.2", "v1.2.3", "1,000", "5.0"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.binary() | st.lists(st.text()),
)
keys = st.one_of(st.sampled_from(sorted(KNOWN)), st.text(max_size=12), st.text(alphabet="a./: \nü$\ud800", max_size=6))


def words(problems):
    return [(p.field, p.severity) for p in problems]


def test_the_known_tags_are_exactly_these():
    assert set(known_tags()) == KNOWN
    assert all(spec.meaning for spec in known_tags().values())


def test_the_recommended_tags_are_those_that_a_run_knows():
    recommended = ["dataset_version", "preprocessing", "feature_count", "training_samples", "test_samples"]
    assert list(iter_recommended()) == recommended


def test_a_complete_set_of_tags_is_valid():
    optional = {
        "dataset_version": "2", "preprocessing": "scaled", "feature_count": 30, "training_samples": "455",
        "test_samples": np.int64(114), "contributor_address": ADDRESS, "contribution_hash": DIGEST,
        "contribution_type": "data", "data_contribution": "1000_labeled_images", "dataset_size": "2 GB",
        "training_hours": 1.5, "gpu_type": "A100", "improvement_method": "more data", "previous_version": "1",
        "full_version": "1.4.2", "major_version": "1", "minor_version": "4", "patch_version": "2",
        "hokusai.baseline_requirement": "0.9",
    }  # fmt: skip
    assert check_tags({**GOOD, **optional}) == []
    assert check_extra_tags(optional) == []


@pytest.mark.parametrize("key", REQUIRED_TAGS)
def test_each_required_tag_must_be_there(key):
    problems = check_tags({k: v for k, v in GOOD.items() if k != key})
    assert words(problems) == [(key, "error")]
    assert problems[0].what == f"Tag {key} is missing."


@pytest.mark.parametrize("key", REQUIRED_TAGS)
def test_a_required_tag_cannot_be_set_through_the_further_tags(key):
    assert words(check_extra_tags({key: GOOD[key]})) == [(key, "error")]


@pytest.mark.parametrize(
    ("tag", "value", "repair"),
    [
        ("hokusai_token_id", "test_1", "TEST-1"),
        ("hokusai_token_id", None, None),
        ("benchmark_metric", "Test/Accuracy", "accuracy"),
        ("benchmark_value", "high", None),
        ("benchmark_value", "nan", None),
        ("benchmark_value", "95", "0.95"),
        ("benchmark_value", None, None),
    ],
)
def test_a_required_tag_is_checked_like_the_field_it_comes_from(tag, value, repair):
    (problem,) = errors_in(check_tags({**GOOD, tag: value}))
    assert (problem.field, problem.repair) == (tag, repair)


def test_a_token_that_an_older_client_wrote_in_lower_case_is_valid():
    assert check_tags({**GOOD, "hokusai_token_id": "test-001"}) == []


def test_what_this_package_and_mlflow_write_is_no_fault_of_the_user():
    written = {KEY_TAG: "0" * 64, f"{NOTEBOOK_PREFIX}path": "a.ipynb", "mlflow.source.name": "x"}
    assert check_tags({**GOOD, **written}) == []


@pytest.mark.parametrize(
    "key", [KEY_TAG, f"{NOTEBOOK_PREFIX}path", "hokusai.mine", "mlflow.prompt.is_prompt", "mlflow."]
)
def test_reserved_prefixes_cannot_be_used_for_a_users_own_tags(key):
    (problem,) = check_extra_tags({key: "x"})
    assert (problem.field, problem.severity) == (key, "error")
    assert "reserved" in problem.what


def test_the_required_minimum_is_checked_as_a_number_also_in_the_registry():
    assert words(check_tags({**GOOD, BASELINE_TAG: "high"})) == [(BASELINE_TAG, "error")]


@pytest.mark.parametrize(
    ("tag", "value", "repair"),
    [
        ("feature_count", "many", None),
        ("feature_count", "-1", None),
        ("feature_count", "1,000", "1000"),
        ("feature_count", "1_000", "1000"),
        ("feature_count", 30.0, "30"),
        ("feature_count", True, None),
        ("training_samples", "1,5", None),
        ("training_samples", "٣", None),
        ("training_samples", "0" * 90_000 + "x", None),
        ("test_samples", " 12\n", "12"),
        ("previous_version", "0", None),
        ("previous_version", "v3", "3"),
        ("previous_version", "007", "7"),
        ("major_version", "1.0", "1"),
        ("training_hours", "-2", None),
        ("training_hours", "1,5", "1.5"),
        ("training_hours", "50%", None),
        ("training_hours", "2 h", None),
        ("full_version", "1.2", "1.2.0"),
        ("full_version", "v1.2.3", "1.2.3"),
        ("full_version", "2", "2.0.0"),
        ("full_version", "1.2.3\n", "1.2.3"),
        ("full_version", "one", None),
        ("full_version", "1.02.3", None),
        ("contribution_hash", "abc", None),
        ("contribution_hash", f"0x{DIGEST}", DIGEST),
        ("contribution_hash", f"sha256:{DIGEST.upper()}", DIGEST),
        ("contributor_address", "0x12", None),
        ("contributor_address", ADDRESS[2:], ADDRESS),
        ("contributor_address", f"0X{ADDRESS[2:]}", ADDRESS),
        ("contributor_address", f" {ADDRESS}\n", ADDRESS),
        ("contributor_address", "0x" + "g" * 40, None),
        ("contributor", "alice", None),
        ("gpu_type", "", None),
        ("dataset_version", "  ", None),
    ],
)
def test_a_known_tag_is_checked_with_a_repair_where_there_is_one(tag, value, repair):
    (problem,) = check_extra_tags({tag: value})
    assert (problem.field, problem.severity, problem.repair) == (tag, "error", repair)
    assert problem.hint
    assert tag in problem.what or "address" in problem.what


@pytest.mark.parametrize("text", ["1.0.0", "1.4.0-rc.1", "2.0.0+build.5"])
def test_a_semantic_version_is_accepted_whole(text):
    assert check_extra_tags({"full_version": text}) == []


def test_a_hash_in_capital_letters_is_accepted_with_a_warning():
    (problem,) = check_extra_tags({"contribution_hash": DIGEST.upper()})
    assert (problem.severity, problem.repair) == ("warning", DIGEST)


@pytest.mark.parametrize("part", ["major", "minor", "patch"])
def test_the_parts_of_a_version_must_agree_with_the_whole(part):
    right = {"major": "1", "minor": "4", "patch": "2"}
    parts = {f"{p}_version": n for p, n in right.items()}
    assert check_extra_tags({"full_version": "1.4.2-rc.1", **parts}) == []
    (problem,) = check_extra_tags({"full_version": "1.4.2", **parts, f"{part}_version": "9"})
    assert (problem.field, problem.severity, problem.repair) == (f"{part}_version", "error", right[part])
    assert check_extra_tags({**parts, f"{part}_version": "9"}) == []


def test_an_address_that_fails_its_checksum_is_a_warning():
    wrong = ADDRESS.replace("5aAe", "5AAe")
    (problem,) = check_contributor(wrong)
    assert (problem.field, problem.severity, problem.repair) == ("contributor_address", "warning", ADDRESS)
    assert "EIP-55" in problem.what
    for right in (ADDRESS, ADDRESS.lower(), "0x" + ADDRESS[2:].upper()):
        assert check_contributor(right) == []


def test_without_the_extra_no_checksum_is_computed(monkeypatch):
    monkeypatch.setitem(sys.modules, "eth_utils", None)
    monkeypatch.setitem(sys.modules, "eth_utils.address", None)
    assert check_contributor(ADDRESS.replace("5aAe", "5AAe")) == []


def test_contributor_is_an_alias_that_may_not_contradict():
    assert check_extra_tags({"contributor": ADDRESS}) == []
    assert check_extra_tags({"contributor": ADDRESS, "contributor_address": ADDRESS.lower()}) == []
    (problem,) = check_extra_tags({"contributor": ADDRESS, "contributor_address": "0x" + "1" * 40})
    assert (problem.field, problem.severity) == ("contributor", "error")


def test_two_tags_that_are_wrong_by_themselves_are_not_compared():
    problems = check_extra_tags({"contributor": "alice", "contributor_address": "bob"})
    assert words(problems) == [("contributor", "error"), ("contributor_address", "error")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        (3, "3"),
        (True, "True"),
        (0.1, "0.1"),
        (Decimal("0.10"), "0.10"),
        (np.int64(7), "7"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), "0.1"),
        (np.True_, "True"),
        (np.str_("a"), "a"),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
        (b"a", None),
        (np.array([1]), None),
    ],
)
def test_a_tag_is_stored_as_text_if_it_is_text_or_a_number(value, text):
    assert tag_text(value) == text
    assert (check_extra_tags({"note": value}) == []) == (text is not None)


def test_an_integer_that_python_does_not_write_out_is_refused_like_any_other_value():
    assert words(check_extra_tags({"note": 10**5000})) == [("note", "error")]


def test_tags_are_stored_as_text_with_the_token_in_canonical_form():
    stored = stored_texts({"hokusai_token_id": "test-001", "benchmark_value": 0.1342, "feature_count": 30})
    assert stored == {"hokusai_token_id": "TEST-001", "benchmark_value": "0.1342", "feature_count": "30"}


@pytest.mark.parametrize("tags", [None, 5, "a=b", ["a"], [("a", "b")]])
def test_what_is_no_mapping_is_one_problem(tags):
    for check in (check_tags, check_extra_tags):
        assert words(check(tags)) == [("tags", "error")]


@pytest.mark.parametrize(
    "key", ["", "a$b", "a\n", "a//b", "/a", "a/", "../a", "..a", "a/./b", ".", "x" * 251, "ключ\u0301", 5, None, ("a",)]
)
def test_a_key_that_mlflow_does_not_store_is_refused(key):
    (problem,) = check_extra_tags({key: "x"})
    assert problem.severity == "error"
    assert problem.what.startswith("Tag key invalid: ")


@pytest.mark.parametrize("value", ["x" * (MAX_VALUE_LENGTH + 1), "a\0b", "a\ud800"])
def test_a_value_that_some_database_does_not_store_is_refused(value):
    assert words(check_extra_tags({"note": value})) == [("note", "error")]


@modest
@given(keys, st.text(max_size=20))
@example("..a", "x")
@example("a", "x" * MAX_VALUE_LENGTH)
@example("a.b/c d:e-f_ü", "<script>'\"%\n🚀")
def test_every_accepted_tag_is_accepted_by_mlflow(key, value):
    from mlflow.utils.validation import _validate_model_version_tag

    if not errors_in(check_extra_tags({key: value})):
        _validate_model_version_tag(key, value)


@modest
@given(st.dictionaries(keys | st.integers() | st.none(), anything, max_size=4))
def test_no_tags_break_the_check_and_every_repair_is_valid(tags):
    check_tags({**tags, "hokusai_token_id": tags.get("gpu_type"), "benchmark_value": tags.get("dataset_size")})
    for problem in check_extra_tags(tags):
        repaired = {**tags, problem.field: problem.repair}
        assert problem.repair is None or problem.field not in {p.field for p in errors_in(check_extra_tags(repaired))}


@modest
@given(anything)
def test_no_value_breaks_the_check_of_an_address_and_every_repair_is_valid(value):
    for problem in check_contributor(value):
        assert problem.repair is None or errors_in(check_contributor(problem.repair)) == []


@modest
@given(st.sampled_from(sorted(KNOWN)), anything)
def test_every_repair_of_a_known_tag_is_valid(tag, value):
    for problem in check_extra_tags({tag: value}):
        assert problem.repair is None or errors_in(check_extra_tags({tag: problem.repair})) == []


PLUGIN = """
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.tags import TagSpec

def is_colour(text):
    return [] if text in ("red", "blue") else [Problem(field="?", what=f"No colour: {text}", repair="red")]

one = TagSpec("colour", "Colour of the model", is_colour)

def several():
    yield TagSpec("hokusai.region", "Where it was trained", lambda text: [])
    yield TagSpec("gpu_type", "Tries to replace ours", lambda text: [Problem(field="?", what="never")])

def no_specs():
    return ["colour"]

not_callable = 5
"""
ENTRY_POINTS = """
[hokusai_nb.tags]
one = tiny_tags:one
several = tiny_tags:several
missing = tiny_tags:no_such_name
wrong = tiny_tags:no_specs
number = tiny_tags:not_callable
"""
USE = """
import warnings
from hokusai_nb.errors import HokusaiWarning
from hokusai_nb.schema.tags import check_extra_tags, known_tags

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    known_tags()
assert [w.category for w in caught] == [HokusaiWarning] * 3, caught
told = " ".join(str(w.message) for w in caught)
assert all(name in told for name in ("tiny_tags:no_such_name", "tiny_tags:no_specs", "tiny_tags:not_callable")), told
assert known_tags()["colour"].meaning == "Colour of the model"
assert check_extra_tags({"colour": "red", "hokusai.region": "eu", "gpu_type": "A100"}) == []
(problem,) = check_extra_tags({"colour": "loud"})
assert (problem.field, problem.what, problem.repair) == ("colour", "No colour: loud", "red")
"""


def test_another_distribution_adds_its_tags_and_a_broken_one_harms_no_other(tmp_path):
    info = tmp_path / "tiny_tags-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny_tags\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "tiny_tags.py").write_text(PLUGIN)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", USE], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
