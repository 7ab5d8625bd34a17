from __future__ import annotations

import http.server
import socket
import sqlite3
import threading

import pytest
import requests
import sqlalchemy
from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.rest_utils import MlflowHostCreds, http_request, verify_rest_response

from hokusai_nb.backends.mlflow.failures import answer_lost, dropped, translate, unreachable, why
from hokusai_nb.errors import (
    ConnectionFailedError,
    HokusaiError,
    NotFoundError,
    ReadOnlyError,
    RegistryAccessError,
    RegistryBusyError,
    RegistryError,
)
from tests.conftest import free_port
from tests.servers import black_hole

PLACE = "http://registry"


def failing_call(address, timeout=0.5):
    """What MLflow raises for a request to an address that does not answer properly."""
    with pytest.raises(MlflowException) as caught:
        http_request(MlflowHostCreds(address), "/x", "POST", max_retries=0, timeout=timeout, raise_on_status=False)
    return caught.value


@pytest.fixture
def hanging_up():
    """Address of a server that takes a request and hangs up."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve():
            taken, _ = listener.accept()
            with taken:
                taken.recv(1000)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def redirecting():
    """Address of a server that sends everybody round in circles."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(307)
            self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_closed_port_is_no_connection_and_nothing_was_sent():
    error = failing_call(f"http://127.0.0.1:{free_port()}")
    assert why(error) == "the connection failed"
    assert dropped(error)
    assert not answer_lost(error)
    translated = translate(error, PLACE)
    assert isinstance(translated, ConnectionFailedError)
    assert str(translated).startswith("Failed to connect to MLflow at http://registry: the connection failed.")


def test_a_server_that_hangs_up_may_have_carried_the_call_out(hanging_up):
    error = failing_call(f"http://{hanging_up}")
    assert why(error) == "the connection failed"
    assert dropped(error)
    assert answer_lost(error)


def test_a_server_that_is_silent_may_have_carried_the_call_out_and_is_not_asked_again():
    with black_hole() as place:
        error = failing_call(f"http://{place}", timeout=(1, 0.2))
    assert why(error) == "it did not answer in time"
    assert not dropped(error)
    assert answer_lost(error)


def test_an_unknown_host_is_named_as_such():
    error = failing_call("http://no-such-host.invalid")
    assert why(error) == "its name is not known"
    assert not answer_lost(error)


def test_a_server_without_a_good_certificate_is_named_as_such():
    error = MlflowException("API request failed")
    error.__cause__ = requests.exceptions.SSLError("certificate verify failed")
    assert why(error) == "its certificate is not accepted"
    assert not dropped(error)
    assert not answer_lost(error)


def test_an_address_that_is_none_is_no_connection():
    error = failing_call("http://[nonsense")
    assert isinstance(translate(error, PLACE), ConnectionFailedError)
    assert not answer_lost(error)


def test_going_round_in_circles_is_reported_as_it_is(redirecting):
    translated = translate(failing_call(redirecting, timeout=5), PLACE)
    assert type(translated) is RegistryError
    assert "redirects" in translated.what


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("RESOURCE_DOES_NOT_EXIST", NotFoundError, "no such thing"),
        ("NOT_FOUND", NotFoundError, "no such thing"),
        (
            "PERMISSION_DENIED",
            RegistryAccessError,
            "MLflow at http://registry refused access: PERMISSION_DENIED",
        ),
        ("UNAUTHENTICATED", RegistryAccessError, "Check HOKUSAI_API_KEY, MLFLOW_TRACKING_TOKEN"),
        ("INVALID_PARAMETER_VALUE", RegistryError, "MLflow Error: INVALID_PARAMETER_VALUE: no such thing"),
        ("ENDPOINT_NOT_FOUND", RegistryError, "not as an MLflow server"),
        ("TEMPORARILY_UNAVAILABLE", RegistryBusyError, "MLflow at http://registry turns requests away"),
        ("REQUEST_LIMIT_EXCEEDED", RegistryBusyError, "Try again."),
    ],
)
def test_each_refusal_of_a_server_has_its_words(code, kind, words):
    translated = translate(RestException({"error_code": code, "message": "no such thing"}), PLACE)
    assert type(translated) is kind
    assert words in str(translated)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_or_gateway_that_turns_requests_away_is_busy(status):
    """Whatever it says; what is busy may be asked again, and what failed may not."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_error(status)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = MlflowHostCreds(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(MlflowException) as caught:
            verify_rest_response(http_request(host, "/x", "POST", max_retries=0, raise_on_status=False), "/x")
        server.shutdown()
    assert type(translate(caught.value, PLACE)) is RegistryBusyError


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_of_the_server_leaves_open_whether_the_call_was_carried_out(status):
    assert answer_lost(RestException({"error_code": str(status), "message": "gateway"}))


def test_a_refusal_means_that_nothing_was_done():
    assert not answer_lost(RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "bad name"}))


def of_sqlite(text):
    return sqlalchemy.exc.OperationalError("INSERT …", {}, sqlite3.OperationalError(text))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (of_sqlite("attempt to write a readonly database"), ReadOnlyError, "cannot be written"),
        (PermissionError(13, "Permission denied", "/models"), ReadOnlyError, "cannot be written"),
        (OSError(30, "Read-only file system", "/models"), ReadOnlyError, "cannot be written"),
        (of_sqlite("unable to open database file"), ConnectionFailedError, "the database cannot be opened"),
        (of_sqlite("file is not a database"), ConnectionFailedError, "the database cannot be opened"),
        (of_sqlite("database is locked"), RegistryBusyError, "is locked"),
        (of_sqlite('FATAL: password authentication failed for user "me"'), RegistryAccessError, "refused access"),
        (of_sqlite('FATAL: database "mlflow" does not exist'), ConnectionFailedError, "cannot be opened"),
        (of_sqlite("no such table: runs"), RegistryError, "no such table: runs"),
        (OSError(28, "No space left on device"), RegistryError, "No space left on device"),
    ],
)
def test_each_refusal_of_a_database_has_its_words(error, kind, words):
    translated = translate(error, "sqlite:///x.db")
    assert type(translated) is kind
    assert words in str(translated)
    assert "sqlite:///x.db" in str(translated)


def test_a_database_that_refuses_behind_a_server_is_recognised_too():
    text = "(sqlite3.OperationalError) attempt to write a readonly database\n[SQL: INSERT …]"
    error = RestException({"error_code": "TEMPORARILY_UNAVAILABLE", "message": text})
    assert isinstance(translate(error, PLACE), ReadOnlyError)


def test_what_a_user_called_a_model_is_not_taken_for_the_reason():
    error = MlflowException("Invalid name: 'attempt to write a readonly database'", error_code=3)
    assert type(translate(error, PLACE)) is RegistryError


def test_no_password_gets_into_an_error():
    for error in (MlflowException("bad URI postgresql://me:s3cret@db/x"), of_sqlite("postgresql://me:s3cret@db/x")):
        assert "s3cret" not in str(translate(error, "postgresql://***@db/x"))


def test_a_long_or_empty_message_becomes_one_readable_line():
    assert len(translate(MlflowException("x" * 10_000 + "\nmore"), PLACE).what) < 400
    assert "Error" in translate(MlflowException(""), PLACE).what


def test_errors_that_are_each_others_cause_are_followed_once():
    first, second = MlflowException("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert why(first) is None
    assert isinstance(translate(first, PLACE), HokusaiError)


def test_an_unreachable_store_says_where_and_what_to_try():
    error = unreachable("http://registry", "it did not answer in time")
    assert error.what == "Failed to connect to MLflow at http://registry: it did not answer in time."
    for way in ("--mlflow-uri", "MLFLOW_TRACKING_URI", "mlflow.set_tracking_uri"):
        assert way in error.hint
    assert isinstance(error, ConnectionError)
