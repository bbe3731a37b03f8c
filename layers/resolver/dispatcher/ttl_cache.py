"""Something that is fetched from elsewhere and kept for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from dispatcher.errors import DispatcherError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

FRESH = 300.0
"""Seconds after which the value is fetched again: what was withdrawn is noticed by then."""

PAUSE = 60.0
"""Seconds between two fetches for what the value lacks: a stranger can cause no more of them."""

PAUSE_AFTER_FAILURE = 10.0


class TtlCache(Generic[Value]):
    """Fetches on first use and again when it is time; while that fails, the old value serves."""

    def __init__(self, fetch: Callable[[], Value], now: Callable[[], float]) -> None:
        self._fetch = fetch
        self._now = now
        self._value: Value | None = None
        self._fetched = self._tried = float("-inf")
        self._failure: DispatcherError | None = None

    def get(self, *, anew: bool = False) -> Value:
        """Return the value, ``anew`` when it lacks something that may be there by now.

        Raise what the fetch raised if there is no value, or none that is known to be the latest
        when ``anew`` is asked for.
        """
        now = self._now()
        stale = now - self._fetched >= FRESH
        pause = PAUSE if self._failure is None else PAUSE_AFTER_FAILURE
        if (anew or stale) and now - self._tried >= pause:
            self._try(now)
        if self._value is None or (anew and self._failure is not None):
            raise self._failure or UnavailableError("nothing was fetched yet")
        return self._value

    def _try(self, now: float) -> None:
        self._tried = now
        try:
            self._value = self._fetch()
        except DispatcherError as error:
            self._failure = error
        else:
            self._fetched, self._failure = now, None
