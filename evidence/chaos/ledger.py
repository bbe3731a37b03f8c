"""Traffic of the crash proxy and the receivers: writes of message rows, and sends."""

from __future__ import annotations

import threading
import time
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
    """Collects writes and arrivals from many threads.

    Only a change that depends on a value needs the lock: single operations are atomic.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}
        self.writes: dict[bytes, Write] = {}
        """All writes that were tried, by the ``rev`` that they write."""
        self.arrivals: list[Arrival] = []
        """All sends that reached a receiver."""

    def row(self, rev: bytes) -> MessageRow | None:
        """Return the row that was written with a ``rev``."""
        write = self.writes.get(rev)
        return write.row if write else None

    def name(self, subject: str) -> str:
        """Return what a message or delivery is called in every run: its ID is random."""
        return self._names.get(subject, subject)

    def add_attempt(self, call: Call, at: float, pid: int) -> None:
        """Add a write before it is known whether it takes effect."""
        row = call.row
        if row is None:
            return
        with self._lock:
            # A caller that gave up has no process behind its connection; its next attempt has one.
            known = self.writes.get(row.rev)
            if known is None:
                self.writes[row.rev] = Write(row=row, on=call.on, at=at, pid=pid)
            elif known.pid == 0:
                self.writes[row.rev] = replace(known, pid=pid)
            if call.on is None:
                self._names[row.message_id] = row.request_id
                for place, delivery in enumerate(row.deliveries):
                    self._names[row.delivery_id(place)] = f"{row.request_id} {delivery.type}"

    def add_arrival(
        self,
        delivery_id: str,
        at: float,
        fate: Fate,
        content: str | None = None,
        retry_after: float = 0.0,
    ) -> None:
        """Add a send that ends now."""
        self.arrivals.append(
            Arrival(
                delivery_id=delivery_id,
                at=at,
                fate=fate,
                ended_at=time.time(),
                content=content,
                retry_after=retry_after,
            )
        )
