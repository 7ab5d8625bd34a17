"""Prompts: reading and rendering templates against Python's own; loading what is known against MLflow's own cache."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import mlflow

from hokusai_nb import PromptModel
from hokusai_nb.schema.templates import check_template, parse_template
from tests.bench.figures import Row, in_turns, milliseconds
from tests.bench.stores import sqlite_store
from tests.prompts import FULL

if TYPE_CHECKING:
    from collections.abc import Callable

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


def often(work: Callable[[], object]) -> Callable[[], None]:
    """Return what calls it often enough to be timed."""

    def calls() -> None:
        for _ in range(CALLS):
            work()

    return calls


def microseconds(work):
    return milliseconds(work) * 1000 / CALLS


def reading() -> Row:
    turns = [
        (lambda text=text: check_template(text), lambda text=text: list(string.Formatter().parse(text)))
        for text in fresh_texts()
    ]
    ours, parser = (taken * 1000 for taken in in_turns(turns))
    note = "string.Formatter().parse alone"
    return Row("validate a new template of 2 KB", ours, parser, "µs", limit=1000.0, note=note)


def rendering(what: str, text: str, values: dict[str, object]) -> Row:
    assert parse_template(text).render(values) == text.format(**values)
    pair = often(lambda: parse_template(text).render(values)), often(lambda: text.format(**values))
    ours, bare = in_turns([pair] * TURNS, microseconds)
    note = "str.format; ours looks the template up and bounds it"
    return Row(f"render a parsed template, five variables, {what}", ours, bare, "µs", limit=20.0, note=note)


def loading() -> list[Row]:
    """Load from memory: a version, what a stage points at, and the first with its rendering."""
    PromptModel("bench", PLAIN, "1.0.0", metadata=FULL).register().promote_to_staging()

    def loaded(**which):
        return PromptModel.load_from_registry("bench", **which)

    cached = {"cache_ttl_seconds": float("inf")}  # MLflow's default for a version; for an alias it is 60 s
    kinds = (
        ("load a known version", lambda: loaded(version="1.0.0"), "prompts:/bench/1"),
        ("load what a stage has, known", lambda: loaded(stage="staging"), "prompts:/bench@staging"),
    )
    rows = []
    for what, ours, uri in kinds:
        pair = often(ours), often(lambda uri=uri: mlflow.genai.load_prompt(uri, **cached))
        taken = in_turns([pair] * (TURNS // 3), microseconds)
        rows.append(Row(what, *taken, "µs", target=0.1, note="mlflow.genai.load_prompt, cached"))
    assert loaded(version="1.0.0").render(**WORDS) == PLAIN.format(**WORDS)
    pair = often(lambda: loaded(version="1.0.0").render(**WORDS)), often(lambda: PLAIN.format(**WORDS))
    taken = in_turns([pair] * TURNS, microseconds)
    note = "str.format of a text at hand"
    rows.append(Row("load a known version and render it, five variables", *taken, "µs", limit=20.0, note=note))
    return rows


def measure() -> list[Row]:
    kinds = ("formats and an item", TEXT, VALUES), ("text only", PLAIN, WORDS)
    with sqlite_store({}):
        return [reading(), *(rendering(*kind) for kind in kinds), *loading()]
