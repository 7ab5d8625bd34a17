"""What a server answers becomes a record or an error of ours, and nothing else."""

from __future__ import annotations

import datetime as dt
import email.utils
import json

import pytest

from hokusai_nb import errors
from hokusai_nb.backends.http import calls
from hokusai_nb.backends.http.answers import Answer, passing, record_of
from hokusai_nb.errors import (
    AccessError,
    HokusaiError,
    ModelNotFoundError,
    RateLimitError,
    ServiceError,
    TokenBusyError,
    ValidationError,
)
from hokusai_nb.schema.problems import Problem

HOME = "https://registry.example.org"
KNOWN = sorted(
    name
    for name in errors.__all__
    if issubclass(getattr(errors, name), HokusaiError) and name not in ("MissingExtraError", "RateLimitError")
)


def problem(status=404, error="HokusaiError", what="It failed.", hint="Try again.", headers=None, **more):
    body = {"type": "about:blank", "title": "T", "status": status, "what": what, "hint": hint, "error": error, **more}
    headers = {"content-type": "application/problem+json", **(headers or {})}
    return Answer(status, headers, json.dumps(body).encode())


def page(status, kind="text/html", content=b"<html>s3cret page</html>", **headers):
    return Answer(status, {"content-type": kind, **headers}, content)


def raised(answer, call=None, *, repeated=False):
    with pytest.raises(HokusaiError) as caught:
        record_of(answer, call or calls.token("XRAY"), HOME, repeated=repeated)
    return caught.value


@pytest.mark.parametrize("name", KNOWN)
def test_an_error_that_the_answer_names_is_raised_in_its_own_words(name):
    error = raised(problem(409, name))
    assert type(error) is getattr(errors, name)
    assert (error.what, error.hint) == ("It failed.", "Try again.")


@pytest.mark.parametrize(
    "name", ["KeyboardInterrupt", "MissingExtraError", "HokusaiWarning", "ProblemLike", "", "os.system"]
)
def test_an_error_that_is_none_of_ours_is_an_error_of_the_service(name):
    error = raised(problem(500, name))
    assert type(error) is ServiceError
    assert error.what == "It failed."


def test_problems_come_back_as_they_were():
    found = [
        Problem(field="value", what="accuracy must be between 0 and 1: '87'", hint="Did you mean 0.87?", repair="0.87"),
        Problem(field="token", what="Token ID format invalid: 'x'"),
    ]
    there = ValidationError(found)
    error = raised(
        problem(422, "ValidationError", there.what, there.hint, problems=[p.model_dump(mode="json") for p in found])
    )
    assert error.problems == tuple(found)
    assert str(error) == str(there)


@pytest.mark.parametrize("problems", [None, []])
def test_a_refused_field_without_problems_is_one_all_the_same(problems):
    error = raised(problem(422, "MetricValidationError", problems=problems))
    assert type(error) is errors.MetricValidationError
    assert [p.what for p in error.problems] == ["It failed."]


def test_a_key_that_is_not_good_for_it_is_an_access_error_whatever_the_answer_names():
    for status in (401, 403):
        assert type(raised(problem(status, "ServiceError"))) is AccessError
        assert type(raised(page(status))) is AccessError


@pytest.mark.parametrize(
    ("more", "headers", "seconds"),
    [
        ({"retry_after": 2.5}, {}, 2.5),
        ({}, {"retry-after": "3"}, 3.0),
        ({"retry_after": 2.5}, {"retry-after": "3"}, 2.5),
        ({}, {"retry-after": "soon"}, 0.0),
        ({}, {"retry-after": "-1"}, 0.0),
        ({}, {"retry-after": "nan"}, 0.0),
        ({}, {"retry-after": "1e999"}, 0.0),
        ({}, {}, 0.0),
    ],
)
def test_too_many_requests_say_how_long_to_wait(more, headers, seconds):
    error = raised(problem(429, "RateLimitError", headers=headers, **more))
    assert type(error) is RateLimitError
    assert error.retry_after == seconds


def test_the_time_to_wait_may_be_a_date():
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    error = raised(page(429, **{"retry-after": email.utils.format_datetime(moment, usegmt=True)}))
    assert 55 < error.retry_after <= 60


@pytest.mark.parametrize("status", [204, 302, 400, 404, 418, 500, 502, 599])
def test_a_page_of_another_server_is_named_and_not_shown(status):
    error = raised(page(status))
    assert type(error) is ServiceError
    assert "text/html" in error.what
    assert HOME in error.what
    assert "s3cret" not in str(error)


def test_a_redirection_is_not_followed_and_says_where_it_leads_without_its_secrets():
    error = raised(page(302, location="https://me:pw@login.example.org/sso?state=s3cret"))
    assert "leads to https://login.example.org." in error.hint
    assert "s3cret" not in str(error)
    assert "pw" not in str(error)
    assert "is not followed" in raised(page(302, location="http://[broken")).hint


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"token_id": 1}', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_such_record_is_an_error_that_names_the_place(content):
    error = raised(page(200, "application/json", content))
    assert type(error) is ServiceError
    assert "/api/v1/tokens/XRAY" in error.what
    assert "same version" in error.hint


def test_a_problem_document_that_makes_no_sense_is_a_strangers_answer():
    for content in (b"[]", b"{}", b'{"what": 7}', b"nonsense"):
        error = raised(page(400, "application/problem+json", content))
        assert type(error) is ServiceError
        assert "which the Hokusai API does not" in error.what


def test_words_of_a_server_can_neither_colour_a_terminal_nor_fill_it():
    error = raised(problem(404, "ModelNotFoundError", "\x1b[31mred\x07 " + "x" * 100_000, "a\nb\r\x1b"))
    assert "\x1b" not in str(error)
    assert "\x07" not in str(error)
    assert len(str(error)) < 5_000
    assert error.hint.split("\n")[0] == "a"
    many = [{"field": "f", "what": "\x1bw" * 10_000}] * 100
    error = raised(problem(422, "ValidationError", problems=many))
    assert len(error.problems) == 50
    assert "\x1b" not in str(error)


def test_a_deletion_that_finds_nothing_the_second_time_was_done_the_first_time():
    gone = problem(404, "ModelNotFoundError")
    assert record_of(gone, calls.delete_version("m", 1), HOME, repeated=True) is None
    assert type(raised(gone, calls.delete_version("m", 1))) is ModelNotFoundError
    assert type(raised(gone, repeated=True)) is ModelNotFoundError


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (page(200), False),
        (page(500), False),
        (page(404), False),
        (page(429), True),
        (page(502), True),
        (page(503), True),
        (page(504), True),
        (problem(503, "DatabaseConnectionError"), True),
        (problem(429, "RateLimitError"), True),
        (problem(502, "RegistryError"), False),
        (Answer(502, problem(404).headers, problem(404).content), True),
        (problem(409, "TokenBusyError"), False),
        (problem(409, "ServiceError", retry_after=1.0), True),
    ],
)
def test_only_what_may_pass_is_asked_again(answer, again):
    assert (passing(answer, HOME) is not None) is again


def test_what_passes_knows_the_error_the_wait_and_whether_something_may_have_been_done():
    found = passing(problem(503, "TokenBusyError", retry_after=1.5), HOME)
    assert type(found.error) is TokenBusyError
    assert (found.wait, found.busy, found.lost) == (1.5, False, False)
    found = passing(page(429, **{"retry-after": "4"}), HOME)
    assert (found.wait, found.busy, found.lost) == (4.0, True, False)
    assert passing(page(504), HOME).lost
    found = passing(problem(409, "ServiceError", retry_after=1.0), HOME)
    assert (found.wait, found.busy, found.lost) == (1.0, True, True)
