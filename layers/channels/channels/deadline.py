"""The wall clock of one attempt at a peer that operators chose.

Sockets bound each wait, not their sum. The worker leaves an attempt that is over its time to its
thread; by asking for the time left before each step, that thread never sends afterwards.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Deadline:
    """So many seconds from now."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self, at_least: float = 0.001) -> float:
        """Return the seconds that are left; ``TimeoutError`` if they are fewer than needed."""
        left = self._end - self._clock()
        if left < at_least:
            raise TimeoutError
        return left

    def is_over(self) -> bool:
        """Tell whether the time is up."""
        return self._clock() >= self._end
