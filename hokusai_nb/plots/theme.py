"""How every picture looks: colours, fonts, sizes, and text that fits.

Jupyter's dark themes hand Vega a dark theme of their own while the PNG beside it stays as it is. So
each picture is a white card that sets every colour itself: legible on any page, the same in both.
"""

from __future__ import annotations

import itertools
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any, TypeVar

import altair as alt

from hokusai_nb.schema.display import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["dressed", "encoded", "fitted", "label_width", "layered", "rows_of", "spread", "thin", "tooltips", "wrapped"]

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Okabe and Ito's eight colours, told apart by colour-blind people; the two faintest on white come last."""
GREY = "#767676"
PALE = "#C4C4C4"
INK = "#1F2933"
SOFT = "#52606D"
FAINT = "#E4E7EB"
CARD = "#FFFFFF"
BAND = "#FBE9A9"
BAND_INK = "#7A5C00"
FONT = "Helvetica, Arial, sans-serif"
WIDTH = 520
HEIGHT = 290
LABEL_SIZE = 12
LINE_LENGTH = 116
TITLE_LENGTH = 60

CONFIG: dict[str, Any] = {
    "background": CARD,
    "padding": 16,
    "font": FONT,
    "view": {"stroke": None, "fill": CARD},
    "title": {
        "limit": 0, "anchor": "start", "frame": "bounds", "offset": 14, "color": INK, "subtitleColor": SOFT,
        "fontSize": 16, "fontWeight": 600, "subtitleFontSize": 12, "subtitlePadding": 6, "subtitleLineHeight": 16,
    },
    "axis": {
        "domainColor": PALE, "tickColor": PALE, "gridColor": FAINT, "labelColor": SOFT, "titleColor": INK,
        "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 10,
        "labelPadding": 5, "titleLimit": 0, "labelLimit": 0,
    },
    "legend": {
        "orient": "bottom", "direction": "horizontal", "labelColor": INK, "titleColor": SOFT,
        "titleFontWeight": "normal", "labelFontSize": 12, "titleFontSize": 12, "symbolSize": 110,
        "symbolOpacity": 1, "offset": 14, "titleLimit": 0, "labelLimit": 0, "columnPadding": 16,
    },
    "text": {"color": INK, "fontSize": LABEL_SIZE},
    "style": {"guide-label": {"fill": SOFT}, "guide-title": {"fill": INK}},
}  # fmt: skip
"""Vega-Lite configuration; it wins over any theme that the front end brings.

No text has a limit here: texts are fitted before, and Vega cuts emoji in half, which vl-convert cannot draw.
"""

T = TypeVar("T")
C = TypeVar("C", alt.LayerChart, alt.VConcatChart)


def dressed(chart: C, title: str, subtitle: Sequence[str], description: str) -> C:
    """Return the chart with its title, alternative text and colours."""
    lines = [line for sentence in subtitle for line in wrapped(sentence)]
    head = alt.TitleParams(text=fitted(title, TITLE_LENGTH + 20), subtitle=lines)
    dressed_chart: C = chart.properties(title=head, description=description).configure(**CONFIG)
    return dressed_chart


def layered(*layers: alt.Chart, width: float, height: float, **rest: Any) -> alt.LayerChart:
    """Return the layers as one chart of that size, the first at the back."""
    return alt.LayerChart(layer=list(layers), width=width, height=height, **rest)


def encoded(chart: alt.Chart, *channels: alt.X | alt.Y, **more: Any) -> alt.Chart:
    """Return the chart with its encodings; Altair's own method has lost its return type."""
    done: alt.Chart = chart.encode(*channels, **more)
    return done


def rows_of(rows: Sequence[Mapping[str, Any]], name: str) -> alt.Chart:
    """Return an unmarked chart of rows; named, because Altair would name them by a hash that nobody can diff."""
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows], name=name))


def tooltips(facts: Mapping[str, str]) -> list[alt.Tooltip]:
    """Return a tooltip of texts, by field and its words; the fields are ours, so no name in the data can break one."""
    return [alt.Tooltip(field, type="nominal", title=words) for field, words in facts.items()]


def fitted(text: object, limit: int = 24) -> str:
    r"""Return one printable line of at most ``limit`` columns.

    >>> fitted("a\nb"), fitted("abcdef", 4)
    ('a\\nb', 'abc…')
    """
    line = printable(str(text)[: limit + 1])
    if _cells(line) <= limit:
        return line
    widths = itertools.accumulate(map(_cells, line))
    return "".join(c for c, end in zip(line, widths, strict=True) if end < limit) + "…"


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for an emoji and for most of East Asia's letters."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def wrapped(sentence: str) -> list[str]:
    """Return a sentence as lines that are no wider than a picture."""
    return textwrap.wrap(sentence, LINE_LENGTH)


def label_width(text: str) -> float:
    """Return about how many pixels a label takes; generous, as fonts differ."""
    return 0.6 * LABEL_SIZE * _cells(text) + 6


def thin(count: int, limit: int, *tiers: Iterable[int]) -> list[int]:
    """Choose which of ``count`` items in a row to draw.

    Args:
        count: How many there are.
        limit: How many may be drawn.
        tiers: Positions that matter, the most important tier first; one that does not fit whole
            is picked from evenly, and what room is left is filled evenly from all.

    >>> thin(10, 4, [0, 9], [5]), thin(3, 200)
    ([0, 1, 5, 9], [0, 1, 2])
    """
    kept: set[int] = set()
    for tier in (*tiers, range(count)):
        kept.update(_evenly(sorted(set(tier) - kept), limit - len(kept)))
    return sorted(kept)


def _evenly(items: list[T], room: int) -> list[T]:
    return items if len(items) <= room else [items[i * len(items) // room] for i in range(room)]


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return the places moved apart until neighbours are at least ``gap`` apart, in the order given.

    >>> spread([1.0, 1.0, 5.0], 2.0)
    [0.0, 2.0, 5.0]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [places[i] for i in order]
    for _ in moved:
        for i in range(len(moved) - 1):
            if (lack := gap - (moved[i + 1] - moved[i])) > 0:
                moved[i] -= lack / 2
                moved[i + 1] += lack / 2
    return [moved[order.index(i)] for i in range(len(places))]
