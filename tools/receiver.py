"""A webhook receiver on this machine: it records requests and returns the scripted responses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tools.loopback import LoopbackServer


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request, and the status of its response."""

    at: float
    """When its header was there."""
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    status: int

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the body, decoded."""
        return json.loads(self.body)


class Receiver(LoopbackServer):
    """Returns the statuses and headers of ``script`` one after the other, then ``default``.

    Every response has the same body, which is JSON.
    """

    def __init__(
        self,
        script: Sequence[tuple[int, Mapping[str, str]]] = (),
        default: int = 204,
        body: bytes = b"",
        port: int = 0,
    ) -> None:
        super().__init__(_Handler, port)
        self.script = script
        self.default = default
        self.body = body
        self.arrivals: list[Arrival] = []
        """All requests so far, in order."""
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Return the address to register."""
        return f"{self.origin}/hook"


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server: Receiver

    def _respond(self) -> None:
        at, receiver = time.time(), self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with receiver.lock:
            rest = receiver.script[len(receiver.arrivals) :]
            status, extra = rest[0] if rest else (receiver.default, {})
            receiver.arrivals.append(Arrival(at, self.command, self.path, headers, body, status))
        self.send_response(status)
        of_body = {"Content-Type": "application/json"} if receiver.body else {}
        length = {"Content-Length": str(len(receiver.body))}
        for name, value in {**extra, **of_body, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(receiver.body)

    do_POST = do_PUT = do_PATCH = _respond  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Print nothing: ``arrivals`` holds the requests."""
