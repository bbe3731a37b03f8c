"""Recorded events of providers, as FeedbackQueue holds them."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENTS: Mapping[str, Any] = json.loads((ROOT / "tests/data/provider_events.json").read_text())
"""By name; all are about one delivery of the user ``ada``."""

STACK = "integration-dispatcher-dev"
"""The stack that the recorded events belong to."""

SMS_EVENTS = tuple(name for name in EVENTS if name.startswith("text_"))


def names_of(user_id: str, delivery_id: str, number: int, *, stack: str) -> dict[str, str]:
    """Return the tags that the worker sets."""
    user = base64.urlsafe_b64encode(user_id.encode()).decode().rstrip("=")
    return {"dispatcher": stack, "user": user, "delivery": delivery_id, "round": str(number)}


def event(
    name: str,
    user_id: str,
    delivery_id: str,
    *,
    number: int = 1,
    stack: str = STACK,
    at: str | None = None,
    address: str | None = None,
) -> dict[str, Any]:
    """Return a recorded event about another delivery, perhaps of another time and address."""
    copy = json.loads(json.dumps(EVENTS[name]))
    names = names_of(user_id, delivery_id, number, stack=stack)
    if name in SMS_EVENTS:
        del names["dispatcher"]
        copy["context"] = names
        if at is not None:
            copy["eventTimestamp"] = round(datetime.fromisoformat(at).timestamp() * 1000)
        return dict(copy)
    detail = copy["detail"]
    detail["mail"]["tags"] |= {tag: [value] for tag, value in names.items()}
    kind = detail["eventType"]
    part = detail[kind[0].lower() + kind[1:]]
    if at is not None:
        part["timestamp"] = at
    if address is not None:
        detail["mail"]["destination"] = [address]
        for recipients in ("bouncedRecipients", "complainedRecipients", "delayedRecipients"):
            for one in part.get(recipients, ()):
                one["emailAddress"] = address
    return dict(copy)


def in_sns(message: object) -> dict[str, Any]:
    """Return an event as SNS wraps it."""
    return {"Type": "Notification", "MessageId": "m-1", "Message": json.dumps(message)}
