"""Rows as DynamoDB items: the attributes that conditions and queries name, and one ``body``.

The body is JSON text while the whole item has at most 1,024 bytes as DynamoDB counts them (one
write unit), else zlib-compressed JSON. Keys that this version does not know survive a round trip.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dispatcher.delivery.rows import (
    MAILBOX,
    MESSAGE,
    REQUEST,
    Delivery,
    LogEntry,
    MailboxRow,
    MessageRow,
    PlannedDelivery,
    Receipt,
    RequestRow,
    SkippedType,
    shard_of,
)
from dispatcher.integrations.integration import Recipient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]
    """A row as the low-level client takes and returns it."""

LARGEST_TEXT = 1024
"""Bytes of an item whose body is plain JSON."""

Json = dict[str, Any]
"""A JSON object: its values are JSON's."""

Row = TypeVar("Row", bound="DataclassInstance")

PARTS: Mapping[tuple[type, str], type[DataclassInstance]] = {
    (MessageRow, "deliveries"): Delivery,
    (Delivery, "attempt_log"): LogEntry,
    (Delivery, "receipt"): Receipt,
    (RequestRow, "deliveries"): PlannedDelivery,
    (RequestRow, "skipped"): SkippedType,
    (RequestRow, "recipient"): Recipient,
}
"""The fields that hold dataclasses, or tuples of them."""

HEAD = {
    MessageRow: frozenset({"user_id", "message_id", "rev", "sweep_at", "ttl"}),
    RequestRow: frozenset({"user_id", "request_id", "message_id", "fingerprint", "ttl"}),
}
"""The fields that are stored as separate attributes."""


def key(user_id: str, sort_key: str) -> dict[str, AttributeValueTypeDef]:
    """Return the key of a row."""
    return {"user_id": {"S": user_id}, "sk": {"S": sort_key}}


def message_item(row: MessageRow) -> Item:
    """Write a message row."""
    item: dict[str, AttributeValueTypeDef] = {
        **key(row.user_id, MESSAGE + row.message_id),
        "rev": {"B": row.rev},
        "n": {"N": str(len(row.deliveries))},
        "sweep_shard": {"S": str(shard_of(row.message_id))},
    }
    if row.sweep_at is not None:
        item["sweep_at"] = {"N": repr(row.sweep_at)}
    if row.ttl is not None:
        item["ttl"] = {"N": str(row.ttl)}
    return _with_body(item, row)


def message_row(item: Item) -> MessageRow:
    """Read a message row."""
    return _read(
        MessageRow,
        body_of(item),
        user_id=item["user_id"]["S"],
        message_id=item["sk"]["S"].removeprefix(MESSAGE),
        rev=bytes(item["rev"]["B"]),
        sweep_at=float(item["sweep_at"]["N"]) if "sweep_at" in item else None,
        ttl=int(item["ttl"]["N"]) if "ttl" in item else None,
    )


def request_item(row: RequestRow) -> Item:
    """Write a request row."""
    item: dict[str, AttributeValueTypeDef] = {
        **key(row.user_id, REQUEST + row.request_id),
        "message": {"S": row.message_id},
        "fingerprint": {"B": row.fingerprint},
        "ttl": {"N": str(row.ttl)},
    }
    return _with_body(item, row)


def request_row(item: Item) -> RequestRow:
    """Read a request row."""
    return _read(
        RequestRow,
        body_of(item),
        user_id=item["user_id"]["S"],
        request_id=item["sk"]["S"].removeprefix(REQUEST),
        message_id=item["message"]["S"],
        fingerprint=bytes(item["fingerprint"]["B"]),
        ttl=int(item["ttl"]["N"]),
    )


def mailbox_row(item: Item) -> MailboxRow:
    """Read a mailbox row, which the channels write; its attributes are its fields."""
    integration_type, message_id = item["sk"]["S"].removeprefix(MAILBOX).split("#")
    texts = {name: value["S"] for name, value in item.items() if "S" in value}
    return MailboxRow(
        user_id=texts["user_id"],
        integration_type=integration_type,
        message_id=message_id,
        request_id=texts["request_id"],
        session_id=texts.get("session_id"),
        agent_id=texts.get("agent_id"),
        subject=texts.get("subject"),
        content=texts["content"],
        created_at=float(item["created_at"]["N"]),
        ttl=int(item["ttl"]["N"]),
    )


def body_of(item: Item) -> Json:
    """Return the body of a message or request row."""
    body = item["body"]
    text = body["S"] if "S" in body else zlib.decompress(bytes(body["B"]))
    return cast("Json", json.loads(text))


def item_size(item: Item) -> int:
    """Return the bytes that DynamoDB counts for an item: names and values, in UTF-8."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: AttributeValueTypeDef) -> int:
    if "S" in value:
        return len(value["S"].encode())
    if "B" in value:
        return len(bytes(value["B"]))
    if "N" in value:
        # A byte, and one for two significant digits; a sign takes one more.
        digits = value["N"].lstrip("-").replace(".", "").strip("0") or "0"
        return (len(digits) + 1) // 2 + 1 + value["N"].startswith("-")
    # A byte for a boolean or null; three for a collection and one for each of its values.
    if "L" in value:
        return 3 + sum(1 + _value_size(part) for part in value["L"])
    return 3 + len(value["M"]) + item_size(value["M"]) if "M" in value else 1


def _with_body(item: dict[str, AttributeValueTypeDef], row: MessageRow | RequestRow) -> Item:
    body = {name: part for name, part in _json(row).items() if name not in HEAD[type(row)]}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    plain: Item = {**item, "body": {"S": text}}
    if len(text) <= LARGEST_TEXT and item_size(plain) <= LARGEST_TEXT:
        return plain
    return {**item, "body": {"B": zlib.compress(text.encode())}}


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    default: object
    """Values of absent keys."""
    part: type[DataclassInstance] | None
    is_required: bool
    """Whether a part that holds only defaults is stored as an absent key."""


@cache
def _fields(row_type: type[DataclassInstance]) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            field.name,
            field.default_factory()
            if field.default_factory is not MISSING
            else None
            if field.default is MISSING
            else field.default,
            PARTS.get((row_type, field.name)),
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(row_type)
        if field.name != "extra"
    )


def _json(row: DataclassInstance) -> Json:
    """Write the fields that hold something beside their default, and the unknown keys."""
    body = dict(getattr(row, "extra", ()))
    for field in _fields(type(row)):
        value = getattr(row, field.name)
        if value is None or value == field.default:
            continue
        if field.part is None:
            body[field.name] = value
        elif isinstance(value, tuple):
            body[field.name] = [_json(part) for part in value]
        else:
            body[field.name] = _json(value)
    return body


def _read(row_type: type[Row], body: Json, **head: object) -> Row:
    values = head
    for field in _fields(row_type):
        if field.name in head:
            continue
        value = body.pop(field.name, field.default)
        if field.part is not None:
            if isinstance(value, list):
                value = tuple(_read(field.part, part) for part in value)
            elif isinstance(value, dict) or field.is_required:
                value = _read(field.part, value or {})
        values[field.name] = value
    if "extra" in row_type.__dataclass_fields__:
        values["extra"] = body
    return row_type(**values)
