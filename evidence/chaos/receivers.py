"""Webhook receivers: most accept, some refuse, cut the connection, stall, or are gone."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from evidence.chaos.calls import Step
from evidence.chaos.ledger import Fate
from evidence.chaos.reaper import Reaper
from evidence.chaos.seeded_random import roll
from tools.loopback import LoopbackServer

STALL = 11.0
"""Seconds: longer than an attempt may take."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """A receiver's action on one request."""

    fate: Fate
    status: int = 200
    retry_after: int = 0


ACCEPTS = Reaction(Fate.ACCEPTED)
REFUSES = Reaction(Fate.REFUSED, 503)
GONE = Reaction(Fate.REFUSED, 410)

SHARES = (
    (0.14, REFUSES),
    (0.03, Reaction(Fate.REFUSED, 503, retry_after=2)),
    (0.03, Reaction(Fate.REFUSED, 500)),
    (0.05, Reaction(Fate.CUT)),
    (0.02, Reaction(Fate.UNREAD)),
    (0.02, Reaction(Fate.REFUSED, 404)),
    (0.01, Reaction(Fate.SLOW)),
)
"""The shares of requests that fail, 30 % in all, and how; all others are accepted."""


class Receivers(LoopbackServer):
    """One server on a free port of loopback; each user has a path, which names a behavior."""

    def __init__(self, reaper: Reaper) -> None:
        self.reaper = reaper
        self.has_ended = threading.Event()
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        super().__init__(_Handler)

    def url(self, behavior: str, user_id: str) -> str:
        """Return a URL: ``mixed``, ``broken`` (always refuses) or ``leaving`` (410 once)."""
        return f"{self.origin}/{behavior}/{user_id}"

    def react(self, behavior: str, delivery_id: str) -> Reaction:
        """Decide what to do with the next request of a delivery."""
        name = self.reaper.ledger.name(delivery_id)
        with self._lock:
            self._requests[name] += 1
            number = self._requests[name]
        if behavior == "broken":
            return REFUSES
        left = roll(self.reaper.seed, "receiver", name, number)
        if behavior == "leaving":
            return GONE if left < 0.1 else ACCEPTS
        for share, reaction in SHARES:
            if left < share:
                return reaction
            left -= share
        return ACCEPTS

    def stop(self) -> None:
        """Stop listening, and let go of stalled senders."""
        self.has_ended.set()
        super().stop()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a sender that dies breaks its connections."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    wbufsize = -1
    server: Receivers

    def do_POST(self) -> None:
        at = time.time()
        delivery_id = self.headers["webhook-id"]
        reaction, content = self._reaction(delivery_id)
        # Before the response: a reader of the ledger then finds the request there.
        self.server.reaper.ledger.add_arrival(
            delivery_id, at, reaction.fate, content, reaction.retry_after
        )
        if reaction.fate in {Fate.ACCEPTED, Fate.REFUSED}:
            self._respond(reaction)
            return
        if reaction.fate is Fate.SLOW:
            self.server.has_ended.wait(STALL)
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reaction(self, delivery_id: str) -> tuple[Reaction, str | None]:
        """Return what to do, and the content of the request if it is read."""
        reaper = self.server.reaper
        sender = reaper.workers.at(self.client_address[1])
        if reaper.strikes("before", Step.SEND, delivery_id, sender):
            return Reaction(Fate.UNREAD), None
        reaction = self.server.react(self.path.split("/")[1], delivery_id)
        if reaction.fate is Fate.UNREAD:
            return reaction, None
        body = self.rfile.read(int(self.headers["Content-Length"]))
        content = str(json.loads(body)["data"]["content"])
        if reaper.strikes("after", Step.SEND, delivery_id, sender):
            return Reaction(Fate.BEREFT), content
        return reaction, content

    def _respond(self, reaction: Reaction) -> None:
        self.send_response(reaction.status)
        if reaction.retry_after:
            self.send_header("Retry-After", str(reaction.retry_after))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing: the ledger holds what arrives."""
