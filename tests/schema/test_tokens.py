"""Token ids: one canonical form, folded from lower case, everything else refused with a repair."""

from __future__ import annotations

import enum
import string

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ValidationError
from hokusai_nb.schema.problems import problems_in
from hokusai_nb.schema.tokens import (
    MAX_TOKEN_LENGTH,
    StoredTokenId,
    TokenId,
    check_token,
    fold_token,
    parse_token,
)

modest = settings(max_examples=100, deadline=None)
anything = st.one_of(
    st.text(),
    st.text(alphabet="mMsSgG-_ .0–\nß🚀\u0130\u0131\u017f\u2011\uff21\u0391", max_size=12),
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.lists(st.text()) | st.decimals(),
)
valid_tokens = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,9}(-[A-Za-z0-9]{1,9}){1,5}", fullmatch=True)


@pytest.mark.parametrize("text", ["MSG-AI", "A-1", "IMG-001", "A1B2-C3-D4", "A-" + "B" * 62])
def test_a_canonical_token_is_kept_as_it_is(text):
    assert parse_token(text) == text


@pytest.mark.parametrize(
    ("text", "canonical"), [("msg-ai", "MSG-AI"), ("Msg-Ai", "MSG-AI"), ("shell-001", "SHELL-001")]
)
def test_lower_case_letters_are_folded(text, canonical):
    assert parse_token(text) == canonical


@pytest.mark.parametrize(
    ("text", "repair"),
    [
        ("msg_ai", "MSG-AI"),
        ("MSG AI", "MSG-AI"),
        ("A--B", "A-B"),
        ("MSG-AI\n", "MSG-AI"),
        (" MSG-AI", "MSG-AI"),
        ("MSG-AI-", "MSG-AI"),
        ("MSG–AI", "MSG-AI"),
        ("MSG\u2011AI", "MSG-AI"),
        ("MSG.AI/2", "MSG-AI-2"),
        ("\uff2d\uff33\uff27-\uff21\uff29", "MSG-AI"),
        ("MSGAI", None),
        ("123-MSG", None),
        ("-A", None),
        ("", None),
        ("-", None),
        ("A-" + "B" * 63, None),
        ("msg-a\u0131", None),
        ("MSG-AÍ", None),
        ("MSG-A\u0301I", None),
        ("\u041cSG-AI", None),
        ("M\u017fG-AI", "MSG-AI"),
        ("straße-1", None),
    ],
)
def test_a_malformed_token_is_refused_with_a_repair_where_there_is_one(text, repair):
    (problem,) = check_token(text)
    assert problem.what.startswith("Token ID format invalid: ")
    assert (problem.field, problem.severity, problem.repair) == ("token", "error", repair)
    assert problem.hint
    with pytest.raises(ValidationError, match="Token ID format invalid"):
        parse_token(text)


def test_a_letter_of_another_alphabet_is_never_dropped_to_make_another_token():
    cyrillic_em = "\u041c"
    assert check_token(f"{cyrillic_em}SG-AI")[0].repair is None


def test_an_over_long_token_is_told_the_limit():
    (problem,) = check_token("A-" * 500 + "B")
    assert problem.hint == f"It has 1,001 characters; {MAX_TOKEN_LENGTH} is the most."
    assert len(problem.what) < 150


def test_a_one_word_ticker_is_accepted_only_where_a_store_confirms_it():
    assert check_token("xray", ticker=True) == []
    assert parse_token("xray", ticker=True) == "XRAY"
    (problem,) = check_token("XRAY")
    assert "token store confirms" in problem.hint
    assert check_token("x ray", ticker=True)[0].repair == "X-RAY"
    assert check_token(" xray", ticker=True)[0].repair == "XRAY"


@pytest.mark.parametrize("value", [None, 5, 1.5, True, b"MSG-AI", ["MSG-AI"], object])
def test_what_is_no_text_is_refused(value):
    (problem,) = check_token(value)
    assert problem.what.startswith("Token ID format invalid: ")
    assert problem.repair is None


def test_a_member_of_an_enum_and_numpy_text_are_the_text_they_hold():
    class Token(str, enum.Enum):  # noqa: UP042 - as older code writes it; its str() is "Token.MESSAGES"
        MESSAGES = "msg-ai"

    for value in (Token.MESSAGES, np.str_("msg-ai")):
        parsed = parse_token(value)
        assert parsed == "MSG-AI"
        assert type(parsed) is str


def test_folding_changes_ascii_letters_only():
    assert fold_token("ßı" + string.ascii_lowercase) == "ßı" + string.ascii_uppercase


def test_a_stored_token_is_read_in_any_form_but_folded():
    stored = pydantic.TypeAdapter(StoredTokenId)
    assert [stored.validate_python(text) for text in ("msg-ai", "XRAY", "any thing")] == ["MSG-AI", "XRAY", "ANY THING"]
    with pytest.raises(pydantic.ValidationError):
        stored.validate_python("")


@modest
@given(anything, st.booleans())
def test_no_input_breaks_the_check_and_every_repair_is_valid(value, ticker):
    problems = check_token(value, ticker=ticker)
    for problem in problems:
        assert problem.repair is None or check_token(problem.repair, ticker=ticker) == []
    if problems:
        with pytest.raises(ValidationError):
            parse_token(value, ticker=ticker)


@modest
@given(valid_tokens)
def test_a_parsed_token_parses_to_itself(text):
    token = parse_token(text)
    assert parse_token(token) == token == text.upper()
    assert pydantic.TypeAdapter(TokenId).validate_python(text) == token


@modest
@given(anything)
def test_the_type_and_the_check_agree(value):
    adapter = pydantic.TypeAdapter(TokenId)
    if problems := check_token(value):
        with pytest.raises(pydantic.ValidationError) as caught:
            adapter.validate_python(value)
        assert problems_in(caught.value) == problems
    else:
        assert adapter.validate_python(value) == parse_token(value)
