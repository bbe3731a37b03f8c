"""Ports of messages, beside those of ``delivery`` and ``configuration``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dispatcher.delivery.rows import MailboxRow, MessageRow, RequestRow


class RequestStore(Protocol):
    """The request rows and their messages. Reads are consistent.

    Any call may raise ``UnavailableError``: the effect may then have happened or not.
    """

    def request(self, user_id: str, request_id: str) -> RequestRow | None:
        """Return one request."""

    def message(self, user_id: str, message_id: str) -> MessageRow | None:
        """Return one message."""

    def put_request(self, row: RequestRow, *, now: float) -> RequestRow:
        """Write a request if its ``request_id`` is free: unused, or with a ``ttl`` before ``now``.

        Returns the row as stored now: ``row`` itself, or the one that has this ``request_id``.
        """


class HistoryPage(NamedTuple):
    """Some message rows, newest first, and where the query stopped (``None``: at the end)."""

    rows: tuple[MessageRow, ...]
    last: str | None


class MessageCount(NamedTuple):
    """How many deliveries a message has."""

    message_id: str
    deliveries: int
    ttl: int | None


class HistoryStore(RequestStore, Protocol):
    """A user's messages, newest first. Expired rows are included."""

    def history(
        self, user_id: str, *, limit: int, newest: str | None, after: str | None
    ) -> HistoryPage:
        """Return up to ``limit`` messages of one query.

        ``newest`` is the newest message ID to include, ``after`` the last one of an earlier page.
        """

    def counts(self, user_id: str, *, limit: int) -> Iterator[MessageCount]:
        """Yield the number of deliveries of each message, from queries of up to ``limit`` rows."""


class MailboxPage(NamedTuple):
    """Some mailbox rows, oldest first, and the message to continue after (``None``: the end)."""

    rows: tuple[MailboxRow, ...]
    after: str | None


class MailboxStore(Protocol):
    """The users' mailboxes. Reads are consistent; expired rows are left out."""

    def mailbox(
        self, user_id: str, integration_type: str, *, limit: int, after: str | None, now: float
    ) -> MailboxPage:
        """Return a page of a mailbox."""

    def remove_from_mailbox(
        self, user_id: str, integration_type: str, message_id: str
    ) -> MailboxRow | None:
        """Remove a row and return it; ``None`` if there is none."""
