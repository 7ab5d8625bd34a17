from __future__ import annotations

import pytest

from hokusai_nb.backends.mlflow.tag_guard import check_stored, refuse
from hokusai_nb.errors import ValidationError

VALID = {"hokusai_token_id": "MSG-AI", "benchmark_metric": "reply_rate", "benchmark_value": "0.1342"}


@pytest.mark.parametrize(
    "tags",
    [
        {},
        VALID,
        {**VALID, "note": "anything", "mlflow.x": "1", "hokusai.registration_key": "k"},
        {**VALID, "hokusai_token_id": "msg-ai"},
        {**VALID, "benchmark_metric": "own_metric", "benchmark_value": "-7"},
        {"dataset_version": " ", "feature_count": "many", "contributor": "Anna"},
        {"hokusai.deployed_by": "anna"},
        {"mlflow.prompt.is_prompt": "true", "hokusai_tokenid": "no id"},
    ],
)
def test_what_keeps_the_schema_or_is_none_of_ours_may_be_stored(tags):
    assert check_stored(tags) == []


@pytest.mark.parametrize(
    ("tags", "field"),
    [
        ({"hokusai_token_id": "MSG-AI"}, "benchmark_metric"),
        ({"benchmark_metric": "accuracy"}, "hokusai_token_id"),
        ({"benchmark_value": "0.9"}, "hokusai_token_id"),
        ({"hokusai_tokenid": "MSG-AI"}, "hokusai_token_id"),
        ({"hokusai.baseline_requirement": "0.8"}, "hokusai_token_id"),
        ({**VALID, "hokusai_token_id": "msg_ai"}, "hokusai_token_id"),
        ({**VALID, "hokusai_token_id": ""}, "hokusai_token_id"),
        ({**VALID, "benchmark_value": "13.42"}, "benchmark_value"),
        ({**VALID, "benchmark_value": "nan"}, "benchmark_value"),
        ({**VALID, "benchmark_metric": "reply rate!"}, "benchmark_metric"),
        ({**VALID, "contribution_hash": "abc"}, "contribution_hash"),
        ({**VALID, "full_version": "1.2.3", "major_version": "2"}, "major_version"),
        *(({"mlflow.prompt.is_prompt": "true", key: "87"}, "hokusai_token_id") for key in VALID),
        ({**VALID, "mlflow.prompt.is_prompt": "false", "benchmark_value": ""}, "benchmark_value"),
    ],
)
def test_what_breaks_the_schema_may_not(tags, field):
    assert field in {problem.field for problem in check_stored(tags)}
    with pytest.raises(ValidationError):
        refuse(tags)


def test_a_one_word_ticker_needs_a_token_store_that_knows_it():
    asked = []

    def confirm(token):
        asked.append(token)
        return token == "XRAY"

    xray = {**VALID, "hokusai_token_id": "xray"}
    assert check_stored(xray, confirm) == []
    assert check_stored({**xray, "benchmark_value": "x"}, confirm)[0].field == "benchmark_value"
    assert check_stored({**VALID, "hokusai_token_id": "ABSENT"}, confirm)[0].field == "hokusai_token_id"
    assert check_stored({**VALID, "hokusai_token_id": "msg_ai"}, confirm)[0].field == "hokusai_token_id"
    assert check_stored(VALID, confirm) == []
    assert asked == ["XRAY", "XRAY", "ABSENT"]
    with pytest.raises(ValidationError, match="only where a token store confirms it"):
        refuse(xray)


def test_an_old_version_can_be_mended_tag_by_tag_and_made_no_worse():
    broken = {"hokusai_token_id": "msg_ai", "benchmark_metric": "accuracy", "benchmark_value": "87"}
    refuse({**broken, "note": "x"}, broken)
    refuse({**broken, "hokusai_token_id": "MSG-AI"}, broken)
    with pytest.raises(ValidationError, match="accuracy must be"):
        refuse({**broken, "benchmark_value": "88"}, broken)
    with pytest.raises(ValidationError, match="Tag benchmark_metric is missing"):
        refuse({"hokusai_token_id": "msg_ai", "benchmark_value": "87"}, broken)


def test_a_prompt_that_stops_being_one_is_checked():
    prompt = {"mlflow.prompt.is_prompt": "true", "hokusai_tokenid": "no id"}
    with pytest.raises(ValidationError):
        refuse({"hokusai_tokenid": "no id"}, prompt)


def test_a_refusal_says_what_and_what_to_try_of_every_problem():
    with pytest.raises(ValidationError) as caught:
        refuse({"hokusai_token_id": "msg_ai", "benchmark_metric": "accuracy", "benchmark_value": "87"})
    assert str(caught.value).splitlines()[:2] == [
        "Token ID format invalid: 'msg_ai'",
        "Did you mean MSG-AI?",
    ]
    assert "0.87" in str(caught.value)
