"""The deliveries table: requests, messages, history and mailboxes.

One class implements the stores of the rooms ``delivery`` and ``messages``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.adapters.items import (
    key,
    mailbox_row,
    message_item,
    message_row,
    request_item,
    request_row,
)
from dispatcher.adapters.overrides import user_overrides
from dispatcher.configuration.rows import UserOverrides
from dispatcher.delivery.ports import VisitRead
from dispatcher.delivery.rows import MAILBOX, MESSAGE, REQUEST
from dispatcher.errors import ConditionFailed, UnavailableError
from dispatcher.messages.ports import HistoryPage, MailboxPage, MessageCount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from dispatcher.adapters.items import Item
    from dispatcher.delivery.rows import MailboxRow, MessageRow, RequestRow

BATCH_READS = 4
"""Attempts to read the keys that DynamoDB left unprocessed."""


class DeliveryTable:
    """Implements the stores of ``delivery`` and ``messages``."""

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        deliveries: str,
        overrides: str,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = deliveries
        self._overrides = overrides
        self._pause = pause

    # Messages -------------------------------------------------------------------------------------

    def message(self, user_id: str, message_id: str) -> MessageRow | None:
        """Return a message row, read consistently."""
        item = self._get(user_id, MESSAGE + message_id)
        return message_row(item) if item else None

    def visit(self, user_id: str, message_id: str, request_id: str | None) -> VisitRead:
        """Read message, request and overrides with one consistent BatchGetItem."""
        keys = [key(user_id, MESSAGE + message_id)]
        if request_id is not None:
            keys.append(key(user_id, REQUEST + request_id))
        wanted: dict[str, Any] = {
            self._table: {"Keys": keys, "ConsistentRead": True},
            self._overrides: {"Keys": [{"user_id": {"S": user_id}}], "ConsistentRead": True},
        }
        items: dict[str, list[Item]] = {self._table: [], self._overrides: []}
        for attempt in range(BATCH_READS):
            with unavailable_if_it_fails():
                response = self._dynamodb.batch_get_item(RequestItems=wanted)
            for table, found in response["Responses"].items():
                items[table] += found
            wanted = cast("dict[str, Any]", response.get("UnprocessedKeys"))
            if not wanted:
                break
            self._pause(0.05 * 2**attempt)
        else:
            raise UnavailableError("BatchGetItem left keys unprocessed")
        by_kind = {item["sk"]["S"].partition("#")[0]: item for item in items[self._table]}
        message, request = by_kind.get("MESSAGE"), by_kind.get("REQUEST")
        stored = items[self._overrides]
        return VisitRead(
            message_row(message) if message else None,
            request_row(request) if request else None,
            user_overrides(stored[0]) if stored else UserOverrides(),
        )

    def pending(self, user_id: str, *, pages: int) -> tuple[tuple[MessageRow, ...], bool]:
        """Query the rows that the sweeper reads, newest first."""
        query = self._messages(user_id, None, None)
        query["FilterExpression"] = "attribute_exists(#sweep_at)"
        query["ExpressionAttributeNames"] |= {"#sweep_at": "sweep_at"}
        rows: list[MessageRow] = []
        for _ in range(pages):
            with unavailable_if_it_fails():
                response = self._dynamodb.query(**query)
            rows += map(message_row, response["Items"])
            if "LastEvaluatedKey" not in response:
                return tuple(rows), True
            query["ExclusiveStartKey"] = response["LastEvaluatedKey"]
        return tuple(rows), False

    def between(
        self, user_id: str, first: str, last: str, *, limit: int
    ) -> tuple[tuple[MessageRow, ...], str | None]:
        """Query message rows by their keys, oldest first."""
        query = self._messages(user_id, last, None)
        query["ExpressionAttributeValues"][":first"] = {"S": MESSAGE + first}
        with unavailable_if_it_fails():
            response = self._dynamodb.query(**{**query, "Limit": limit, "ScanIndexForward": True})
        return tuple(map(message_row, response["Items"])), _last(response, MESSAGE)

    def create(self, row: MessageRow) -> None:
        """Write a new message row; a row that exists stays as it is."""
        self._put(message_item(row), "attribute_not_exists(#sk)", {"#sk": "sk"}, {})

    def write(self, row: MessageRow, *, on: bytes) -> MessageRow | None:
        """Write a successor on the condition that ``rev`` is the one that was read."""
        item = message_item(row)
        present = [name for name in ("rev", "body", "sweep_at", "ttl") if name in item]
        absent = [name for name in ("sweep_at", "ttl") if name not in item]
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in present)
        if absent:
            update += " REMOVE " + ", ".join(f"#{name}" for name in absent)
        values = {f":{name}": item[name] for name in present}
        try:
            with unavailable_if_it_fails():
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key=key(row.user_id, MESSAGE + row.message_id),
                    UpdateExpression=update,
                    ConditionExpression="#rev = :on",
                    ExpressionAttributeNames={f"#{name}": name for name in present + absent},
                    ExpressionAttributeValues={**values, ":on": {"B": on}},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ConditionFailed as refused:
            return message_row(refused.item) if refused.item else None
        return row

    def overdue(self, shard: int, now: float) -> Iterator[tuple[str, str]]:
        """Yield the keys of overdue rows from the sparse index, oldest first."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": "sweep",
            "KeyConditionExpression": "#shard = :shard AND #at <= :now",
            "ExpressionAttributeNames": {"#shard": "sweep_shard", "#at": "sweep_at"},
            "ExpressionAttributeValues": {
                ":shard": {"S": str(shard)},
                ":now": {"N": repr(now)},
            },
        }
        while True:
            with unavailable_if_it_fails():
                response = self._dynamodb.query(**query)
            for item in response["Items"]:
                yield item["user_id"]["S"], item["sk"]["S"].removeprefix(MESSAGE)
            if "LastEvaluatedKey" not in response:
                return
            query["ExclusiveStartKey"] = response["LastEvaluatedKey"]

    # Requests -------------------------------------------------------------------------------------

    def request(self, user_id: str, request_id: str) -> RequestRow | None:
        """Return a request row, read consistently."""
        item = self._get(user_id, REQUEST + request_id)
        return request_row(item) if item else None

    def put_request(self, row: RequestRow, *, now: float) -> RequestRow:
        """Write a request if its identity is free; return the row that is stored now."""
        stored = self._put(
            request_item(row),
            "attribute_not_exists(#sk) OR #ttl < :now",
            {"#sk": "sk", "#ttl": "ttl"},
            {":now": {"N": repr(now)}},
        )
        return request_row(stored) if stored else row

    # History --------------------------------------------------------------------------------------

    def history(
        self, user_id: str, *, limit: int, newest: str | None, after: str | None
    ) -> HistoryPage:
        """Query message rows, newest first."""
        query = self._messages(user_id, newest, after)
        with unavailable_if_it_fails():
            response = self._dynamodb.query(Limit=limit, **query)
        rows = tuple(message_row(item) for item in response["Items"])
        return HistoryPage(rows, _last(response, MESSAGE))

    def counts(self, user_id: str, *, limit: int) -> Iterator[MessageCount]:
        """Read the attribute ``n`` of message rows; the read units are those of the whole rows."""
        query = self._messages(user_id, None, None)
        query["ProjectionExpression"] = "#sk, #n, #ttl"
        query["ExpressionAttributeNames"] |= {"#n": "n", "#ttl": "ttl"}
        while True:
            with unavailable_if_it_fails():
                response = self._dynamodb.query(Limit=limit, **query)
            for item in response["Items"]:
                ttl = int(item["ttl"]["N"]) if "ttl" in item else None
                message_id = item["sk"]["S"].removeprefix(MESSAGE)
                yield MessageCount(message_id, int(item["n"]["N"]), ttl)
            if "LastEvaluatedKey" not in response:
                return
            query["ExclusiveStartKey"] = response["LastEvaluatedKey"]

    def _messages(self, user_id: str, newest: str | None, after: str | None) -> dict[str, Any]:
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#user = :user AND #sk BETWEEN :first AND :last",
            "ExpressionAttributeNames": {"#user": "user_id", "#sk": "sk"},
            "ExpressionAttributeValues": {
                ":user": {"S": user_id},
                ":first": {"S": MESSAGE},
                # "~" sorts after every character of an ID.
                ":last": {"S": MESSAGE + (newest or "~")},
            },
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        if after is not None:
            query["ExclusiveStartKey"] = key(user_id, MESSAGE + after)
        return query

    # Mailboxes ------------------------------------------------------------------------------------

    def mailbox(
        self, user_id: str, integration_type: str, *, limit: int, after: str | None, now: float
    ) -> MailboxPage:
        """Query the live rows of a mailbox, oldest first, until the page is full or the last."""
        prefix = f"{MAILBOX}{integration_type}#"
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#user = :user AND begins_with(#sk, :prefix)",
            "FilterExpression": "#ttl >= :now",
            "ExpressionAttributeNames": {"#user": "user_id", "#sk": "sk", "#ttl": "ttl"},
            "ExpressionAttributeValues": {
                ":user": {"S": user_id},
                ":prefix": {"S": prefix},
                ":now": {"N": repr(now)},
            },
            "ConsistentRead": True,
        }
        rows: list[MailboxRow] = []
        while True:
            if after is not None:
                query["ExclusiveStartKey"] = key(user_id, prefix + after)
            with unavailable_if_it_fails():
                # One more row than requested shows whether this is the last page.
                response = self._dynamodb.query(Limit=limit + 1 - len(rows), **query)
            rows += map(mailbox_row, response["Items"])
            after = _last(response, prefix)
            if len(rows) > limit:
                return MailboxPage(tuple(rows[:limit]), rows[limit - 1].message_id)
            if after is None:
                return MailboxPage(tuple(rows), None)

    def remove_from_mailbox(
        self, user_id: str, integration_type: str, message_id: str
    ) -> MailboxRow | None:
        """Delete a mailbox row and return it."""
        with unavailable_if_it_fails():
            response = self._dynamodb.delete_item(
                TableName=self._table,
                Key=key(user_id, f"{MAILBOX}{integration_type}#{message_id}"),
                ReturnValues="ALL_OLD",
            )
        return mailbox_row(response["Attributes"]) if "Attributes" in response else None

    # Calls ----------------------------------------------------------------------------------------

    def _get(self, user_id: str, sort_key: str) -> Item | None:
        with unavailable_if_it_fails():
            response = self._dynamodb.get_item(
                TableName=self._table, Key=key(user_id, sort_key), ConsistentRead=True
            )
        return response.get("Item")

    def _put(
        self, item: Item, condition: str, names: dict[str, str], values: dict[str, Any]
    ) -> Item | None:
        """Put an item; return the item that refused it, ``None`` if it was written."""
        more = {"ExpressionAttributeValues": values} if values else {}
        try:
            with unavailable_if_it_fails():
                self._dynamodb.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **cast("Any", more),
                )
        except ConditionFailed as refused:
            return refused.item
        return None


def _last(response: Any, prefix: str) -> str | None:  # noqa: ANN401 - of any query
    """Return the ID at which a query stopped, ``None`` if it saw all rows."""
    last = response.get("LastEvaluatedKey")
    return str(last["sk"]["S"]).removeprefix(prefix) if last else None
