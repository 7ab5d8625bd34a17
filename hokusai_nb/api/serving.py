"""The server's processes: one, or several that share a socket."""

from __future__ import annotations

import os
import socket
import tempfile
from functools import partial
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from hokusai_nb.api.observing import join_logs, log_as_json
from hokusai_nb.config import settings
from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from hokusai_nb.api.options import ServerConfig

__all__ = ["serve"]

_WAITING = 2048
"""Connections that the system keeps while all processes are busy."""
_START_SECONDS = 60
"""How long a process may be silent, which it is while it loads MLflow, before another takes its place."""


def serve(config: ServerConfig, host: str = "127.0.0.1", port: int = 8000, workers: int = 1) -> None:
    """Serve until a signal ends it; then requests under way are finished first.

    Logs go to stderr as JSON.

    Args:
        config: What is served.
        host: Address to listen at.
        port: Port to listen at.
        workers: Processes. Several count requests together only where Redis is configured.

    Raises:
        HokusaiError: The address is taken, a setting is not valid, or a database cannot be opened.
    """
    log_as_json(settings().log_level)
    with _listening(host, port) as listener:
        if workers == 1:
            server = uvicorn.Server(_uvicorn(partial(_application, config), config))
            server.config.load()
            _run(partial(server.run, [listener]))
            _require_start(server.started)
            return
        if settings().redis_url is None:
            logger.warning("Each of the %d processes counts requests alone; HOKUSAI_REDIS_URL joins them.", workers)
        _open(config)
        with tempfile.TemporaryDirectory(prefix="hokusai-metrics-") as folder:
            # prometheus_client reads it in the processes that are started now.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            settled = _uvicorn(partial(_worker, config), config, workers)
            several = _Several(settled, [listener], folder)
            _run(several.run)
            _require_start(all(process.exitcode != STARTUP_FAILURE for process in several.processes))


class _Several(Multiprocess):
    """Processes whose requests under way are forgotten with them, however they end.

    Args:
        config: What each of them serves.
        sockets: Where they listen.
        folder: Where their metrics lie.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], folder: str) -> None:
        super().__init__(config, sockets)
        self._folder = folder
        self._counted: set[int | None] = set()

    def keep_subprocess_alive(self) -> None:
        """Replace those that have ended; called twice a second."""
        for process in self.processes:
            # The process has this end too. With a copy here, its death would not end the wait for its answer.
            process.child_conn.close()
        self._counted |= {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        running = {process.pid for process in self.processes}
        for ended in self._counted - running:
            mark_process_dead(ended, self._folder)  # type: ignore[no-untyped-call]  # the library's own gap
        self._counted = running


def _open(config: ServerConfig) -> None:
    """Bring the databases up to date, because several processes cannot do so at once.

    Raises:
        HokusaiError: One of them cannot be opened.
    """
    from hokusai_nb.api.services import Services  # noqa: PLC0415 - MLflow, which keeps workers from answering for long

    join_logs()
    Services(config).open()


def _run(run: Callable[[], None]) -> None:
    try:
        run()
    except KeyboardInterrupt:
        logger.info("Stopped.")


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_WAITING)
    except OSError as error:
        what = f"Cannot listen at {host} port {port}: {error.strerror}."
        raise HokusaiError(what, "Choose another address or port.") from None
    listener.set_inheritable(True)
    # Connections inherit it; asyncio sets it only on sockets that it has made itself. Without it the body of an
    # answer waits for up to 40 ms until the client acknowledges the head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _require_start(started: object) -> None:
    if not started:
        what = "The server did not start."
        raise HokusaiError(what, "What it logged says why.")


def _uvicorn(application: Callable[[], FastAPI], config: ServerConfig, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=True,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=config.drain_seconds,
        timeout_worker_healthcheck=_START_SECONDS,
    )


def _application(config: ServerConfig) -> FastAPI:
    """Return the application."""
    from hokusai_nb.api.app import create_app  # noqa: PLC0415 - MLflow's server, which the parent of several needs not

    join_logs()
    made = create_app(config)
    join_logs()  # MLflow's server is imported by now
    return made


def _worker(config: ServerConfig) -> FastAPI:
    """Return the application of one of several processes; what keeps it from starting would keep the next from it."""
    log_as_json(settings().log_level)
    try:
        return _application(config)
    except HokusaiError as error:
        logger.error("%s", error)
        raise SystemExit(STARTUP_FAILURE) from None
