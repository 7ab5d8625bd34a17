import pytest

from hokusai_nb.backends.mlflow import search, versions
from hokusai_nb.backends.mlflow.pages import Place, page
from tests.conftest import both

pytestmark = pytest.mark.usefixtures("store")


def listed(found):
    return [(m.name, m.version) for m in found]


def all_pages(backend, limit, *, prefix=None, token=None):
    found, place = [], None
    while True:
        entries, place = page(backend, prefix=prefix, token=token, after=place, limit=limit)
        assert len(entries) <= limit
        found += entries
        if place is None:
            return found


@pytest.fixture
def filled(registry, trained):
    """A registry of seven versions of three models and two tokens."""
    made = trained()
    for name, token, count in (("b", "MSG-AI", 3), ("a", "MSG-AI", 2), ("c d", "XRAY-AI", 2)):
        for n in range(count):
            registry.register_tokenized_model(made.model_uri, name, token, "accuracy", f"0.{n + 1}")
    return registry


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_of_any_length_hold_what_the_whole_list_holds(filled, limit):
    found = all_pages(filled.backend, limit)
    assert found == versions.list_all(filled.backend)
    assert listed(found)[:3] == [("a", "1"), ("a", "2"), ("b", "1")]


def test_the_last_page_says_that_it_is_the_last(filled):
    entries, place = page(filled.backend, prefix=None, token=None, after=None, limit=7)
    assert (len(entries), place) == (7, None)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"prefix": "b"}, ["b"] * 3),
        ({"token": "xray-ai"}, ["c d"] * 2),
        ({"prefix": "a", "token": "MSG-AI"}, ["a"] * 2),
        ({"prefix": "c", "token": "MSG-AI"}, []),
        ({"prefix": "'; DROP"}, []),
        ({"token": "100%"}, []),
        ({"prefix": ""}, ["a"] * 2 + ["b"] * 3 + ["c d"] * 2),
    ],
)
def test_filters_hold_on_every_page(filled, filters, names):
    assert [m.name for m in all_pages(filled.backend, 1, **filters)] == names


def test_versions_without_a_token_are_left_out(filled):
    with filled.backend.calling() as client:
        client.create_model_version("b", "somewhere")
    assert len(all_pages(filled.backend, 2)) == 7


def test_what_is_registered_before_the_place_moves_nothing_to_the_next_page(filled, trained):
    first, place = page(filled.backend, prefix=None, token=None, after=None, limit=3)
    filled.register_tokenized_model(trained().model_uri, "aa", "MSG-AI", "accuracy", "0.9")
    rest, _ = page(filled.backend, prefix=None, token=None, after=place, limit=100)
    assert listed(first) + listed(rest) == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("b", "3"), *_of_c()]


def test_what_is_deleted_before_the_place_moves_nothing_out_of_the_next_page(filled):
    _, place = page(filled.backend, prefix=None, token=None, after=None, limit=3)
    filled.delete_model_version("a", "1")
    rest, _ = page(filled.backend, prefix=None, token=None, after=place, limit=100)
    assert listed(rest) == [("b", "2"), ("b", "3"), *_of_c()]


def test_a_place_whose_own_entry_was_deleted_is_still_a_place(filled):
    _, place = page(filled.backend, prefix=None, token=None, after=None, limit=3)
    filled.delete_model_version("b", "1")
    rest, _ = page(filled.backend, prefix=None, token=None, after=place, limit=100)
    assert listed(rest) == [("b", "2"), ("b", "3"), *_of_c()]


def test_a_place_after_everything_is_the_end(filled):
    assert page(filled.backend, prefix=None, token=None, after=Place("zzz", "1", 400), limit=5) == ([], None)


def test_more_rows_than_the_page_are_fetched_only_as_they_are_needed(filled, monkeypatch):
    asked = []
    with filled.backend.calling() as client:
        genuine = client.search_model_versions
        monkeypatch.setattr(client, "search_model_versions", lambda *a, **k: asked.append(k) or genuine(*a, **k))
        page(filled.backend, prefix=None, token=None, after=None, limit=2)
    assert [k["max_results"] for k in asked] == [4]
    assert asked[0]["max_results"] < search.PAGE


@both
def test_pages_are_the_same_over_a_server(sqlite_or_server, unique):
    from hokusai_nb.core.registry import ModelRegistry
    from tests.conftest import train

    registry = ModelRegistry(sqlite_or_server)
    made, name = train(sqlite_or_server), unique("paged")
    for n in range(3):
        registry.register_tokenized_model(made.model_uri, name, "MSG-AI", "accuracy", f"0.{n + 1}")
    assert [m.version for m in all_pages(registry.backend, 1, prefix=name)] == ["1", "2", "3"]


def _of_c():
    return [("c d", "1"), ("c d", "2")]
