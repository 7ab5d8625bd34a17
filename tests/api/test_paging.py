import base64
import json

import pytest

from hokusai_nb.api.paging import cursor_of, place_of
from hokusai_nb.backends.mlflow.pages import Place
from hokusai_nb.errors import ValidationError


@pytest.mark.parametrize(
    "place", [Place("churn", "3", 17), Place("größe \N{ROCKET}'\"", "999999999", 1), Place("x" * 256, "1", 5)]
)
def test_a_cursor_leads_back_to_its_place(place):
    cursor = cursor_of(place)
    assert place_of(cursor) == place
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_no_cursor_is_the_beginning_and_no_place_the_end():
    assert (place_of(None), cursor_of(None)) == (None, None)


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "====", "a b", "\0"),
        *map(encoded, ([], ["a", "1"], ["a", "1", "1"], ["a", 1, 1], ["a", "1", 0], ["a", "x", 1], ["a", "1", True])),
        encoded(["a", "1" * 20, 1]),
        encoded(["a", "1", 10**12]),
        encoded(["tokens", "MSG-AI"]),
        encoded("[" * 5000),
    ],
)
def test_what_is_no_cursor_is_refused(cursor):
    with pytest.raises(ValidationError, match="does not belong to this list"):
        place_of(cursor)
