"""The names that a provider returns in its reports: which delivery a message belongs to."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatcher.delivery.ports import Message


def names(message: Message) -> dict[str, str]:
    """Return user, delivery and round in letters, digits, ``-`` and ``_``, which SES accepts."""
    user = base64.urlsafe_b64encode(message.user_id.encode()).decode().rstrip("=")
    return {"user": user, "delivery": message.delivery_id, "round": str(message.round)}
