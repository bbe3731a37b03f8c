"""The tables and queues of the stack, read and changed without faults."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from botocore.config import Config

from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.delivery.doorbells import DeadLetter, decode
from dispatcher.delivery.rows import MESSAGE, SHARDS, MessageRow
from evidence.chaos.ledger import Write
from tools import after_deploy
from tools.failure import ToolFailure
from tools.local_cloud import STACK, LocalCloud

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
        self._lambda = cloud.session.client("lambda", config=Config(read_timeout=90))
        self._ids = after_deploy.physical_ids(cloud.session, STACK)
        # Only its deliveries are used.
        self._table = DeliveryTable(self._dynamodb, stack["DeliveriesTableName"], "")
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

    def message(self, user_id: str, message_id: str) -> MessageRow | None:
        """Return one message row."""
        return self._table.message(user_id, message_id)

    def hasten(self, row: MessageRow) -> Write | None:
        """Let the sweeper read a row now, and let its lease end, if it has one.

        Returns the write, or ``None`` if the row changed since it was read.
        """
        now = round(time.time(), 3)
        lease_until = None if row.lease_until is None else min(now, row.lease_until)
        hastened = replace(row, rev=secrets.token_bytes(8), sweep_at=now, lease_until=lease_until)
        stored = self._table.write(hastened, on=row.rev)
        if stored is None or stored.rev != hastened.rev:
            return None
        return Write(row=hastened, on=row.rev, at=now, pid=0, by_rig=True)

    def sweep(self) -> None:
        """Run the sweeper now."""
        name = self._ids["SweepDeliveriesFunction"]
        response = self._lambda.invoke(FunctionName=name)
        if "FunctionError" in response:
            raise ToolFailure(f"the sweeper failed: {response['Payload'].read().decode()}")

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
