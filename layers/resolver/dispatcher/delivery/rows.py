"""A delivery.

One message for one user over one integration, as its row holds it and as the API shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

Item = dict[str, Any]
"""A row as plain Python values.

Text, whole numbers, seconds as float, lists, mappings, bytes, booleans.
"""

DELIVERY = "DELIVERY#"
REQUEST = "REQUEST#"
MAILBOX = "MAILBOX#"


class Status(StrEnum):
    """Where a delivery stands; all but ``PENDING`` are final until a new round begins."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A row ``DELIVERY#<delivery_id>``; ``None`` is an absent field.

    Times are seconds since 1970, and milliseconds matter. Beside what the API shows: ``tries``
    counts the claims of this round and ``unknown`` those of them that left no record; ``owner`` and
    ``lease_until`` are there while a worker has it; ``sweep_at`` while anything is owed; ``waits``
    while a sibling of a ``first_success`` request goes first; ``chain`` names all siblings in
    order. ``last_owner`` is the token of who wrote the last record, ``opened_by`` of who opened
    the round: by these a writer whose answer was lost knows its own write.
    """

    user_id: str
    delivery_id: str
    request_id: str
    integration_type: str
    status: str
    priority: int
    max_attempts: int
    retry_delay_seconds: int
    created_at: float
    due_at: float
    fingerprint: str
    session_id: str | None = None
    round: int = 1
    attempts: int = 0
    tries: int = 0
    unknown: int = 0
    first_attempt_at: float | None = None
    last_attempt_at: float | None = None
    delivered_at: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    metadata: Mapping[str, Any] | None = None
    attempt_log: tuple[Mapping[str, Any], ...] = ()
    expires_at: float | None = None
    sweep_at: float | None = None
    sweep_shard: int | None = None
    rings: int = 0
    owner: str | None = None
    last_owner: str | None = None
    opened_by: str | None = None
    lease_until: float | None = None
    forced: bool = False
    waits: bool = False
    chain: tuple[str, ...] = ()
    ticket_owed: bool = False
    ttl: float | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Delivery:
        """Read a row, leaving aside what a later version may have added."""
        known = {name: item[name] for name in cls.__slots__ if name in item}
        known["attempt_log"] = tuple(known.get("attempt_log", ()))
        known["chain"] = tuple(known.get("chain", ()))
        return cls(**known)

    def as_item(self) -> Item:
        """Return the row to write: only the fields that hold something."""
        values = {name: getattr(self, name) for name in self.__slots__}
        kept = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            # "is": 0 equals False, and is a value (a counter, the first shard).
            if value is not None and value is not False and value != ()
        }
        return {"sk": DELIVERY + self.delivery_id, **kept}

    def as_json(self, *, with_log: bool = False) -> dict[str, Any]:
        """Return what the API shows of it."""
        waiting = self.status == Status.PENDING and not self.waits
        shown: dict[str, Any] = {
            "delivery_id": self.delivery_id,
            "request_id": self.request_id,
            "session_id": self.session_id,
            "user_id": self.user_id,
            "integration_type": self.integration_type,
            "status": str(self.status),
            "priority": self.priority,
            "round": self.round,
            "attempts": self.attempts,
            "max_attempts": self.max_attempts,
            "created_at": rfc3339(self.created_at),
            "first_attempt_at": rfc3339(self.first_attempt_at),
            "last_attempt_at": rfc3339(self.last_attempt_at),
            "delivered_at": rfc3339(self.delivered_at),
            "next_attempt_at": rfc3339(self.due_at) if waiting else None,
            "error_code": self.error_code,
            "error_message": self.error_message,
            "metadata": dict(self.metadata or {}),
        }
        if with_log:
            shown["attempt_log"] = [
                {**entry, "started_at": rfc3339(entry["started_at"])} for entry in self.attempt_log
            ]
        return shown


def kept(item: Item | None, now: float) -> bool:
    """Tell whether there is a row whose time to live has not passed; DynamoDB removes it later."""
    return item is not None and bool(item.get("ttl", now) >= now)
