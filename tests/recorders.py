"""A real HTTP server that writes down all it is sent."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.servers import Listener


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    """None where the client went away before it had sent the whole."""
    target: str
    """Path and query as they came."""

    @property
    def authorization(self):
        return self.headers.get("authorization")


class Recorder:
    """Writes requests down, and answers them as ``answers`` says.

    ``answers`` maps the end of a path to JSON, bytes, or a status, either of the two and headers; or
    to a function of the request that returns one of these. Anything else is answered with ``{}``.
    """

    def __init__(self):
        recorder = self
        self.seen = []
        self.answers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self):
                headers = {name.lower(): value for name, value in self.headers.items()}
                path = self.path.partition("?")[0]
                seen = Seen(self.command, path, headers, self.read_body(), self.path)
                recorder.seen.append(seen)
                found = next((a for ending, a in recorder.answers.items() if path.endswith(ending)), {})
                found = found(seen) if callable(found) else found
                status, content, more = found if isinstance(found, tuple) else (200, found, {})
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                if int(more.get("Content-Length", len(content))) > len(content):
                    self.close_connection = True
                if self.command != "HEAD":
                    self.wfile.write(content)

            def read_body(self):
                with suppress(OSError, ValueError):
                    if "chunked" in self.headers.get("Transfer-Encoding", ""):
                        return self.read_chunks()
                    size = int(self.headers.get("Content-Length") or 0)
                    body = self.rfile.read(size)
                    return body if len(body) == size else None
                return None

            def read_chunks(self):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = respond  # noqa: N815 - http.server's names

            def log_message(self, *args):
                pass

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def authorizations(self):
        return [seen.authorization for seen in self.seen]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def recording():
    """A `Recorder` for a ``with`` block."""
    made = Recorder()
    try:
        yield made
    finally:
        made.close()
