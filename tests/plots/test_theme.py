"""Text that fits, points that are kept, labels that keep apart."""

from __future__ import annotations

import itertools

import altair as alt
import hypothesis
import hypothesis.strategies as st

from hokusai_nb.plots.theme import CARD, CONFIG, INK, SOFT, dressed, fitted, layered, rows_of, spread, thin, wrapped


@hypothesis.given(st.text(), st.integers(1, 40))
def test_a_fitted_text_is_short_and_printable(text, limit):
    shown = fitted(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()


@hypothesis.given(st.integers(0, 500), st.integers(0, 100), st.lists(st.integers(0, 499), max_size=20))
def test_thinning_is_ordered_within_the_limit_and_keeps_what_matters(count, limit, wanted):
    wanted = [i for i in wanted if i < count]
    kept = thin(count, limit, wanted)
    assert kept == sorted(set(kept))
    assert len(kept) == min(count, limit)
    assert set(wanted) <= set(kept) or len(set(wanted)) > limit


@hypothesis.given(st.lists(st.floats(0, 100), min_size=1, max_size=3))
def test_labels_are_moved_apart_and_keep_their_order(places):
    moved = spread(places, 10)
    ordered = sorted(zip(places, moved, strict=True), key=lambda pair: pair[0])
    gaps = [b - a for (_, a), (_, b) in itertools.pairwise(ordered)]
    assert all(gap > 8 for gap in gaps)


def test_long_sentences_are_wrapped():
    assert all(len(line) <= 116 for line in wrapped("word " * 100))


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_contrasts_with_the_card_by_more_than_four_and_a_half():
    for ink in (INK, SOFT, "#7A5C00", "#767676"):
        assert (_luminance(CARD) + 0.05) / (_luminance(ink) + 0.05) > 4.5


def test_every_colour_that_a_dark_theme_would_change_is_set():
    assert CONFIG["background"] == CONFIG["view"]["fill"] == CARD
    assert {"color", "subtitleColor"} <= set(CONFIG["title"])
    assert {"domainColor", "gridColor", "tickColor", "labelColor", "titleColor"} <= set(CONFIG["axis"])
    assert {"labelColor", "titleColor"} <= set(CONFIG["legend"])
    assert {"guide-label", "guide-title"} <= set(CONFIG["style"])


def test_a_dressed_chart_has_title_subtitle_and_description():
    chart = layered(rows_of([{"a": 1}], "rows").mark_point().encode(alt.X("a:Q")), width=10, height=10)
    spec = dressed(chart, "T" * 200, ["one", "two"], "text").to_dict()
    assert len(spec["title"]["text"]) <= 80
    assert spec["title"]["subtitle"] == ["one", "two"]
    assert spec["description"] == "text"
