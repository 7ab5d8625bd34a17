"""The faces of the platform, one adapter each with the same verbs: what differs between them is only how one asks.

A further face is one more class here and one more entry in `FACES` of ``conftest.py``. Its verbs return the records
of the schema and raise what `told` can read. The shell's face is in ``command.py``.
"""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pydantic

from hokusai_nb import errors
from hokusai_nb.cli.groups import exit_code
from hokusai_nb.errors import HokusaiError, ValidationError
from hokusai_nb.schema.events import EventPage, EventRecord
from hokusai_nb.schema.lifecycle import NewToken, Token, TokenChange, TokenPage, Transition
from hokusai_nb.schema.problems import Problem, problems_in
from hokusai_nb.schema.records import Comparison, Lineage, RegisteredModel
from hokusai_nb.schema.verbs import Register
from tests.contract.command import Failed


def record(kind, values):
    """A record of what a caller wrote, refused in the words that every face uses."""
    try:
        return kind.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise ValidationError(problems_in(error)) from None


def told(error):
    """What a user learns from an error: its class, what failed and what to try, and each problem."""
    problems = [p.model_dump() for p in getattr(error, "problems", ())]
    name = error.error if isinstance(error, Refused) else type(error).__name__
    return name, error.what, error.hint, problems


class PythonFace:
    """`ModelRegistry` and the token store, in this process."""

    def __init__(self, registry, store, outbox):
        self.registry = registry
        self.store = store
        self.outbox = outbox
        self.place = registry.backend.safe_uri

    def register(self, values):
        return self.registry.register(Register.parse(values))

    def show(self, name, version=None):
        if version is None:
            return self.registry.get_latest_model_version(name)
        return self.registry.get_tokenized_model(name, version)

    def list_models(self, prefix=None, token=None):
        found = self.registry.list_models(prefix) if token is None else self.registry.list_models_by_token(token)
        return [m for m in found if m.name.startswith(prefix or "")]

    def lineage(self, name):
        return self.registry.get_model_lineage(name)

    def compare(self, name, first, second):
        return self.registry.compare(name, first, second)

    def update_tags(self, name, version, tags):
        return self.registry.update_model_tags(name, version, tags)

    def delete(self, name, version):
        self.registry.delete_model_version(name, version)

    def create_token(self, values):
        return self.store.create(record(NewToken, values), by="tests")

    def show_token(self, token_id):
        return self.store.get(token_id)

    def list_tokens(self, status=None, page_size=100):
        cursor = None
        while True:
            page = self.store.list_tokens(status, cursor=cursor, limit=page_size)
            yield from page.entries
            cursor = page.next_cursor
            if cursor is None:
                return

    def change_token(self, token_id, values):
        return self.store.change(token_id, record(TokenChange, {"by": "tests", **values}))

    def renew_lease(self, token_id, owner, lease_seconds):
        self.store.renew(token_id, owner=owner, lease_seconds=lease_seconds)

    def history(self, token_id):
        return self.store.history(token_id)

    def list_events(self, token_id=None, page_size=100):
        cursor = None
        while True:
            page = self.store.list_events(token_id, cursor=cursor, limit=page_size)
            yield from page.entries
            cursor = page.next_cursor
            if cursor is None:
                return

    def publish(self, event, key):
        return self.store.publish(event, key=key)

    def retry_event(self, event_id):
        self.store.retry(event_id)
        return next(e for e in self.list_events() if e.event.event_id == event_id)


class Refused(Exception):  # noqa: N818 - the API's answer, whatever it is about
    """A problem document, as somebody without our package reads it."""

    def __init__(self, status, document):
        super().__init__(f"{status} {document}")
        self.status = status
        self.error = document["error"]
        self.what = document["what"]
        self.hint = document["hint"]
        self.problems = tuple(Problem(**p) for p in document.get("problems") or ())


class HttpFace:
    """The API's routes, asked by a stock HTTP client that knows nothing of this package."""

    def __init__(self, address, key):
        self.http = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def close(self):
        self.http.close()

    def ask(self, method, path, body=None, **query):
        given = {name: value for name, value in query.items() if value is not None}
        answer = self.http.request(method, f"/api/v1{path}", json=body, params=given)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
            raise Refused(answer.status_code, answer.json())
        return answer.text

    def pages(self, path, **query):
        cursor = None
        while True:
            page = json.loads(self.ask("GET", path, cursor=cursor, **query))
            yield page
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def register(self, values):
        return RegisteredModel.model_validate_json(self.ask("POST", "/models", values))

    def show(self, name, version=None):
        tail = "" if version is None else f"/versions/{version}"
        return RegisteredModel.model_validate_json(self.ask("GET", f"/models/{quote(name, safe='')}{tail}"))

    def list_models(self, prefix=None, token=None):
        found = [m for page in self.pages("/models", prefix=prefix, token=token, limit=2) for m in page["entries"]]
        return [RegisteredModel.model_validate(m) for m in found]

    def lineage(self, name):
        return Lineage.model_validate_json(self.ask("GET", f"/models/{quote(name, safe='')}/lineage"))

    def compare(self, name, first, second):
        path = f"/models/{quote(name, safe='')}/compare"
        return Comparison.model_validate_json(self.ask("GET", path, first=first, second=second))

    def update_tags(self, name, version, tags):
        path = f"/models/{quote(name, safe='')}/versions/{version}/tags"
        return RegisteredModel.model_validate_json(self.ask("PATCH", path, {"tags": tags}))

    def delete(self, name, version):
        self.ask("DELETE", f"/models/{quote(name, safe='')}/versions/{version}")

    def create_token(self, values):
        return Token.model_validate_json(self.ask("POST", "/tokens", values))

    def show_token(self, token_id):
        return Token.model_validate_json(self.ask("GET", f"/tokens/{quote(token_id, safe='')}"))

    def list_tokens(self, status=None, page_size=100):
        for page in self.pages("/tokens", status=status, limit=page_size):
            yield from TokenPage.model_validate(page).entries

    def change_token(self, token_id, values):
        path = f"/tokens/{quote(token_id, safe='')}/changes"
        return Token.model_validate_json(self.ask("POST", path, {"by": "tests", **values}))

    def renew_lease(self, token_id, owner, lease_seconds):
        body = {"owner": owner, "lease_seconds": lease_seconds}
        self.ask("PUT", f"/tokens/{quote(token_id, safe='')}/lease", body)

    def history(self, token_id):
        entries = json.loads(self.ask("GET", f"/tokens/{quote(token_id, safe='')}/history"))["entries"]
        return tuple(Transition.model_validate(e) for e in entries)

    def list_events(self, token_id=None, page_size=100):
        for page in self.pages("/events", token_id=token_id, limit=page_size):
            yield from EventPage.model_validate(page).entries

    def publish(self, event, key):
        body = {"event": event.model_dump(mode="json"), "key": key}
        return json.loads(self.ask("POST", "/events", body))["published"]

    def retry_event(self, event_id):
        return EventRecord.model_validate_json(self.ask("POST", f"/events/{event_id}/retry"))


class ClientFace:
    """`HokusaiClient`, or `AsyncHokusaiClient` driven by a loop of its own."""

    def __init__(self, client):
        self.client = client

    def close(self):
        self.client.close()

    def register(self, values):
        return self.client.register(Register.parse(values))

    def show(self, name, version=None):
        return self.client.model(name, version)

    def list_models(self, prefix=None, token=None):
        return list(self.client.models(prefix, token=token, page_size=2))

    def lineage(self, name):
        return self.client.lineage(name)

    def compare(self, name, first, second):
        return self.client.compare(name, first, second)

    def update_tags(self, name, version, tags):
        return self.client.update_tags(name, version, tags)

    def delete(self, name, version):
        self.client.delete_version(name, version)

    def create_token(self, values):
        return self.client.create_token(record(NewToken, values))

    def show_token(self, token_id):
        return self.client.token(token_id)

    def list_tokens(self, status=None, page_size=100):
        return self.client.tokens(status, page_size=page_size)

    def change_token(self, token_id, values):
        return self.client.change_token(token_id, record(TokenChange, {"by": "tests", **values}))

    def renew_lease(self, token_id, owner, lease_seconds):
        self.client.renew_lease(token_id, owner=owner, lease_seconds=lease_seconds)

    def history(self, token_id):
        return self.client.history(token_id)

    def list_events(self, token_id=None, page_size=100):
        return self.client.events(token_id, page_size=page_size)

    def publish(self, event, key):
        return self.client.publish(event, key=key)

    def retry_event(self, event_id):
        return self.client.retry_event(event_id)


def refusal(face, ask):
    """What a face says where it refuses; fails where it does not."""
    try:
        found = ask(face)
    except (HokusaiError, Refused) as error:
        kind, what, *rest = told(error)
    except Failed as error:
        kind, what, *rest = error.code, error.what, error.hint
    else:
        msg = f"{type(face).__name__} did not refuse: {found!r}"
        raise AssertionError(msg)
    # Where a server keeps its models is its own affair.
    return kind, what.replace(getattr(face, "place", "the registry"), "the registry"), *rest


def refused_alike(faces, ask):
    """What all faces say where they refuse, as the first says it; fails where one of them says something else.

    A command says an error's class by its exit code, and its problems in the lines of the hint.
    """
    first, *others = [refusal(face, ask) for face in faces]
    name, what, hint, _ = first
    kind = getattr(errors, name)
    in_a_shell = exit_code(kind.__new__(kind)), what, hint
    assert others == [in_a_shell if isinstance(said[0], int) else first for said in others]
    return first
