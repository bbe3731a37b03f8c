"""A webhook receiver on this machine: it refuses a given number of requests, then accepts."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Self

from tools.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request and its response.

    The two times are of one clock that only ever grows: when the request was there whole, and just
    before the response was written.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    status: int
    arrived_at: float
    answered_at: float

    @property
    def message_id(self) -> str:
        """Return what Standard Webhooks calls the message: the same for each of its tries."""
        return self.headers.get("webhook-id", "")


class Receiver:
    """Listens on loopback at a free port while its ``with`` block lasts.

    It returns ``refusal`` to the first ``refusals`` requests and 200 to all later ones.
    """

    def __init__(self, refusals: int = 0, refusal: int = HTTPStatus.SERVICE_UNAVAILABLE) -> None:
        self._refusals = refusals
        self._refusal = refusal
        self._arrivals: list[Arrival] = []
        self._lock = threading.Lock()
        self._server = LoopbackServer(_handler(self))

    @property
    def url(self) -> str:
        """Return where it listens, without a path."""
        return self._server.origin

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """Return what has come in so far, in order."""
        with self._lock:
            return tuple(self._arrivals)

    def take(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Note a request and return the status of the response."""
        now = time.monotonic()
        with self._lock:
            refuses = len(self._arrivals) < self._refusals
            status = int(self._refusal) if refuses else int(HTTPStatus.OK)
            self._arrivals.append(
                Arrival(method, path, dict(headers), body, status, now, time.monotonic())
            )
            return status

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; received requests stay readable."""
        self._server.stop()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT = do_PATCH = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Stay quiet: the program that started the receiver reports its requests."""

    return Handler
