import json
import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from hokusai_nb import errors
from hokusai_nb.api.problems import (
    MEDIA_TYPE,
    ProblemDocument,
    Refusal,
    conceal,
    problem_response,
    status_of,
    use_problems,
)
from hokusai_nb.backends.http import HokusaiClient, transport
from hokusai_nb.backends.sql import engines
from hokusai_nb.errors import HokusaiError
from hokusai_nb.schema.lifecycle import NewToken
from hokusai_nb.schema.problems import Problem
from tests.apis import Api, app_thread

STATUS = {
    "AccessError": 403,
    "AmbiguousModelError": 422,
    "BaselineError": 422,
    "ConflictError": 409,
    "ConnectionFailedError": 503,
    "DatabaseAccessError": 503,
    "DatabaseBusyError": 503,
    "DatabaseConnectionError": 503,
    "DatabaseError": 500,
    "EventNotFoundError": 404,
    "FileAccessError": 422,
    "HokusaiError": 500,
    "KeyNotFoundError": 404,
    "MetricValidationError": 422,
    "ModelValidationError": 422,
    "MissingExtraError": 500,
    "ModelNotFoundError": 404,
    "NoCurrentRunError": 422,
    "NoModelError": 422,
    "NotFoundError": 404,
    "RateLimitError": 429,
    "ReadOnlyError": 502,
    "RegistryAccessError": 502,
    "RegistryBusyError": 503,
    "RegistryError": 502,
    "RunNotFoundError": 404,
    "ServiceConnectionError": 503,
    "ServiceError": 502,
    "SettingsError": 500,
    "TokenBusyError": 409,
    "TokenExistsError": 409,
    "TokenNotFoundError": 404,
    "TokenStatusError": 409,
    "UnsafeTargetError": 422,
    "UsageError": 422,
    "ValidationError": 422,
}
KINDS = {n: k for n in errors.__all__ if issubclass(k := getattr(errors, n), HokusaiError)}


def made(kind):
    if issubclass(kind, errors.ValidationError):
        return kind([Problem(field="a", what="It is wrong.", hint="Make it right.", repair="right")])
    return kind("It is wrong.", "Make it right.")


def test_every_error_has_its_status():
    assert {name: status_of(made(kind)) for name, kind in KINDS.items()} == STATUS


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_error_says_over_http_what_it_says_everywhere(kind):
    error = made(kind)
    response = problem_response(error, request_id="r-1")
    assert response.media_type == MEDIA_TYPE
    found = ProblemDocument.model_validate_json(response.body)
    assert (found.what, found.hint, found.error) == (error.what, error.hint, kind.__name__)
    assert found.status == response.status_code == STATUS[kind.__name__]
    assert found.detail == f"{error.what} {error.hint}".strip()
    assert found.type.startswith("urn:hokusai:problem:")
    assert found.request_id == "r-1"


def test_problems_name_field_and_repair():
    (problem,) = json.loads(problem_response(made(errors.ValidationError)).body)["problems"]
    assert problem == {
        "field": "a",
        "what": "It is wrong.",
        "hint": "Make it right.",
        "repair": "right",
        "severity": "error",
    }


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.RateLimitError("Wait.", "", 2.2), "3"),
        (errors.RateLimitError("Wait."), "1"),
        (errors.DatabaseConnectionError("Away."), "1"),
        (errors.DatabaseBusyError("Locked."), "1"),
        (Refusal(409, "Wait.", retry_after=0.2), "1"),
        (errors.ConflictError("Never."), None),
    ],
)
def test_retry_after_is_said_in_whole_seconds_where_waiting_helps(error, seconds):
    assert problem_response(error).headers.get("retry-after") == seconds


def test_secrets_are_redacted_and_half_characters_replaced():
    error = HokusaiError("postgresql://me:s3cret@db/x refused \ud800", "Bearer abc.def")
    text = problem_response(error).body.decode()
    assert "s3cret" not in text
    assert "abc.def" not in text
    assert "refused ?" in text


def test_where_the_server_keeps_its_data_is_not_said():
    error = HokusaiError("Model 'a' does not exist in sqlite:////srv/x.db.", "Look in sqlite:////srv/x.db.")
    conceal(error, {"sqlite:////srv/x.db": "the registry"})
    assert (error.what, error.hint) == ("Model 'a' does not exist in the registry.", "Look in the registry.")


class Sum(BaseModel):
    first: int
    second: int


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.state.hidden = {}
    use_problems(app)

    @app.post("/sums")
    def add(numbers: Sum, times: int = 1) -> int:
        return (numbers.first + numbers.second) * times

    @app.get("/busy")
    def busy() -> None:
        raise made(errors.TokenBusyError)

    with app_thread(app) as url:
        yield Api(url)


def test_fields_that_are_wrong_are_named_as_the_sender_knows_them(client):
    document = client.ask("POST", "/sums?times=x", {"first": "one"}, key=None).json()
    assert document["status"] == 422
    assert document["error"] == "ValidationError"
    assert [p["field"] for p in document["problems"]] == ["times", "first", "second"]
    assert document["problems"][2]["what"] == "second is missing."


def test_a_body_that_is_no_json_is_a_bad_request(client):
    answer = client.ask("POST", "/sums", content=b"{", key=None)
    assert (answer.status, answer.json()["error"]) == (400, "ValidationError")


def test_an_address_or_a_method_that_is_not_there_is_a_problem_too(client):
    assert client.ask("GET", "/nothing", key=None).json()["error"] == "NotFoundError"
    answer = client.ask("DELETE", "/sums", key=None)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == MEDIA_TYPE


def test_a_route_that_raises_one_of_our_errors_answers_with_it(client):
    answer = client.ask("GET", "/busy", key=None)
    assert (answer.status, answer.json()["error"]) == (409, "TokenBusyError")


@contextmanager
def locked(api):
    """Hold the lock of a server's SQLite file, as another process does."""
    with closing(sqlite3.connect(api.database.database, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def test_a_database_that_stays_locked_is_no_failure_of_the_server(start, monkeypatch):
    monkeypatch.setattr(engines, "WAIT_SECONDS", 0.1)
    api = start(deliver_events=False)
    for headers in ({}, {"Idempotency-Key": "k"}):
        with locked(api):
            answer = api.ask("POST", "/api/v1/tokens", {"token_id": "MSG-AI"}, headers=headers)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (answer.json()["error"], answer.json()["retry_after"]) == ("DatabaseBusyError", 1.0)
    assert api.ask("POST", "/api/v1/tokens", {"token_id": "MSG-AI"}, headers={"Idempotency-Key": "k"}).status == 201


def test_a_client_waits_for_a_database_that_is_locked_for_a_while(start, monkeypatch):
    monkeypatch.setattr(engines, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(transport, "PATIENCE_SECONDS", 0.5)  # what a server that is away is given
    api = start(deliver_events=False)
    with locked(api) as connection, HokusaiClient(api.url, api.keys["admin"]) as client:
        release = threading.Timer(1.0, connection.execute, ("ROLLBACK",))
        release.start()
        assert client.create_token(NewToken(token_id="MSG-AI")).token_id == "MSG-AI"
        release.join()
    monkeypatch.setattr(transport, "BUSY_SECONDS", 0.5)
    with (
        locked(api),
        HokusaiClient(api.url, api.keys["admin"]) as client,
        pytest.raises(errors.DatabaseBusyError, match="another process keeps it locked"),
    ):
        client.create_token(NewToken(token_id="OTHER-AI"))
