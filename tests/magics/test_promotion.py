"""The magics that move versions from stage to stage, on a real store."""

from __future__ import annotations

import json

import mlflow
import pytest

from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.schema.promotions import Promotion
from tests.prompts import FULL


@pytest.fixture(autouse=True)
def registered(store):
    """A model and a prompt, each with two versions."""
    client = mlflow.MlflowClient(store)
    client.create_registered_model("churn")
    for number in (1, 2):
        client.create_model_version("churn", "models/churn")
        PromptModel("mail/hook", f"Hi {{name}} {number}", f"1.0.{number}", metadata=FULL).register()


@pytest.mark.parametrize(("name", "first", "second"), [("churn", "1", "2"), ("mail/hook", "1.0.1", "1.0.2")])
def test_a_version_is_promoted_and_rolled_back(run, name, first, second):
    run(f"%hokusai_promote {name} {first} --to staging --why 'a first try'")
    run(f"%hokusai_promote {name} --to production")
    for stage in ("staging", "production"):
        made = run(f"%hokusai_promote {name} {second} --to {stage}")
    assert isinstance(made, Promotion)
    assert (made.version, made.stage.value) == (second, "production")
    assert [c.why for c in made.changes] == ["", f"replaced by {second}"]
    back = run(f"%hokusai_rollback {name} --stage production --why {{1 + 1}}")
    assert (back.version, back.changes[0].why) == (first, "2")
    assert "has" in back._text_()


@pytest.mark.parametrize("line", ["%hokusai_promote churn", "%hokusai_promote churn --to staging"])
def test_the_same_line_again_changes_nothing(run, line):
    first, again = (run(line) for _ in range(2))
    assert len(first.changes) == 1
    assert again.changes == ()
    assert "is in staging already" in again._text_()


def test_json_reads_back(run):
    made = json.loads(run("%hokusai_promote churn --json"))
    assert (made["name"], made["kind"], made["version"], made["stage"]) == ("churn", "model", "2", "staging")
    assert json.loads(run("%hokusai_rollback churn --json"))["version"] is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%hokusai_promote", "NAME is missing"),
        ("%hokusai_promote nope", "no model and no prompt 'nope'"),
        ("%hokusai_promote churn --to production", "Cannot promote directly from dev to production"),
        ("%hokusai_promote churn --to dev", "--to: Input should be 'staging' or 'production'"),
        ("%hokusai_promote mail/hook 9.9.9", "has no version 9.9.9"),
        ("%hokusai_rollback mail/hook", "Nothing to roll back"),
        ("%hokusai_rollback churn --stage dev", "'staging' or 'production'"),
    ],
)
def test_what_cannot_be_is_said_in_few_lines(refused, line, words):
    lines = refused(line)
    assert words in lines[0]
    assert 1 <= len(lines) <= 3


@pytest.mark.parametrize("line", ["%hokusai_promote churn ;", "%hokusai_promote churn --why '<b>' ;"])
def test_a_closing_semicolon_silences(run, line):
    assert run(line) is None
