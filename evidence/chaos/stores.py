"""The tables and queues of the stack, read and changed without faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from botocore.config import Config

from dispatcher.delivery.doorbells import DeadLetter, decode
from dispatcher.delivery.rows import MESSAGE, SHARDS
from tools.local_cloud import LocalCloud

if TYPE_CHECKING:
    from dispatcher.adapters.items import Item

Row = TypeVar("Row")

RECEIVED = 10
"""Seconds for which a received dead letter is invisible."""


class Stores:
    """Reads tables and queues as an administrator."""

    def __init__(self, cloud: LocalCloud, stack: dict[str, str]) -> None:
        self._stack = stack
        config = Config(read_timeout=30, max_pool_connections=20)
        self._dynamodb = cloud.session.client("dynamodb", config=config)
        self._sqs = cloud.session.client("sqs", config=config)
        self._http = requests.Session()
        self._http.trust_env = False

    def rows(self, kind: str, read: Callable[[Item], Row]) -> list[Row]:
        """Return all rows of a kind in the deliveries table."""
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._stack["DeliveriesTableName"], ConsistentRead=True
        )
        items = (item for page in pages for item in page["Items"])
        return [read(item) for item in items if item["sk"]["S"].startswith(kind)]

    def owed(self) -> list[tuple[str, str]]:
        """Return user and message ID of each row in the sweep index."""
        keys: list[tuple[str, str]] = []
        for shard in range(SHARDS):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._stack["DeliveriesTableName"],
                IndexName="sweep",
                KeyConditionExpression="#shard = :shard",
                ExpressionAttributeNames={"#shard": "sweep_shard"},
                ExpressionAttributeValues={":shard": {"S": str(shard)}},
            )
            keys += [
                (item["user_id"]["S"], item["sk"]["S"].removeprefix(MESSAGE))
                for page in pages
                for item in page["Items"]
            ]
        return keys

    def dead_letters(self, queue: str = "DeadLetterQueueUrl") -> list[DeadLetter]:
        """Return the dead letters in a queue, without receiving them."""
        messages = f"{self._stack['endpoint_url']}/_ministack/sqs/messages"
        params = {"QueueUrl": self._stack[queue]}
        response: dict[str, Any] = self._http.get(messages, params=params, timeout=30).json()
        bodies = [
            message["Body"]
            for account in response["messages"].values()
            for region in account.values()
            for queue_messages in region.values()
            for message in queue_messages
        ]
        return [letter for body in bodies if isinstance(letter := decode(body), DeadLetter)]

    def redrive(self, is_chosen: Callable[[DeadLetter], bool]) -> None:
        """Move dead letters to the delivery queue, as the SQS console does."""
        source, target = self._stack["DeadLetterQueueUrl"], self._stack["DeliveryQueueUrl"]
        while True:
            received = self._sqs.receive_message(
                QueueUrl=source, MaxNumberOfMessages=10, VisibilityTimeout=RECEIVED
            )
            messages = received.get("Messages", ())
            for message in messages:
                letter = decode(message["Body"])
                if isinstance(letter, DeadLetter) and is_chosen(letter):
                    self._sqs.send_message(QueueUrl=target, MessageBody=message["Body"])
                    self._sqs.delete_message(
                        QueueUrl=source, ReceiptHandle=message["ReceiptHandle"]
                    )
            if not messages:
                return
