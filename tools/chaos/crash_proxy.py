"""Kills functions at the steps of the delivery protocol: a proxy before the faulty AWS.

Functions → this → microburst → local cloud. It knows each step by the call that it is. Whoever is
to die at a step is killed either before the call goes on, or after its effect and before the
answer comes back. The receivers do the same at the two ends of a send.
"""

from __future__ import annotations

import http.client
import socket
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Self

from tools.chaos.calls import Step, read, refused_for_itself
from tools.loopback import LoopbackServer
from tools.processes import LOOPBACK

if TYPE_CHECKING:
    from tools.chaos.calls import Call
    from tools.chaos.reaper import Reaper
    from tools.chaos.workers import Workers

HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


class CrashProxy:
    """Listens on loopback while its ``with`` block lasts."""

    def __init__(self, port: int, upstream_port: int, reaper: Reaper, workers: Workers) -> None:
        self._server = _Server(port, upstream_port, reaper, workers)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.stop()


class _Server(LoopbackServer):
    def __init__(self, port: int, upstream_port: int, reaper: Reaper, workers: Workers) -> None:
        self.upstream_port = upstream_port
        self.reaper = reaper
        self.workers = workers
        super().__init__(_Handler, port)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: that a line breaks is what this is all about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(LOOPBACK, self.server.upstream_port, timeout=30)
        self._pid: int | None = None

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = read(self.headers.get("X-Amz-Target", ""), body)
        answered = self._relayed(body) if call is None else self._step(call, body)
        if not answered:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def _step(self, call: Call, body: bytes) -> bool:
        """Let a step happen and write it down; tell whether anybody is left to be answered."""
        at, reaper = time.time(), self.server.reaper
        if call.step is Step.COMMIT:
            reaper.introduce(call)
        elif call.step is Step.CLAIM:
            reaper.claiming(call, self._peer())
        elif call.step is Step.RECORD:
            reaper.recording(call)
        if reaper.strikes(f"before {call.step}", call, self._peer):
            return False
        answer = self._forward(body)
        if answer is None:
            return False
        if _took_effect(call, answer):
            if call.step is Step.CLAIM:
                reaper.granted(call, at)
            elif call.step is Step.RECORD:
                reaper.recorded(call)
            if reaper.strikes(f"after {call.step}", call, self._peer):
                return False
        self._answer(answer)
        return True

    def _relayed(self, body: bytes) -> bool:
        answer = self._forward(body)
        if answer is not None:
            self._answer(answer)
        return answer is not None

    def _forward(self, body: bytes) -> Answer | None:
        """Return the answer, or nothing where the line was cut."""
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP
        }
        try:
            self._upstream.request(self.command, self.path, body=body, headers=headers)
            response = self._upstream.getresponse()
            return response.status, response.getheaders(), response.read()
        except (OSError, http.client.HTTPException):
            self._upstream.close()
            return None

    def _answer(self, answer: Answer) -> None:
        status, headers, content = answer
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _peer(self) -> int | None:
        """Return the process that makes the calls of this connection."""
        if self._pid is None:
            self._pid = self.server.workers.at(self.client_address[1])
        return self._pid

    def log_message(self, *_: object) -> None:
        """Keep quiet: what matters is in the audit."""


Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers, content."""


def _took_effect(call: Call, answer: Answer) -> bool:
    status, _, content = answer
    refused = status == 400 and bool(call.token)
    return status == 200 or (refused and refused_for_itself(content, call.token))
