"""The rule of time, against the contract's table and a scan of every minute."""

from __future__ import annotations

import random
import zoneinfo
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.configuration.hours import (
    ALWAYS_OPEN,
    DAYS,
    MIDNIGHT,
    Opening,
    Quiet,
    UnknownZoneError,
    Window,
    held_detail,
    is_open,
    next_open,
    opening,
    spread,
    zone,
    zone_names,
)

EVERY_DAY = frozenset(range(7))
WORKDAYS = frozenset(range(5))

ZONES = (
    "Africa/Casablanca",  # negative summer time during Ramadan
    "Africa/El_Aaiun",
    "America/Asuncion",
    "America/New_York",
    "America/Santiago",  # the clock changes at midnight
    "America/Scoresbysund",
    "Antarctica/Troll",  # changes by two hours
    "Asia/Gaza",  # four changes a year
    "Asia/Kathmandu",  # UTC+5:45
    "Asia/Tehran",
    "Australia/Lord_Howe",  # changes by half an hour
    "Europe/Berlin",
    "Europe/Dublin",  # negative winter time
    "Pacific/Apia",
    "Pacific/Chatham",  # UTC+12:45, with summer time
    "Pacific/Kiritimati",  # UTC+14
)


def window(start, end, days=EVERY_DAY):
    """Return a window from times such as ``07:00``."""
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (start, end)]
    return Window(frozenset(days), *minutes)


def instant(text, zone_name="UTC", fold=0):
    """Return the instant of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=zone(zone_name), fold=fold).timestamp()


DAILY = window("07:00", "22:00")
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
FRIDAY_NIGHT = window("22:00", "24:00", {4})
NIGHTS = window("22:00", "06:00", WORKDAYS)
OFFICE = window("08:00", "18:00", WORKDAYS)
SUNDAY = window("02:15", "02:45", {6})

TABLE = [
    (DAILY, BERLIN, "2026-11-26T23:30", 0, "2026-11-27T06:00"),
    (DAILY, BERLIN, "2026-11-26T22:00", 0, "2026-11-27T06:00"),
    (DAILY, BERLIN, "2026-11-27T07:00", 0, "2026-11-27T06:00"),
    (OFFICE, BERLIN, "2026-11-27T18:30", 0, "2026-11-30T07:00"),
    (NIGHTS, BERLIN, "2026-11-28T05:59", 0, "2026-11-28T04:59"),
    (NIGHTS, BERLIN, "2026-11-28T06:00", 0, "2026-11-30T21:00"),
    (FRIDAY_NIGHT, BERLIN, "2026-11-28T00:00", 0, "2026-12-04T21:00"),
    (DAILY, BERLIN, "2027-03-27T23:00", 0, "2027-03-28T05:00"),
    (window("02:30", "05:00"), BERLIN, "2027-03-28T01:30", 0, "2027-03-28T01:00"),
    (window("02:15", "02:45"), NEW_YORK, "2027-03-14T01:30", 0, "2027-03-15T06:15"),
    (SUNDAY, BERLIN, "2027-03-21T02:45", 0, "2027-04-04T00:15"),
    (DAILY, BERLIN, "2026-10-24T23:00", 0, "2026-10-25T06:00"),
    (window("02:00", "02:30"), BERLIN, "2026-10-25T02:40", 0, "2026-10-25T01:00"),
    (DAILY, "UTC", "2026-11-26T22:30", 0, "2026-11-27T07:00"),
]


@pytest.mark.parametrize(("open_in", "zone_name", "now", "fold", "expected"), TABLE)
def test_the_next_opening_is_that_of_the_contract(open_in, zone_name, now, fold, expected):
    """Every row of the contract's table, with its values."""
    found = next_open([open_in], zone(zone_name), instant(now, zone_name, fold))

    assert found == instant(expected)


def test_the_end_of_a_window_is_exclusive_to_the_millisecond():
    """A window is open until the last millisecond before its end."""
    end = instant("2026-11-26T22:00", BERLIN)

    assert next_open([DAILY], zone(BERLIN), end - 0.001) == end - 0.001
    assert next_open([DAILY], zone(BERLIN), end) == instant("2026-11-27T06:00")


# A scan of every minute ---------------------------------------------------------------------------


def changes(zone_name, years=(2025, 2026, 2027)):
    """Return the instants of all clock changes of a zone in some years."""
    tz = zone(zone_name)
    hours = range(int(instant(f"{years[0]}-01-01")), int(instant(f"{years[-1] + 1}-01-01")), 1800)
    moved = [
        (before, after)
        for before, after in pairwise(hours)
        if datetime.fromtimestamp(before, tz).utcoffset()
        != datetime.fromtimestamp(after, tz).utcoffset()
    ]
    return [after for _, after in moved]


def scanned(windows, tz, t):
    """Return the first open minute from t on, by checking each minute."""
    if is_open(windows, tz, t):
        return t
    minute = int(t) // 60 * 60 + 60
    for at in range(minute, minute + 16 * 86_400, 60):
        if is_open(windows, tz, at):
            return at
    return None


def some_windows(draw):
    """Return up to three random windows of at least 15 minutes, half of them short."""
    found = []
    for _ in range(draw.choice([1, 1, 2, 3])):
        start = draw.randrange(0, MIDNIGHT, draw.choice([1, 15, 60]))
        length = draw.choice([15, 30, 60, 600, 1439])
        # An end at midnight counts as 24:00; a window of a whole day has no other end.
        end = (start + length) % MIDNIGHT or MIDNIGHT
        days = frozenset(draw.sample(range(7), draw.choice([1, 2, 5, 7])))
        found.append(Window(days, start, end))
    return found


@pytest.mark.parametrize("zone_name", ZONES)
def test_the_next_opening_is_that_of_a_scan_of_every_minute(zone_name):
    """Anywhere in three years, and within 3 h of every clock change, the rule equals the scan."""
    draw = random.Random(zone_name)
    tz = zone(zone_name)
    year = (int(instant("2025-01-01")), int(instant("2028-01-01")))
    moments = [draw.randrange(*year) for _ in range(12)]
    moments += [at + draw.randrange(-10_800, 10_800) for at in changes(zone_name) * 6]

    wrong = [
        (windows, t)
        for t in moments
        for windows in [some_windows(draw)]
        if next_open(windows, tz, t) != scanned(windows, tz, t)
    ]

    assert wrong == []


def test_a_dropped_local_day_is_passed_over():
    """Samoa had no 30 December 2011: a window of Fridays opens a week later, in the same minute."""
    fridays = [window("08:00", "18:00", {4})]
    tz = zone("Pacific/Apia")
    thursday = instant("2011-12-29T12:00", "Pacific/Apia")

    found = next_open(fridays, tz, thursday)

    assert found == scanned(fridays, tz, thursday) == instant("2012-01-06T08:00", "Pacific/Apia")


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(ZONES),
    st.integers(1_735_689_600_000, 1_830_297_600_000),
    st.integers(0, MIDNIGHT - 1),
    st.integers(15, MIDNIGHT - 1),
    st.sets(st.integers(0, 6), min_size=1),
)
def test_an_opening_is_open_and_is_not_passed_over(zone_name, ms, start, minutes, days):
    """The instant found is open, the one before it is not, and it is its own next opening."""
    windows = [Window(frozenset(days), start, (start + minutes) % MIDNIGHT or MIDNIGHT)]
    tz, t = zone(zone_name), ms / 1000

    at = next_open(windows, tz, t)

    assert at is not None
    assert at >= t
    assert is_open(windows, tz, at)
    assert at == t or not is_open(windows, tz, at - 0.001)
    assert next_open(windows, tz, at) == at


def test_a_zone_of_the_machine_is_never_read(monkeypatch, tmp_path):
    """Zones come from the package, whatever files the machine or the environment offers."""
    old = zoneinfo.TZPATH
    (tmp_path / "Pacific").mkdir()
    (tmp_path / "Pacific" / "Niue").write_bytes(b"not a zone")
    zoneinfo.reset_tzpath([tmp_path])
    try:
        assert zone("Pacific/Niue").utcoffset(datetime(2026, 1, 1)).total_seconds() == -11 * 3600  # noqa: DTZ001 - a wall clock
    finally:
        zoneinfo.reset_tzpath(old)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "europe/berlin", "Europe"]
)
def test_an_unknown_zone_is_refused(name):
    """Only names that the package lists are zones: no path, no folder, no other case."""
    with pytest.raises(UnknownZoneError):
        zone(name)


def test_every_zone_can_be_read():
    """Every name that the package lists is a zone."""
    assert len(zone_names()) > 500
    assert all(zone(name).key == name for name in zone_names())


# Openings -----------------------------------------------------------------------------------------

NIGHT = instant("2026-11-26T23:30", BERLIN)
MORNING = instant("2026-11-27T06:00")
HOURS = Quiet(windows=(DAILY,), zone_name=BERLIN)


def test_users_are_spread_over_two_minutes():
    """The seconds are fixed per user: 83 for john.doe, 72 for ada."""
    assert (spread("john.doe"), spread("ada")) == (83, 72)
    assert {spread(f"user-{number}") for number in range(3000)} == set(range(120))


def test_a_window_that_opens_is_spread():
    """A delivery at night is held until the window opens, plus the user's own seconds."""
    assert opening(HOURS, "ada", "SLACK", NIGHT) == Opening(MORNING + 72, "quiet_hours")


def test_a_spread_that_leaves_the_window_is_left_out():
    """A clock change can cut a window shorter than the spread; the opening then is its start."""
    cut = Quiet(windows=(window("02:46", "03:01"),), zone_name=BERLIN)
    before = instant("2027-03-28T01:30", BERLIN)

    assert opening(cut, "john.doe", "SLACK", before) == Opening(
        instant("2027-03-28T01:00"), "quiet_hours"
    )
    assert opening(cut, "u-3", "SLACK", before).at == instant("2027-03-28T01:00") + spread("u-3")


def test_an_open_window_holds_nothing():
    """Within a window a delivery is sent at its time, to the millisecond."""
    assert opening(HOURS, "ada", "SLACK", MORNING + 0.125) == Opening(MORNING + 0.125)


def test_a_mute_that_ends_inside_a_window_ends_to_the_second():
    """No spread: other users' mutes end at other times."""
    muted = Quiet(windows=(DAILY,), zone_name=BERLIN, muted_until=MORNING + 3600)

    assert opening(muted, "ada", "SLACK", MORNING) == Opening(MORNING + 3600, "muted")


def test_a_mute_that_ends_at_night_lasts_until_the_window_opens():
    """The opening takes the mute and the hours into account; the mute is the reason."""
    muted = Quiet(windows=(DAILY,), zone_name=BERLIN, muted_until=NIGHT + 60)

    assert opening(muted, "ada", "SLACK", NIGHT) == Opening(MORNING + 72, "muted")


def test_a_mute_without_hours_ends_when_it_says():
    """A user without windows is always open, except for the mute."""
    assert opening(Quiet(muted_until=NIGHT + 60), "ada", "EMAIL", NIGHT) == Opening(
        NIGHT + 60, "muted"
    )
    assert opening(Quiet(muted_until=NIGHT), "ada", "EMAIL", NIGHT) == Opening(NIGHT)


@pytest.mark.parametrize("quiet", [HOURS, Quiet(muted_until=NIGHT + 60)])
def test_only_the_named_integrations_are_held(quiet):
    """By default SLACK, EMAIL and SMS wait, because the others do not interrupt the user."""
    assert opening(quiet, "ada", "CLI", NIGHT) == Opening(NIGHT)
    assert opening(quiet, "ada", "SMS", NIGHT).reason is not None
    assert opening(ALWAYS_OPEN, "ada", "SMS", NIGHT) == Opening(NIGHT)


def test_hours_that_never_open_are_ignored():
    """Where a zone drops the only days that are open, the delivery is sent, and says so."""
    never = Quiet(windows=(Window(frozenset(), 0, 60),), zone_name=BERLIN)

    assert opening(never, "ada", "SLACK", NIGHT) == Opening(NIGHT, never=True)


def test_a_hold_is_explained_in_the_users_own_time():
    """The sentence of the contract."""
    assert held_detail("quiet_hours", instant("2026-11-27T07:01:12"), BERLIN) == (
        "Quiet hours until Fri 27 Nov 08:01 (Europe/Berlin)."
    )
    assert held_detail("muted", instant("2026-12-01T08:00"), "UTC") == (
        "Muted until Tue 1 Dec 08:00 (UTC)."
    )


def test_a_hold_of_another_version_is_still_told():
    """A row may name a zone that left the shipped zones, or a reason that came later."""
    assert held_detail("later", instant("2026-12-01T08:00"), "Mars/Olympus") == (
        "Held until Tue 1 Dec 08:00 (UTC)."
    )


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [("07:00", "22:00", 900), ("22:00", "06:00", 480), ("22:00", "24:00", 120)],
)
def test_the_length_of_a_window_counts_over_midnight(start, end, minutes):
    """A window over midnight is as long as it lasts."""
    assert window(start, end).minutes == minutes
    assert DAYS[4] == "fri"
