"""A real PostgreSQL server on loopback, and the databases that tests get from it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hokusai_nb.config import DatabaseConfig
from tests.needs import without

USER = "hokusai"


@dataclass(frozen=True)
class Postgres:
    """The server; its user's password is made up anew each time."""

    port: int
    password: str
    unused: list[str] = field(default_factory=list)

    def config(self, database="postgres", **changes):
        """Describe one of its databases."""
        given = {"host": "127.0.0.1", "port": self.port, "username": USER, "password": self.password, **changes}
        return DatabaseConfig(db_type="postgresql", database=database, **given)

    def run(self, statement, database="postgres"):
        """Run one statement as its superuser, outside a transaction, and return the rows."""
        import psycopg

        known = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": self.password}
        with psycopg.connect(dbname=database, autocommit=True, **known) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self):
        """The description of an empty database; making one takes longer than most tests, so it is used again."""
        name = self.unused.pop() if self.unused else self.created()
        yield self.config(name)
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC", name)
        self.unused.append(name)

    def created(self):
        """Make a database, and return its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}")
        return name


def programs():
    """The folder of PostgreSQL's programs; without them the tests are skipped, and fail under CI."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        without("PostgreSQL", "postgresql")
    return folders[-1]


def _as_user():
    """The words before a command: PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@contextmanager
def postgres_server():
    """Start a server in a new folder; it is ended, and the folder removed, afterwards."""
    bin_folder = programs()
    folder = Path(tempfile.mkdtemp(prefix="hokusai-postgres-"))  # pytest's own folders are closed to other users
    if _as_user():
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    password = f"pg-{secrets.token_urlsafe(12)}"
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

    def run(*command):
        subprocess.run([*_as_user(), *map(str, command)], check=True, capture_output=True, timeout=120, cwd=folder)

    data, log = folder / "data", folder / "log"
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off"
    options += " -c max_connections=200 -c timezone=Pacific/Auckland"  # a server's own zone must not matter
    try:
        run(bin_folder / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", folder / "password", "-N")
        run(bin_folder / "pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")
        try:
            yield Postgres(port, password)
        finally:
            run(bin_folder / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
