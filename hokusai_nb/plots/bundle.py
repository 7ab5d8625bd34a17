"""A chart with every form in which a front end can show it."""

from __future__ import annotations

import base64
import functools
import json
import pathlib
import struct
import zlib
from typing import TYPE_CHECKING, Any

import vl_convert
from markupsafe import Markup

from hokusai_nb.errors import HokusaiError
from hokusai_nb.schema.display import card

if TYPE_CHECKING:
    import os

    import altair as alt

__all__ = ["Plot"]

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.6.1.json"
"""What JupyterLab 4 and Notebook 7 bundle; they refuse the version that Altair writes."""
RENDERER = "6.4"
"""Vega-Lite version that draws the PNG, among those in vl-convert."""
SCALE = 2
VEGA = "application/vnd.vegalite.v5+json"


class Plot:
    """A chart, its picture and its text.

    A notebook shows the interactive chart where it can, else the picture, else the text: no network
    is needed for any of them. Where there is nothing to draw, the text says why.

    Attributes:
        chart: The Altair chart, to go on working with; None where there is nothing to draw.
        text: What the picture shows, in sentences: its alternative text.
    """

    def __init__(self, chart: alt.LayerChart | alt.VConcatChart | None, text: str) -> None:
        self.chart = chart
        self.text = text

    @functools.cached_property
    def spec(self) -> dict[str, Any]:
        """The chart as Vega-Lite 5; empty where there is nothing to draw."""
        return {} if self.chart is None else {**self.chart.to_dict(), "$schema": SCHEMA}

    @functools.cached_property
    def png(self) -> bytes:
        """The picture, drawn once, at two pixels to a point.

        Raises:
            HokusaiError: There is nothing to draw.
        """
        return repacked(vl_convert.vegalite_to_png(self._drawable(), vl_version=RENDERER, scale=SCALE))

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write the chart to a file and return its path.

        Args:
            path: The suffix says what to write: ``.png``, ``.svg``, ``.json`` (Vega-Lite) or
                ``.html`` (interactive, complete in itself, about 1 MB).

        Raises:
            HokusaiError: There is nothing to draw, or the suffix is none of these.
        """
        target = pathlib.Path(path)
        writers = {".png": lambda: self.png, ".svg": self._svg, ".json": self._json, ".html": self._page}
        if target.suffix.lower() not in writers:
            what = f"A plot cannot be saved as {target.suffix or 'a file without suffix'}."
            raise HokusaiError(what, f"Use one of: {', '.join(writers)}.")
        content = writers[target.suffix.lower()]()
        target.write_bytes(content)
        return target

    def _drawable(self) -> dict[str, Any]:
        if self.chart is None:
            raise HokusaiError(self.text)
        return self.spec

    def _svg(self) -> bytes:
        return vl_convert.vegalite_to_svg(self._drawable(), vl_version=RENDERER).encode()

    def _json(self) -> bytes:
        return json.dumps(self._drawable(), indent=1, ensure_ascii=False).encode()

    def _page(self) -> bytes:
        # vl-convert's own page lets "</script>" in a name end its script; here "<" never reaches it.
        spec = json.dumps(self._drawable()).replace("<", "\\u003c")
        page = Markup(
            '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{}</title>\n'
            '<body><div id="chart"></div>\n<script>{}</script>\n<script>vegaEmbed("#chart", {})</script>\n'
        )
        library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=RENDERER)
        # Both are scripts: the library as it is, the chart with its "<" spelled out.
        filled = page.format(self.spec["title"]["text"], Markup(library), Markup(spec))  # noqa: S704 - see above
        return filled.encode()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Every form, and how large and of what the picture is."""
        del include, exclude  # IPython filters the bundle itself
        if self.chart is None:
            return {"text/plain": self.text, "text/html": str(card(self.text))}, {}
        width, height = struct.unpack(">II", self.png[16:24])  # where every PNG says it
        picture = base64.b64encode(self.png).decode()
        seen = {"width": width // SCALE, "height": height // SCALE, "alt": self.text}
        return {VEGA: self.spec, "image/png": picture, "text/plain": self.text}, {"image/png": seen}

    def __repr__(self) -> str:
        return self.text


def repacked(png: bytes) -> bytes:
    """Return the same picture in about a third of the bytes: vl-convert packs for speed, and notebooks keep it."""
    head, packed, at = png[:8], b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IDAT":
            packed += body
            continue
        if kind == b"IEND":
            head += _chunk(b"IDAT", zlib.compress(zlib.decompress(packed)))
        head += _chunk(kind, body)
    return head


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
