"""The cache with a time to live (TTL): many values by key, or one value that refreshes itself."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from dispatcher.errors import DispatcherError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Key = TypeVar("Key", bound="Hashable")
Value = TypeVar("Value")

TTL = 300.0
"""Seconds after which a value is fetched again, and a revoked key or secret is noticed."""

PAUSE = 60.0
"""Seconds between two fetches for a missing entry, so that attackers cannot cause more."""

PAUSE_AFTER_FAILURE = 10.0
"""Seconds between two fetches while they fail."""


class TtlCache(Generic[Key, Value]):
    """At most ``size`` values by key, each with its own TTL; the oldest makes room for a new one.

    Threads may share it.
    """

    def __init__(self, now: Callable[[], float], *, size: int) -> None:
        self._now = now
        self._size = size
        self._entries: dict[Key, tuple[Value, float]] = {}
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """Return a value whose TTL has not passed; ``None`` if there is none."""
        entry = self._entries.get(key)
        return entry[0] if entry is not None and self._now() < entry[1] else None

    def put(self, key: Key, value: Value, ttl: float) -> None:
        """Store a value for ``ttl`` seconds."""
        until = self._now() + ttl
        with self._lock:
            self._entries.pop(key, None)
            while len(self._entries) >= self._size:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = (value, until)

    def forget(self, key: Key) -> None:
        """Remove a value, if it is there."""
        with self._lock:
            self._entries.pop(key, None)


class TtlValue(Generic[Value]):
    """A value with a TTL, fetched lazily; the stale value is served while a refresh fails.

    ``pause`` is the least number of seconds between two fetches.
    """

    def __init__(
        self,
        fetch: Callable[[], Value],
        now: Callable[[], float],
        *,
        ttl: float = TTL,
        pause: float = PAUSE,
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._ttl = ttl
        self._pause = pause
        self._value: Value | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._failure: DispatcherError | None = None

    def get(self, *, latest: bool = False) -> Value:
        """Return the value; ``latest`` fetches it again, unless ``pause`` forbids it.

        Raise the error of the last fetch if there is no value, or if it failed and the latest value
        is needed.
        """
        now = self._now()
        is_stale = now - self._fetched_at >= self._ttl
        if self._failure is not None:
            pause = min(self._pause, PAUSE_AFTER_FAILURE)
        else:
            pause = 0.0 if is_stale else self._pause
        if (latest or is_stale) and now - self._tried_at >= pause:
            self._refresh(now)
        if self._value is None or (latest and self._failure is not None):
            raise self._failure or UnavailableError("the value was never fetched")
        return self._value

    def _refresh(self, now: float) -> None:
        self._tried_at = now
        try:
            self._value = self._fetch()
        except DispatcherError as error:
            self._failure = error
        else:
            self._fetched_at, self._failure = now, None
