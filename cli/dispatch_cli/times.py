"""Times as people read them."""

from __future__ import annotations

from datetime import datetime, tzinfo

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def read(text: str) -> datetime:
    """Read a time of the service."""
    return datetime.fromisoformat(text)


def age(text: str | None, now: datetime) -> str:
    """Say how long ago something was, or in how long it will be: ``3 min ago``, ``in 2 h``."""
    if text is None:
        return "-"
    seconds = (now - read(text)).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    count, unit = next(
        ((int(size // each), name) for each, name in UNITS if size >= each), (int(size), "s")
    )
    return f"{count} {unit} ago" if seconds >= 0 else f"in {count} {unit}"


def moment(text: str | datetime, zone: tzinfo | None) -> str:
    """Write a time in a zone, the machine's own if there is none."""
    time = read(text) if isinstance(text, str) else text
    return time.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def clock(text: str, zone: tzinfo | None) -> str:
    """Write only the time of day."""
    return read(text).astimezone(zone).strftime("%H:%M:%S")


def span(seconds: int) -> str:
    """Write a duration: ``45 s``, ``2 min``, ``24 h``."""
    for each, name in UNITS:
        if seconds >= each and seconds % each == 0:
            return f"{seconds // each} {name}"
    return f"{seconds} s"
