"""Sample values: typed as text, passed as what their fields take."""

from __future__ import annotations

import datetime as dt

import pytest

from hokusai_nb.schema.templates import parse_template
from hokusai_nb.widgets.prompt_values import MOST_SHOWN, render_texts


@pytest.mark.parametrize(
    ("template", "texts", "shown"),
    [
        ("{x}", {"x": "007"}, "007"),
        ("{x!r}", {"x": "a"}, "'a'"),
        ("{x:>4}", {"x": "7"}, "   7"),
        ("{x:d} {x}", {"x": "7"}, "7 7"),
        ("{x:.2f}", {"x": " 3 "}, "3.00"),
        ("{x:,}", {"x": "1234567"}, "1,234,567"),
        ("{x:%d %B %Y}", {"x": "2026-01-02"}, "02 January 2026"),
        ("{x:%H:%M}", {"x": "2026-01-02T03:04"}, "03:04"),
        ("{x[a][b]}", {"x": '{"a": {"b": 1}}'}, "1"),
        ("{x[0]:.1f}", {"x": "[1, 2]"}, "1.0"),
        ("{x.a.b}", {"x": '{"a": {"b": 1}}'}, "1"),
        ("{x:{w}.{p}f}", {"x": "3.14159", "w": "6", "p": "2"}, "  3.14"),
        ("{{{x}}}", {"x": "a"}, "{a}"),
    ],
)
def test_a_text_becomes_what_its_field_takes(template, texts, shown):
    rendered = render_texts(parse_template(template), texts)
    assert (rendered.text, dict(rendered.problems)) == (shown, {})


@pytest.mark.parametrize(
    ("template", "text", "words"),
    [
        ("{x:.2f}", "cheap", "{x:.2f} needs a number: 'cheap'"),
        ("{x:d}", "7.5", "{x:d} needs a whole number: '7.5'"),
        ("{x:%Y}", "soon", "{x:%Y} needs a date: 'soon'"),
        ("{x[a]}", "plain", "Type JSON"),
        ("{x.a}", '{"b": 1}', "Type JSON"),
    ],
)
def test_a_value_that_its_field_refuses_is_told_with_what_to_type(template, text, words):
    rendered = render_texts(parse_template(template), {"x": text})
    assert words in rendered.problems["x"].sentence
    assert rendered.text == template


def test_what_has_no_value_yet_stands_as_it_is_written():
    template = parse_template("a {x!r:>{w}} {y[k].z} {t:%H}")
    rendered = render_texts(template, {"w": "5"})
    assert rendered.parts == (
        ("a ", False),
        ("{x!r:>{w}}", True),
        (" ", False),
        ("{y[k].z}", True),
        (" ", False),
        ("{t:%H}", True),
    )


def test_values_are_passed_typed():
    rendered = render_texts(parse_template("{n:d} {day:%Y} {s}"), {"n": "7", "day": "2026-01-02", "s": "7"})
    assert rendered.values == {"n": 7, "day": dt.date(2026, 1, 2), "s": "7"}


def test_what_is_rendered_while_typing_is_bounded():
    rendered = render_texts(parse_template("{x:9999}" * 2000), {"x": "a"})
    assert rendered.cut
    assert len(rendered.text) <= MOST_SHOWN
