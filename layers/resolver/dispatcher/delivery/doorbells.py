"""The messages in the queues.

They carry ids, never content or secrets. The row is the truth; a message only rings.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from dispatcher.identifiers import DELIVERY_ID, REQUEST_ID, USER_ID

VERSION = 1
LAST_SECOND = 10**11
"""Seconds since 1970 that no time of ours reaches."""

MOST_ROUNDS = 10**9
"""Rounds that no delivery of ours reaches."""

LARGEST_BODY = 4096
"""Characters; the largest doorbell (ids of full length, every character escaped) stays below."""


@dataclass(frozen=True, slots=True)
class RequestBell:
    """Rings for the first tries of all deliveries of a request, in priority order."""

    user_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class DeliveryBell:
    """Rings for one delivery whose next try is due at ``due_at`` (seconds since 1970)."""

    user_id: str
    delivery_id: str
    due_at: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """Stands in the dead-letter queue for a failed delivery; redriven, it opens round ``round``."""

    user_id: str
    delivery_id: str
    round: int


Doorbell = RequestBell | DeliveryBell | Ticket
KINDS = {RequestBell: "request", DeliveryBell: "delivery", Ticket: "ticket"}


class UnreadableError(ValueError):
    """A message is not one of ours; the text says why, without quoting it."""


def encode(doorbell: Doorbell) -> str:
    """Write a doorbell as the body of a message."""
    kind = KINDS[type(doorbell)]
    return json.dumps({"v": VERSION, "kind": kind, **asdict(doorbell)}, separators=(",", ":"))


def decode(body: str) -> Doorbell:
    """Read the body of a message.

    Raise ``UnreadableError`` for whatever is not exactly a doorbell.
    """
    if len(body) > LARGEST_BODY:
        raise UnreadableError(f"longer than {LARGEST_BODY} characters")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("not JSON") from error
    if not isinstance(message, dict):
        raise UnreadableError("not a JSON object")
    if type(message.get("v")) is not int or message["v"] != VERSION:
        raise UnreadableError("unknown version")
    doorbell = _doorbell(message)
    if not USER_ID.fullmatch(doorbell.user_id):
        raise UnreadableError("user_id out of shape")
    return doorbell


def _doorbell(message: dict[str, Any]) -> Doorbell:
    match message:
        case {"kind": "request", "user_id": str(user), "request_id": str(request_id)}:
            if REQUEST_ID.fullmatch(request_id):
                return RequestBell(user, request_id)
            raise UnreadableError("request_id out of shape")
        # A bool is an int to Python, and so to a class pattern: hence the exact types.
        case {"kind": "delivery", "user_id": str(user), "delivery_id": str(name), "due_at": due_at}:
            # Infinity and NaN read as numbers, and fail the comparison.
            if type(due_at) in {int, float} and 0 <= due_at < LAST_SECOND:
                return DeliveryBell(user, _delivery_id(name), due_at)
            raise UnreadableError("due_at out of range")
        case {"kind": "ticket", "user_id": str(user), "delivery_id": str(name), "round": number}:
            if type(number) is int and 2 <= number < MOST_ROUNDS:
                return Ticket(user, _delivery_id(name), number)
            raise UnreadableError("round out of range")
        case {"kind": "request" | "delivery" | "ticket"}:
            raise UnreadableError("a field is missing or of the wrong type")
    raise UnreadableError("unknown kind")


def _delivery_id(value: str) -> str:
    if not DELIVERY_ID.fullmatch(value):
        raise UnreadableError("delivery_id out of shape")
    return value
