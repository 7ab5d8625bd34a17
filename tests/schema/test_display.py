"""Records as HTML and text: escaped, printable, and of a readable size."""

from __future__ import annotations

import json
import re
import unicodedata
from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from hokusai_nb.schema.display import (
    JsonText,
    barred,
    card,
    diff_lines,
    grid,
    markup_table,
    plain_table,
    printable,
    short_address,
    shortened,
    signed,
    tag_rows,
    text_block,
    when,
)

modest = settings(max_examples=100, deadline=None)
HOSTILE = "<script>alert('x')</script>\n\x1b[31m\u202e&\"%"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        ("a\nb\r\t", r"a\nb\r\t"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u202e\u2028", r"\u202e\u2028"),
        ("\ud800", r"\ud800"),
        ("模型🚀", "模型🚀"),
        (None, "None"),
        (Decimal("0.90"), "0.90"),
    ],
)
def test_control_characters_are_spelled_out(value, text):
    assert printable(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.02", "+0.02"),
        ("-0.010", "-0.01"),
        ("100", "+100"),
        ("1E+3", "+1000"),
        ("0.00", "0"),
        ("-0", "0"),
        ("1e-400", "+1e-400"),
        ("0.30000000000000004", "+0.30000000000000004"),
        ("1" * 30, "+1.11111e+29"),
    ],
)
def test_a_difference_has_a_sign_and_few_characters(value, text):
    with localcontext(prec=2):
        assert signed(Decimal(value)) == text
    assert signed(None) == "–"


@pytest.mark.parametrize("milliseconds", [10**18, -(10**18), 10**30])
def test_a_time_outside_the_calendar_is_shown_as_its_number(milliseconds):
    assert when(milliseconds) == str(milliseconds)


def test_times_addresses_and_long_texts_are_shown_short():
    assert when(1_700_000_000_000) == "2023-11-14 22:13 UTC"
    assert when(0) == "–"
    assert short_address("0x" + "ab" * 20) == "0xabab…abab"
    assert short_address("alice") == "alice"
    assert shortened("x" * 100_000, 10) == "xxxxxxxxxx… (99,990 more)"


def test_json_shows_itself_without_quotes_and_loads():
    text = JsonText('{"a": "é"}')
    assert repr(text) == '{"a": "é"}'
    assert json.loads(text) == {"a": "é"}


def test_every_cell_title_and_note_is_escaped():
    html, text = grid(HOSTILE, [(HOSTILE, HOSTILE)], (HOSTILE, "b"), [HOSTILE])
    assert html.count("&lt;script&gt;") == 5
    assert "<script" not in html
    assert "'x'" not in html
    assert len(text.splitlines()) == 4
    assert all(line.isprintable() for line in text.splitlines())


def test_only_markup_of_our_own_is_let_through_a_card():
    html = card("a & b", Markup("<b>ours</b>"), "<b>theirs</b>")
    assert "a &amp; b" in html
    assert "<b>ours</b>" in html
    assert "&lt;b&gt;theirs&lt;/b&gt;" in html


def test_a_very_long_cell_is_cut_and_says_so():
    html, text = grid("t", [("k", "x" * 100_000)])
    assert "(99,000 more)" in html
    assert "(99,000 more)" in text
    assert len(text) < 2_000


def test_a_table_without_a_head_labels_its_rows_and_one_with_a_head_its_columns():
    assert markup_table([("a", 1)]).count("<th scope='row' ") == 1
    assert markup_table([("a", 1)], ("k", "v")).count("<th scope='col' ") == 2


def test_text_tables_are_aligned_and_an_empty_one_is_empty():
    assert plain_table([("a", 1), ("bbb", 22)], ("k", "v")) == "k    v\na    1\nbbb  22"
    assert plain_table([]) == ""


def test_tags_are_shown_in_a_stable_order():
    assert tag_rows({"b": "1", "a": "2"}) == [("a", "2"), ("b", "1")]


@modest
@given(st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=3), st.lists(st.text(), max_size=2))
def test_no_text_breaks_out_of_a_table(title, rows, notes):
    html, text = grid(title, rows, notes=notes)
    ours = card("", markup_table([("", "")] * len(rows)) if rows else Markup(), notes=[""] * len(notes))
    html = html.replace("/<wbr>", "/")  # where a long word may be broken
    assert html.count("<") == ours.count("<")
    assert html.count(">") == ours.count(">")
    assert not [c for c in html if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in "\n\t"]
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text.split("\n")) <= 1 + len(rows) + len(notes)


def test_what_an_untrusted_notebook_must_still_show_names_no_variable_of_a_theme():
    shown = card("a", markup_table([("b", 1)], ("c", "d")), text_block("e"), diff_lines("--- 1\n+++ 2\n@@ x\n-a\n+b"))
    styles = re.findall(r"style='(.*?)'", shown.split("</style>")[1])
    assert "text-align:left" in styles
    assert not [style for style in styles if "var(" in style]


def test_a_diff_tints_what_came_and_what_went_and_not_its_heads():
    lines = diff_lines("--- 1.0\n+++ 1.1\n@@ -1 +1 @@\n-<b>\n+{a}\n same").split("\n")
    assert ["background" in line for line in lines] == [False, False, False, True, True, False]
    assert lines[3].endswith(">-&lt;b&gt;</span>")
    assert lines[5] == " same"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m\r", r"\x1b[31m\r"),
        ("ok \u202elive\u202c", r"ok \u202elive\u202c"),
        ("\u2066a\u2069\u200f\u061c", r"\u2066a\u2069\u200f\u061c"),
        ("a\u200bb\ufeff\u2028c\xadd", r"a\u200bb\ufeff\u2028c\xadd"),
        ("\U000e0041\ud800", r"\U000e0041\ud800"),
        ("a\tb\xa0c", "a\tb\xa0c"),
        ("👩\u200d🔬 क्\u200dष क्\u200cष ❤\ufe0f שלום", "👩\u200d🔬 क्\u200dष क्\u200cष ❤\ufe0f שלום"),
    ],
)
def test_html_spells_out_what_is_not_seen_or_turns_a_text_around_and_keeps_what_letters_are_joined_with(text, shown):
    made = text_block(text), diff_lines(text), markup_table([(text, text)], (text,)), card(text, text, notes=[text])
    assert [html.count(shown) for html in made] == [1, 1, 3, 3]
    assert text == shown or not [html for html in made if text in html]


def test_a_short_word_in_a_table_stays_whole_and_a_long_one_is_broken_at_its_slashes():
    html = markup_table([("1.2.3-rc.1", "production", "persona/entrepreneur/founder/hook", "x" * 40, "a/b")], ["n"] * 5)
    cells = re.findall(r"<td style='([^']*)'>(.*?)</td>", html)
    assert cells == [
        ("text-align:left;white-space:nowrap", "1.2.3-rc.1"),
        ("text-align:left", "production"),
        ("text-align:left", "persona/<wbr>entrepreneur/<wbr>founder/<wbr>hook"),
        ("text-align:left;overflow-wrap:anywhere", "x" * 40),
        ("text-align:left", "a/b"),
    ]


def test_no_line_of_a_text_can_pass_for_one_of_its_card():
    assert barred("Stage  production\n\x1b[2J\n") == ["| Stage  production", "| \\x1b[2J", "| "]
