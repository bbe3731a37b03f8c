"""The hours in which a user may be disturbed.

Pure. Times are seconds since 1970; windows are local times in the user's time zone. The zones come
only from the package ``tzdata``, so that every machine has the same clock changes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dispatcher.errors import BrokenSettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dispatcher.configuration.rows import Preferences
    from dispatcher.strict_json import JsonObject

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = 24 * 60
"""Minutes of a day, which is also the latest end of a window."""

INTERRUPTING = ("SLACK", "EMAIL", "SMS")
"""The integrations that hours and mutes apply to, unless the user names others."""

HORIZON = 16
"""Local days within which a window opens, except in a zone that skips local days."""

SPREAD = 120
"""Seconds over which the users of one window are spread after it opens."""

_STEP = 6 * 3600
"""Step in seconds of the search for clock changes; no zone changes its clock twice within it."""

MUTED = "muted"
QUIET_HOURS = "quiet_hours"
PAUSED = "paused"
"""The receiver is paused after failures: see ``receiver_health``."""


class UnknownZoneError(ValueError):
    """A time zone that the shipped ``tzdata`` does not have."""


# Zones --------------------------------------------------------------------------------------------


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Return a time zone of the package ``tzdata``; raise ``UnknownZoneError`` if it has none."""
    # The name comes from a caller and becomes a path, so it must be in the list.
    if name not in zone_names():
        raise UnknownZoneError(name)
    # ZoneInfo(name) would prefer the machine's files.
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


# Windows ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """A weekly window on some days; ``start`` and ``end`` are minutes of the day.

    A window whose end is before its start runs over midnight and belongs to the day on which it
    starts.
    """

    days: frozenset[int]
    """Weekdays, 0 is Monday."""
    start: int
    end: int

    @property
    def minutes(self) -> int:
        """The length of the window without clock changes."""
        return (self.end - self.start) % MIDNIGHT or MIDNIGHT

    def contains(self, weekday: int, minute: int) -> bool:
        """Return whether the window is open; the start is inclusive, the end exclusive."""
        if self.start < self.end:
            return weekday in self.days and self.start <= minute < self.end
        return (weekday in self.days and minute >= self.start) or (
            (weekday - 1) % 7 in self.days and minute < self.end
        )


def is_open(windows: Sequence[Window], tz: ZoneInfo, t: float) -> bool:
    """Return whether a window is open at an instant."""
    local = datetime.fromtimestamp(t, tz)
    weekday, minute = local.weekday(), local.hour * 60 + local.minute
    return any(window.contains(weekday, minute) for window in windows)


def next_open(windows: Sequence[Window], tz: ZoneInfo, t: float) -> float | None:
    """Return the first instant from ``t`` on at which a window is open.

    ``None`` if none opens within 16 days, which needs a zone that drops local days.
    """
    if is_open(windows, tz, t):
        return t
    # A window opens when the wall clock reaches its start, or when the clock changes into it.
    instants = {*_starts(windows, tz, t), *_clock_changes(tz, t)}
    return next((at for at in sorted(instants) if at > t and is_open(windows, tz, at)), None)


def _starts(windows: Sequence[Window], tz: ZoneInfo, t: float) -> Iterator[float]:
    """Yield the instants at which windows start, two if the local time occurs twice."""
    today = datetime.fromtimestamp(t, tz).date()
    starts = {(day, window.start) for window in windows for day in window.days}
    for ahead in range(HORIZON + 1):
        day: date = today + timedelta(days=ahead)
        for weekday, minute in starts:
            if weekday == day.weekday():
                local = datetime(day.year, day.month, day.day, *divmod(minute, 60), tzinfo=tz)
                yield local.timestamp()
                yield local.replace(fold=1).timestamp()


def _clock_changes(tz: ZoneInfo, t: float) -> Iterator[float]:
    """Yield the instants, to the second, at which the zone's offset changes within the horizon."""

    def offset(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at, tz).utcoffset()

    first = int(t)
    for low in range(first, first + (HORIZON + 1) * 86_400, _STEP):
        high = low + _STEP
        if offset(low) != offset(high):
            yield float(_first_change(offset, low, high))


def _first_change(offset: Callable[[int], timedelta | None], low: int, high: int) -> int:
    before = offset(low)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle) == before:
            low = middle
        else:
            high = middle
    return high


# Openings -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The times at which a user may not be disturbed, and the integrations that this holds."""

    windows: tuple[Window, ...] | None = None
    """``None``: there are no hours, so only the mute counts."""
    integrations: frozenset[str] = frozenset(INTERRUPTING)
    zone_name: str = "UTC"
    muted_until: float = 0.0


ALWAYS_OPEN = Quiet(integrations=frozenset())


def window_of(settings: JsonObject) -> Window:
    """Return a window from its stored form, ``days``, ``from`` and ``to``, which was validated."""
    days = frozenset(DAYS.index(day) for day in settings["days"])
    return Window(days, minute_of(settings["from"]), minute_of(settings["to"]))


def minute_of(text: str) -> int:
    """Return the minute of the day that ``HH:MM`` names; 24:00 is the end of the day."""
    return int(text[:2]) * 60 + int(text[3:])


def time_zone_of(preferences: Preferences | None, default_zone: str) -> tuple[str, str]:
    """Return the name of the zone in effect and where it comes from: ``user`` or ``default``.

    A stored zone that a later ``tzdata`` does not have gives way to the default.
    """
    if preferences is not None and preferences.time_zone in zone_names():
        return preferences.time_zone, "user"
    if default_zone not in zone_names():
        detail = f"is {default_zone!r}: set it to the name of a time zone, such as Europe/Berlin"
        raise BrokenSettingError("DEFAULT_TIME_ZONE", detail)
    return default_zone, "default"


def quiet_of(preferences: Preferences | None, default_zone: str) -> Quiet:
    """Return the times at which a user may not be disturbed."""
    if preferences is None or (preferences.hours is None and preferences.muted_until is None):
        return ALWAYS_OPEN
    hours = preferences.hours or {}
    windows = hours.get("windows")
    return Quiet(
        windows=None if windows is None else tuple(window_of(one) for one in windows),
        integrations=frozenset(hours.get("integrations", INTERRUPTING)),
        zone_name=time_zone_of(preferences, default_zone)[0],
        muted_until=preferences.muted_until or 0.0,
    )


def next_opening(quiet: Quiet, t: float) -> float:
    """Return when the user may be disturbed next, over any integration, without the spread."""
    start = max(t, quiet.muted_until)
    if quiet.windows is None:
        return start
    at = next_open(quiet.windows, zone(quiet.zone_name), start)
    return start if at is None else at


@dataclass(frozen=True, slots=True)
class Opening:
    """The first instant at which a delivery may be sent, and what holds it until then."""

    at: float
    reason: str | None = None
    """``muted``, ``paused`` or ``quiet_hours``; ``None`` if nothing holds the delivery."""
    zone_name: str = field(default="UTC", compare=False)
    """The zone of the hours, in which times are shown to users."""
    never: bool = False
    """Whether no window opens within the horizon, so that the hours are ignored."""


def opening(quiet: Quiet, user_id: str, integration_type: str, t: float) -> Opening:
    """Return when a delivery that is due at ``t`` may be sent.

    The caller decides whether hours apply at all: an urgent message, a test and a round that
    ignores hours are not held.
    """
    if integration_type not in quiet.integrations:
        return Opening(t)
    start, never = max(t, quiet.muted_until), False
    at = start
    if quiet.windows is not None:
        tz = zone(quiet.zone_name)
        opens_at = next_open(quiet.windows, tz, start)
        if opens_at is None:
            never = True
        elif opens_at > start:
            spread_to = opens_at + spread(user_id)
            at = spread_to if is_open(quiet.windows, tz, spread_to) else opens_at
    if at == t:
        return Opening(t, zone_name=quiet.zone_name, never=never)
    reason = MUTED if quiet.muted_until > t else QUIET_HOURS
    return Opening(at, reason, quiet.zone_name, never)


def spread(user_id: str) -> int:
    """Return the user's own seconds after a window opens, so that users do not open together."""
    return zlib.crc32(user_id.encode()) % SPREAD


_PHRASES = {MUTED: "Muted", PAUSED: "Paused after failures", QUIET_HOURS: "Quiet hours"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def held_detail(reason: str, until: float, zone_name: str) -> str:
    """Return a sentence with the reason and the end of a hold."""
    # The row may contain a zone or a reason that only another version knows.
    zone_name = zone_name if zone_name in zone_names() else "UTC"
    local = datetime.fromtimestamp(until, UTC).astimezone(zone(zone_name))
    # strftime would name days and months in the machine's locale.
    when = (
        f"{DAYS[local.weekday()].title()} {local.day} {_MONTHS[local.month - 1]} "
        f"{local.hour:02}:{local.minute:02}"
    )
    return f"{_PHRASES.get(reason, 'Held')} until {when} ({zone_name})."
