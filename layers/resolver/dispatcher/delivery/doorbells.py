"""The messages in the work queues: doorbells and dead letters.

They carry IDs, never content or secrets: the message row is the source of truth.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from dispatcher.delivery.rows import place_of
from dispatcher.identifiers import DELIVERY_ID, REQUEST_ID, USER_ID

VERSION = 2

LATEST = 10**11
"""Seconds since 1970, later than any time that the service uses."""

MOST_ROUNDS = 10**9
"""No delivery reaches this round."""

LARGEST_BODY = 4096
"""Characters; the largest doorbell (IDs of full length, every character escaped) is shorter."""


@dataclass(frozen=True, slots=True)
class Doorbell:
    """Makes a worker read a message row; ``due_at`` is the due time that it was rung for."""

    user_id: str
    message_id: str
    request_id: str
    due_at: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The queue message for a finally failed delivery; its redrive opens round ``round``."""

    user_id: str
    delivery_id: str
    round: int


KINDS = {Doorbell: "message", DeadLetter: "redrive"}


class UnreadableError(ValueError):
    """A queue message that the service did not send; the text says why, without quoting it."""


def encode(message: Doorbell | DeadLetter) -> str:
    """Write the body of a queue message."""
    kind = KINDS[type(message)]
    return json.dumps({"v": VERSION, "kind": kind, **asdict(message)}, separators=(",", ":"))


def decode(body: str) -> Doorbell | DeadLetter:
    """Read the body of a queue message.

    Raises ``UnreadableError`` for everything that does not match exactly.
    """
    if len(body) > LARGEST_BODY:
        raise UnreadableError(f"longer than {LARGEST_BODY} characters")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("not JSON") from error
    if not isinstance(fields, dict):
        raise UnreadableError("not a JSON object")
    if type(fields.get("v")) is not int or fields["v"] != VERSION:
        raise UnreadableError("unknown version")
    message = _read(fields)
    if not USER_ID.fullmatch(message.user_id):
        raise UnreadableError("user_id out of shape")
    return message


def _read(fields: dict[str, object]) -> Doorbell | DeadLetter:
    match fields:
        case {
            "kind": "message",
            "user_id": str(user_id),
            "message_id": str(message_id),
            "request_id": str(request_id),
            "due_at": int() | float() as due_at,
        }:
            if not DELIVERY_ID.fullmatch(message_id) or place_of(message_id) != -1:
                raise UnreadableError("message_id out of shape")
            if not REQUEST_ID.fullmatch(request_id):
                raise UnreadableError("request_id out of shape")
            # Infinity and NaN are numbers, but fail the comparison. A bool is an int to Python.
            if isinstance(due_at, bool) or not 0 <= due_at < LATEST:
                raise UnreadableError("due_at out of range")
            return Doorbell(user_id, message_id, request_id, due_at)
        case {
            "kind": "redrive",
            "user_id": str(user_id),
            "delivery_id": str(delivery_id),
            "round": int() as number,
        }:
            if not DELIVERY_ID.fullmatch(delivery_id) or place_of(delivery_id) == -1:
                raise UnreadableError("delivery_id out of shape")
            if isinstance(number, bool) or not 2 <= number < MOST_ROUNDS:
                raise UnreadableError("round out of range")
            return DeadLetter(user_id, delivery_id, number)
        case {"kind": "message" | "redrive"}:
            raise UnreadableError("a field is missing or of the wrong type")
    raise UnreadableError("unknown kind")
