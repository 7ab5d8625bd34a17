"""One clock for all that use a database."""

from __future__ import annotations

import datetime as dt

import pytest

from hokusai_nb.backends.sql import clock
from hokusai_nb.schema.lifecycle import utc_now


def test_it_tells_the_time_as_it_is_now_also_late_in_a_transaction(database):
    with database.transaction() as connection:
        first, second = clock.now(connection), clock.now(connection)
    assert first.tzinfo == dt.UTC
    assert first < second
    assert abs(first - utc_now()) < dt.timedelta(seconds=5)


@pytest.mark.slow
def test_a_machine_whose_clock_is_wrong_asks_the_database_of_the_others(postgres_database, monkeypatch):
    monkeypatch.setattr(clock, "utc_now", lambda: utc_now() + dt.timedelta(hours=1))
    with postgres_database.reading() as connection:
        assert abs(clock.now(connection) - utc_now()) < dt.timedelta(seconds=5)
