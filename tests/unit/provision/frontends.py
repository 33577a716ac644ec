"""Servers on loopback that answer as a Zabbix frontend does, or as none should."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answers = Mapping[str, Any]
"""Results by method; a function gets the parameters, an Exception's words are an error."""

USER = {"username": "Admin", "type": 3}
ANSWERS = {
    "apiinfo.version": "7.0.9",
    "user.login": "a-session",
    "user.checkAuthentication": USER,
    "user.logout": True,
    "configuration.importcompare": [],
}
"""What any frontend answers that has all templates already."""


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    params: Any
    authorization: str | None


@dataclass
class Frontend:
    """A running server and what it was asked."""

    url: str
    requests: list[Request] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        """The methods, in the order in which they were called."""
        return [request.method for request in self.requests]


Reply = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """Run a server that answers each POST with *reply*; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            reply(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def frontend(answers: Answers) -> Iterator[Frontend]:
    """Run an API that knows the methods of *answers*, and those that any knows."""
    known = {**ANSWERS, **answers}
    found = Frontend("")

    def reply(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        request = json.loads(body)
        asked = Request(request["method"], request["params"], handler.headers["Authorization"])
        found.requests.append(asked)
        result = known.get(asked.method, NotImplementedError(f"no {asked.method}"))
        send(handler, _response(result(asked.params) if callable(result) else result))

    with serving(reply) as found.url:
        yield found


def _response(result: Any) -> bytes:
    if isinstance(result, Exception):
        error = {"code": -32602, "message": "Invalid params.", "data": str(result)}
        return json.dumps({"jsonrpc": "2.0", "error": error, "id": 0}).encode()
    return json.dumps({"jsonrpc": "2.0", "result": result, "id": 0}).encode()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """Answer with these bytes."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def saying(body: bytes, status: int = 200, **headers: str) -> Iterator[str]:
    """Run a server that has one answer for everything."""
    with serving(lambda handler, _: send(handler, body, status, **headers)) as url:
        yield url
