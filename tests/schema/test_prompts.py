"""Prompts as records: frozen, shown safely, and the same again after JSON and pickle."""

from __future__ import annotations

import datetime as dt
import json
import pickle

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.lib.pretty import pretty

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.problems import Problem
from hokusai_nb.schema.prompts import (
    ModelStage,
    PromptHistory,
    PromptLineage,
    PromptList,
    PromptVersion,
    StageChange,
)

modest = settings(max_examples=60, deadline=None)
HOSTILE = "<script>alert('x')</script>\n\x1b[31m\u202e&\"%🚀{x}"
MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

text = st.text(max_size=12) | st.just(HOSTILE)
moments = st.datetimes(timezones=st.just(dt.UTC))
stages = st.sampled_from(ModelStage)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda v: st.lists(v, max_size=2) | st.dictionaries(text, v, max_size=2),
)
changes = st.builds(StageChange, version=text, from_stage=stages, to_stage=stages, who=text, when=moments, why=text)
versions = st.builds(
    PromptVersion,
    name=text,
    version=text,
    template=text,
    stages=st.lists(stages, max_size=2).map(tuple),
    metadata=st.dictionaries(text, json_values, max_size=3),
    created_at=st.none() | moments,
    author=st.none() | text,
    parent_version=st.none() | text,
    mlflow_version=st.none() | st.integers(1, 10**9),
    history=st.lists(changes, max_size=2).map(tuple),
    url=st.none() | text,
    simulated=st.booleans(),
    warnings=st.lists(st.builds(Problem, field=text, what=text, hint=text), max_size=1).map(tuple),
)
some = st.lists(versions, max_size=2).map(tuple)
records = st.one_of(
    versions,
    st.builds(PromptList, title=text, entries=some),
    st.builds(PromptLineage.of, text, some),
    st.builds(PromptHistory, name=text, entries=st.lists(changes, max_size=2).map(tuple)),
)


def version(number="1.0.0", template="Hi {name}", **more):
    return PromptVersion(name="greeting", version=number, template=template, **more)


@modest
@given(records)
def test_no_text_from_a_registry_breaks_out_of_what_is_shown(record):
    shown = record._repr_mimebundle_()
    assert set(shown) == {"text/html", "text/plain"}
    html, plain = shown["text/html"], shown["text/plain"]
    assert "<script" not in html
    allowed = tuple(f"<{slash}{tag}" for tag in ("style", "div", "table", "t", "pre", "span") for slash in ("", "/"))
    assert all(html.startswith(allowed, i) for i, c in enumerate(html) if c == "<")
    assert all(line.isprintable() for line in plain.split("\n"))
    assert pretty(record) == plain


@modest
@given(records)
def test_a_record_is_the_same_again_after_json_and_pickle(record):
    assert pickle.loads(pickle.dumps(record)) == record
    again = type(record).model_validate_json(record.model_dump_json())
    assert again == record
    assert hash(again) == hash(record)


def test_a_record_is_frozen_with_all_that_it_holds():
    held = [1]
    record = version(metadata={"tested_on": held})
    held.append(2)
    assert record.metadata == {"tested_on": [1]}
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        record.version = "2.0.0"
    with pytest.raises(TypeError, match="cannot be changed"):
        record.metadata["tested_on"].append(2)


@pytest.mark.parametrize(
    ("stages", "stage"),
    [((), "dev"), (("dev",), "dev"), (("staging",), "staging"), (("production", "staging", "dev"), "production")],
)
def test_the_stage_is_the_furthest_that_points_at_the_version(stages, stage):
    assert version(stages=stages).stage is ModelStage(stage)


def test_a_version_tells_everything_as_plain_values():
    change = StageChange(version="1.0.0", from_stage="dev", to_stage="staging", who="ada", when=MOMENT, why="tested")
    record = version(
        metadata={"target": 0.06, "tested_on": ["threads"]},
        created_at=MOMENT,
        author="ada",
        parent_version="0.9.0",
        mlflow_version=3,
        stages=("staging",),
        history=(change,),
    )
    told = record.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told == {
        "name": "greeting",
        "version": "1.0.0",
        "template": "Hi {name}",
        "variables": ["name"],
        "stage": "staging",
        "metadata": {"target": 0.06, "tested_on": ["threads"]},
        "created_at": "2026-01-02T03:04:05Z",
        "author": "ada",
        "parent_version": "0.9.0",
        "mlflow_version": 3,
        "history": [
            {
                "version": "1.0.0",
                "from": "dev",
                "to": "staging",
                "who": "ada",
                "when": "2026-01-02T03:04:05Z",
                "why": "tested",
            }
        ],
    }
    told["metadata"]["tested_on"].append("x")
    assert record.metadata["tested_on"] == ["threads"]


def test_a_version_that_is_not_registered_says_so_and_knows_no_time():
    record = version()
    assert not record.registered
    assert (record.to_dict()["created_at"], record.lineage_entry()["mlflow_version"]) == (None, None)
    assert record._text_().splitlines()[0] == "Prompt greeting 1.0.0 (not registered)"
    assert version(mlflow_version=1)._text_().splitlines()[0] == "Prompt greeting 1.0.0 (registered)"


def test_a_text_that_is_no_template_of_ours_is_kept_and_only_refused_when_it_is_used():
    record = version(template="Hi {{name}} {")
    assert record.variables == ()
    assert "Hi {{name}} {" in record._text_()
    with pytest.raises(ModelValidationError, match="Invalid template format"):
        record.parsed.render({})
    assert version().parsed.render({"name": "Ada"}) == "Hi Ada"


def test_no_line_of_a_template_passes_for_a_row_of_the_card():
    shown = version(template="Hi {name}\nStage      production")._text_().splitlines()
    assert [line for line in shown if line.startswith("Stage")] == ["Stage      dev"]
    assert "| Stage      production" in shown


def test_a_card_says_warnings_and_that_it_is_simulated():
    shown = version(
        simulated=True, warnings=[Problem(field="m", what="Recommended metadata is missing: author")]
    )._text_()
    assert "Warning: Recommended metadata is missing: author" in shown
    assert "Simulated" in shown
    assert "Simulated" in PromptList(entries=(version(simulated=True),))._text_()
    assert "Simulated" in PromptLineage.of("greeting", [version(simulated=True)])._text_()


def test_a_very_long_template_is_cut_where_it_is_shown():
    record = version(template="x" * 100_000)
    assert "(96,000 more)" in record._text_()
    assert len(record._text_()) < 5000
    assert len(record.to_dict()["template"]) == 100_000


def test_a_lineage_is_a_sequence_of_dictionaries_in_order():
    made = [
        version("1.0.0", created_at=MOMENT, author="ada", mlflow_version=1, stages=("production",)),
        version("1.1.0", created_at=MOMENT, parent_version="1.0.0", mlflow_version=2),
    ]
    lineage = PromptLineage.of("greeting", made)
    assert [entry["version"] for entry in lineage] == ["1.0.0", "1.1.0"]
    assert all(isinstance(entry, dict) for entry in lineage)
    assert lineage[0] == {
        "version": "1.0.0",
        "created_at": "2026-01-02T03:04:05Z",
        "parent_version": None,
        "author": "ada",
        "stage": "production",
        "mlflow_version": 1,
    }
    assert lineage[-1]["parent_version"] == "1.0.0"
    assert lineage[:1] == lineage.entries[:1]
    assert (len(lineage), lineage.versions) == (2, tuple(made))
    assert json.loads(json.dumps(list(lineage))) == list(lineage)


def test_a_list_shows_its_columns_and_how_many_it_leaves_out():
    shown = (
        PromptList(entries=tuple(version(f"1.0.{n}", mlflow_version=n + 1) for n in range(60)))._text_().splitlines()
    )
    assert shown[0] == "Prompts"
    assert shown[1].split() == ["Prompt", "Version", "Stage", "Variables", "Author", "Registered"]
    assert shown[2].split() == ["greeting", "1.0.0", "dev", "name", "–", "–"]
    assert shown[-1] == "… and 10 more."
    assert len(shown) == 53
    assert PromptList(entries=())._text_() == "Prompts\nNothing found."


def test_a_long_lineage_and_a_long_history_show_their_newest_entries():
    lineage = PromptLineage.of("greeting", (version(f"1.0.{n}", mlflow_version=n + 1) for n in range(60)))
    assert lineage._text_().splitlines()[-2].split()[0] == "1.0.59"
    assert lineage._text_().splitlines()[-1] == "The newest 50 of 60 versions."
    changes = (
        StageChange(version=f"1.0.{n}", from_stage="dev", to_stage="staging", who="ada", when=MOMENT) for n in range(60)
    )
    shown = PromptHistory(name="greeting", entries=tuple(changes))._text_().splitlines()
    assert shown[0] == "History of greeting"
    assert "1.0.59" in shown[-2]
    assert shown[-1] == "The newest 50 of 60."
    assert PromptLineage.of("greeting", [])._text_() == "Lineage of greeting\nNothing found."
    assert PromptHistory(name="greeting", entries=())._text_() == "History of greeting\nNothing has been promoted."


def test_a_change_of_stage_is_written_and_read_by_the_words_of_its_record():
    change = StageChange(version="1.0.0", from_stage="dev", to_stage="staging", who="ada", when=MOMENT, why="tested")
    written = json.loads(change.model_dump_json())
    assert (written["from"], written["to"]) == ("dev", "staging")
    assert StageChange.model_validate(written) == change == StageChange.model_validate(change.to_dict())
