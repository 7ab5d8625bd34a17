"""What is left of a form where it cannot live: its text, its HTML, and the line that asks for the same."""

from __future__ import annotations

import html
import re

from tests.widgets.looking import html_of


def test_the_line_of_a_form_that_cannot_live_is_whole(filled):
    note = "two  blanks, " + 300 * "and a word " + "the end"
    filled.tags.add("note", note)
    markup, text = filled.static()
    line = text.splitlines()[-1]
    assert line.startswith("%hokusai_register churn --token A-B")
    assert line.endswith(f"--tag 'note={note}'")
    (block,) = re.findall(r"<pre [^>]*>(.*?)</pre>", str(markup))
    assert html.unescape(block) == line


def test_what_is_left_of_a_form_says_that_it_is_of_its_time(filled):
    markup, text = filled.static()
    for kept in (markup, text):
        assert "What will be written: churn version 1 (new)" in kept
        assert "What was entered or registered later is not in it." in kept


def test_the_receipt_in_a_form_names_the_line_that_shows_it_for_good(filled):
    run = filled._inquiry.run_id
    filled.submit()
    (line,) = re.findall(r"<pre [^>]*>(.*?)</pre>", html_of(filled))
    assert line == f"%hokusai_register churn --token A-B --metric accuracy --run {run}"


def test_a_digest_is_shown_by_its_ends_and_written_whole(filled):
    from tests.widgets.looking import versions

    digest = "0123456789ab" + 46 * "c" + "abcdef"
    address = "0x" + 40 * "a"
    filled.tags.add("contribution_hash", digest)
    filled.fields["contributor"].value = address
    assert filled.wait(20)
    assert f'<span title="{digest}">0123456789ab…abcdef</span>' in html_of(filled)
    assert f">{address}</td>" in html_of(filled)  # somebody has to compare it
    filled.submit()
    (version,) = versions("churn")
    assert version.tags["contribution_hash"] == digest
