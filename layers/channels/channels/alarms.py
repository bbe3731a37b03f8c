"""Callbacks at given times, all from one thread: a thread for each costs as much as a send."""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(order=True, slots=True)
class Alarm:
    """A call at a time, in seconds of the monotonic clock."""

    at: float
    number: int
    action: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Cancel the call, unless it has begun."""
        self.action = None


class Alarms:
    """Runs alarms in a thread that lives as long as there are any."""

    def __init__(self) -> None:
        self._pending: list[Alarm] = []
        self._numbers = count()
        self._is_running = False
        self._changed = threading.Condition()

    def set(self, seconds: float, action: Callable[[], None]) -> Alarm:
        """Call ``action`` after so many seconds; it must be short and must not raise."""
        with self._changed:
            alarm = Alarm(time.monotonic() + seconds, next(self._numbers), action)
            # A cancelled alarm stays in the heap until its time; a search would cost more.
            heapq.heappush(self._pending, alarm)
            if not self._is_running:
                threading.Thread(target=self._run, name="alarms", daemon=True).start()
                self._is_running = True
            elif self._pending[0] is alarm:
                self._changed.notify()
        return alarm

    def _run(self) -> None:
        while alarm := self._next():
            if action := alarm.action:
                action()

    def _next(self) -> Alarm | None:
        """Wait for the next alarm's time; ``None`` if there is none."""
        with self._changed:
            while self._pending:
                early = self._pending[0].at - time.monotonic()
                if early <= 0:
                    return heapq.heappop(self._pending)
                self._changed.wait(early)
            self._is_running = False
            return None
