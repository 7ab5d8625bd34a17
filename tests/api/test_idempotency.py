import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.sql.idempotency import claim
from hokusai_nb.backends.sql.keys import find_key


def post(api, key, body, *, path="/api/v1/tokens", scope="admin"):
    return api.ask("POST", path, body, headers={"Idempotency-Key": key}, key=scope)


def test_the_same_request_gets_the_same_answer(tokens_api):
    first = post(tokens_api, "k", {"token_id": "MSG-AI"})
    again = post(tokens_api, "k", {"token_id": "MSG-AI"})
    assert (first.status, again.status) == (201, 201)
    assert first.content == again.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(tokens_api.ask("GET", "/api/v1/tokens/MSG-AI/history").json()["entries"]) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/v1/tokens", {"token_id": "OTHER-AI"}), ("/api/v1/tokens/MSG-AI/changes", {"token_id": "MSG-AI"})],
)
def test_the_same_key_for_another_request_is_a_conflict(tokens_api, path, body):
    post(tokens_api, "k", {"token_id": "MSG-AI"})
    answer = post(tokens_api, "k", body, path=path)
    assert answer.status == 409
    assert "another request" in answer.json()["what"]


def test_another_api_key_has_keys_of_its_own(tokens_api):
    body = {"to": "registering", "by": "x", "owner": "o", "lease_seconds": 60}
    assert post(tokens_api, "t", {"token_id": "MSG-AI"}).status == 201
    first = post(tokens_api, "k", body, path="/api/v1/tokens/MSG-AI/changes", scope="register")
    second = post(tokens_api, "k", body, path="/api/v1/tokens/MSG-AI/changes", scope="admin")
    assert (first.status, second.status) == (200, 200)
    assert "idempotent-replayed" not in second.headers


def test_an_answer_is_not_repeated_to_a_key_without_the_scope(tokens_api):
    assert post(tokens_api, "k", {"token_id": "MSG-AI"}, scope="register").status == 403
    assert post(tokens_api, "k", {"token_id": "MSG-AI"}).status == 201


def test_a_refusal_is_not_kept(tokens_api):
    change = {"to": "archived"}
    assert post(tokens_api, "k", change, path="/api/v1/tokens/MSG-AI/changes").status == 404
    post(tokens_api, "made", {"token_id": "MSG-AI"})
    answer = post(tokens_api, "k", change, path="/api/v1/tokens/MSG-AI/changes")
    assert (answer.status, answer.json()["model_status"]) == (200, "archived")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_of_no_length_or_too_great_a_one_is_refused(tokens_api, key):
    answer = post(tokens_api, key, {"token_id": "MSG-AI"})
    assert answer.status == 422
    assert answer.json()["problems"][0]["field"] == "Idempotency-Key"


def test_a_key_is_not_looked_at_where_nothing_is_posted(tokens_api):
    for _ in range(2):
        answer = tokens_api.ask("GET", "/api/v1/tokens", headers={"Idempotency-Key": "k"})
        assert "idempotent-replayed" not in answer.headers


def test_requests_of_one_key_at_once_are_carried_out_once_and_all_get_the_answer(tokens_api):
    body = {"token_id": "MSG-AI"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(tokens_api, "k", body), range(8)))
    assert {a.status for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    assert sum("idempotent-replayed" not in a.headers for a in answers) == 1


def held(api, key, method_path_body):
    """Hold a request as another process does that is carrying it out."""
    database = Database.at(api.database)
    owner = find_key(database, api.keys["admin"]).key_id
    return claim(database, owner, key, method_path_body)


def test_a_request_that_another_process_carries_out_is_waited_for(tokens_api, monkeypatch):
    from hokusai_nb.api import idempotency
    from hokusai_nb.backends.sql.idempotency import Answer, complete

    monkeypatch.setattr(idempotency, "_WAIT_SECONDS", 5.0)
    taken = held(tokens_api, "k", b'POST\n/api/v1/tokens\n\n{"token_id": "MSG-AI"}')
    done = threading.Timer(0.4, complete, (Database.at(tokens_api.database), taken, Answer(201, '{"made": "there"}')))
    done.start()
    answer = post(tokens_api, "k", {"token_id": "MSG-AI"})
    done.join()
    assert (answer.status, answer.json()) == (201, {"made": "there"})


def test_a_request_that_takes_too_long_elsewhere_is_to_be_sent_again_later(tokens_api, monkeypatch):
    from hokusai_nb.api import idempotency

    monkeypatch.setattr(idempotency, "_WAIT_SECONDS", 0.2)
    held(tokens_api, "k", b'POST\n/api/v1/tokens\n\n{"token_id": "MSG-AI"}')
    answer = post(tokens_api, "k", {"token_id": "MSG-AI"})
    assert (answer.status, answer.json()["error"]) == (409, "ConflictError")
    assert answer.headers["retry-after"] == "1"


def refuse(api, change):
    """Have the database refuse a change of the answers that are kept, from now on."""
    with Database.at(api.database).transaction() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER refusing BEFORE {change} ON idempotency_keys BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )


def test_what_was_carried_out_is_answered_though_the_answer_cannot_be_kept(tokens_api, caplog):
    refuse(tokens_api, "UPDATE")
    answer = post(tokens_api, "k", {"token_id": "MSG-AI"})
    assert (answer.status, answer.json()["token_id"]) == (201, "MSG-AI")
    assert [r.levelname for r in caplog.records if "An answer cannot be repeated: " in r.getMessage()] == ["WARNING"]


def test_a_refusal_is_answered_though_the_request_cannot_be_given_back(tokens_api, caplog):
    refuse(tokens_api, "DELETE")
    answer = post(tokens_api, "k", {"to": "archived"}, path="/api/v1/tokens/MSG-AI/changes")
    assert (answer.status, answer.json()["error"]) == (404, "TokenNotFoundError")
    assert [r.levelname for r in caplog.records if "can be sent again only" in r.getMessage()] == ["WARNING"]
