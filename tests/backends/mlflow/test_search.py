from __future__ import annotations

import itertools
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils

from hokusai_nb.backends.mlflow import search
from hokusai_nb.backends.mlflow.client import Backend
from hokusai_nb.errors import RegistryError
from tests.rows import add_versions

ODD = [
    "it's", 'say "x"', "it's \"x\"", "a\\", "\\", "a\\'b", "\\'\"", "a''b", "'", '"', "x' AND name != 'y",
    "%", "_", "50% off", "a`b", "a;b", "a -- b", "a/*b*/", "$1", "\n", "line\nbreak", "\t", "\r\n", " ",
    "😀", "größe", "İ", "a" * 256,
]  # fmt: skip

COPIES = itertools.count()

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20) | st.text(
    "'\"\\%_` \nAND=;-", min_size=1, max_size=12
)


def parsed(parser, condition):
    return [(c["key"], c["comparator"], c["value"]) for c in parser.parse_search_filter(condition)]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("parser", [SearchModelVersionUtils, SearchModelUtils])
def test_mlflow_reads_every_filter_as_it_was_meant(parser, value):
    named, loose = search.exactly("name", value)
    found = parsed(parser, f"{named} AND {search.tag('k')} = 'v'")
    assert found[1] == ("k", "=", "v")
    assert found[0][:2] == ("name", "LIKE" if loose else "=")
    assert loose or found[0][2] == value


@given(first=texts, second=texts)
@settings(max_examples=300, deadline=None)
def test_no_value_breaks_a_filter(first, second):
    condition = (
        f"{search.exactly('name', first)[0]} AND {search.like(search.tag('k'), second, case=False, prefix=True)}"
    )
    found = parsed(SearchModelVersionUtils, condition)
    assert [(key, comparator) for key, comparator, _ in found] in (
        [("name", "="), ("k", "ILIKE")],
        [("name", "LIKE"), ("k", "ILIKE")],
    )


def test_characters_that_no_database_holds_do_not_get_into_a_filter():
    condition = search.like("name", "a\0b\ud800c")
    assert condition == "name LIKE 'a_b_c'"
    assert search.exactly("name", "\ud800") == ("name LIKE '_'", True)


def test_a_long_value_is_found_by_its_beginning():
    condition, loose = search.exactly("name", "x" * 100_000)
    assert loose
    assert len(condition) < 600
    assert condition.endswith("x%'")


def test_a_tag_key_with_a_backtick_is_refused():
    with pytest.raises(RegistryError, match="backtick"):
        search.tag("a`b")


def test_versions_with_odd_names_and_tags_are_found_exactly(store):
    add_versions(store, [{"name": text, "version": 1, "tags": {"k": text}} for text in ODD])
    backend = Backend.at(store)
    with backend.calling() as client:
        for text in ODD:
            by_name = [v.name for v in search.versions(client, search.exactly("name", text)[0])]
            by_tag = [v.name for v in search.versions(client, search.like(search.tag("k"), text))]
            assert text in by_name
            assert text in by_tag
            assert search.exactly("name", text)[1] or by_name == [text]


@given(names=st.lists(texts, min_size=1, max_size=4, unique=True), prefix=texts)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_begins_with_a_text_is_among_what_is_found(store, names, prefix):
    copy = f"{store}.{next(COPIES)}"
    shutil.copy(store.removeprefix("sqlite:///"), copy.removeprefix("sqlite:///"))
    add_versions(copy, [{"name": name, "version": 1, "tags": {}} for name in {*names, prefix + names[0]}])
    with Backend.at(copy).calling() as client:
        found = {v.name for v in search.versions(client, search.like("name", prefix, prefix=True))}
    assert {name for name in names if name.startswith(prefix)} | {prefix + names[0]} <= found


def test_every_page_is_read(store, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 10)
    add_versions(store, [{"name": f"m{i % 12}", "version": i // 12 + 1, "tags": {"k": "v"}} for i in range(36)])
    with Backend.at(store).calling() as client:
        found = list(search.versions(client, f"{search.tag('k')} = 'v'", order_by=["name ASC", "version_number ASC"]))
        models = list(search.registered_models(client, "name LIKE 'm%'"))
    assert len({(v.name, v.version) for v in found}) == len(found) == 36
    assert len({m.name for m in models}) == len(models) == 12
