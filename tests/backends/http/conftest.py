"""Both clients for every test, against servers that misbehave as told."""

from __future__ import annotations

import threading

import pytest

from hokusai_nb.backends.http import HokusaiClient
from hokusai_nb.config import Settings, configure
from hokusai_nb.log import set_level
from tests.backends.http.awaited import Awaited


@pytest.fixture(params=["waiting", "awaited"])
def client_of(request):
    """Makes a client of an address, one that waits or one that is awaited; all are closed at the end."""
    kind = {"waiting": HokusaiClient, "awaited": Awaited}[request.param]
    made = []

    def make(address, key="hk-test", **kwargs):
        made.append(kind(address, key, **kwargs))
        return made[-1]

    yield make
    for client in made:
        client.close()
    # Requests that were given up end by themselves, once their server is gone.
    for thread in threading.enumerate():
        if thread.name == "hokusai-request":
            thread.join(10)


@pytest.fixture
def _as_it_was():
    yield
    configure(**dict.fromkeys(Settings.model_fields))
    set_level("WARNING")
