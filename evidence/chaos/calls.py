"""Reads AWS calls of functions: which step of the delivery protocol each one is.

Only the wire format is read: the service has no hook for any of this.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dispatcher.adapters.items import message_row
from dispatcher.delivery.rows import MAILBOX, MESSAGE, REQUEST, MessageRow

KnownRow = Callable[[bytes], MessageRow | None]
"""Returns the row that was written with a ``rev``."""


class Step(StrEnum):
    """A step of the protocol."""

    PUT_REQUEST = "request put"
    PUT_MESSAGE = "message put"
    READ = "read"
    """BatchGetItem: of a visit, a redrive, or ``/retry``."""
    GET = "get"
    """GetItem of a message row: of the sweeper, DELETE, or a repeated request."""
    CLAIM = "claim"
    TAKE_OVER = "take-over"
    """Of an expired claim, with the next claim or without."""
    SEND = "send"
    RECORD = "record"
    RECORD_AND_CLAIM = "record and next claim"
    GIVE_BACK = "give-back"
    DEAD_LETTER = "dead letter"
    CLEAR = "clearing of dead letters"
    RING = "ring"
    ACKNOWLEDGE = "acknowledge"
    """The end of a visit, which is no AWS call of the function."""
    STAMP = "stamp"
    CANCEL = "cancel"
    REOPEN = "new round"
    RESCHEDULE = "new time of a hold"
    UNKNOWN = "write on a row that was never seen"


SETTLING = frozenset({Step.RECORD, Step.RECORD_AND_CLAIM, Step.GIVE_BACK, Step.TAKE_OVER})
"""The steps that end a claim."""

CHANGES = (
    (Step.REOPEN, ("round",)),
    (Step.CANCEL, ("status",)),
    (Step.CLEAR, ("dead_letter_owed",)),
    (Step.RESCHEDULE, ("held", "due_at")),
)
"""The steps outside of a claim, by what each alone changes in a delivery; first match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that is a step."""

    step: Step
    subject: str
    """The request ID, message ID or delivery ID that it is about."""
    row: MessageRow | None = None
    """The message row that it writes."""
    on: bytes | None = None
    """The ``rev`` of the row that it replaces."""
    content: str | None = None
    """The message that it puts into a mailbox."""


def read(target: str, body: bytes, known: KnownRow) -> Call | None:
    """Return the step that a call is, ``None`` if it is another call."""
    operation = target.rpartition(".")[2]
    if operation == "UpdateItem":
        return _update(json.loads(body), known)
    if operation == "PutItem":
        return _put(json.loads(body)["Item"])
    if operation == "GetItem":
        return _read(Step.GET, [json.loads(body)["Key"]])
    if operation == "BatchGetItem":
        tables = json.loads(body)["RequestItems"].values()
        return _read(Step.READ, [key for table in tables for key in table["Keys"]])
    if operation == "SendMessage":
        return _message(json.loads(body))
    return None


def refused_by(response: bytes) -> MessageRow | None:
    """Return the row that refused a conditional write."""
    item = json.loads(response or b"{}").get("Item")
    if item is None or not item.get("sk", {}).get("S", "").startswith(MESSAGE):
        return None
    return message_row(_item(item))


def change(before: MessageRow, after: MessageRow) -> Step:
    """Return the step that made one row of another."""
    if after.last_owner != before.last_owner:
        if after.owner is not None:
            return Step.RECORD_AND_CLAIM
        return Step.GIVE_BACK if _tries(after) < _tries(before) else Step.RECORD
    if after.owner != before.owner:
        return Step.CLAIM if before.owner is None else Step.TAKE_OVER
    for step, names in CHANGES:
        for old, new in zip(before.deliveries, after.deliveries, strict=True):
            if any(getattr(new, name) != getattr(old, name) for name in names):
                return step
    return Step.STAMP


def _tries(row: MessageRow) -> int:
    return sum(delivery.tries for delivery in row.deliveries)


def _update(update: Mapping[str, Any], known: KnownRow) -> Call | None:
    key = update["Key"]
    if not key.get("sk", {}).get("S", "").startswith(MESSAGE):
        return None
    values = update["ExpressionAttributeValues"]
    attributes = {name.removeprefix(":"): value for name, value in values.items() if name != ":on"}
    row = message_row(_item({**key, **attributes}))
    on = base64.b64decode(values[":on"]["B"])
    before = known(on)
    step = change(before, row) if before else Step.UNKNOWN
    # The delivery whose claim is settled, else the one that is claimed.
    place = before.current if before and step in SETTLING else row.current
    is_about_one = step in SETTLING or step is Step.CLAIM
    subject = row.delivery_id(place or 0) if is_about_one else row.message_id
    return Call(step=step, subject=subject, row=row, on=on)


def _put(item: Mapping[str, Any]) -> Call | None:
    sort_key = item.get("sk", {}).get("S", "")
    if sort_key.startswith(REQUEST):
        return Call(step=Step.PUT_REQUEST, subject=sort_key.removeprefix(REQUEST))
    if sort_key.startswith(MESSAGE):
        row = message_row(_item(item))
        return Call(step=Step.PUT_MESSAGE, subject=row.message_id, row=row)
    if sort_key.startswith(MAILBOX):
        delivery_id = sort_key.rpartition("#")[2]
        return Call(step=Step.SEND, subject=delivery_id, content=item["content"]["S"])
    return None


def _read(step: Step, keys: list[Mapping[str, Any]]) -> Call | None:
    for key in keys:
        sort_key = key.get("sk", {}).get("S", "")
        if sort_key.startswith(MESSAGE):
            return Call(step=step, subject=sort_key.removeprefix(MESSAGE))
    return None


def _message(message: Mapping[str, Any]) -> Call | None:
    fields = json.loads(message["MessageBody"])
    if fields.get("kind") == "redrive":
        return Call(step=Step.DEAD_LETTER, subject=fields["delivery_id"])
    if fields.get("kind") == "message":
        return Call(step=Step.RING, subject=fields["message_id"])
    return None


def _item(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as boto3 returns it: binary values are bytes."""
    return {
        name: {"B": base64.b64decode(value["B"])} if "B" in value else value
        for name, value in wire.items()
    }
