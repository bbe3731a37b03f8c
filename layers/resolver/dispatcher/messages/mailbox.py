"""Mailboxes: messages that wait for a terminal (CLI) or a test (TEST) to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher import paging
from dispatcher.errors import FieldError, InvalidInputError, NotFoundError
from dispatcher.integrations import read_type
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.delivery.ports import Clock
    from dispatcher.delivery.rows import MailboxRow
    from dispatcher.messages.ports import MailboxPage, MailboxStore
    from dispatcher.responses import ListMessagesResponse, MailboxMessageResponse

TYPES = ("CLI", "TEST")
"""The integrations that deliver into a mailbox; the first one is the default."""

LARGEST_PAGE = 1024 * 1024
"""Bytes of content; escaped twice, they stay within Lambda's limit for a response."""

PARAMETERS = ("integration_type", "after", "limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """Reads the mailboxes of one user at a time, oldest message first."""

    store: MailboxStore
    clock: Clock

    def page(self, user_id: str, params: Mapping[str, str]) -> ListMessagesResponse:
        """Return a page; ``params`` are the query's, as text."""
        if errors := paging.unknown(params, PARAMETERS):
            raise InvalidInputError(*errors)
        try:
            integration_type = read_type(params.get("integration_type", TYPES[0]), TYPES)
        except ValueError as error:
            raise InvalidInputError(FieldError("/integration_type", str(error))) from None
        limit = paging.number(params, paging.LIMIT)
        page = self.store.mailbox(
            user_id,
            integration_type,
            limit=limit,
            after=paging.cursor(params, "after"),
            now=self.clock.now(),
        )
        rows, after = _returnable(page)
        return {
            "user_id": user_id,
            "integration_type": integration_type,
            "messages": [_response(row) for row in rows],
            "limit": limit,
            "next_cursor": after,
        }

    def acknowledge(self, user_id: str, message_id: str) -> None:
        """Remove a message; ``NotFoundError`` if there is none."""
        now = self.clock.now()
        for integration_type in TYPES:
            row = self.store.remove_from_mailbox(user_id, integration_type, message_id)
            if row and row.ttl >= now:
                return
        raise NotFoundError(f"User {user_id} has no message {message_id}.")


def _returnable(page: MailboxPage) -> tuple[tuple[MailboxRow, ...], str | None]:
    """Cut a page of large messages short."""
    size = 0
    for count, row in enumerate(page.rows):
        size += len(row.content.encode())
        if size > LARGEST_PAGE and count:
            return page.rows[:count], page.rows[count - 1].message_id
    return page.rows, page.after


def _response(row: MailboxRow) -> MailboxMessageResponse:
    return {
        "message_id": row.message_id,
        "integration_type": row.integration_type,
        "delivery_id": row.message_id,
        "request_id": row.request_id,
        "session_id": row.session_id,
        "agent_id": row.agent_id,
        "subject": row.subject,
        "content": row.content,
        "created_at": rfc3339(row.created_at),
    }
