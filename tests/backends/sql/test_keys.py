from __future__ import annotations

import datetime as dt
import logging
import threading

import pytest
import sqlalchemy as sa

from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.sql.keys import create_key, find_key, list_keys, revoke_key
from hokusai_nb.backends.sql.tables import api_keys
from hokusai_nb.errors import AccessError, KeyNotFoundError, ValidationError

HOUR = dt.timedelta(hours=1)


def shift(database, **columns):
    with database.transaction() as connection:
        connection.execute(sa.update(api_keys).values(**columns))


def row(database):
    with database.reading() as connection:
        return connection.execute(sa.select(api_keys)).mappings().one()


def test_a_key_opens_what_its_scope_says(database):
    made = create_key(database, "ci", "register", life=HOUR)
    found = find_key(database, made.key)
    assert (found.key_id, found.name, found.scope) == (made.key_id, "ci", "register")
    assert found.expires_at == made.created_at + HOUR
    assert [found.allows(scope) for scope in ("read", "register", "admin")] == [True, True, False]
    assert not hasattr(found, "key")


def test_a_key_is_hk_its_id_and_a_secret_that_nobody_guesses(database):
    first, second = create_key(database, "a"), create_key(database, "a")
    assert first.key != second.key
    prefix, key_id, secret = first.key.split("_", 2)
    assert (prefix, key_id) == ("hk", first.key_id)
    assert len(secret) == 43  # 256 bits in base64
    assert first.scope == "register"
    assert first.expires_at is None


def test_the_database_and_its_files_never_hold_the_secret(sqlite_database, sqlite_config):
    made = create_key(sqlite_database, "ci")
    secret = made.key.split("_", 2)[2]
    assert all(secret not in str(value) for value in row(sqlite_database).values())
    sqlite_database.close()
    with open(sqlite_config.database, "rb") as file:  # noqa: PTH123 - the name is text
        assert secret.encode() not in file.read()


def test_a_key_that_is_not_known_is_refused_without_saying_why(database):
    made = create_key(database, "ci")
    key_id, secret = made.key.split("_", 2)[1:]
    other = create_key(database, "other")
    wrong = [
        f"hk_{key_id}_{secret[:-1]}",
        f"hk_{key_id}_{secret}x",
        f"hk_{key_id}_{secret.swapcase()}",
        f"hk_{other.key_id}_{secret}",
        f"xx_{key_id}_{secret}",
        f"hk_{key_id}_",
        f"hk__{secret}",
        f"hk_{key_id}",
        secret,
        key_id,
        "",
        "hk_' OR 1=1 --_x",
        "hk_\x00_x",
        "hk_\ud800_\ud800",
        "hk_ö_ö",
        "hk_%_%",
        "x" * 100_000,
    ]
    told = set()
    for text in wrong:
        with pytest.raises(AccessError) as caught:
            find_key(database, text)
        told.add(str(caught.value))
    assert told == {"The API key is not known.\nCheck HOKUSAI_API_KEY, or make a key: hokusai key create NAME"}
    assert find_key(database, made.key).key_id == key_id


def test_a_key_that_was_revoked_or_has_expired_is_refused(database):
    made = create_key(database, "ci", life=HOUR)
    shift(database, expires_at=dt.datetime.now(dt.UTC))
    with pytest.raises(AccessError, match=f"The API key {made.key_id} expired at "):
        find_key(database, made.key)
    shift(database, expires_at=None)
    assert find_key(database, made.key).is_valid(dt.datetime.now(dt.UTC))
    gone = revoke_key(database, made.key_id)
    assert gone.revoked_at is not None
    with pytest.raises(AccessError, match="was revoked") as caught:
        find_key(database, made.key)
    assert made.key not in str(caught.value)
    assert revoke_key(database, made.key_id) == gone


@pytest.mark.parametrize("key_id", ["no-such", "", "'; DROP TABLE api_keys; --", "\x00", "\ud800"])
def test_a_key_that_is_not_there_cannot_be_revoked(database, key_id):
    create_key(database, "ci")
    with pytest.raises(KeyNotFoundError, match="There is no API key "):
        revoke_key(database, key_id)
    assert list_keys(database)[0].revoked_at is None


def test_keys_are_listed_newest_first_with_those_that_are_no_longer_valid(database):
    made = [create_key(database, name, "read") for name in ("a", "b", "c")]
    revoke_key(database, made[1].key_id)
    listed = list_keys(database)
    assert [(key.name, key.revoked_at is None) for key in listed] == [("c", True), ("b", False), ("a", True)]
    assert all(key.key.split("_", 2)[2] not in repr(listed) for key in made)


def test_its_use_is_noted_to_the_minute(database):
    made = create_key(database, "ci")
    assert find_key(database, made.key).last_used_at is None
    first = row(database)["last_used_at"]
    assert abs(first - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=10)
    find_key(database, made.key)
    assert row(database)["last_used_at"] == first
    shift(database, last_used_at=first - dt.timedelta(seconds=61))
    find_key(database, made.key)
    assert row(database)["last_used_at"] > first


def test_a_key_is_found_while_nobody_can_note_its_use(sqlite_database, caplog):
    made = create_key(sqlite_database, "ci")
    with sqlite_database.transaction():
        impatient = Database(sqlite_database.config)
        with impatient._engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA busy_timeout = 50")
        caplog.set_level(logging.WARNING)
        found = find_key(impatient, made.key)
        impatient.close()
    assert found.key_id == made.key_id
    assert f"The use of API key {made.key_id} was not noted" in caplog.text
    assert made.key not in caplog.text


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " \n"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "ci", "scope": "root"}, "scope"),
        ({"name": "ci", "life": dt.timedelta()}, "life"),
        ({"name": "ci", "life": -HOUR}, "life"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(sqlite_database, given, field):
    with pytest.raises(ValidationError) as caught:
        create_key(sqlite_database, **given)
    assert [problem.field for problem in caught.value.problems] == [field]
    assert list_keys(sqlite_database) == ()


@pytest.mark.parametrize("name", ["<script>", "'; --", "a\x00b", "\ud800"])
def test_a_hostile_name_is_kept_as_text(database, name):
    made = create_key(database, name)
    assert find_key(database, made.key).name == name.replace("\x00", "�").replace("\ud800", "�")


def test_threads_find_a_key_at_the_same_time(database):
    made, found = create_key(database, "ci"), []
    threads = [threading.Thread(target=lambda: found.append(find_key(database, made.key))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [key.key_id for key in found] == [made.key_id] * 8
