"""Traffic of the crash proxy and the receivers: writes of message rows, and sends."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from enum import StrEnum

from dispatcher.delivery.rows import MessageRow
from evidence.chaos.calls import Call


class Fate(StrEnum):
    """A receiver's action on a request."""

    ACCEPTED = "returned 2xx"
    REFUSED = "returned an error"
    CUT = "read it, then cut the connection"
    SLOW = "read it, then kept the sender waiting beyond its limit"
    UNREAD = "cut the connection before it had read it"
    BEREFT = "read it, then saw the sender die"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A send that reached its receiver, in the time of the service's clock."""

    delivery_id: str
    at: float
    fate: Fate
    ended_at: float
    """When the response was on its way, or the connection was cut."""
    retry_after: float = 0.0
    content: str | None = None
    """``None`` if it was not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write of a message row that was tried, with all its tries by the SDK.

    Whether it took effect is shown by the rows: each write names the ``rev`` that it replaces.
    """

    row: MessageRow
    on: bytes | None
    """The ``rev`` that it replaces; ``None`` for a new row."""
    at: float
    """Time at which its first attempt passed."""
    pid: int
    """The process that made it; 0 if unknown."""
    by_rig: bool = False
    """Whether the run itself wrote it, to cut a dead worker's lease short."""


class Ledger:
    """Collects writes and arrivals from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: dict[bytes, Write] = {}
        self._arrivals: list[Arrival] = []
        self._names: dict[str, str] = {}

    @property
    def writes(self) -> list[Write]:
        """Return all writes that were tried."""
        with self._lock:
            return list(self._writes.values())

    @property
    def arrivals(self) -> list[Arrival]:
        """Return all sends that reached a receiver."""
        with self._lock:
            return list(self._arrivals)

    def row(self, rev: bytes) -> MessageRow | None:
        """Return the row that was written with a ``rev``."""
        with self._lock:
            write = self._writes.get(rev)
        return write.row if write else None

    def name(self, subject: str) -> str:
        """Return what a message or delivery is called in every run: its ID is random."""
        with self._lock:
            return self._names.get(subject, subject)

    def add_attempt(self, call: Call, at: float, pid: int) -> None:
        """Add a write before it is known whether it takes effect."""
        row = call.row
        if row is None:
            return
        with self._lock:
            # A caller that gave up has no process behind its connection; its next attempt has one.
            known = self._writes.get(row.rev)
            if known is None:
                self._writes[row.rev] = Write(row=row, on=call.on, at=at, pid=pid)
            elif known.pid == 0:
                self._writes[row.rev] = replace(known, pid=pid)
            if call.on is None:
                self._names[row.message_id] = row.request_id
                for place, delivery in enumerate(row.deliveries):
                    self._names[row.delivery_id(place)] = f"{row.request_id} {delivery.type}"

    def add(self, write: Write) -> None:
        """Add a write of the run itself."""
        with self._lock:
            self._writes[write.row.rev] = write

    def add_arrival(self, arrival: Arrival) -> None:
        """Add a send that reached its receiver."""
        with self._lock:
            self._arrivals.append(arrival)
