"""Times and durations in a readable form."""

from __future__ import annotations

from datetime import datetime, tzinfo

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def parse(text: str) -> datetime:
    """Parse an RFC 3339 time."""
    return datetime.fromisoformat(text)


def age(text: str | None, now: datetime) -> str:
    """Return the distance from now: ``3 min ago``, ``in 2 h``."""
    if text is None:
        return "-"
    seconds = (now - parse(text)).total_seconds()
    distance = abs(seconds)
    if distance < 1:
        return "now"
    count, unit = next(
        ((int(distance // size), name) for size, name in UNITS if distance >= size),
        (int(distance), "s"),
    )
    return f"{count} {unit} ago" if seconds >= 0 else f"in {count} {unit}"


def moment(time: str | datetime, zone: tzinfo | None) -> str:
    """Return date, time and zone, local without a ``zone``."""
    parsed = parse(time) if isinstance(time, str) else time
    return _in_zone(parsed, zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def clock(text: str, zone: tzinfo | None) -> str:
    """Return only the time of day."""
    return _in_zone(parse(text), zone).strftime("%H:%M:%S")


def _in_zone(time: datetime, zone: tzinfo | None) -> datetime:
    try:
        return time.astimezone(zone)
    except OverflowError:
        # East of Greenwich, the last hours of the year 9999 are in the year 10000.
        return time


def span(seconds: int) -> str:
    """Return a duration in its largest whole unit: ``45 s``, ``2 min``, ``1 d``."""
    for size, name in UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
