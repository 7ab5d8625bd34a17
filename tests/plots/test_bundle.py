"""The bundle: one chart in every form that a front end can show."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys

import pytest
import vl_convert
from IPython.core.formatters import DisplayFormatter

from hokusai_nb.errors import HokusaiError
from hokusai_nb.plots.bundle import Plot, repacked
from hokusai_nb.plots.improvement import improvement_plot
from hokusai_nb.plots.lineage import lineage_plot

VEGA = "application/vnd.vegalite.v5+json"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
NASTY = "</script><script>alert('x')</script>\"&"


@pytest.fixture
def plot(lineage_of):
    return improvement_plot(lineage_of(["0.85", "0.91"]))


@pytest.fixture
def empty(lineage_of):
    return improvement_plot(lineage_of([None], name=NASTY))


def test_a_chart_is_shown_as_vega_lite_picture_and_text(plot):
    bundle, _ = plot._repr_mimebundle_()
    assert set(bundle) == {VEGA, "image/png", "text/plain"}
    assert bundle[VEGA]["$schema"] == "https://vega.github.io/schema/vega-lite/v5.6.1.json"
    assert base64.b64decode(bundle["image/png"]).startswith(SIGNATURE)
    assert bundle["text/plain"] == plot.text == repr(plot)


def test_ipython_takes_the_bundle_as_it_is(plot):
    formatter = DisplayFormatter()
    formatter.active_types = formatter.format_types
    data, metadata = formatter.format(plot)
    assert {VEGA, "image/png", "text/plain"} <= set(data)
    assert data["text/plain"] == plot.text
    assert metadata["image/png"]["alt"] == plot.text


def test_the_bundle_is_json_without_further_ado(plot):
    assert json.loads(json.dumps(plot._repr_mimebundle_(), allow_nan=False))


def test_the_picture_is_twice_as_fine_as_it_is_shown(plot):
    _, metadata = plot._repr_mimebundle_()
    width, height = struct.unpack(">II", plot.png[16:24])
    assert (metadata["image/png"]["width"], metadata["image/png"]["height"]) == (width // 2, height // 2)
    assert 600 < width // 2 < 900


def test_the_picture_is_drawn_once_and_only_when_needed(plot):
    assert "png" not in vars(plot)
    first = plot.png
    assert plot.png is first
    assert "png" in vars(plot)


def test_repacking_keeps_the_picture_and_saves_more_than_half(plot):
    loose = vl_convert.vegalite_to_png(plot.spec, vl_version="6.4", scale=2)
    from PIL import Image

    assert len(repacked(loose)) < len(loose) / 2
    with Image.open(_stream(loose)) as before, Image.open(_stream(repacked(loose))) as after:
        assert before.tobytes() == after.tobytes()


def _stream(content):
    import io

    return io.BytesIO(content)


def test_the_same_lineage_gives_the_same_spec_byte_by_byte(lineage_of):
    first, second = (json.dumps(improvement_plot(lineage_of(["0.85", "0.91"])).spec) for _ in range(2))
    assert first == second
    assert "data-" not in first, "Altair named a data set by its hash"


def test_the_alternative_text_is_in_the_spec(plot):
    assert plot.spec["description"] == plot.text


def test_where_there_is_nothing_to_draw_the_sentence_stands_alone_and_escaped(empty):
    bundle, metadata = empty._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert metadata == {}
    assert "nothing to draw" in bundle["text/plain"]
    assert "&lt;/script&gt;&lt;script&gt;" in bundle["text/html"]
    assert "<script>" not in bundle["text/html"]
    assert empty.spec == {}
    assert empty.chart is None


@pytest.mark.parametrize(
    ("suffix", "start"),
    [("png", SIGNATURE), ("PNG", SIGNATURE), ("svg", b"<svg"), ("json", b"{"), ("html", b"<!doctype html>")],
)
def test_a_plot_is_saved_by_the_suffix_of_its_file(plot, tmp_path, suffix, start):
    path = plot.save(tmp_path / f"plot.{suffix}")
    assert path.read_bytes().startswith(start)


def test_a_saved_json_is_the_spec(plot, tmp_path):
    assert json.loads(plot.save(str(tmp_path / "plot.json")).read_text(encoding="utf-8")) == plot.spec


@pytest.mark.parametrize("name", ["plot.gif", "plot"])
def test_an_unknown_suffix_is_an_error_that_lists_the_known_ones_and_writes_nothing(plot, tmp_path, name):
    with pytest.raises(HokusaiError, match=r"(?s)cannot be saved.*\.png, \.svg, \.json, \.html"):
        plot.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_plot_is_not_saved_and_says_why(empty, tmp_path):
    with pytest.raises(HokusaiError, match="nothing to draw"):
        empty.save(tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []


def test_markup_in_names_stays_text_in_saved_pages_and_pictures(lineage_of, tmp_path):
    plot = lineage_plot(lineage_of(["0.8", "0.9"], name=NASTY, people=(NASTY,), aliases={"2": (NASTY,)}))
    page = plot.save(tmp_path / "plot.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("<script>") == page.count("</script>") == 2
    svg = plot.save(tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert "<script" not in svg
    assert "&lt;script" in svg


def test_a_users_altair_theme_does_not_change_the_colours(lineage_of):
    import altair as alt

    with alt.theme.enable("dark"):
        plot = improvement_plot(lineage_of(["0.85", "0.91"]))
        config = plot.spec["config"]
    assert config["background"] == "#FFFFFF"
    assert config["title"]["color"] == "#1F2933"
    assert config["axis"]["gridColor"] == "#E4E7EB"


def test_the_room_itself_imports_no_altair():
    code = "import sys, hokusai_nb.plots; print('altair' in sys.modules, 'vl_convert' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_chart_can_be_worked_on_further(plot):
    assert plot.chart.properties(width=100).to_dict()["width"] == 100
    assert isinstance(Plot(None, "x"), Plot)
