import datetime as dt
import hashlib
import re
import time

import pytest

from hokusai_nb.api.auth import Recent
from hokusai_nb.api.paths import OPEN_PATHS
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.backends.sql.keys import create_key, list_keys, revoke_key
from hokusai_nb.schema.keys import ApiKey
from hokusai_nb.schema.lifecycle import utc_now
from tests.api.mlflow_routes import endpoints

NEEDED = {
    ("POST", "/api/v1/models"): "register",
    ("GET", "/api/v1/models"): "read",
    ("GET", "/api/v1/models/{name}"): "read",
    ("GET", "/api/v1/models/{name}/lineage"): "read",
    ("GET", "/api/v1/models/{name}/compare"): "read",
    ("GET", "/api/v1/models/{name}/versions/{version}"): "read",
    ("PATCH", "/api/v1/models/{name}/versions/{version}/tags"): "register",
    ("DELETE", "/api/v1/models/{name}/versions/{version}"): "admin",
    ("POST", "/api/models/tokenized-registration-events"): "register",
    ("POST", "/api/v1/tokens"): "admin",
    ("GET", "/api/v1/tokens"): "read",
    ("GET", "/api/v1/tokens/{token_id}"): "read",
    ("GET", "/api/v1/tokens/{token_id}/history"): "read",
    ("POST", "/api/v1/tokens/{token_id}/changes"): "register",
    ("PUT", "/api/v1/tokens/{token_id}/lease"): "register",
    ("GET", "/api/v1/events"): "read",
    ("POST", "/api/v1/events"): "register",
    ("POST", "/api/v1/events/{event_id}/retry"): "admin",
    ("GET", "/api/v1/metrics"): "read",
}


def described(api):
    """Every method and address of the description, with something in place of each parameter."""
    paths = api.ask("GET", "/openapi.json", key=None).json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def filled(path):
    return re.sub(r"\{[^}]*\}", "1", path)


def sent(method):
    return {} if method in ("POST", "PUT", "PATCH") else None


def test_without_a_key_only_health_readiness_and_the_description_answer(tokens_api):
    found = described(tokens_api)
    assert {path for _, path in found} >= {"/api/v1/models", "/api/v1/health"}
    for method, path in [*found, ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/docs"), ("POST", "/nothing")]:
        status = tokens_api.ask(
            method, filled(path), {} if method in ("POST", "PUT", "PATCH") else None, key=None
        ).status
        assert (status != 401) is (path in OPEN_PATHS), (method, path, status)


@pytest.mark.slow
def test_no_route_of_mlflow_answers_without_a_key(api):
    for endpoint in endpoints():
        answer = api.ask(endpoint.method, f"/api/mlflow{endpoint.filled()}", key=None)
        assert answer.status == 401, (endpoint, answer.status)
        assert "www-authenticate" in answer.headers


def test_each_route_needs_its_scope_and_no_less(tokens_api):
    wanted = {**NEEDED, ("GET", "/metrics"): "read"}
    found = {(method, path) for method, path in described(tokens_api) if path not in OPEN_PATHS}
    assert found == set(NEEDED)
    scopes = ["read", "register", "admin"]
    for (method, path), needed in wanted.items():
        for scope in scopes:
            status = tokens_api.ask(method, filled(path), sent(method), key=scope).status
            assert (status == 403) is (scopes.index(scope) < scopes.index(needed)), (method, path, scope, status)


def test_a_key_is_taken_from_either_header(tokens_api):
    key = tokens_api.keys["read"]
    for headers in (
        {"X-API-Key": key},
        {"Authorization": f"bearer {key}"},
        {"X-API-Key": key, "Authorization": f"Bearer {key}"},
    ):
        assert tokens_api.ask("GET", "/api/v1/tokens", key=None, headers=headers).status == 200, headers


def test_two_different_keys_are_refused(tokens_api):
    headers = {"X-API-Key": tokens_api.keys["read"], "Authorization": f"Bearer {tokens_api.keys['admin']}"}
    answer = tokens_api.ask("GET", "/api/v1/tokens", key=None, headers=headers)
    assert answer.status == 400
    assert "two different" in answer.json()["what"]


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic dTpw"}, {"Authorization": "Bearer "}, {"X-API-Key": " "}]
)
def test_no_key_is_answered_with_a_challenge(tokens_api, headers):
    answer = tokens_api.ask("GET", "/api/v1/tokens", key=None, headers=headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"] == "AccessError"


@pytest.mark.parametrize("text", ["nonsense", "hk_1_2", "hk_" + "x" * 5000, "ü", "hk_%00_x"])
def test_a_wrong_key_is_refused(tokens_api, text):
    answer = tokens_api.ask("GET", "/api/v1/tokens", key=None, headers={"X-API-Key": text.encode().decode("latin-1")})
    assert answer.status == 401


def test_a_key_in_the_query_is_not_looked_at(tokens_api):
    key = tokens_api.keys["admin"]
    assert tokens_api.ask("GET", f"/api/v1/tokens?api_key={key}&token={key}", key=None).status == 401


def test_an_expired_key_is_refused(tokens_api):
    key = create_key(Database.at(tokens_api.database), "brief", "admin", life=dt.timedelta(milliseconds=300)).key
    assert tokens_api.ask("GET", "/api/v1/tokens", key=key).status == 200
    time.sleep(0.35)  # the server remembers it for longer than it is valid
    assert tokens_api.ask("GET", "/api/v1/tokens", key=key).status == 401


def test_a_revoked_key_is_refused_within_the_time_it_is_remembered(start):
    api = start(key_cache_seconds=0.5)
    database = Database.at(api.database)
    made = create_key(database, "gone", "admin")
    assert api.ask("GET", "/api/v1/tokens", key=made.key).status == 200
    revoke_key(database, made.key_id)
    assert api.ask("GET", "/api/v1/tokens", key=made.key).status == 200
    time.sleep(0.55)
    answer = api.ask("GET", "/api/v1/tokens", key=made.key)
    assert answer.status == 401
    assert "revoked" in answer.json()["what"]


def test_the_use_of_a_key_is_noted(tokens_api):
    tokens_api.ask("GET", "/api/v1/tokens", key="read")
    used = {key.name: key.last_used_at for key in list_keys(Database.at(tokens_api.database))}
    assert used["read-key"] is not None
    assert used["register-key"] is None


def test_a_secret_stands_in_no_answer(tokens_api):
    key = tokens_api.keys["read"]
    for path in ("/api/v1/tokens", f"/api/v1/tokens/{key}", "/api/v1/tokens?cursor=%20"):
        answer = tokens_api.ask("POST", path, {"token_id": "A-B"}, key="read")
        assert key.rpartition("_")[2] not in answer.content.decode().replace(path, "")


def test_the_oldest_remembered_keys_make_room(monkeypatch):
    from hokusai_nb.api import auth

    monkeypatch.setattr(auth, "_MOST_REMEMBERED", 3)
    recent = Recent(60)
    key = ApiKey(key_id="a", name="a", scope="read", created_at=utc_now())
    digests = [hashlib.sha256(bytes([n])).digest() for n in range(5)]
    for digest in digests:
        recent.add(digest, key)
    assert [recent.get(d) is not None for d in digests] == [False, False, True, True, True]
    recent.drop(digests[-1])
    assert not recent.knows(digests[-1])
