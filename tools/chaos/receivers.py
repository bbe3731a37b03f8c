"""Webhook receivers of every kind: most accept, some refuse, cut the line, stall, or are gone."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Self

from tools.chaos.audit import Arrival, Fate
from tools.loopback import LoopbackServer

if TYPE_CHECKING:
    from tools.chaos.reaper import Reaper
    from tools.chaos.seeded_random import SeededRandom

STALL = 11.0
"""Seconds: longer than an attempt may take."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a receiver does with one request."""

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
"""How many of the requests are met by what: 30 % in all; the rest is accepted."""


class Receivers:
    """One server on a free port of loopback; each user has a path, and so a temper."""

    def __init__(self, seeded_random: SeededRandom, reaper: Reaper) -> None:
        self._seeded_random = seeded_random
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._arrivals: list[Arrival] = []
        self._server = _Server(self, reaper)

    def url(self, temper: str, user_id: str) -> str:
        """Return an address: ``mixed``, ``broken`` (always refuses) or ``leaving`` (410 once)."""
        return f"{self._server.origin}/{temper}/{user_id}"

    @property
    def arrivals(self) -> list[Arrival]:
        """Return what has come in so far."""
        with self._lock:
            return list(self._arrivals)

    def note(self, arrival: Arrival) -> None:
        """Write a request into the book."""
        with self._lock:
            self._arrivals.append(arrival)

    def react(self, temper: str, name: str) -> Reaction:
        """Decide what to do with the next request of a delivery."""
        with self._lock:
            self._seen[name] += 1
            number = self._seen[name]
        if temper == "broken":
            return REFUSES
        roll = self._seeded_random.roll("receiver", name, number)
        if temper == "leaving":
            return GONE if roll < 0.1 else ACCEPTS
        for share, reaction in SHARES:
            if roll < share:
                return reaction
            roll -= share
        return ACCEPTS

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; what came in stays readable."""
        self._server.stop()


class _Server(LoopbackServer):
    def __init__(self, receivers: Receivers, reaper: Reaper) -> None:
        self.receivers = receivers
        self.reaper = reaper
        super().__init__(_Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a sender that dies breaks its lines."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        at = time.time()
        delivery_id = self.headers["webhook-id"]
        reaction = self._reaction(delivery_id)
        # Before the answer: whoever reads the book after it finds the request there.
        self.server.receivers.note(
            Arrival(
                delivery_id=delivery_id,
                at=at,
                fate=reaction.fate,
                ended_at=time.time(),
                retry_after=reaction.retry_after,
            )
        )
        if reaction.fate in {Fate.ACCEPTED, Fate.REFUSED}:
            self._answer(reaction)
            return
        if reaction.fate is Fate.SLOW:
            time.sleep(STALL)
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reaction(self, delivery_id: str) -> Reaction:
        reaper = self.server.reaper
        if reaper.strikes_sender("before send", delivery_id):
            return Reaction(Fate.UNREAD)
        temper = self.path.split("/")[1]
        reaction = self.server.receivers.react(temper, reaper.name_of(delivery_id))
        if reaction.fate is Fate.UNREAD:
            return reaction
        self.rfile.read(int(self.headers["Content-Length"]))
        if reaper.strikes_sender("after send", delivery_id):
            return Reaction(Fate.BEREFT)
        return reaction

    def _answer(self, reaction: Reaction) -> None:
        self.send_response(reaction.status)
        if reaction.retry_after:
            self.send_header("Retry-After", str(reaction.retry_after))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet: what comes in is noted."""
