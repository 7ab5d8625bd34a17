from contextlib import ExitStack

from hokusai_nb.api.app import create_app
from hokusai_nb.api.options import ServerConfig
from hokusai_nb.backends.sql.database import Database
from tests.apis import NO_MLFLOW


def test_every_thread_of_a_server_and_its_worker_get_a_connection(database_config):
    create_app(ServerConfig(database=database_config, mlflow_uri=NO_MLFLOW, threads=25))
    database = Database.at(database_config)
    with ExitStack() as stack:
        for _ in range(26):
            stack.enter_context(database.reading())
    database.close()
