"""Records as escaped HTML and as text: the only place that writes markup.

Whatever a registry returns is hostile. HTML is built by `markupsafe.Markup`, which escapes every
value that is put into it; both have their control characters spelled out, so that a name can neither
colour a terminal nor forge a line, and a text is read in the order in which a model gets it.
"""

from __future__ import annotations

import abc
import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import pydantic
from markupsafe import Markup

from hokusai_nb.schema.values import ARITHMETIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

__all__ = [
    "SIMULATED",
    "JsonText",
    "Link",
    "Shown",
    "as_json",
    "barred",
    "card",
    "diff_lines",
    "grid",
    "markup_table",
    "plain_table",
    "printable",
    "short_address",
    "shortened",
    "signed",
    "tag_rows",
    "text_block",
    "unseen",
    "visible",
    "when",
]

SIMULATED = "Simulated: mock mode is on; nothing was written anywhere else."
"""What the card of every result of mock mode says."""
MAX_CELL = 1000
MAX_DIGITS = 24

SHORT_WORD = 24
"""Characters of a word that no column is too narrow for."""
# Control characters but for tab and line break, what changes the direction of writing or breaks a line unseen,
# and what is not seen at all; the two joiners stay, because emoji and scripts are made with them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_TABLE = Markup('<table class="hokusai-table">{}<tbody>{}</tbody></table>')
# One style for every record: Jupyter's theme variables, so that dark themes work. A notebook that is opened again, and
# not trusted, loses it, and every style that names a variable: what has to stay is said at its element, plainly.
_CELL = Markup("<{0} style='text-align:left{1}'>{2}</{3}>")
_TEXT = Markup(
    "<pre style='white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere;margin:.25em 0;padding:.4em .6em;"
    "border-left:3px solid rgba(128,128,128,.5);background:none'>{}</pre>"
)
# Tints that the text of a light and of a dark theme can be read on. The signs stay: colour alone says nothing to many.
_TINTS = {
    "+": Markup("<span style='background-color:rgba(46,160,67,.25)'>{}</span>"),
    "-": Markup("<span style='background-color:rgba(229,83,75,.25)'>{}</span>"),
    "@": Markup("<span style='opacity:.7'>{}</span>"),
}
_STYLE = Markup(
    "<style>"
    ".hokusai{{color:var(--jp-ui-font-color1,inherit);font-family:var(--jp-ui-font-family,sans-serif);"
    "font-size:var(--jp-ui-font-size1,13px);line-height:1.5;max-width:60em}}"
    ".hokusai-title{{font-weight:600;margin:.25em 0}}"
    ".hokusai-note{{color:var(--jp-ui-font-color2,inherit);margin:.25em 0;white-space:pre-line}}"
    ".hokusai table{{border-collapse:collapse;margin:.25em 0}}"
    ".hokusai th,.hokusai td{{text-align:left!important;padding:.15em .9em .15em 0;vertical-align:top;"
    "overflow-wrap:break-word;background:none}}"
    ".hokusai th{{font-weight:600;color:var(--jp-ui-font-color1,inherit);white-space:nowrap}}"
    ".hokusai code{{background:none;padding:0}}"
    ".hokusai pre{{font-family:var(--jp-code-font-family,monospace)}}"
    ".hokusai thead th{{border-bottom:1px solid var(--jp-border-color1,#bbb)}}"
    "</style>"
).format()


class Shown(pydantic.BaseModel, frozen=True):
    """A record that shows itself in a notebook and in a terminal."""

    @abc.abstractmethod
    def _grid(self) -> tuple[Markup, str]:
        """Return the record as HTML and as text."""

    def _html_(self) -> Markup:
        return self._grid()[0]

    def _text_(self) -> str:
        return self._grid()[1]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Both forms, always: a front end without HTML, and a diff, still have the text."""
        del include, exclude  # IPython filters the bundle itself
        return {"text/html": str(self._html_()), "text/plain": self._text_()}

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("…" if cycle else self._text_())


class JsonText(str):
    """JSON that a cell shows as it is, without Python's quotes; `json.loads` reads it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Link(str):
    """A web address: itself as text, and to be followed as HTML."""

    __slots__ = ()

    def __html__(self) -> Markup:
        """What `markupsafe` puts in the page; only ever made of the address of a server we talk to."""
        return Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>').format(str(self))


def as_json(record: pydantic.BaseModel) -> JsonText:
    """Return a record as indented JSON; decimals stay exact, as text."""
    return JsonText(record.model_dump_json(indent=2))


def printable(value: object) -> str:
    r"""Return the value as one line of text, with control characters spelled out.

    >>> printable("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    return "".join(c if c.isprintable() else _spelled(c) for c in str(value))


def visible(html: Markup) -> Markup:
    r"""Return HTML with what cannot be seen in it, or would change how it is read, spelled out.

    >>> visible(Markup("a\x1b[31m\n\u202elive\u202c"))
    Markup('a\\x1b[31m\n\\u202elive\\u202c')
    """
    return Markup(_UNSEEN.sub(lambda found: _spelled(found[0]), html))  # noqa: S704 - what was markup before


def unseen(text: str) -> tuple[str, ...]:
    r"""Return what `visible` spells out of a text, spelled out, each once.

    >>> unseen("a\u202eb\u202ec\u202c")
    ('\\u202e', '\\u202c')
    """
    return tuple(_spelled(found) for found in dict.fromkeys(_UNSEEN.findall(text)))


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def shortened(value: object, most: int = MAX_CELL) -> str:
    """Return the beginning of a text, and how much longer it is: a tag may hold 100,000 characters.

    >>> shortened("abcdef", 3)
    'abc… (3 more)'
    """
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more)"


def signed(value: Decimal | None) -> str:
    """Return a difference with its sign, or a dash where there is none; one of many digits is rounded.

    >>> from decimal import Decimal
    >>> signed(Decimal("0.02")), signed(Decimal("-0.010")), signed(Decimal(0)), signed(None)
    ('+0.02', '-0.01', '0', '–')
    """
    if value is None:
        return "–"
    if not value:
        return "0"
    text = format(ARITHMETIC.normalize(value), "+f")
    return text if len(text) <= MAX_DIGITS else format(value, "+.6g")


def short_address(address: str) -> str:
    """Return a long address as its two ends.

    >>> short_address("0x" + "ab" * 20)
    '0xabab…abab'
    """
    return address if len(address) <= 16 else f"{address[:6]}…{address[-4:]}"  # noqa: PLR2004 - fits a column


def when(timestamp: int) -> str:
    """Return milliseconds since the epoch as a UTC minute, or a dash where no time is known.

    >>> when(1_700_000_000_000), when(0)
    ('2023-11-14 22:13 UTC', '–')
    """
    try:
        moment = dt.datetime.fromtimestamp(timestamp / 1000, tz=dt.UTC)
    except (OverflowError, ValueError, OSError):  # outside of what a calendar holds
        return str(timestamp)
    return moment.strftime("%Y-%m-%d %H:%M UTC") if timestamp else "–"


def markup_table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> Markup:
    """Return rows as an escaped HTML table; without a head, the first cell of a row is its label."""
    if head:
        top = Markup("<thead><tr>{}</tr></thead>").format(_cells(head, "th scope='col'"))
        body = [_cells(row) for row in rows]
    else:
        top = Markup()
        body = [_cells([first], "th scope='row'") + _cells(rest) for first, *rest in rows]
    return visible(_TABLE.format(top, Markup().join(Markup("<tr>{}</tr>").format(row) for row in body)))


def _cells(row: Iterable[object], tag: str = "td") -> Markup:
    return Markup().join(_cell(value, Markup(tag)) for value in row)  # noqa: S704 - one of ours


def _cell(value: object, tag: Markup) -> Markup:
    """Return a cell in which a short word stays whole; a long one is broken behind its slashes, or else anywhere."""
    words = str(value).split()
    if len(words) == 1 and len(words[0]) <= SHORT_WORD:
        wraps = ";white-space:nowrap" if "-" in words[0] else ""
    else:
        longest = max((len(part) for one in words for part in one.split("/")), default=0)
        wraps = ";overflow-wrap:anywhere" if longest > SHORT_WORD else ""
        if len(words) == 1 and not hasattr(value, "__html__"):
            value = Markup("/<wbr>").join(words[0].split("/"))
    return _CELL.format(tag, wraps, value, tag.partition(" ")[0])


def text_block(text: object) -> Markup:
    """Return a text of several lines as escaped HTML: with its lines and spaces, marked off from what is around."""
    return visible(_TEXT.format(text))


def diff_lines(diff: str) -> Markup:
    """Return a unified diff as escaped HTML, each line tinted by what became of it."""
    heads = 2  # they name the two sides, with signs of their own
    lines = enumerate(diff.split("\n"))
    tints = ((_TINTS.get("@" if place < heads else line[:1], Markup("{}")), line) for place, line in lines)
    return visible(Markup("\n").join(tint.format(line) for tint, line in tints))


def card(title: object, *parts: object, notes: Iterable[object] = ()) -> Markup:
    """Return a titled block of HTML, escaped except for the parts that are markup already."""
    head = Markup("<div class='hokusai-title' style='font-weight:600'>{}</div>").format(title)
    shown = [head, *(Markup("{}").format(p) for p in parts)]
    shown += [Markup("<div class='hokusai-note'>{}</div>").format(note) for note in notes]
    return visible(_STYLE + Markup("<div class='hokusai'>{}</div>").format(Markup().join(shown)))


def plain_table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """Return rows as aligned columns of text."""
    lines = [[printable(c) for c in row] for row in ([head, *rows] if head else rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def barred(text: str) -> list[str]:
    """Return the lines of a text behind bars, so that none can pass for a row of the card around it."""
    return [f"| {printable(line)}" for line in text.split("\n")]


def grid(
    title: str, rows: Sequence[Sequence[object]], head: Sequence[object] = (), notes: Sequence[object] = ()
) -> tuple[Markup, str]:
    """Return the same title, table and notes as HTML and as text."""
    title, notes = shortened(title), [shortened(n) for n in notes]
    cells = [[c if isinstance(c, Link) else shortened(c) for c in row] for row in rows]
    table = markup_table(cells, head) if rows else Markup()
    lines = [printable(title), plain_table(cells, head) if rows else "", *(printable(n) for n in notes)]
    return card(title, table, notes=notes), "\n".join(line for line in lines if line)


def tag_rows(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return tags in a stable order for a table."""
    return sorted(tags.items())
