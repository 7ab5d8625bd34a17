from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.backends.sql.tables import tokens
from hokusai_nb.backends.sql.types import DecimalColumn, JsonColumn, UtcColumn
from hokusai_nb.schema.values import check_decimal

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
ROW = {"token_id": "MSG-AI", "model_status": "draft", "created_at": NOW, "updated_at": NOW}


def kept(database, **columns):
    """Write one token's row and read it again, in two transactions."""
    with database.transaction() as connection:
        connection.execute(sa.delete(tokens))
        connection.execute(sa.insert(tokens).values({**ROW, **columns}))
    with database.reading() as connection:
        return connection.execute(sa.select(tokens)).mappings().one()


@pytest.mark.parametrize(
    "text",
    ["0.1", "0.90", "-3", "0.1234567890123456789012345678901234567890", "1E+300", "1e-300", "87", "0", "1e-999", ".5"],
)
def test_a_decimal_comes_back_exactly(database, text):
    found = kept(database, metric_value=text)["metric_value"]
    assert Decimal(found) == Decimal(text)
    assert not check_decimal(found)


def test_a_missing_value_stays_missing(database):
    row = kept(database)
    assert [row[name] for name in ("metric_value", "baseline_value", "mlflow_run_id", "metadata")] == [None] * 4


@pytest.mark.slow
def test_postgresql_compares_decimals_as_numbers(postgres_database):
    kept(postgres_database, metric_value="9", baseline_value="10")
    with postgres_database.reading() as connection:
        less = sa.text("SELECT metric_value < baseline_value FROM tokens")
        assert connection.execute(less).scalar_one() is True


@pytest.mark.parametrize("zone", [dt.UTC, dt.timezone(dt.timedelta(hours=-7, minutes=-30))])
def test_a_moment_comes_back_in_utc_with_its_microseconds(database, zone):
    found = kept(database, created_at=NOW.astimezone(zone))["created_at"]
    assert found == NOW
    assert found.tzinfo is dt.UTC


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "ö\u2028\x00'\"; --"]}, {}, [], "text", 0, {"n": 10**30}])
def test_anything_that_json_holds_comes_back(database, value):
    assert kept(database, metadata=value)["metadata"] == value


def as_foreign(database, columns, **values):
    """Read one row of a table that another program made, through our own columns."""
    table = sa.Table("foreign_tokens", sa.MetaData(), *(sa.Column(name, kind) for name, kind in columns.items()))
    ours = sa.Table(
        "foreign_tokens",
        sa.MetaData(),
        sa.Column("value", DecimalColumn),
        sa.Column("at", UtcColumn),
        sa.Column("metadata", JsonColumn),
    )
    with database.transaction() as connection:
        table.create(connection)
        connection.execute(sa.insert(table).values(values))
        written = {"value": "0.25", "at": NOW, "metadata": {"b": 2}}
        connection.execute(sa.insert(ours).values(written))
        rows = connection.execute(sa.select(ours)).mappings().all()
    return sorted(rows, key=lambda row: row["value"])


def test_a_table_of_floats_text_and_moments_without_zone_is_read_and_written(database):
    kinds = {"value": sa.Float, "at": sa.DateTime(timezone=False), "metadata": sa.Text}
    naive = NOW.replace(tzinfo=None)
    theirs, ours = as_foreign(database, kinds, value=0.1, at=naive, metadata=json.dumps({"a": 1}))
    assert (theirs["value"], theirs["at"], theirs["metadata"]) == ("0.1", NOW, {"a": 1})
    assert (ours["value"], ours["at"], ours["metadata"]) == ("0.25", NOW, {"b": 2})


def test_a_table_of_text_is_read_and_written(database):
    kinds = {"value": sa.String(32), "at": sa.DateTime(timezone=True), "metadata": sa.JSON}
    theirs, ours = as_foreign(database, kinds, value="0.10", at=NOW.replace(microsecond=0), metadata=[1])
    assert (theirs["value"], theirs["at"], theirs["metadata"]) == ("0.10", NOW.replace(microsecond=0), [1])
    assert (ours["value"], ours["at"], ours["metadata"]) == ("0.25", NOW, {"b": 2})


@pytest.mark.slow
def test_jsonb_is_read_and_written(postgres_database):
    from sqlalchemy.dialects.postgresql import JSONB

    kinds = {"value": sa.Numeric(10, 4), "at": sa.DateTime, "metadata": JSONB}
    theirs, ours = as_foreign(postgres_database, kinds, value=Decimal("0.1"), at=NOW, metadata={"a": 1})
    assert (theirs["value"], theirs["metadata"]) == ("0.1000", {"a": 1})
    assert (ours["value"], ours["metadata"]) == ("0.2500", {"b": 2})


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "about 3", Decimal("NaN"), ""])
def test_what_is_no_finite_decimal_is_read_as_none(wrong):
    assert DecimalColumn().process_result_value(wrong, None) is None


def test_text_that_is_no_json_is_read_as_text():
    assert JsonColumn().process_result_value("{half", None) == "{half"


@settings(max_examples=200, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=20) | st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_for_postgresql_is_the_same_number(number):
    from sqlalchemy.dialects import postgresql

    text = str(number)
    if check_decimal(text):
        return
    written = DecimalColumn().process_bind_param(text, postgresql.dialect())
    # A server answers without exponent.
    answered = Decimal(format(written, "f"))
    found = DecimalColumn().process_result_value(answered, postgresql.dialect())
    assert found is not None
    assert Decimal(found) == Decimal(text)
