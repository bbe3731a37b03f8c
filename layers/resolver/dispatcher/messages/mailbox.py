"""Reads the users' mailboxes, and takes out of them what was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher import paging
from dispatcher.delivery.rows import MAILBOX
from dispatcher.errors import FieldError, InvalidInputError, NotFoundError
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.delivery.ports import Clock, Deliveries, Page
    from dispatcher.delivery.rows import Item

TYPES = ("CLI", "TEST")
"""The integrations that deliver into a mailbox; the first is meant where none is named."""

LARGEST_PAGE = 1024 * 1024
"""Bytes of content: escaped twice on its way out, so much stays within what Lambda returns."""

PARAMETERS = ("integration_type", "after", "limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """Shows the messages of one user, oldest first."""

    deliveries: Deliveries
    clock: Clock

    def page(self, user_id: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return a page; ``params`` are the query's, as text."""
        if field_errors := paging.unknown(params, PARAMETERS):
            raise InvalidInputError(*field_errors)
        given = params.get("integration_type", TYPES[0])
        integration_type = given.upper()
        # isascii: upper() maps a few foreign letters onto ASCII ones.
        if not given.isascii() or integration_type not in TYPES:
            raise InvalidInputError(
                FieldError("/integration_type", f"must be one of {', '.join(TYPES)}")
            )
        prefix = _prefix(integration_type)
        limit = paging.number(params, "limit", paging.LIMIT)
        page = self.deliveries.listing(
            user_id,
            prefix,
            limit=limit,
            newest_first=False,
            after=paging.sort_key(user_id, prefix, params, "after"),
            now=self.clock.now(),
        )
        rows, after = _returnable(page)
        return {
            "user_id": user_id,
            "integration_type": integration_type,
            "messages": [_shown(integration_type, row) for row in rows],
            "limit": limit,
            "next_cursor": None if after is None else paging.cursor(user_id, after),
        }

    def acknowledge(self, user_id: str, message_id: str) -> None:
        """Remove a message; ``NotFoundError`` if there is none, or no longer."""
        now = self.clock.now()
        for integration_type in TYPES:
            row = self.deliveries.remove((user_id, _prefix(integration_type) + message_id))
            if row and row["ttl"] >= now:
                return
        raise NotFoundError(f"user {user_id} has no message {message_id}")


def _prefix(integration_type: str) -> str:
    return f"{MAILBOX}{integration_type}#"


def _returnable(page: Page) -> tuple[tuple[Item, ...], str | None]:
    """Cut a page of large messages short: the rows that go out, and where to go on after them."""
    size = 0
    for count, row in enumerate(page.rows):
        size += len(row["content"].encode())
        if size > LARGEST_PAGE and count:
            return page.rows[:count], page.rows[count - 1]["sk"]
    return page.rows, page.after


def _shown(integration_type: str, row: Item) -> dict[str, Any]:
    return {
        # A delivery puts one message into a mailbox, so one id names both.
        "message_id": row["delivery_id"],
        "integration_type": integration_type,
        "delivery_id": row["delivery_id"],
        "request_id": row["request_id"],
        "session_id": row.get("session_id"),
        "agent_id": row.get("agent_id"),
        "subject": row.get("subject"),
        "content": row["content"],
        "created_at": rfc3339(row["created_at"]),
    }
