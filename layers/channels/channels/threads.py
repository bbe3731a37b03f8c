"""Storage of the message that begins a session's Slack thread, beside the user's deliveries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from dispatcher.delivery.ports import Message

TTL = 30 * 86_400
"""Seconds after which a session begins a new thread."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Stores the first message of each session, by user, channel and ``session_id``."""

    dynamodb: DynamoDBClient
    table: str

    def first(self, message: Message, channel: str) -> str | None:
        """Return the ``ts`` of the session's first message."""
        row = self.dynamodb.get_item(
            TableName=self.table, Key=_key(message, channel), ConsistentRead=True
        ).get("Item")
        if row is None or int(row["ttl"]["N"]) <= message.attempted_at:
            return None
        return row["ts"]["S"]

    def begin(self, message: Message, channel: str, ts: str) -> None:
        """Store the session's first message, unless another attempt has stored one."""
        now = int(message.attempted_at)
        row = {**_key(message, channel), "ts": {"S": ts}, "ttl": {"N": str(now + TTL)}}
        self._put(row, "attribute_not_exists(sk) OR #name <= :value", "ttl", {"N": str(now)})

    def forget(self, message: Message, channel: str, ts: str) -> None:
        """Delete a first message that no longer exists, so that the next one begins a thread."""
        ended = {"N": str(int(message.attempted_at) - 1)}
        row = {**_key(message, channel), "ts": {"S": ts}, "ttl": ended}
        self._put(row, "#name = :value", "ts", {"S": ts})

    def _put(self, row: dict[str, Any], only_if: str, name: str, value: dict[str, str]) -> None:
        try:
            self.dynamodb.put_item(
                TableName=self.table,
                Item=row,
                ConditionExpression=only_if,
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues={":value": value},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise


def _key(message: Message, channel: str) -> dict[str, Any]:
    session = hashlib.sha256((message.session_id or "").encode()).hexdigest()[:32]
    return {"user_id": {"S": message.user_id}, "sk": {"S": f"THREAD#SLACK#{channel}#{session}"}}
