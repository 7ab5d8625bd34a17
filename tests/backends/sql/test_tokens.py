from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql import tokens
from hokusai_nb.backends.sql.tables import tokens as table
from hokusai_nb.errors import TokenExistsError
from hokusai_nb.schema.lifecycle import Status, Transition

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)


def written(database, *token_ids, **columns):
    values = {"model_status": "draft", "created_at": NOW, "updated_at": NOW, **columns}
    with database.transaction() as connection:
        connection.execute(sa.insert(table), [{"token_id": token_id, **values} for token_id in token_ids])


@pytest.mark.parametrize("stored", ["MSG-AI", "msg-ai", "Msg-Ai"])
def test_a_token_is_found_as_it_was_written_and_shown_in_upper_case(database, stored):
    written(database, stored)
    with database.reading() as connection:
        found = tokens.find(connection, stored)
        assert (found.key, found.token.token_id, found.last_owner) == (stored, "MSG-AI", None)
        assert tokens.find(connection, "MSG") is None


def test_of_two_rows_of_one_token_the_one_in_upper_case_counts(database):
    written(database, "msg-ai", "MSG-AI")
    with database.reading() as connection:
        assert {tokens.find(connection, asked).key for asked in ("MSG-AI", "msg-ai", "Msg-ai")} == {"MSG-AI"}


def test_who_held_a_token_is_known_after_it_was_given_back(database):
    written(database, "MSG-AI")
    with database.transaction() as connection:
        tokens.hold(connection, "MSG-AI", "one", NOW)
        tokens.hold(connection, "MSG-AI", "two", NOW)
        found = tokens.find(connection, "MSG-AI", lock=True)
        assert (found.last_owner, found.token.owner, found.token.lease_until) == ("two", None, None)
        tokens.set_status(connection, "MSG-AI", Status.REGISTERING, NOW)
        found = tokens.find(connection, "MSG-AI")
        assert (found.token.owner, found.token.lease_until) == ("two", NOW)
        tokens.release(connection, "MSG-AI")
        assert tokens.find(connection, "MSG-AI").last_owner is None


def test_a_token_is_created_with_its_first_step_or_not_at_all(database):
    with database.transaction() as connection:
        tokens.create(connection, "MSG-AI", {"a": 1}, by="me", at=NOW)
    with pytest.raises(TokenExistsError), database.transaction() as connection:
        tokens.create(connection, "MSG-AI", {"a": 2}, by="me", at=NOW)
    with database.reading() as connection:
        assert tokens.find(connection, "MSG-AI").token.metadata == {"a": 1}
        first = Transition(token_id="MSG-AI", before=None, after=Status.DRAFT, by="me", at=NOW)
        assert tokens.transitions(connection, "MSG-AI") == (first,)


def test_a_change_touches_one_token_and_the_columns_it_names(database):
    written(database, "A-1", "B-1", metric_name="auroc", metric_value="0.5")
    with database.transaction() as connection:
        tokens.set_status(connection, "A-1", Status.FAILED, NOW, metric_value="0.6")
        a, b = (tokens.find(connection, token_id).token for token_id in ("A-1", "B-1"))
    assert (a.model_status, a.metric_name, a.metric_value) == ("failed", "auroc", "0.6")
    assert (b.model_status, b.metric_value) == ("draft", "0.5")


def test_steps_are_listed_in_the_order_they_were_written_in(database):
    written(database, "MSG-AI")
    step = Transition(token_id="MSG-AI", before=Status.DRAFT, after=Status.ARCHIVED, by="me", at=NOW)
    with database.transaction() as connection:
        for number in range(5):
            tokens.write_transition(connection, "MSG-AI", step.model_copy(update={"reason": str(number)}))
            tokens.write_transition(connection, "OTHER-1", step)
        assert [s.reason for s in tokens.transitions(connection, "MSG-AI")] == list("01234")
