"""Measures the whole service on the local cloud: messages end to end, and long histories."""

from __future__ import annotations

import io
import os
import tempfile
import time
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cost import USUAL, life, read_units
from bench.figures import Budget, Figure
from bench.rows import DAY, MESSAGE_ID
from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.adapters.items import item_size, key, message_item
from dispatcher.adapters.system import SystemClock
from dispatcher.delivery.doorbells import Doorbell, encode
from dispatcher.delivery.rows import MESSAGE
from dispatcher.messages.history import History
from tools.failure import ToolFailure
from tools.local_cloud import LocalCloud
from tools.measure import ask, measure
from tools.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.local_cloud import Stack

SENDS = int(os.environ.get("BENCH_SENDS", "2000"))
LONG = int(os.environ.get("BENCH_ROWS", "100000"))
SHORT = 12
PAGE = 5
"""The short history holds more than a page behind the first, as the long one does."""
OFFSETS = (100, 1_000, 5_000, 10_000)
UNBOUNDED = {"ApiRateLimit": "10000", "ApiBurstLimit": "5000"}
"""Otherwise the API would throttle some of the sends."""
OF_BARE_CALLS = Budget(0.5, at_least=True)
SAME = Budget(1)
PATIENCE = 600
"""Seconds after which a queue should be empty."""
BARE_CALLS = """
import os
from concurrent.futures import ThreadPoolExecutor
import boto3

dynamodb = boto3.client('dynamodb')
overrides, deliveries = os.environ['OVERRIDES_TABLE'], os.environ['DELIVERIES_TABLE']

def deliver(record):
    user, text = {'user_id': {'S': 'bare'}}, {'S': record['body']}
    message, request, mailbox = (
        {**user, 'sk': {'S': kind + record['messageId']}} for kind in ('M#', 'R#', 'B#')
    )
    change = {'UpdateExpression': 'SET body = :text', 'ExpressionAttributeValues': {':text': text}}
    dynamodb.batch_get_item(RequestItems={
        deliveries: {'Keys': [message, request], 'ConsistentRead': True},
        overrides: {'Keys': [user], 'ConsistentRead': True},
    })
    dynamodb.update_item(TableName=deliveries, Key=message, **change)
    dynamodb.put_item(TableName=deliveries, Item={**mailbox, 'content': text})
    dynamodb.update_item(TableName=deliveries, Key=message, **change)

def handler(event, context):
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(deliver, event['Records']))
    print('{}')
    return {'batchItemFailures': []}
"""
"""A consumer that makes the AWS calls of a TEST delivery and does nothing else.

It prints a line because the local cloud waits 50 ms for one.
"""


def figures() -> Iterator[Figure]:
    """Yield throughput and latency end to end, then the cost of pages of histories."""
    with deployed() as (cloud, stack):
        yield from flow(cloud, stack)
        yield from pages(cloud, stack)


@contextmanager
def deployed() -> Iterator[tuple[LocalCloud, Stack]]:
    """Deploy the service into a separate local cloud."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        cloud = LocalCloud(Path(home), api_port=free_port(), cloud_port=free_port())
        try:
            cloud.start()
            yield cloud, cloud.deploy(UNBOUNDED)
        finally:
            cloud.stop()


# Flow ---------------------------------------------------------------------------------------------


def flow(cloud: LocalCloud, stack: Stack) -> Iterator[Figure]:
    """Drain the delivery queue by the worker, then by a consumer of bare AWS calls."""
    latency = measure(stack["api_url"], 50)
    queue, lambdas = stack["DeliveryQueueUrl"], cloud.session.client("lambda")
    sqs = cloud.session.client("sqs")
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    [mapping] = lambdas.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    worker = lambdas.get_function_configuration(FunctionName=mapping["FunctionArn"])

    def switch(uuid: str, *, on: bool) -> None:
        lambdas.update_event_source_mapping(UUID=uuid, Enabled=on)

    def drain_by_bare_calls() -> float:
        name, archive = "bare-calls", io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("app.py", BARE_CALLS)
        lambdas.create_function(
            FunctionName=name,
            Runtime=worker["Runtime"],
            Role=worker["Role"],
            Handler="app.handler",
            Code={"ZipFile": archive.getvalue()},
            MemorySize=worker["MemorySize"],
            Timeout=60,
            Environment={"Variables": worker["Environment"]["Variables"]},
        )
        consumer = lambdas.create_event_source_mapping(
            EventSourceArn=arn,
            FunctionName=name,
            BatchSize=mapping["BatchSize"],
            FunctionResponseTypes=["ReportBatchItemFailures"],
            ScalingConfig={"MaximumConcurrency": 5},
            Enabled=False,
        )
        seconds = 0.0
        # The first drain starts its processes; the worker's have started already.
        for count in (min(200, SENDS), SENDS):
            fill(cloud, queue, count)
            seconds = drain(cloud, queue, lambda: switch(consumer["UUID"], on=True))
            switch(consumer["UUID"], on=False)
        lambdas.delete_event_source_mapping(UUID=consumer["UUID"])
        return seconds

    switch(mapping["UUID"], on=False)
    accepted = send(stack["api_url"], SENDS)
    before = busy(cloud)
    ours = drain(cloud, queue, lambda: switch(mapping["UUID"], on=True))
    used = busy(cloud) - before
    switch(mapping["UUID"], on=False)
    bare = drain_by_bare_calls()
    yield Figure(
        row="flow", what=f"{SENDS:,} sends, drained / by bare AWS calls", value=bare / ours,
        budget=OF_BARE_CALLS,
        note=f"{SENDS / ours:.0f}/s and {SENDS / bare:.0f}/s by the wall clock",
    )  # fmt: skip
    yield Figure(
        row="flow", what="the local cloud's own processor time for a message",
        value=used / SENDS * 1000, unit="ms", note=f"{used / ours:.0%} of a core",
    )  # fmt: skip
    yield Figure(row="flow", what="sends accepted", value=SENDS / accepted, unit="/s")
    yield Figure(
        row="flow", what="accept to delivered, p50", value=latency.delivered.p50, unit="ms"
    )
    yield Figure(
        row="flow", what="accept to delivered, p95", value=latency.delivered.p95, unit="ms"
    )


def busy(cloud: LocalCloud) -> float:
    """Return the processor seconds of the local cloud without its functions."""
    process = cloud.cloud.process()
    if process is None:
        raise ToolFailure(f"The local cloud has ended. Its log: {cloud.cloud.log}")
    used = process.cpu_times()
    return float(used.user + used.system)


def send(api_url: str, count: int) -> float:
    """Send so many messages, eight at a time; return the seconds."""
    body = {"content": "How long does it take?", "integration_types": ["TEST"]}
    users = [f"{api_url}/api/v1/users/bench-{uuid.uuid4().hex[:12]}/deliveries" for _ in range(50)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ask("POST", users[number % 50], body), range(count)))
    return time.monotonic() - began


def fill(cloud: LocalCloud, queue: str, count: int) -> None:
    """Put so many doorbells into the queue; no message belongs to them."""
    sqs = cloud.session.client("sqs")
    doorbell = encode(Doorbell("bench", MESSAGE_ID, str(uuid.uuid4()), due_at=time.time()))
    for start in range(0, count, 10):
        entries: list[Any] = [
            {"Id": str(number), "MessageBody": doorbell, "MessageGroupId": str(start)}
            for number in range(min(10, count - start))
        ]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)


def drain(cloud: LocalCloud, queue: str, begin: Any) -> float:  # noqa: ANN401 - its result is ignored
    """Start a consumer; return the seconds until the queue is empty."""
    sqs = cloud.session.client("sqs")
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    began = time.monotonic()
    begin()
    while time.monotonic() < began + PATIENCE:
        left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        if not any(int(left[name]) for name in names):
            return time.monotonic() - began
        time.sleep(0.1)
    raise ToolFailure(f"The queue was not empty after {PATIENCE} s: {left}")


# Pages --------------------------------------------------------------------------------------------


def pages(cloud: LocalCloud, stack: Stack) -> Iterator[Figure]:
    """Read pages of a short and of a long history, and count calls and units.

    The local cloud reports the same units for every read. So they are computed from the rows that
    it reports as read, by DynamoDB's published rule: one for each 4 KB of all rows of a call.
    """
    dynamodb, table = cloud.session.client("dynamodb"), stack["DeliveriesTableName"]
    size = insert(dynamodb, table, "short", SHORT)
    insert(dynamodb, table, "long", LONG)
    read: list[int] = []
    dynamodb.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: read.append(parsed["ScannedCount"])
    )
    store = DeliveryTable(dynamodb, table, stack["OverridesTableName"])
    history = History(store=store, clock=SystemClock())

    def page(user: str, **query: str) -> tuple[int, float, str]:
        read.clear()
        cursor = history.page(user, {"limit": str(PAGE), **query})["next_cursor"]
        return len(read), sum(read_units(rows * size) for rows in read), str(cursor)

    for what in ("at offset 0", "by cursor"):
        taken = {}
        for user in ("short", "long"):
            query = {"cursor": page(user)[2]} if what == "by cursor" else {}
            taken[user] = page(user, **query)
        calls = taken["long"][0] / taken["short"][0]
        units = taken["long"][1] / taken["short"][1]
        yield Figure(
            row="history", what=f"page {what}, {LONG:,} rows / {SHORT}: calls", value=calls,
            budget=SAME, note=f"{taken['long'][0]} call",
        )  # fmt: skip
        yield Figure(
            row="history", what=f"page {what}, {LONG:,} rows / {SHORT}: read units", value=units,
            budget=SAME, note=f"{taken['long'][1]:g} units",
        )  # fmt: skip
    for offset in OFFSETS:
        calls, units, _ = page("long", offset=str(offset))
        yield Figure(
            row="history", what=f"read units at offset {offset:,}", value=units, unit="units",
            note=f"{calls} calls",
        )  # fmt: skip


def insert(dynamodb: Any, table: str, user: str, count: int) -> int:  # noqa: ANN401 - a client of boto3
    """Write so many delivered messages of a user; return the bytes of one."""
    delivered = life(USUAL).row
    assert delivered is not None  # noqa: S101 - for the type checker
    item = message_item(replace(delivered, user_id=user, ttl=int(time.time()) + DAY))

    def write(start: int) -> None:
        requests = []
        for number in range(start, min(start + 25, count)):
            # A message ID ends with 00.
            message_id = f"019aae2c-8f00-7000-8a5b-{number << 8:012x}"
            row = {**item, **key(user, MESSAGE + message_id)}
            requests.append({"PutRequest": {"Item": row}})
        dynamodb.batch_write_item(RequestItems={table: requests})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(0, count, 25)))
    return item_size(item)
