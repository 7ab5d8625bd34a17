from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from hokusai_nb.backends.sql import tables
from hokusai_nb.backends.sql.types import Serial

MYSQL_KEY_BYTES = 3072
BYTES_PER_CHARACTER = 4


def test_the_two_tables_that_other_systems_read_have_exactly_these_columns():
    assert [c.name for c in tables.tokens.columns] == [
        "token_id",
        "model_status",
        "mlflow_run_id",
        "metric_name",
        "metric_value",
        "baseline_value",
        "created_at",
        "updated_at",
        "metadata",
    ]
    assert [c.name for c in tables.events.columns] == [
        "event_id",
        "event_type",
        "source",
        "timestamp",
        "payload",
        "processed",
    ]


def test_our_version_table_is_not_mlflows():
    assert tables.VERSION_TABLE not in {"alembic_version", *tables.metadata.tables}


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect(), mysql.dialect()], ids=lambda d: d.name)
def test_every_table_and_index_can_be_written_for_every_kind_of_database(dialect):
    for table in tables.metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            text += str(CreateIndex(index).compile(dialect=dialect))
        assert table.name in text
        assert "BIGINT" not in text or dialect.name != "sqlite"


def test_mysql_can_keep_every_key():
    for table in tables.metadata.sorted_tables:
        keys = [table.primary_key.columns, *(index.columns for index in table.indexes)]
        for columns in keys:
            texts = [column.type.length for column in columns if isinstance(column.type, sa.String)]
            assert BYTES_PER_CHARACTER * sum(texts) <= MYSQL_KEY_BYTES, table.name


def test_sqlite_counts_up_by_itself():
    assert Serial.dialect_impl(sqlite.dialect()).compile(sqlite.dialect()) == "INTEGER"
    assert Serial.dialect_impl(postgresql.dialect()).compile(postgresql.dialect()) == "BIGINT"


def test_every_table_is_exported():
    listed = {name for name in tables.__all__ if isinstance(getattr(tables, name), sa.Table)}
    assert listed == set(tables.metadata.tables)
