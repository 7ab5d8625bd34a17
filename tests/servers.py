"""Servers that misbehave, for real: a proxy that loses answers, and one that never gives any."""

from __future__ import annotations

import http.client
import http.server
import json
import socket
import sys
import threading
import types
from contextlib import closing, contextmanager, suppress


class Listener(http.server.ThreadingHTTPServer):
    """Says nothing of clients that have gone away: leaving early is what they are tested for."""

    daemon_threads = True
    request_queue_size = 128  # the usual five are too few for clients that connect at once

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


REFUSAL = 403, "application/json", b'{"error_code": "PERMISSION_DENIED", "message": "no"}'


class Proxy:
    """A real HTTP proxy before a server, which writes down each request and may spoil its answer.

    ``spoil`` is asked for each request with its method and path, and returns None to pass the answer
    on, ``"drop"`` to close the connection in its place, ``"drop first"`` to close it before the server
    has answered, a status to answer with, or ``"refuse"`` to refuse access in place of the server.
    """

    def __init__(self, upstream):
        host = upstream.removeprefix("http://")
        proxy = self
        self.requests = []
        self.headers = []
        self.spoil = lambda *_: None

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.requests.append((self.command, self.path.partition("?")[0]))
                proxy.headers.append(dict(self.headers))
                spoilt = proxy.spoil(self.command, self.path.partition("?")[0])
                if spoilt == "drop first":
                    threading.Timer(0.2, self.ask, (body,)).start()
                    self.close_connection = True
                    return
                status, kind, answer = REFUSAL if spoilt == "refuse" else self.ask(body)
                if spoilt == "drop":
                    self.close_connection = True
                    return
                self.send_response(spoilt if isinstance(spoilt, int) else status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = forward  # noqa: N815 - the names http.server calls

            def ask(self, body):
                connection = http.client.HTTPConnection(host, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                found = answer.status, answer.getheader("Content-Type", "text/plain"), answer.read()
                connection.close()
                return found

            def log_message(self, *args):
                pass

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def count(self, ending):
        return sum(path.endswith(ending) for _, path in self.requests)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Scripted:
    """A server that answers each request as a function says, and writes the requests down.

    The function is given the method and the path, and returns a status, a body (text, a generator of
    bytes that are sent as they come, or anything that becomes JSON) and headers; it may sleep first.
    None in place of all this closes the connection.
    """

    def __init__(self, answer):
        scripted = self
        self.requests = []
        self.headers = []
        self.bodies = []
        self.targets = []
        self.connections = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # header and body are two writes, between which a client would wait

            def setup(self):
                super().setup()
                scripted.connections.append(self.connection)

            def respond(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                scripted.requests.append((self.command, path))
                scripted.bodies.append(body)
                scripted.targets.append(self.path)
                scripted.headers.append(dict(self.headers))
                found = answer(self.command, path)
                if found is None:
                    self.close_connection = True
                else:
                    self.send(*found)

            def send(self, status, body, headers):
                self.send_response(status)
                if isinstance(body, types.GeneratorType):
                    self.close_connection = True
                    chunks = body
                else:
                    chunks = [(body if isinstance(body, str) else json.dumps(body)).encode()]
                    headers = {"Content-Length": str(len(chunks[0])), **headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for chunk in chunks:
                    self.wfile.write(chunk)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = respond  # noqa: N815 - the names http.server calls

            def log_message(self, *args):
                pass

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def count(self, ending):
        return sum(path.endswith(ending) for _, path in self.requests)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def scripted(answer):
    """A `Scripted` server for a ``with`` block."""
    made = Scripted(answer)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def black_hole():
    """The address of a server that takes connections and never answers."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
