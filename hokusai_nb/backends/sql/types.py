"""Column types that mean the same in SQLite, PostgreSQL and MySQL, and read what other programs wrote."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, BigInteger, DateTime, Integer, Numeric, String, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from hokusai_nb.schema.values import ARITHMETIC, MAX_LENGTH, check_decimal, format_decimal

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Dialect

__all__ = ["DecimalColumn", "JsonColumn", "Serial", "UtcColumn", "WordColumn", "storable"]

Serial = BigInteger().with_variant(Integer(), "sqlite")
"""A number that the database counts up; SQLite does so for ``INTEGER`` only."""


_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return text as every database can keep it: zero bytes and halves of surrogate pairs become ``�``."""
    return _UNSTORABLE.sub("�", text)


class _Untyped(TypeEngine[str]):
    """Text of which PostgreSQL is not told that it is text: it becomes what the column is."""

    __visit_name__ = "VARCHAR"
    collation = collation_schema = None

    def __init__(self, length: int) -> None:
        self.length = length


class WordColumn(TypeDecorator[str]):
    """A word or an id; in PostgreSQL another program may have made the column an enumeration or a ``uuid``."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self._length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that this database keeps."""
        return dialect.type_descriptor(_Untyped(self._length) if dialect.name == "postgresql" else String(self._length))

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text of what was read."""
        del dialect
        return None if value is None else str(value)


class DecimalColumn(TypeDecorator[str]):
    """Decimal text, exact.

    PostgreSQL keeps a ``NUMERIC``, which compares and adds up; the others would round that to a
    float or to an integer, and keep the text. What is no finite decimal is read as None.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that this database keeps."""
        exact = dialect.name == "postgresql"
        return dialect.type_descriptor(Numeric() if exact else String(MAX_LENGTH))

    def process_bind_param(self, value: str | Decimal | None, dialect: Dialect) -> Any:
        """Return what is written."""
        if value is None:
            return None
        return Decimal(value) if dialect.name == "postgresql" else format_decimal(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str | None]:
        """Read what the driver gives: SQLAlchemy's own reader stops at a column that another program made of text."""
        del coltype
        return lambda value: self.process_result_value(value, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text of what was read: a number, where another program made the column."""
        del dialect
        if value is None:
            return None
        text = format_decimal(value)
        if isinstance(value, Decimal) and len(text) > MAX_LENGTH:
            text = str(value.normalize(ARITHMETIC))
        return None if check_decimal(text) else text


class UtcColumn(TypeDecorator[dt.datetime]):
    """A moment, aware of its zone in Python; a column without zones holds UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that this database keeps, with microseconds."""
        precise = mysql.DATETIME(fsp=6) if dialect.name == "mysql" else DateTime(timezone=True)
        return dialect.type_descriptor(precise)

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Return what is written; only PostgreSQL keeps a zone."""
        if value is None:
            return None
        moment = value.astimezone(dt.UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Return the moment in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class JsonColumn(TypeDecorator[Any]):
    """Anything that JSON can hold; text in a column that another program made is read as JSON too."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what was read; text that is no JSON stays text."""
        del dialect
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            return value
