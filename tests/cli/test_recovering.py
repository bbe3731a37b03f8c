"""Recovery of failed deliveries, and paused receivers, on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from dispatch_cli.diagnosis import findings
from tests.cli.server import Gateway

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
HEALTHY = {"status": "healthy", "integrations": {}}


def pages(*responses):
    """Serve these responses one after the other."""
    left = list(responses)
    return Gateway(lambda *_: (202, {}, json.dumps(left.pop(0))))


def test_a_recovery_follows_its_cursors(alone, clock):
    """Counts are those of all pages; an age is counted from now."""
    first = {"examined": 100, "opened": ["d-1"], "not_opened": [], "next_cursor": "c"}
    stays = {"delivery_id": "d-2", "reason": "first_success"}
    last = {"examined": 5, "opened": ["d-3"], "not_opened": [stays], "next_cursor": None}

    with pages(first, last) as gateway:
        result = alone(
            *("recover", "ada", "--since", "2h", "--type", "WEBHOOK", "--code", "http_503"),
            DISPATCH_URL=gateway.url,
        )

    assert (result.exit_code, result.output.splitlines()) == (
        0,
        [
            "2 new rounds start; messages examined: 105.",
            "d-2 stays failed: another delivery of its message has succeeded or is pending.",
            "To follow them: dispatch history ada --follow",
        ],
    )
    sent = [json.loads(body) for *_, body in gateway.requests]
    assert [one["cursor"] for one in sent] == [None, "c"]
    assert sent[0] == {
        "since": "2026-11-23T07:30:00.000+00:00",
        "until": None,
        "integration_types": ["WEBHOOK"],
        "error_codes": ["http_503"],
        "dry_run": False,
        "cursor": None,
    }


def test_a_dry_run_says_so(alone, clock):
    """Nothing is to be followed."""
    page = {"examined": 1, "opened": ["d-1"], "not_opened": [], "next_cursor": None}
    since = ("recover", "ada", "--since", "2026-11-23T07:30:00Z", "--dry-run")

    with pages(page) as gateway:
        result = alone(*since, DISPATCH_URL=gateway.url)

    assert result.output.splitlines() == ["1 new round would start; messages examined: 1."]


@pytest.mark.parametrize("since", ["yesterday", "2x", "2026-11-23T07:30:00"])
def test_another_time_is_refused(alone, since):
    """With an example of an age and of a time."""
    result = alone("recover", "ada", "--since", since)

    assert result.exit_code == 2
    assert f"--since: {since!r} is neither an age nor a time." in result.output


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            "failing",
            ["The receiver of WEBHOOK is failing: 3 rounds failed, the first 1 h ago."],
        ),
        (
            "paused",
            [
                (
                    "The receiver of WEBHOOK is paused: 3 rounds failed, the first 1 h ago. "
                    "Its deliveries are held; the next try is due in 30 min."
                ),
            ],
        ),
        ("disabled", []),
    ],
)
def test_the_doctor_explains_a_receiver_that_fails(state, expected):
    """With its times; a disabled integration is among those that are not used."""
    health = {
        "state": state,
        "failures": 3,
        "first_failed_at": "2026-11-23T08:30:00.000Z",
        "last_failed_at": "2026-11-23T09:00:00.000Z",
        "paused_until": "2026-11-23T10:00:00.000Z" if state == "paused" else None,
    }
    configuration = {
        "effective_configs": {"WEBHOOK": {}},
        "disabled_integrations": {},
        "integrations": [
            {"integration_type": "WEBHOOK", "health": health},
            {"integration_type": "CLI"},
        ],
    }

    found = findings("ada", configuration, [], HEALTHY, NOW)

    assert [one.text for one in found if "receiver" in one.text] == expected
