"""The receipt of a prompt: what stays in the notebook after the form is gone."""

from __future__ import annotations

import datetime as dt

import pytest

from hokusai_nb.schema.prompt_receipt import PromptReceipt
from hokusai_nb.schema.prompts import ModelStage, PromptVersion, StageChange

MADE = PromptVersion(name="a/b", version="1.1.0", template="Hi {name}\n{cta}", mlflow_version=2, author="team")


@pytest.mark.parametrize(
    ("stages", "steps"),
    [
        ((), ("%hokusai_promote a/b 1.1.0 --to staging", "%hokusai_prompts a/b")),
        (
            (ModelStage.STAGING,),
            ("%hokusai_promote a/b 1.1.0 --to production", "%hokusai_rollback a/b --stage staging"),
        ),
        ((ModelStage.PRODUCTION,), ("%hokusai_lineage a/b", "%hokusai_rollback a/b --stage production")),
    ],
)
def test_the_next_two_lines_follow_the_stage(stages, steps):
    receipt = PromptReceipt(prompt=MADE.model_copy(update={"stages": stages}))
    assert receipt.next_steps == steps
    assert all(step in receipt._text_() for step in steps)


def test_the_next_lines_are_lines_that_the_magics_read():
    from hokusai_nb.magics.parsing import parse
    from hokusai_nb.schema.prompt_verbs import Promote, Prompts, Rollback

    for stage, verbs in ((ModelStage.DEV, (Promote, Prompts)), (ModelStage.STAGING, (Promote, Rollback))):
        receipt = PromptReceipt(prompt=MADE.model_copy(update={"stages": (stage,)}))
        for line, verb in zip(receipt.next_steps, verbs, strict=True):
            magic, _, rest = line.removeprefix("%").partition(" ")
            parse(verb, rest, {}, magic)


def test_it_says_what_changed_who_promoted_it_and_holds_the_whole_text():
    when = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    moved = StageChange(
        version="1.1.0", from_stage=ModelStage.DEV, to_stage=ModelStage.STAGING, who="ada", when=when, why="it converts"
    )
    made = MADE.model_copy(update={"history": (moved,), "created": False})
    text = PromptReceipt(prompt=made, changes=("Variables added: cta.",))._text_()
    assert text.startswith("Already registered a/b 1.1.0\n")
    assert "Variables added: cta." in text
    assert "2026-01-02 03:04 UTC by ada: it converts" in text
    assert text.endswith("| Hi {name}\n| {cta}")


def test_markup_and_line_breaks_of_a_registry_are_spelled_out():
    evil = "<img src=x onerror=alert(1)>\nForged  row"
    made = MADE.model_copy(update={"template": evil, "author": evil, "url": "https://x.test/?a=<b>"})
    receipt = PromptReceipt(prompt=made, changes=(evil,))
    assert "<img" not in receipt._html_()
    assert '<a href="https://x.test/?a=&lt;b&gt;"' in receipt._html_()
    assert not any(line.startswith("Forged") for line in receipt._text_().split("\n"))
