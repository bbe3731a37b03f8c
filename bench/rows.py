"""Rows as the protocol writes them, for peers that answer with the same ones every time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dispatcher.delivery.rows import Delivery

if TYPE_CHECKING:
    from dispatcher.delivery.rows import Item

HOOKED = "hooked-"
"""Users whose name begins so get their messages by WEBHOOK, all others by CLI. The rest of the name
is how many milliseconds the receiver takes."""

FINGERPRINT = "5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592"
CONTENT = (
    "Your question about **order 4711** was answered: it left our warehouse this morning and will "
    "reach you by Thursday. You can follow it at https://example.com/orders/4711."
)
SUBJECT = "Your order 4711"


def integration_of(user_id: str) -> str:
    """Return the one integration that a user's messages go out by."""
    return "WEBHOOK" if user_id.startswith(HOOKED) else "CLI"


def delivery(user_id: str, delivery_id: str, status: str = "failed") -> Item:
    """Return a delivery's row."""
    return Delivery(
        user_id=user_id,
        delivery_id=delivery_id,
        request_id="ticket-4711-answer",
        session_id="session-8f14e45f",
        integration_type=integration_of(user_id),
        status=status,
        priority=30,
        max_attempts=4,
        retry_delay_seconds=60,
        created_at=1_795_382_736.183,
        due_at=1_795_382_736.183,
        fingerprint=FINGERPRINT,
        tries=1,
    ).as_item()


def request(user_id: str, request_id: str) -> Item:
    """Return a request's row, with one delivery."""
    name = integration_of(user_id)
    entry = {"integration_type": name, "priority": 30, "status": "pending"}
    delivery_id = "019aae2c-8f00-7000-8a5b-3c1d2e4f5a6c"
    return {
        "user_id": user_id,
        "sk": f"REQUEST#{request_id}",
        "request_id": request_id,
        "fingerprint": FINGERPRINT,
        "author": "0123456789abcdef0123456789abcdef",
        "answer": {
            "request_id": request_id,
            "user_id": user_id,
            "deliveries": [{"delivery_id": delivery_id, **entry}],
            "skipped": [],
        },
        "created_at": 1_795_382_736.183,
        "ttl": time.time() + 90 * 86_400.0,
        "subject": SUBJECT,
        "content": CONTENT,
        "agent_id": "support-agent",
        "recipient": {},
    }


def overrides(user_id: str, url: str) -> Item:
    """Return the row of a user's overrides."""
    return {
        "user_id": user_id,
        "version": 1_795_382_736_184,
        "last_write": "0123456789abcdef0123456789abcdef",
        "EMAIL": _override({"enabled": True, "priority": 1, "retry_count": 5}),
        "WEBHOOK": _override({"enabled": True, "config": {"url": url}}, b"sealed"),
    }


def _override(settings: dict[str, Any], *sealed: bytes) -> dict[str, Any]:
    return {
        "settings": settings,
        "created_at": 1_795_382_736.183,
        "updated_at": 1_795_382_736.183,
        "disabled_by_receiver": False,
        "sealed": list(sealed),
    }
