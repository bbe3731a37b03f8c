"""Rows as the protocol writes them, for the cost model and the fake server of the benchmarks."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeSerializer

from dispatcher.delivery import transitions
from dispatcher.delivery.rows import (
    MessageRow,
    PlannedDelivery,
    RequestRow,
    Status,
    message_id_of,
)
from dispatcher.integrations.integration import Recipient

if TYPE_CHECKING:
    from dispatcher.adapters.items import Item

HOOKED = "hooked-"
"""Users whose name begins so get their messages by WEBHOOK, all others by CLI. The rest of the name
is how many milliseconds the receiver takes."""

REQUEST_ID = "order-4711-shipped"
MESSAGE_ID = "019aae2c-8f00-7000-8a5b-3c1d2e4f5a00"
CREATED_AT = 1_795_382_736.183
REV = bytes.fromhex("8f3a61c95e07d24b")
CONTENT = (
    "Your question about **order 4711** was answered: it left our warehouse this morning and will "
    "reach you by Thursday. You can follow it at https://example.com/orders/4711."
)
SUBJECT = "Your order 4711"
DAY = 86_400


def request_of(user_id: str, request_id: str) -> RequestRow:
    """Return the request that a user's doorbell names, with one delivery that is kept for long."""
    kind = "WEBHOOK" if user_id.startswith(HOOKED) else "CLI"
    plan = PlannedDelivery(type=kind, priority=30, max_attempts=4, retry_delay_seconds=60)
    return RequestRow(
        user_id=user_id,
        request_id=request_id,
        message_id=MESSAGE_ID,
        fingerprint=hashlib.sha256(b"body").digest(),
        ttl=int(time.time()) + 90 * DAY,
        subject=SUBJECT,
        content=CONTENT,
        agent_id="support-agent",
        session_id="session-8f14e45f",
        recipient=Recipient(),
        mode="all",
        forced=False,
        created_at=CREATED_AT,
        due_at=CREATED_AT,
        expires_at=None,
        deliveries=(plan,),
        skipped=(),
    )


def message_of(
    user_id: str, message_id: str, status: str = "pending", request_id: str = REQUEST_ID
) -> MessageRow:
    """Return the message of ``request_of``, its one delivery in a state."""
    row = transitions.accept(request_of(user_id, request_id), now=CREATED_AT).row
    delivery = replace(row.deliveries[0], status=Status(status))
    return replace(row, message_id=message_id_of(message_id), rev=REV, deliveries=(delivery,))


def overrides_item(user_id: str, url: str) -> Item:
    """Return the item of a user's overrides: a change of EMAIL, and a webhook to a URL."""
    row = {
        "user_id": user_id,
        "version": 1_795_382_736_184,
        "last_write": "0123456789abcdef",
        "EMAIL": _override({"enabled": True, "priority": 1, "retry_count": 5}),
        "WEBHOOK": _override({"enabled": True, "config": {"url": url}}, b"sealed"),
    }
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in row.items()}


def _override(settings: dict[str, Any], *sealed: bytes) -> dict[str, Any]:
    return {
        "settings": settings,
        "created_at": Decimal(repr(CREATED_AT)),
        "updated_at": Decimal(repr(CREATED_AT)),
        "disabled_by_receiver": False,
        "sealed": list(sealed),
    }
