"""The rows of the deliveries table as values: requests, messages with their deliveries, mailboxes.

Times are seconds since 1970 with milliseconds. ``extra`` holds the keys that a later version wrote:
they survive a round trip (``docs/row-changes.md``).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.integrations.integration import Recipient

Extra = dict[str, Any]
"""Keys of a JSON object that this version does not know, with any JSON values."""

Mode = Literal["all", "first_success"]

REQUEST, MESSAGE, MAILBOX = "REQUEST#", "MESSAGE#", "MAILBOX#"
"""Prefixes of the sort keys of the three kinds of rows."""

SHARDS = 32
"""Partitions of the sweep index."""


if TYPE_CHECKING:
    # With this name the type checker knows the fields.
    from dataclasses import replace as replace  # noqa: PLC0414 - other modules import it from here
else:

    def replace(row: object, /, **changes: object) -> object:
        """Return a row (a dataclass without slots) with other values in some fields.

        ``dataclasses.replace`` reads and sets every field in Python: for the dozen rows of one
        webhook that was a sixth of the worker's processor time.
        """
        successor = object.__new__(type(row))
        successor.__dict__.update(row.__dict__, **changes)
        return successor


class Status(StrEnum):
    """The status of a delivery; only a new round or a provider's report changes an ended one."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    """One attempt in a delivery's log."""

    number: int
    """Counts the claims of its round from 1."""
    round: int
    started_at: float
    duration_ms: int | None
    outcome: str
    """``delivered``, ``retry``, ``permanent``, or ``unknown`` if no outcome was recorded."""
    code: str | None
    detail: str
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """The last word of a provider about a message that it accepted."""

    state: str
    """``delayed``, ``delivered``, ``complained``, ``bounced`` or ``opted_out``."""
    at: float
    detail: str
    """At most 80 bytes, without the address."""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message over one integration."""

    type: str
    """The integration type."""
    status: str
    priority: int
    max_attempts: int
    retry_delay_seconds: int
    due_at: float
    round: int = 1
    tries: int = 0
    """Claims of this round."""
    unknown: int = 0
    """Claims of this round that left no record."""
    attempts: int = 0
    """Recorded outcomes of this round."""
    opened_by: str | None = None
    """The token of the call that opened this round."""
    dead_letter_owed: bool = False
    first_attempt_at: float | None = None
    last_attempt_at: float | None = None
    delivered_at: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    metadata: Mapping[str, str | int] = field(default_factory=dict)
    """The provider's IDs."""
    attempt_log: tuple[LogEntry, ...] = ()
    held: str | None = None
    """The reason of a hold, until ``due_at``; a claim and every end remove it."""
    not_before: float | None = None
    """While held: the time before which it is not due, whatever the hours (``deliver_at``)."""
    ignores_hours: bool = False
    """Whether this round was opened with ``now=true``."""
    by_lock: bool = False
    """Whether it exists only because the category was locked at acceptance."""
    receipt: Receipt | None = None
    """The provider's last report about this round."""
    extra: Extra = field(default_factory=dict)

    @property
    def is_pending(self) -> bool:
        """Whether the current round has not ended."""
        return self.status == Status.PENDING


@dataclass(frozen=True, kw_only=True)
class MessageRow:
    """A row ``MESSAGE#<message_id>``: a message with all its deliveries, in delivery order.

    ``rev`` changes with every write. ``owner``, ``lease_until`` and ``current`` (a place) are set
    while a worker holds the claim; ``last_owner`` is the token of the last claim that was recorded.
    """

    user_id: str
    message_id: str
    rev: bytes
    request_id: str
    session_id: str | None
    subject: str | None
    mode: Mode
    forced: bool
    """Whether the message was made by ``/test``: it ignores ``enabled``."""
    created_at: float
    expires_at: float | None
    keep_until: float
    """The time until which the row is kept at least: it must outlive its request's identity."""
    deliveries: tuple[Delivery, ...]
    owner: str | None = None
    lease_until: float | None = None
    current: int | None = None
    last_owner: str | None = None
    rings: int = 0
    """Rings of the sweeper since the last claim."""
    sweep_at: float | None = None
    ttl: int | None = None
    category: str | None = None
    urgent: bool = False
    """Whether the category was urgent at acceptance, so that hours and mutes do not apply."""
    locked: bool = False
    """Whether the category was locked at acceptance."""
    hold_end: float | None = None
    """The time beyond which no delivery of round 1 is held; set by the first hold."""
    hold_zone: str = "UTC"
    """The time zone in which holds are shown to users; set by every hold."""
    extra: Extra = field(default_factory=dict)

    def delivery_id(self, place: int) -> str:
        """Return the ID of the delivery at a place."""
        return delivery_id(self.message_id, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDelivery:
    """The properties of a delivery that are fixed at acceptance."""

    type: str
    priority: int
    max_attempts: int
    retry_delay_seconds: int
    due_at: float | None = None
    """The opening, if it is later than the request's ``due_at``."""
    held: str | None = None
    """The reason why it is held until ``due_at``."""
    by_lock: bool = False
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedType:
    """An integration type that gets no delivery, and the reason."""

    type: str
    reason: str
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A row ``REQUEST#<request_id>``: the accepted request, which never changes.

    Until ``ttl`` it is the request's identity; ``fingerprint`` is the SHA-256 of the caller's body.
    """

    user_id: str
    request_id: str
    message_id: str
    fingerprint: bytes
    ttl: int
    subject: str | None
    content: str
    agent_id: str | None
    session_id: str | None
    recipient: Recipient
    mode: Mode
    forced: bool
    created_at: float
    due_at: float
    """``created_at``, or the later ``deliver_at``."""
    expires_at: float | None
    deliveries: tuple[PlannedDelivery, ...]
    skipped: tuple[SkippedType, ...]
    category: str | None = None
    urgent: bool = False
    locked: bool = False
    hold_zone: str = "UTC"
    """The time zone in which holds are shown to users."""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxRow:
    """A row ``MAILBOX#<TYPE>#<message_id>``: a message that has not been acknowledged."""

    user_id: str
    integration_type: str
    message_id: str
    """The ID of the delivery that put it there: a delivery puts one message into a mailbox."""
    request_id: str
    session_id: str | None
    agent_id: str | None
    subject: str | None
    content: str
    created_at: float
    ttl: int


def delivery_id(message_id: str, place: int) -> str:
    """Return the ID of the delivery at a place of a message: its last two digits are place + 1."""
    return f"{message_id[:-2]}{place + 1:02x}"


def place_of(identifier: str) -> int:
    """Return a delivery's place; -1 for an ID that names a whole message."""
    return int(identifier[-2:], 16) - 1


def message_id_of(identifier: str) -> str:
    """Return the ID of the message that a delivery's ID belongs to."""
    return identifier[:-2] + "00"


def shard_of(message_id: str) -> int:
    """Return the partition of the sweep index that a message belongs to."""
    return zlib.crc32(message_id.encode()) % SHARDS


def is_live(ttl: float | None, now: float) -> bool:
    """Return whether a row has not expired; DynamoDB deletes expired rows only later."""
    return ttl is None or ttl >= now
