"""The form of a delivery in the API and on the outcome bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.delivery.transitions import State, state_of
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from dispatcher.delivery.rows import MessageRow, Receipt
    from dispatcher.responses import DeliveryDetailResponse, DeliveryResponse, Hold
    from dispatcher.responses import Receipt as ReceiptResponse


def delivery_response(row: MessageRow, place: int) -> DeliveryResponse:
    """Return a delivery as the API shows it."""
    delivery = row.deliveries[place]
    is_scheduled = state_of(row, place) in {State.PENDING, State.CLAIMED}
    return {
        "delivery_id": row.delivery_id(place),
        "request_id": row.request_id,
        "session_id": row.session_id,
        "subject": row.subject,
        "category": row.category,
        "user_id": row.user_id,
        "integration_type": delivery.type,
        "locked": delivery.by_lock,
        "status": str(delivery.status),
        "priority": delivery.priority,
        "round": delivery.round,
        "attempts": delivery.attempts,
        "max_attempts": delivery.max_attempts,
        "created_at": rfc3339(row.created_at),
        "first_attempt_at": rfc3339(delivery.first_attempt_at),
        "last_attempt_at": rfc3339(delivery.last_attempt_at),
        "delivered_at": rfc3339(delivery.delivered_at),
        "receipt": receipt_response(delivery.receipt),
        "next_attempt_at": rfc3339(delivery.due_at if is_scheduled else None),
        "held": hold_response(delivery.held, delivery.due_at, row.hold_zone),
        "error_code": delivery.error_code,
        "error_message": delivery.error_message,
        "metadata": dict(delivery.metadata),
    }


def receipt_response(receipt: Receipt | None) -> ReceiptResponse | None:
    """Return what the API shows of a receipt; ``None`` if the provider reported nothing."""
    if receipt is None:
        return None
    return {"state": receipt.state, "at": rfc3339(receipt.at), "detail": receipt.detail}


def hold_response(reason: str | None, until: float | None, zone_name: str) -> Hold | None:
    """Return a hold as the API shows it; ``None`` without a hold."""
    if reason is None or until is None:
        return None
    # Imported only here, because it reads time zones.
    from dispatcher.configuration.hours import held_detail

    detail = held_detail(reason, until, zone_name)
    return {"reason": reason, "until": rfc3339(until), "detail": detail}


def delivery_detail(row: MessageRow, place: int) -> DeliveryDetailResponse:
    """Return a delivery with its attempts, as the API shows it."""
    return {
        **delivery_response(row, place),
        "attempt_log": [
            {
                "number": entry.number,
                "round": entry.round,
                "started_at": rfc3339(entry.started_at),
                "duration_ms": entry.duration_ms,
                "outcome": entry.outcome,
                "code": entry.code,
                "detail": entry.detail,
            }
            for entry in row.deliveries[place].attempt_log
        ],
    }
