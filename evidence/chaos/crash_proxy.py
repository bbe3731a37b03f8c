"""Kills functions at the steps of the delivery protocol: a proxy that also makes AWS faulty.

Functions → this proxy → local cloud. The proxy recognizes each step by its AWS call. It kills the
process either before the call goes on, or after its effect and before its response comes back. The
receivers do the same at the two ends of a webhook's send.
"""

from __future__ import annotations

import http.client
import socket
import time
from http.server import BaseHTTPRequestHandler

from dispatcher.delivery.transitions import dead_letters_owed, fits_sqs_delay, next_due
from evidence.chaos.calls import Call, Step, read, refused_by
from evidence.chaos.faults import Faults
from evidence.chaos.ledger import Fate
from evidence.chaos.reaper import WORKER, Reaper
from tools.loopback import LoopbackServer
from tools.processes import LOOPBACK

HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})

Response = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers, content."""


class CrashProxy(LoopbackServer):
    """Listens on loopback while its ``with`` block lasts."""

    def __init__(self, port: int, upstream_port: int, faults: Faults, reaper: Reaper) -> None:
        self.upstream_port = upstream_port
        self.faults = faults
        self.reaper = reaper
        super().__init__(_Handler, port)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: connections are cut on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: CrashProxy

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(LOOPBACK, self.server.upstream_port, timeout=30)
        self._pid: int | None = None

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = read(self.headers.get("X-Amz-Target", ""), body, self.server.reaper.ledger.row)
        has_response = self._relay(body) if call is None else self._step(call, body)
        if not has_response:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def _step(self, call: Call, body: bytes) -> bool:
        """Let a step happen and add it to the ledger; tell whether its sender got a response."""
        at, pid = time.time(), self._peer()
        reaper, ledger = self.server.reaper, self.server.reaper.ledger
        ledger.add_attempt(call, at, pid or 0)
        if reaper.strikes("before", call.step, call.subject, pid):
            self._add_arrival(call, at, Fate.UNREAD)
            return False
        response = self._forward(body)
        if response is None:
            # It was reset before the effect, or its response was lost after it.
            self._add_arrival(call, at, Fate.CUT)
            return False
        took_effect = _took_effect(call, response)
        if took_effect and reaper.strikes("after", call.step, call.subject, pid):
            self._add_arrival(call, at, Fate.BEREFT)
            return False
        self._add_arrival(call, at, Fate.ACCEPTED if took_effect else Fate.REFUSED)
        self._respond(response)
        if took_effect and self._ends_visit(call, pid):
            self.wfile.flush()
            reaper.strikes("before", Step.ACKNOWLEDGE, call.subject, pid)
        return True

    def _add_arrival(self, call: Call, at: float, fate: Fate) -> None:
        """Add a send to a mailbox; the webhook receivers add their own."""
        if call.step is Step.SEND:
            self.server.reaper.ledger.add_arrival(call.subject, at, fate, call.content)

    def _ends_visit(self, call: Call, pid: int | None) -> bool:
        """Return whether a worker only has to acknowledge its doorbell after this step."""
        if pid is None or self.server.reaper.function(pid) != WORKER:
            return False
        if call.step is Step.RING:
            return True
        row, now = call.row, time.time()
        if row is None or row.owner is not None or dead_letters_owed(row):
            return False
        due_at = next_due(row)
        return due_at is None or not fits_sqs_delay(due_at, now)

    def _relay(self, body: bytes) -> bool:
        response = self._forward(body)
        if response is not None:
            self._respond(response)
        return response is not None

    def _forward(self, body: bytes) -> Response | None:
        """Return the response, or ``None`` if the connection is cut."""
        fault = self.server.faults.draw()
        if fault and not fault.has_effect:
            return fault.response
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP
        }
        try:
            self._upstream.request(self.command, self.path, body=body, headers=headers)
            response = self._upstream.getresponse()
            received = response.status, response.getheaders(), response.read()
        except (OSError, http.client.HTTPException):
            self._upstream.close()
            return None
        return None if fault else received

    def _respond(self, response: Response) -> None:
        status, headers, content = response
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
            self._pid = self.server.reaper.workers.at(self.client_address[1])
        return self._pid

    def log_message(self, *_: object) -> None:
        """Print nothing: the ledger holds what matters."""


def _took_effect(call: Call, response: Response) -> bool:
    """Return whether a call, or an earlier try of it whose response was lost, took effect."""
    status, _, content = response
    if status != 400 or call.row is None:
        return status == 200
    refused = refused_by(content)
    return refused is not None and refused.rev == call.row.rev
