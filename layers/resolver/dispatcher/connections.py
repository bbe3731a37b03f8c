"""Connections that are kept between invocations, and their end after a pause."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_PAUSE = 30.0
"""Seconds between two invocations after which connections are closed.

Lambda freezes the container in between. Servers and NAT gateways then drop idle connections
unnoticed, and the next request over such a connection fails: an attempt would be lost.
"""


class KeptConnections:
    """The connections that are kept between invocations; ``now`` returns the time of day."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ended_at: float | None = None
        self._closers: set[Callable[[], None]] = set()

    def add(self, close: Callable[[], None]) -> None:
        """Register a ``close`` that is called after a long pause, before the next invocation."""
        self._closers.add(close)

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """Enclose an invocation; first close all connections if the last one ended long ago."""
        if self._ended_at is not None and self._now() - self._ended_at > LONGEST_PAUSE:
            for close in self._closers:
                close()
        try:
            yield
        finally:
            self._ended_at = self._now()
