"""The clients and the real API server, with a network between them that loses answers."""

from __future__ import annotations

import pytest

from hokusai_nb.errors import AccessError, TokenExistsError
from hokusai_nb.schema.events import Event, RegistrationEvent
from hokusai_nb.schema.lifecycle import NewToken, TokenChange
from hokusai_nb.schema.metrics import STANDARD_METRICS, known_metrics
from hokusai_nb.schema.verbs import Register
from tests.conftest import train
from tests.processes import python
from tests.servers import Proxy

pytestmark = pytest.mark.slow


@pytest.fixture
def lossy(api):
    """A proxy before the API; ``lossy.lose(kind, times)`` spoils the answers to as many requests."""
    proxy = Proxy(api.url)
    left = []

    def lose(kind, times=2):
        left[:] = [kind] * times

    proxy.spoil = lambda *_: left.pop() if left else None
    proxy.lose = lose
    yield proxy
    proxy.close()


@pytest.fixture(params=["drop", "drop first", 503])
def loss(request):
    return request.param


def test_a_registration_whose_answers_are_lost_makes_one_version(client_of, api, lossy, unique, loss):
    client, name = client_of(lossy.address, api.keys["register"]), unique("churn")
    run = train(api.mlflow_uri, accuracy=0.9)
    verb = Register(name=name, token="MSG-AI", metric="accuracy", value="0.9", run=run.run_id, force_new=True)
    lossy.lose(loss)
    made = client.register(verb)
    assert (made.version, made.created) == ("1", True)
    assert [m.version for m in client.models(name)] == ["1"]
    assert lossy.requests.count(("POST", "/api/v1/models")) == 3


def test_a_token_is_created_and_changed_once_though_answers_are_lost(client_of, api, lossy, unique, loss):
    client, token_id = client_of(lossy.address, api.keys["admin"]), unique("MSG").upper()
    lossy.lose(loss)
    assert client.create_token(NewToken(token_id=token_id)).model_status == "draft"
    lossy.lose(loss)
    assert client.change_token(token_id, TokenChange(to="archived", by="me")).model_status == "archived"
    assert [step.after for step in client.history(token_id)] == ["draft", "archived"]
    with pytest.raises(TokenExistsError):
        client.create_token(NewToken(token_id=token_id))


def test_an_event_is_written_once_and_a_version_deleted_though_answers_are_lost(client_of, api, lossy, unique, loss):
    client, name = client_of(lossy.address, api.keys["admin"]), unique("churn")
    token_id = unique("MSG").upper()
    lossy.lose(loss)
    assert client.publish(Event(event_type="deltaone_achieved", payload={"token_id": token_id}), key=token_id) is True
    assert len(list(client.events(token_id))) == 1
    run = train(api.mlflow_uri, accuracy=0.9)
    client.register(Register(name=name, token="MSG-AI", metric="accuracy", value="0.9", run=run.run_id))
    if loss != 503:  # which says that nothing was done, so that a version that is not there never was
        lossy.lose(loss)
    assert client.delete_version(name, 1) is None
    assert list(client.models(name)) == []


def test_every_route_answers_with_what_its_call_reads(client_of, api, unique):
    client, name = client_of(api.url, api.keys["admin"]), unique("churn")
    assert (client.health(), client.ready()) == ("ok", "ok")
    # Other tests of this process may have declared metrics, of which the server knows nothing.
    standard = [m for family in STANDARD_METRICS.values() for m in family.values()]
    assert client.metrics() == tuple(m for m in known_metrics() if m in standard)
    run = train(api.mlflow_uri, accuracy=0.9)
    client.register(Register(name=name, token="MSG-AI", metric="accuracy", value="0.9", run=run.run_id))
    told = RegistrationEvent(
        model_name=name,
        version="1",
        token_id="MSG-AI",
        proposal_identifier="p-1",
        metric_name="accuracy",
        baseline_value="0.85",
        mlflow_run_id=run.run_id,
        model_uri=f"models:/{name}/1",
    )
    assert [client.report_registration(told) for _ in range(2)] == [True, False]
    event = next(e.event for e in client.events("MSG-AI") if e.event.payload["mlflow_run_id"] == run.run_id)
    assert client.retry_event(event.event_id).event == event


def test_a_key_with_too_few_rights_is_told_which_it_needs(client_of, api):
    client = client_of(api.url, api.keys["read"])
    assert list(client.models("no-such-")) == []
    with pytest.raises(AccessError, match="this needs admin") as caught:
        client.create_token(NewToken(token_id="MSG-AI"))
    assert "hokusai key create" in caught.value.hint
    with pytest.raises(AccessError, match="not known") as caught:
        client_of(api.url, "hk_no_such").token("XRAY")
    assert "hk_no_such" not in str(caught.value)


FORKING = """
import asyncio, os, sys
from hokusai_nb import HokusaiClient
from hokusai_nb.backends.http import AsyncHokusaiClient

url, key = sys.argv[1:]
client, awaited = HokusaiClient(url, key), AsyncHokusaiClient(url, key)
closed = HokusaiClient(url, key)
closed.close()
assert client.health() == "ok"
assert asyncio.run(awaited.health()) == "ok"
client._slots.acquire(), client._lock.acquire()  # as another thread of the parent may have done
child = os.fork()
if child:
    client._slots.release(), client._lock.release()
wrong = 0
for _ in range(60):
    try:
        wrong += client.health() != "ok" if child else len(client.metrics()) < 3
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)
        wrong += 1
if not child:
    wrong += asyncio.run(awaited.health()) != "ok"
    try:
        closed.health()
        wrong += 1
    except RuntimeError:
        client.close()
    os._exit(wrong)
print(wrong, os.waitpid(child, 0)[1], client.health())
client.close()
"""


def test_a_forked_process_makes_connections_of_its_own_and_leaves_the_parents_open(api):
    assert python(FORKING, api.url, api.keys["read"]) == "0 0 ok"
