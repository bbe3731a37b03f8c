"""The pure modules of the console, in the browser that runs them."""

from __future__ import annotations

import json

import pytest

from dispatcher.edges import console
from functions.get_console.app import STATIC

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
DAILY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WORKDAYS = DAILY[:5]


@pytest.fixture(scope="module")
def run(chromium, cloud):
    """Evaluate an expression with the exports of a module as ``it``."""
    page = chromium.new_page()
    page.goto(f"{cloud.url}/console#/u/ada/mailbox")

    def run(module, expression, *arguments):
        address = f"/{console.site(STATIC).prefix}/app/{module}"
        return page.evaluate(
            f"async (given) => {{ const it = await import({json.dumps(address)});"
            f" return ({expression}); }}",
            arguments,
        )

    yield run
    page.close()


def test_a_value_does_not_reorder_its_sentence(run):
    """Format characters except joiners are left out of a text with our own words."""
    expression = "(await it.useLanguage('en'), it.t('categories.editTitle', { title: given[0] }))"

    text = run("words.js", expression, "Ne\u202ews\u2069 👩\u200d💻")

    assert text.endswith("News 👩\u200d💻")


@pytest.mark.parametrize(
    ("days", "start", "end", "zone", "now", "expected"),
    [
        (DAILY, "07:00", "22:00", BERLIN, "2026-11-26T22:30:00Z", False),
        (DAILY, "07:00", "22:00", BERLIN, "2026-11-26T21:00:00Z", False),
        (DAILY, "07:00", "22:00", BERLIN, "2026-11-26T06:00:00Z", True),
        (WORKDAYS, "08:00", "18:00", BERLIN, "2026-11-27T17:30:00Z", False),
        (WORKDAYS, "22:00", "06:00", BERLIN, "2026-11-28T04:59:00Z", True),
        (WORKDAYS, "22:00", "06:00", BERLIN, "2026-11-28T05:00:00Z", False),
        (["fri"], "22:00", "24:00", BERLIN, "2026-11-27T22:59:00Z", True),
        (["fri"], "22:00", "24:00", BERLIN, "2026-11-27T23:00:00Z", False),
        (DAILY, "02:30", "05:00", BERLIN, "2027-03-28T01:00:00Z", True),
        (DAILY, "02:00", "02:30", BERLIN, "2026-10-25T01:10:00Z", True),
        (DAILY, "02:15", "02:45", NEW_YORK, "2027-03-14T07:20:00Z", False),
    ],
)
def test_the_strip_follows_the_rule_of_time(run, days, start, end, zone, now, expected):
    """``from`` is included and ``to`` is not; a window may run over midnight and clock changes."""
    windows = [{"days": days, "from": start, "to": end}]

    assert run("times.js", "it.isOpen(given[0], given[1], Date.parse(given[2]))",
               windows, zone, now) is expected  # fmt: skip


@pytest.mark.parametrize(
    ("now", "zone", "expected"),
    [
        ("2026-11-26T22:30:00.000Z", BERLIN, "2026-11-27T07:00:00.000Z"),
        ("2027-03-27T12:00:00.000Z", BERLIN, "2027-03-28T06:00:00.000Z"),
        ("2026-10-24T12:00:00.000Z", BERLIN, "2026-10-25T07:00:00.000Z"),
        ("2027-03-13T23:30:00.000Z", NEW_YORK, "2027-03-14T12:00:00.000Z"),
    ],
)
def test_tomorrow_at_eight_is_the_users_own(run, now, zone, expected):
    """Also in a night that is an hour shorter or longer."""
    found = run(
        "times.js",
        "new Date(it.tomorrowAt(480, given[1], Date.parse(given[0]))).toISOString()",
        now,
        zone,
    )

    assert found == expected


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"])
def test_a_local_time_means_the_users_zone(run, zone):
    """The instant of a local time shows that time again, in every zone."""
    local = "2026-12-01T08:15"

    assert (
        run("times.js", "it.localOf(it.instantOf(given[0], given[1]), given[1])", local, zone)
        == local
    )


def test_relative_times_are_words(run):
    """The largest unit counts."""
    now = 1_795_000_000_000
    found = run(
        "times.js",
        "[0, 9000, 150000, 9 * 3600000, -3 * 86400000].map((span) =>"
        " it.relative(given[0] + span, 'en', given[0]))",
        now,
    )

    assert found == ["now", "in 9 seconds", "in 2 minutes", "in 9 hours", "3 days ago"]


@pytest.mark.parametrize(
    ("fragment", "page", "user"),
    [
        ("#/u/ada/what", "what", "ada"),
        ("#/u/a%2Fb%40c/history?status=failed", "history", "a/b@c"),
        ("#/u/ada", "what", "ada"),
        ("#/find", "find", None),
        ("", "start", None),
        ("#/u/ada/nothing", "unknown", "ada"),
        ("#/u/ada/what/more", "unknown", "ada"),
        ("#/%E0%A4%A", "unknown", None),
    ],
)
def test_an_address_names_page_and_user(run, fragment, page, user):
    """Other addresses are unknown, also those that are not encoded correctly."""
    found = run("router.js", "(({page, user}) => [page, user])(it.parseRoute(given[0]))", fragment)

    assert found == [page, user]


def test_an_address_is_read_as_it_was_written(run):
    """User IDs are encoded; empty filters are left out."""
    found = run("router.js", "it.address('history', 'a|b', {status: 'failed', type: ''})")

    assert found == "#/u/a%7Cb/history?status=failed"


def test_days_with_equal_hours_share_a_window(run):
    """Two days with the same two spans are two windows; midnight is 24:00."""
    windows = [
        {"days": ["mon", "tue"], "from": "08:00", "to": "12:00"},
        {"days": ["mon", "tue"], "from": "13:00", "to": "24:00"},
    ]

    found = run(
        "pages/when.js", "it.windowsOf({mode: 'weekly', week: it.weekOf(given[0])})", windows
    )

    assert found == windows


def test_equal_hours_of_a_day_count_once(run):
    """Adding the same hours to a day again changes nothing."""
    spans = [{"from": "08:00", "to": "18:00"}] * 2
    week = {day: spans if day == "mon" else [] for day in DAILY}

    found = run("pages/when.js", "it.windowsOf({mode: 'weekly', week: given[0]})", week)

    assert found == [{"days": ["mon"], "from": "08:00", "to": "18:00"}]


def test_a_choice_is_stored_whole(run):
    """One channel changes; a category that is off keeps the others off."""
    category = {
        "integrations": {
            "SLACK": {"enabled": False, "changeable": True},
            "EMAIL": {"enabled": False, "changeable": True},
            "SMS": {"enabled": False, "changeable": False},
        }
    }
    choose = "it.chosen(given[0], given[1], 'EMAIL', given[2])"

    assert run("switches.js", choose, None, category, False) == {"integrations": {"EMAIL": False}}
    assert run("switches.js", choose, {"integrations": {"SLACK": False}}, category, True) == {
        "integrations": {"SLACK": False, "EMAIL": True}
    }
    assert run("switches.js", choose, {"enabled": False}, category, True) == {
        "enabled": True,
        "integrations": {"SLACK": False, "EMAIL": True},
    }


def test_the_pseudo_locale_is_longer_and_keeps_placeholders(run):
    """It shows texts that no catalogue holds, and places that are too narrow."""
    [text, plural] = run(
        "words.js",
        "Object.values(it.pseudo({a: 'Hello {name}', b: {one: 'one', other: 'other'}}))",
    )

    assert text.startswith("[Hélló {name} ~")
    assert len(text) >= len("Hello {name}") * 1.4
    assert set(plural) == {"one", "other"}


def test_a_delivery_is_told_in_order(run):
    """Accepted, two attempts that failed, one that arrived, and the receipt."""
    delivery = {
        "created_at": "1",
        "status": "success",
        "delivered_at": "4",
        "attempt_log": [
            {"number": 1, "started_at": "2", "outcome": "retry", "code": "http_503",
             "duration_ms": 240, "detail": "x"},
            {"number": 2, "started_at": "3", "outcome": "delivered", "code": None,
             "duration_ms": 9, "detail": ""},
        ],
        "receipt": {"state": "bounced", "at": "5", "detail": "550"},
    }  # fmt: skip

    found = run("timeline.js", "it.eventsOf(given[0]).map((one) => [one.kind, one.at])", delivery)

    assert found == [
        ["accepted", "1"],
        ["attempt.retry", "2"],
        ["attempt.delivered", "3"],
        ["delivered", "4"],
        ["receipt.bounced", "5"],
    ]
    assert run("timeline.js", "it.codeOf('http_503')") == "503"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["fr", "de-AT", "en"], "de"),
        ([None, "EN-gb"], "en"),
        (["constructor", "__proto__", "", "../de", "de"], "de"),
        (["pseudo"], "pseudo"),
        ([], "en"),
    ],
)
def test_a_language_without_words_is_passed_over(run, wanted, expected):
    """An address may ask for anything; the page never loses its words."""
    assert run("words.js", "it.chosenLanguage(given[0])", wanted) == expected
