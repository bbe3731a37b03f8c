"""What the API returns: the shape of every response, and how it writes a time."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float | None) -> str | None:
    """Write a time as RFC 3339 in UTC with milliseconds."""
    if seconds is None:
        return None
    return (
        datetime.fromtimestamp(round(seconds * 1000) / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
