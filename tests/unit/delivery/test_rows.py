"""A delivery's row and what the API shows of it."""

from __future__ import annotations

import dataclasses

import pytest

from dispatcher.delivery.rows import Delivery
from dispatcher.responses import rfc3339

NOW = 1_800_000_000.0

FRESH = Delivery(
    user_id="ada",
    delivery_id="d-1",
    request_id="r-1",
    integration_type="TEST",
    status="pending",
    priority=5,
    max_attempts=2,
    retry_delay_seconds=10,
    created_at=NOW,
    due_at=NOW + 1.5,
    fingerprint="f",
)
FULL = Delivery(
    user_id="ada",
    delivery_id="d-2",
    request_id="r-1",
    session_id="s-1",
    integration_type="WEBHOOK",
    status="failed",
    priority=3,
    max_attempts=4,
    retry_delay_seconds=30,
    created_at=NOW,
    due_at=NOW + 40,
    fingerprint="f",
    round=2,
    attempts=3,
    tries=4,
    unknown=1,
    first_attempt_at=NOW + 1,
    last_attempt_at=NOW + 2,
    delivered_at=NOW + 3,
    error_code="http_500",
    error_message="the receiver answered 500",
    metadata={"status": 500},
    attempt_log=({"number": 1, "started_at": NOW + 1},),
    expires_at=NOW + 900,
    sweep_at=NOW + 100,
    sweep_shard=6,
    rings=2,
    owner="w-1",
    last_owner="w-0",
    opened_by="p-0",
    lease_until=NOW + 60,
    forced=True,
    waits=True,
    chain=("d-1", "d-2"),
    ticket_owed=True,
    ttl=NOW + 9999,
)
SHOWN = {
    "delivery_id": "d-2",
    "request_id": "r-1",
    "session_id": "s-1",
    "user_id": "ada",
    "integration_type": "WEBHOOK",
    "status": "failed",
    "priority": 3,
    "round": 2,
    "attempts": 3,
    "max_attempts": 4,
    "created_at": "2027-01-15T08:00:00.000Z",
    "first_attempt_at": "2027-01-15T08:00:01.000Z",
    "last_attempt_at": "2027-01-15T08:00:02.000Z",
    "delivered_at": "2027-01-15T08:00:03.000Z",
    "next_attempt_at": None,
    "error_code": "http_500",
    "error_message": "the receiver answered 500",
    "metadata": {"status": 500},
}


def test_a_row_holds_only_what_there_is():
    """What is absent is not stored, so that a condition on absence holds; counters always are."""
    assert FRESH.as_item() == {
        "user_id": "ada",
        "sk": "DELIVERY#d-1",
        "delivery_id": "d-1",
        "request_id": "r-1",
        "integration_type": "TEST",
        "status": "pending",
        "priority": 5,
        "max_attempts": 2,
        "retry_delay_seconds": 10,
        "created_at": NOW,
        "due_at": NOW + 1.5,
        "fingerprint": "f",
        "round": 1,
        "attempts": 0,
        "tries": 0,
        "unknown": 0,
        "rings": 0,
    }


def test_shard_0_is_a_shard():
    """A row of the first shard is in the sweep index like any other."""
    assert dataclasses.replace(FRESH, sweep_shard=0).as_item()["sweep_shard"] == 0


@pytest.mark.parametrize("row", [FRESH, FULL, dataclasses.replace(FRESH, sweep_shard=0)])
def test_a_row_reads_back_whole(row):
    """What was stored is what is read, whatever a later version added."""
    assert Delivery.of({**row.as_item(), "of_a_later_version": 1}) == row


def test_the_api_shows_every_named_field():
    """Null where nothing is known; nothing of the protocol."""
    assert FRESH.as_json() == {
        "delivery_id": "d-1",
        "request_id": "r-1",
        "session_id": None,
        "user_id": "ada",
        "integration_type": "TEST",
        "status": "pending",
        "priority": 5,
        "round": 1,
        "attempts": 0,
        "max_attempts": 2,
        "created_at": "2027-01-15T08:00:00.000Z",
        "first_attempt_at": None,
        "last_attempt_at": None,
        "delivered_at": None,
        "next_attempt_at": "2027-01-15T08:00:01.500Z",
        "error_code": None,
        "error_message": None,
        "metadata": {},
    }
    assert FULL.as_json() == SHOWN


def test_the_attempts_are_shown_on_request():
    """With times as text, like all times."""
    assert FULL.as_json(with_log=True) == {
        **SHOWN,
        "attempt_log": [{"number": 1, "started_at": "2027-01-15T08:00:01.000Z"}],
    }


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "2027-01-15T08:00:01.500Z"),
        ({"waits": True}, None),
        ({"status": "success"}, None),
        ({"status": "skipped"}, None),
    ],
)
def test_only_what_is_pending_and_waits_for_nobody_has_a_next_attempt(changes, shown):
    """A sibling's turn is not known beforehand."""
    assert dataclasses.replace(FRESH, **changes).as_json()["next_attempt_at"] == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (0.0, "1970-01-01T00:00:00.000Z"),
        (NOW + 0.0004, "2027-01-15T08:00:00.000Z"),
        (NOW + 0.0006, "2027-01-15T08:00:00.001Z"),
        (NOW + 59.9996, "2027-01-15T08:01:00.000Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(seconds, text):
    """Rounded to the nearest, over the second too."""
    assert rfc3339(seconds) == text
