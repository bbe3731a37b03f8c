"""The form of a delivery in the API and on the outcome bus."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.delivery.describe import delivery_detail, delivery_response
from dispatcher.delivery.rows import LogEntry, Receipt
from dispatcher.responses import rfc3339
from tests.rows import (
    DELIVERY,
    FAILED,
    ID_1,
    ID_2,
    NOW,
    SKIPPED,
    SUCCESS,
    claimed,
    first_success,
    message,
)

FRESH = replace(DELIVERY, due_at=NOW + 1.5)
FULL = replace(
    FAILED,
    priority=5,
    round=2,
    attempts=3,
    tries=4,
    unknown=1,
    opened_by="caller",
    dead_letter_owed=True,
    first_attempt_at=NOW + 1,
    last_attempt_at=NOW + 2,
    delivered_at=NOW + 3,
    receipt=Receipt("delayed", NOW + 4, "452", extra={"digest": 1}),
    error_code="http_500",
    error_message="the receiver returned 500",
    metadata={"status": 500},
    attempt_log=(
        LogEntry(
            number=1,
            round=1,
            started_at=NOW + 1,
            duration_ms=None,
            outcome="unknown",
            code="unknown_outcome",
            detail="lost",
            extra={"digest": 1},
        ),
        LogEntry(
            number=1,
            round=2,
            started_at=NOW + 2,
            duration_ms=12,
            outcome="retry",
            code=None,
            detail="",
        ),
    ),
    extra={"digest": 1},
)
FULL_RESPONSE = {
    "delivery_id": ID_2,
    "request_id": "r-1",
    "session_id": "s-1",
    "subject": "Subject",
    "category": None,
    "user_id": "ada",
    "integration_type": "WEBHOOK",
    "locked": False,
    "status": "failed",
    "priority": 5,
    "round": 2,
    "attempts": 3,
    "max_attempts": 4,
    "created_at": "2027-01-15T07:51:40.000Z",
    "first_attempt_at": "2027-01-15T08:00:01.000Z",
    "last_attempt_at": "2027-01-15T08:00:02.000Z",
    "delivered_at": "2027-01-15T08:00:03.000Z",
    "receipt": {"state": "delayed", "at": "2027-01-15T08:00:04.000Z", "detail": "452"},
    "next_attempt_at": None,
    "held": None,
    "error_code": "http_500",
    "error_message": "the receiver returned 500",
    "metadata": {"status": 500},
}


def test_every_named_field_is_shown():
    """A delivery has every named field, null if unknown, and none of the protocol's."""
    row = message(FRESH, FULL, session_id=None, subject=None)

    assert delivery_response(row, 0) == {
        "delivery_id": ID_1,
        "request_id": "r-1",
        "session_id": None,
        "subject": None,
        "category": None,
        "user_id": "ada",
        "integration_type": "WEBHOOK",
        "locked": False,
        "status": "pending",
        "priority": 3,
        "round": 1,
        "attempts": 0,
        "max_attempts": 4,
        "created_at": "2027-01-15T07:51:40.000Z",
        "first_attempt_at": None,
        "last_attempt_at": None,
        "delivered_at": None,
        "receipt": None,
        "next_attempt_at": "2027-01-15T08:00:01.500Z",
        "held": None,
        "error_code": None,
        "error_message": None,
        "metadata": {},
    }
    assert delivery_response(message(FRESH, FULL), 1) == FULL_RESPONSE


def test_the_detail_adds_the_attempts():
    """The detail of a delivery adds its attempts, with times in RFC 3339."""
    assert delivery_detail(message(FRESH, FULL), 1) == {
        **FULL_RESPONSE,
        "attempt_log": [
            {
                "number": 1,
                "round": 1,
                "started_at": "2027-01-15T08:00:01.000Z",
                "duration_ms": None,
                "outcome": "unknown",
                "code": "unknown_outcome",
                "detail": "lost",
            },
            {
                "number": 1,
                "round": 2,
                "started_at": "2027-01-15T08:00:02.000Z",
                "duration_ms": 12,
                "outcome": "retry",
                "code": None,
                "detail": "",
            },
        ],
    }


@pytest.mark.parametrize(
    ("row", "place", "is_scheduled"),
    [
        (message(FRESH), 0, True),
        (claimed(message(FRESH)), 0, True),
        (first_success(FRESH, FRESH), 0, True),
        (first_success(FRESH, FRESH), 1, False),
        (first_success(FAILED, FRESH), 1, True),
        (message(replace(SUCCESS, due_at=NOW + 1.5)), 0, False),
        (message(replace(SKIPPED, due_at=NOW + 1.5)), 0, False),
    ],
)
def test_a_next_attempt_is_scheduled_only_for_what_is_pending_and_does_not_wait(
    row, place, is_scheduled
):
    """The time of a waiting delivery is not known: it follows the one before it."""
    shown = delivery_response(row, place)["next_attempt_at"]

    assert shown == ("2027-01-15T08:00:01.500Z" if is_scheduled else None)


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
    """A time is rounded to the nearest millisecond."""
    assert rfc3339(seconds) == text
