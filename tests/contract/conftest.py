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
from tests.contract.command import CommandFace
from tests.contract.faces import ClientFace, HttpFace, PythonFace

if TYPE_CHECKING:
    from collections.abc import Mapping

FACES = ("python", "http", "client", "async client")
COMMANDS = ("command", "command with a key")
"""The shell on the databases themselves, and with nothing but an API key; only where a test asks for them."""


@dataclass(frozen=True)
class Platform:
    """A running platform: its faces by name, the slow ones apart, and the store that its runs are in."""

    faces: Mapping[str, object]
    commands: Mapping[str, object]
    mlflow_uri: str

    @property
    def with_our_package(self):
        """All faces but HTTP itself, to which some names are no address."""
        return [face for name, face in self.faces.items() if name != "http"]

    def trained(self, **given):
        """Make a finished run with a model, as `tests.conftest.train` does."""
        return train(self.mlflow_uri, **given)


def pytest_configure(config):
    config.addinivalue_line("markers", "also(*names): of the slow faces, these take part in the test too")


def pytest_generate_tests(metafunc):
    """Run a test with each face: its claim holds for all of them."""
    if "face" in metafunc.fixturenames:
        metafunc.parametrize("face", [*FACES, *also(metafunc.definition)], indirect=True)


def also(test):
    """The slow faces that take part in a test, or in this case of it."""
    return [name for marker in test.iter_markers("also") for name in marker.args]


@pytest.fixture(scope="session")
def platform(api, tmp_path_factory):
    """The platform that this worker's tests share; what a test makes has names of its own."""
    database = Database.at(api.database)
    store = SqlTokenStore(database, configured_destinations())
    key = api.keys["admin"]
    faces = {
        "python": PythonFace(ModelRegistry(api.mlflow_uri, token_store=store), store, Outbox(database)),
        "http": HttpFace(api.url, key),
        "client": ClientFace(HokusaiClient(api.url, key)),
        "async client": ClientFace(Awaited(api.url, key)),
    }
    yield Platform(faces, commands(api, tmp_path_factory.mktemp("shell")), api.mlflow_uri)
    for name in FACES[1:]:
        faces[name].close()
    database.close()


def commands(api, folder):
    """The shell's faces by name."""
    stores = {
        "MLFLOW_TRACKING_URI": api.mlflow_uri,
        "HOKUSAI_DB_TYPE": api.database.db_type,
        "HOKUSAI_DB_NAME": api.database.database,
    }
    server = {"HOKUSAI_API_KEY": api.keys["admin"], "HOKUSAI_API_ENDPOINT": api.url}
    return {
        "command": CommandFace(stores, api.mlflow_uri, folder),
        "command with a key": CommandFace(server, api.mlflow, folder),
    }


@pytest.fixture
def face(request, platform):
    """Each face in turn."""
    return {**platform.faces, **platform.commands}[request.param]


@pytest.fixture
def every(request, platform):
    """All faces at once, to compare what they say of one thing."""
    return [*platform.faces.values(), *(platform.commands[name] for name in also(request.node))]


@pytest.fixture
def token_id(unique):
    """A token id that no other test uses."""
    return unique("MSG").upper()
