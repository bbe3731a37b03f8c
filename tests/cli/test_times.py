"""Times as commands show them."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from dispatch_cli.times import clock, moment

EAST, WEST = timezone(timedelta(hours=14), "EAST"), timezone(timedelta(hours=-12), "WEST")


@pytest.mark.parametrize(
    ("time", "zone", "shown"),
    [
        ("2026-11-23T09:30:00.000Z", EAST, "2026-11-23 23:30:00 EAST"),
        ("9999-12-31T23:59:59.999Z", WEST, "9999-12-31 11:59:59 WEST"),
        ("9999-12-31T23:59:59.999Z", EAST, "9999-12-31 23:59:59 UTC"),
    ],
)
def test_a_time_that_a_zone_cannot_write_is_shown_in_utc(time, zone, shown):
    """The last hours of the year 9999 are already in the next year there."""
    assert moment(time, zone) == shown
    assert clock(time, zone) == shown.split()[1]
