"""The deployed stack with everything around it that makes its life hard."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import psutil
import requests
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config

from dispatcher.delivery.protocol import SHARDS
from tools import after_deploy
from tools.chaos.crash_proxy import CrashProxy
from tools.chaos.faults import Faults
from tools.chaos.reaper import Reaper
from tools.chaos.receivers import Receivers
from tools.chaos.seeded_random import SeededRandom
from tools.chaos.traffic import PARAMETERS
from tools.chaos.workers import Workers
from tools.failure import ToolFailure
from tools.local_cloud import ALIAS, STACK, LocalCloud
from tools.processes import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Row = dict[str, Any]


@dataclass
class Stage:
    """A local cloud of its own: functions → crash proxy → microburst → cloud, and receivers."""

    home: Path
    seed: int
    crash_share: float

    def __enter__(self) -> Self:
        """Set everything up, faultless still."""
        with ExitStack() as undo:
            proxy_port, faults_port = free_port(), free_port()
            self.cloud = LocalCloud(
                self.home,
                api_port=free_port(),
                cloud_port=free_port(),
                functions_endpoint=f"http://{LOOPBACK}:{proxy_port}",
            )
            undo.callback(self.cloud.forget)
            self.cloud.start()
            process = self.cloud.cloud.process()
            if process is None:
                raise ToolFailure(f"The local cloud has ended: {self.cloud.cloud.log}")
            self.faults = Faults(self.home, faults_port, self.cloud.cloud_port)
            undo.callback(self.faults.stop)
            self.faults.start()
            seeded_random = SeededRandom(self.seed)
            self.workers = undo.enter_context(Workers(psutil.Process(process.pid)))
            self.reaper = Reaper(self.workers, seeded_random, self.crash_share)
            undo.enter_context(CrashProxy(proxy_port, faults_port, self.reaper, self.workers))
            self.receivers = undo.enter_context(Receivers(seeded_random, self.reaper))
            self.stack = self.cloud.deploy(PARAMETERS)
            self.table = Table(self.cloud, self.stack)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all of it and forget the data; the logs stay."""
        self._undo.close()


class Table:
    """The table and the queues, looked at from behind: past every fault."""

    def __init__(self, cloud: LocalCloud, stack: dict[str, str]) -> None:
        self._stack = stack
        config = Config(read_timeout=30, max_pool_connections=20)
        self._dynamodb = cloud.session.client("dynamodb", config=config)
        self._lambda = cloud.session.client("lambda", config=Config(read_timeout=90))
        self._ids = after_deploy.physical_ids(cloud.session, STACK)
        self._http = requests.Session()
        self._http.trust_env = False

    def rows(self) -> Iterator[Row]:
        """Yield every row of the table of deliveries."""
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._stack["DeliveriesTableName"], ConsistentRead=True
        )
        for page in pages:
            yield from map(_plain, page["Items"])

    def owed(self) -> list[Row]:
        """Return the rows that something is owed to, as the sweeper's index shows them."""
        found: list[Row] = []
        for shard in range(SHARDS):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._stack["DeliveriesTableName"],
                IndexName="sweep",
                KeyConditionExpression="#s = :s",
                ExpressionAttributeNames={"#s": "sweep_shard"},
                ExpressionAttributeValues={":s": {"N": str(shard)}},
            )
            found += [_plain(item) for page in pages for item in page["Items"]]
        return found

    def row(self, row: Row) -> Row:
        """Read a row whole."""
        answer = self._dynamodb.get_item(
            TableName=self._stack["DeliveriesTableName"], Key=_key(row), ConsistentRead=True
        )
        return _plain(answer["Item"])

    def hasten(self, row: Row, now: float) -> bool:
        """Let the sweeper look at a row now, and its dead worker's lease be over, if it has one.

        Tell whether that is done: not if anything has happened to the row since it was read.
        """
        values = {":old": {"N": str(row["sweep_at"])}, ":now": {"N": repr(now)}}
        names = {"#sweep": "sweep_at"}
        change = "SET #sweep = :now"
        if "owner" in row:
            change += ", #lease = :now"
            names["#lease"] = "lease_until"
        try:
            self._dynamodb.update_item(
                TableName=self._stack["DeliveriesTableName"],
                Key=_key(row),
                UpdateExpression=change,
                ConditionExpression="#sweep = :old",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=cast("Any", values),
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def sweep(self) -> None:
        """Run the sweeper now."""
        name = self._ids["SweepDeliveriesFunction"]
        answer = self._lambda.invoke(FunctionName=name, Qualifier=ALIAS)
        if "FunctionError" in answer:
            raise ToolFailure(f"the sweeper failed: {answer['Payload'].read().decode()}")

    def tickets(self) -> list[tuple[str, int]]:
        """Return the tickets in the dead-letter queue, without receiving them."""
        look = f"{self._stack['endpoint_url']}/_ministack/sqs/messages"
        params = {"QueueUrl": self._stack["DeadLetterQueueUrl"]}
        shown = self._http.get(look, params=params, timeout=30).json()
        doorbells = [
            json.loads(message["Body"])
            for account in shown["messages"].values()
            for region in account.values()
            for messages in region.values()
            for message in messages
        ]
        return [
            (doorbell["delivery_id"], doorbell["round"])
            for doorbell in doorbells
            if doorbell["kind"] == "ticket"
        ]


def _key(row: Row) -> dict[str, Any]:
    return {"user_id": {"S": row["user_id"]}, "sk": {"S": row["sk"]}}


def _plain(item: object) -> Row:
    """Read an item; its numbers are floats where they are not whole."""
    read = TypeDeserializer().deserialize({"M": cast("Any", item)})
    return cast("Row", json.loads(json.dumps(read, default=_number)))


def _number(value: Any) -> object:  # noqa: ANN401 - whatever JSON does not know
    if isinstance(value, set):
        return sorted(value)
    return int(value) if value == int(value) else float(value)


def now() -> float:
    """Return the time as the service has it."""
    return round(time.time(), 3)
