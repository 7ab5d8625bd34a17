"""One platform for all contract tests: the real API server, and each face of what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from hokusai_nb.backends.http import HokusaiClient
from hokusai_nb.backends.sql.database import Database
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.site.handlers import configured_destinations
from hokusai_nb.site.outbox import Outbox
from hokusai_nb.site.sql_store import SqlTokenStore
from tests.backends.http.awaited import Awaited
from tests.conftest import train
from tests.contract.faces import ClientFace, HttpFace, PythonFace

if TYPE_CHECKING:
    from collections.abc import Mapping

FACES = ("python", "http", "client", "async client")


@dataclass(frozen=True)
class Platform:
    """A running platform: its faces by name, and the store that its runs are in."""

    faces: Mapping[str, object]
    mlflow_uri: str

    @property
    def with_our_package(self):
        """All faces but HTTP itself, to which some names are no address."""
        return [face for name, face in self.faces.items() if name != "http"]

    def trained(self, **given):
        """Make a finished run with a model, as `tests.conftest.train` does."""
        return train(self.mlflow_uri, **given)


@pytest.fixture(scope="session")
def platform(api):
    """The platform that this worker's tests share; what a test makes has names of its own."""
    database = Database.at(api.database)
    store = SqlTokenStore(database, configured_destinations())
    key = api.keys["admin"]
    faces = {
        "python": PythonFace(ModelRegistry(api.mlflow_uri), store, Outbox(database)),
        "http": HttpFace(api.url, key),
        "client": ClientFace(HokusaiClient(api.url, key)),
        "async client": ClientFace(Awaited(api.url, key)),
    }
    yield Platform(faces, api.mlflow_uri)
    for name in FACES[1:]:
        faces[name].close()
    database.close()


@pytest.fixture(params=FACES)
def face(request, platform):
    """Each face: the test's claim holds for all of them."""
    return platform.faces[request.param]


@pytest.fixture
def every(platform):
    """All faces at once, to compare what they say of one thing."""
    return list(platform.faces.values())


@pytest.fixture
def token_id(unique):
    """A token id that no other test uses."""
    return unique("MSG").upper()
