"""What tests of the core count: what is asked of the store's database."""

from __future__ import annotations

import threading

import pytest


@pytest.fixture
def statements():
    """Count what this thread asks of any database from a call on: ``asked = statements()``."""
    import sqlalchemy

    listening = []

    def begin():
        asked, mine = [], threading.get_ident()

        def note(*said):
            if threading.get_ident() == mine:
                asked.append(said[2])

        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
        listening.append(note)
        return asked

    yield begin
    for note in listening:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
