"""Who contributed a version: one name and one colour each, the same in every picture up to eight of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

import altair as alt

from hokusai_nb.plots.theme import GREY, PALE, PALETTE, fitted, label_width
from hokusai_nb.schema.display import short_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from hokusai_nb.schema.records import LineageEntry

__all__ = ["Contributors", "distinct", "identity"]

NOBODY = "no contributor"
LEGEND_WIDTH = 640


def identity(entry: LineageEntry) -> str | None:
    """Return what makes two contributors the same: an address in any case is one address."""
    who = (entry.contributor or "").strip()
    return (who.lower() if who[:2].lower() == "0x" else who) or None


@dataclasses.dataclass(frozen=True)
class Contributors:
    """The contributors of some versions, each with a label and a colour."""

    labels: Mapping[str | None, str]
    """By identity; None stands for versions that name nobody."""
    colours: Mapping[str, str]
    """By label, in the order of the legend."""

    @classmethod
    def of(cls, entries: Sequence[LineageEntry], weights: Mapping[str | None, Decimal] | None = None) -> Contributors:
        """Name the contributors in order of appearance.

        Args:
            entries: The versions, in order.
            weights: What each contributor counts; where there are more than there are colours,
                those who count least are shown as one. The number of versions by default.
        """
        counted = Counter(identity(e) for e in entries)
        people = [who for who in counted if who is not None]
        rank = {
            who: i for i, who in enumerate(sorted(people, key=lambda w: _weight(w, weights, counted), reverse=True))
        }
        named = [who for who in people if rank[who] < len(PALETTE)]
        written = {identity(e): e.contributor or "" for e in reversed(entries)}
        texts = list(distinct((_short(written[who]) for who in named), taken={NOBODY}))
        labels: dict[str | None, str] = dict(zip(named, texts, strict=True))
        colours = dict(zip(texts, PALETTE, strict=False))
        if rest := [who for who in people if who not in labels]:
            others = next(distinct([f"{len(rest)} other{'' if len(rest) == 1 else 's'}"], taken=set(texts)))
            labels |= dict.fromkeys(rest, others)
            colours[others] = GREY
        if None in counted:
            labels[None] = NOBODY
            colours[NOBODY] = PALE
        return cls(labels, colours)

    def label(self, entry: LineageEntry) -> str:
        """Return the name that stands in the legend."""
        return self.labels[identity(entry)]

    def color(self, legend: str | None) -> alt.Color:
        """Return the colours as an encoding of the field ``who``, with a legend under that title or none."""
        scale = alt.Scale(domain=list(self.colours), range=list(self.colours.values()))
        if legend is None:
            return alt.Color("who:N", scale=scale, legend=None)
        columns = max(1, int(LEGEND_WIDTH / (30 + max(map(label_width, self.colours)))))
        return alt.Color("who:N", scale=scale, title=legend, legend=alt.Legend(columns=columns))


def _short(contributor: str) -> str:
    return short_address(fitted(contributor, 42)) if contributor.startswith("0x") else fitted(contributor, 20)


def _weight(who: str, weights: Mapping[str | None, Decimal] | None, counted: Counter[str | None]) -> tuple[float, int]:
    return (0 if weights is None else float(weights.get(who, 0)), counted[who])


def distinct(texts: Iterable[str], taken: set[str]) -> Iterator[str]:
    """Yield the texts, each made different from those before; different people can look alike when shortened."""
    used = set(taken)
    for text in texts:
        candidate, n = text, 1
        while candidate in used:
            n += 1
            candidate = f"{text} ({n})"
        used.add(candidate)
        yield candidate
