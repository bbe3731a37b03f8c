"""Connections that outlive an invocation, and when they are no longer trusted."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_PAUSE = 30.0
"""Seconds between two invocations after which connections are closed.

Lambda freezes a container in between. Its peers and their NAT gateways drop the connections without
its notice, and the next request over one fails: a user's attempt would be lost.
"""


class KeptConnections:
    """What keeps connections open from one invocation to the next; ``now`` is the time of day."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ended_at: float | None = None
        self._closers: set[Callable[[], None]] = set()

    def add(self, close: Callable[[], None]) -> None:
        """Have ``close`` called after a long pause; whoever keeps connections opens new ones."""
        self._closers.add(close)

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """Enclose an invocation: close everything first if the last one is long over."""
        if self._ended_at is not None and self._now() - self._ended_at > LONGEST_PAUSE:
            for close in self._closers:
                close()
        try:
            yield
        finally:
            self._ended_at = self._now()
