"""Deadlines on a monotonic clock, for work that consists of several steps.

Sockets bound each wait, not their sum. The worker's watchdog leaves a late attempt to its thread;
that thread never sends afterwards, because it asks its deadline before each step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_TIMEOUT = 0.001
"""Seconds; a timeout of 0 would make a socket non-blocking."""


class Deadline:
    """A time that lies ``seconds`` ahead on a clock that never goes back."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Return the remaining seconds; 0 or less if the deadline has passed."""
        return self._end - self._clock()

    def timeout(self) -> float:
        """Return the remaining seconds as a socket's timeout, even if the deadline has passed."""
        return max(self.remaining(), SHORTEST_TIMEOUT)

    def require(self, seconds: float = SHORTEST_TIMEOUT) -> float:
        """Return the remaining seconds; ``TimeoutError`` if fewer than ``seconds`` remain."""
        remaining = self.remaining()
        if remaining < seconds:
            raise TimeoutError
        return remaining

    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        return self.remaining() <= 0
