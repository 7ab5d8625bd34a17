"""Prompts: reading a template that was never seen, and rendering one that was, against Python's own."""

from __future__ import annotations

import string

from hokusai_nb.schema.templates import check_template, parse_template
from tests.bench.figures import Row, in_turns, milliseconds

TURNS = 30
CALLS = 2000
TEXT = "🔥 {hook} - {cta}: {price:.2f} for {count:d} of {product[name]} #{{trending}}"
VALUES = {"hook": "AI", "cta": "See how", "price": 3.14159, "count": 7, "product": {"name": "hooks"}}
PLAIN = "🔥 {hook} - {cta} for {name} by {author} #{hashtag} #trending"
WORDS = {"hook": "AI", "cta": "See how", "name": "you", "author": "the team", "hashtag": "AIRevolution"}


def fresh_texts():
    """Templates of 2 KB with a dozen variables, no two alike."""
    part = "Write for {audience} in the voice of {persona[name]}, {count:d} lines of {width:>{pad}}, {{json}}. "
    for turn in range(TURNS):
        start = f"Version {turn}: {{variable_{turn}!r}} "
        yield start + (part * 25)[: 2048 - len(start)].rpartition(". ")[0]


def repeated(text, values):
    """Rendering through the cache, and by Python alone, often enough to be timed."""

    def ours():
        for _ in range(CALLS):
            parse_template(text).render(values)

    def bare():
        for _ in range(CALLS):
            text.format(**values)

    assert parse_template(text).render(values) == text.format(**values)
    return ours, bare


def microseconds(work):
    return milliseconds(work) * 1000 / CALLS


def measure() -> list[Row]:
    turns = [
        (lambda text=text: check_template(text), lambda text=text: list(string.Formatter().parse(text)))
        for text in fresh_texts()
    ]
    ours, parser = (taken * 1000 for taken in in_turns(turns))
    note = "string.Formatter().parse alone"
    rows = [Row("validate a new template of 2 KB", ours, parser, "µs", limit=1000.0, note=note)]
    for what, text, values in (("formats and an item", TEXT, VALUES), ("text only", PLAIN, WORDS)):
        ours, bare = in_turns([repeated(text, values)] * TURNS, microseconds)
        name = f"render a parsed template, five variables, {what}"
        rows.append(
            Row(name, ours, bare, "µs", limit=20.0, note="str.format; ours looks the template up and bounds it")
        )
    return rows
