"""Message rows for tests: one claim of the worker ``mine``, one moment ``NOW``."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.delivery.rows import Delivery, MessageRow

NOW = 1_800_000_000.0
DAY = 86_400

MESSAGE_ID = "01a0c2d4-9f3b-7abc-8def-012345678900"
ID_1, ID_2 = MESSAGE_ID[:-2] + "01", MESSAGE_ID[:-2] + "02"

DELIVERY = Delivery(
    type="WEBHOOK",
    status="pending",
    priority=3,
    max_attempts=4,
    retry_delay_seconds=30,
    due_at=NOW - 7,
)
SUCCESS = replace(DELIVERY, status="success", attempts=1, tries=1, delivered_at=NOW - 50)
FAILED = replace(DELIVERY, status="failed", attempts=4, tries=4, error_code="http_503")
SKIPPED = replace(DELIVERY, status="skipped", error_code="disabled_by_user")
SOON = replace(DELIVERY, due_at=NOW + 100)
"""A delivery that is due in 100 s."""


def message(*deliveries: Delivery, **fields) -> MessageRow:
    """Return a message row; without deliveries it has one that is due."""
    common = {
        "user_id": "ada",
        "message_id": MESSAGE_ID,
        "rev": b"rev-1",
        "request_id": "r-1",
        "session_id": "s-1",
        "subject": "Subject",
        "mode": "all",
        "forced": False,
        "created_at": NOW - 500,
        "expires_at": None,
        "keep_until": NOW + 5000,
    }
    return MessageRow(**{**common, **fields}, deliveries=deliveries or (DELIVERY,))


def first_success(*deliveries: Delivery, **fields) -> MessageRow:
    """Return the row of a ``first_success`` message."""
    return message(*deliveries, mode="first_success", **fields)


def claimed(row: MessageRow, place: int = 0, **fields) -> MessageRow:
    """Return a row whose claim ``mine`` has been held for 7 s."""
    common = {
        "owner": "mine",
        "lease_until": NOW + 53,
        "current": place,
        "last_owner": "earlier",
        "sweep_at": NOW + 53,
    }
    return replace(row, **{**common, **fields})


def changed(row: MessageRow, *deliveries: dict, **fields) -> MessageRow:
    """Return a row with other values: a dictionary for each delivery in order, then the row's."""
    rest = row.deliveries[len(deliveries) :]
    new = [replace(old, **one) for old, one in zip(row.deliveries, deliveries, strict=False)]
    return replace(row, deliveries=(*new, *rest), **fields)
