from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai_nb.log import logger, redact, set_level


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    set_level("WARNING")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://me:s3cret@db/x", "postgresql://***@db/x"),
        ("postgresql+psycopg://me:s3/cr@et@db/x", "postgresql+psycopg://***@db/x"),
        ("redis://:s3cret@cache:6379/0", "redis://***@cache:6379/0"),
        ("https://ghp_s3cret@host/x", "https://***@host/x"),
        ("HTTPS://me:s3@cret@host/x", "HTTPS://***@host/x"),
        ("https://host/x?user=a&password=s3cret&b=1", "https://host/x?user=a&password=***&b=1"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Ds3cret", "mssql+pyodbc:///?odbc_connect=***"),
        ("Authorization: Bearer s3cret.abc==", "Authorization: Bearer ***"),
        ("authorization: basic czNjcmV0", "authorization: basic ***"),
        ("hk_Ab12_s3cret-x is wrong", "hk_Ab12_*** is wrong"),
        ("whsec_s3cret+/=", "whsec_***"),
        ("from http://a:s3cret@b/ to http://c:s3cret@d/", "from http://***@b/ to http://***@d/"),
    ],
)
def test_credentials_are_taken_out(text, clean):
    assert redact(text) == clean
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "https://registry.hokus.ai/api/mlflow",
        "sqlite:////data/a@b.db",
        "http://127.0.0.1:5000/#/models/a@b",
        "http://127.0.0.1:5000/ and me@example.org",
        "models:/churn@production",
        "the bearer of this letter"[:10],
    ],
)
def test_what_holds_no_credentials_stays_as_it_is(text):
    assert redact(text) == text


@given(
    user=st.text("abcXYZ019_-.", min_size=1, max_size=8),
    password=st.text("abcXYZ019_-.%!$~+=", min_size=4, max_size=20),
    host=st.sampled_from(["db", "db.example.org", "127.0.0.1", "[::1]"]),
    scheme=st.sampled_from(["http", "https", "postgresql", "mysql+pymysql", "redis"]),
)
def test_no_password_survives(user, password, host, scheme):
    shown = redact(f"cannot open {scheme}://{user}:{password}@{host}:5432/mlflow: refused")
    assert f"{user}:{password}" not in shown
    assert f"{host}:5432/mlflow" in shown


def _logged(call):
    """What a handler writes while the call logs."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        call()
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


def test_log_records_hold_no_credentials():
    text = _logged(lambda: logger.warning("cannot open %s", "postgresql://me:s3cret@db/x"))
    assert text == "cannot open postgresql://***@db/x\n"


def test_stack_traces_in_the_log_hold_no_credentials():
    def fail():
        try:
            {}["https://me:s3cret@host/"]
        except KeyError:
            logger.warning("failed", exc_info=True)

    text = _logged(fail)
    assert "KeyError: 'https://***@host/'" in text
    assert "s3cret" not in text


def test_a_level_lets_through_what_is_at_least_that_grave():
    set_level("INFO")
    assert _logged(lambda: (logger.debug("no"), logger.info("yes"))) == "yes\n"
    set_level("ERROR")
    assert _logged(lambda: (logger.warning("no"), logger.error("yes"))) == "yes\n"


def test_without_logging_of_the_application_records_go_to_stderr(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logger.warning("look here")
    logger.info("not here")
    assert capsys.readouterr().err.splitlines()[0].endswith("WARNING hokusai_nb: look here")


def test_with_logging_of_the_application_records_go_there_alone(monkeypatch, capsys):
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(stream)])
    logger.warning("look here")
    assert stream.getvalue() == "look here\n"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text", ["https://x/a?sig=s3cret", "s3://b/k?X-Amz-Signature=s3cret", "Authorization: Token s3cret"]
)
def test_signatures_and_any_scheme_of_authorization_are_hidden(text):
    assert "s3cret" not in redact(text)
