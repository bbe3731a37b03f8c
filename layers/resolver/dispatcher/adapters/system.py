"""The machine's own ports: time, randomness and a bounded wait."""

from __future__ import annotations

import os
import secrets
import threading
import time
import uuid
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
Inbox = SimpleQueue[tuple[Future[Any], "Callable[[], Any]"]]
"""The queue from which a thread of the watchdog gets its work and the future for the result."""


class SystemClock:
    """Implements ``ports.Clock``."""

    def now(self) -> float:
        """Return the seconds since 1970, to the millisecond."""
        return round(time.time(), 3)

    def monotonic(self) -> float:
        """Return the seconds of a monotonic clock."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class SystemIdGenerator:
    """Implements ``ports.IdGenerator``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def message_id(self, now: float) -> str:
        """Return a UUIDv7 (RFC 9562, 5.7) whose last two digits are 00.

        Milliseconds, then a counter, so that the IDs of one process sort as they were made.
        """
        with self._lock:
            # 12 bits of rand_a count within (and, when full, beyond) the millisecond: method 1 of
            # RFC 9562, 6.2.
            self._last = max(int(now * 1000) << 12, self._last + 1)
            tick = self._last
        value = (
            (tick >> 12) << 80
            | 0x7 << 76
            | (tick & 0xFFF) << 64
            | 0b10 << 62
            | secrets.randbits(54) << 8
        )
        return str(uuid.UUID(int=value))

    def token(self) -> str:
        """Return a fresh token."""
        return secrets.token_hex(8)

    def rev(self) -> bytes:
        """Return the revision of one computed row."""
        return secrets.token_bytes(8)

    def random(self, count: int) -> bytes:
        """Return random bytes that are safe for secrets."""
        return os.urandom(count)


class ThreadWatchdog:
    """Implements ``ports.Watchdog``.

    The work runs in a thread that is abandoned when its time is up; an idle thread is used again.
    Python's executors are not suitable: they start queued work late, and the process waits at its
    end for threads that hang.
    """

    def __init__(self) -> None:
        self._idle: list[Inbox] = []

    def within(self, seconds: float, work: Callable[[], Result]) -> Result | None:
        """Return or raise as ``work`` does, or return ``None`` once ``seconds`` have passed."""
        running: Future[Result] = Future()
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), daemon=True).start()
        inbox.put((running, work))
        try:
            running.exception(seconds)
        except TimeoutError:
            return None
        return running.result()

    def _serve(self, inbox: Inbox) -> None:
        while True:
            running, work = inbox.get()
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - handed on to the caller above
                error = raised
            # Before the result: a caller that has the result finds this thread idle.
            self._idle.append(inbox)
            if error is not None:
                running.set_exception(error)
            else:
                running.set_result(result)
            # Drop all references while the thread waits for the next work.
            del running, work, result, error
