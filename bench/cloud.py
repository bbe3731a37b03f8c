"""What takes the whole service: messages end to end, and long histories, on the local cloud."""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cost import item_size, read_units
from bench.figures import Budget, Figure
from bench.rows import delivery
from dispatcher.adapters.dynamodb import DeliveryTable, _serialize, _stored
from dispatcher.adapters.system import SystemClock, SystemIdGenerator
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
SHORT = 10
OFFSETS = (100, 1_000, 5_000, 10_000)
UNBOUNDED = {"ApiRateLimit": "10000", "ApiBurstLimit": "5000"}
"""Or the API would refuse some of the sends."""
OF_EMPTY_CONSUMER = Budget(
    0.5,
    at_least=True,
    out_of_reach="the local cloud computes longer for one message's calls than that",
)
OF_BARE_CALLS = Budget(0.5, at_least=True)
SAME = Budget(1)
PATIENCE = 600
NOTHING = """
def handler(event, context):
    print('{}')
    return {'batchItemFailures': []}
"""
"""An empty consumer. It prints a line because the local cloud waits 50 ms for one."""
BARE_CALLS = """
import os
from concurrent.futures import ThreadPoolExecutor
import boto3

dynamodb = boto3.client('dynamodb')
overrides, deliveries = os.environ['OVERRIDES_TABLE'], os.environ['DELIVERIES_TABLE']

def answer(record):
    user = {'user_id': {'S': 'bare'}}
    row = {**user, 'sk': {'S': record['messageId']}}
    change = {'UpdateExpression': 'SET content = :text',
              'ExpressionAttributeValues': {':text': {'S': record['body']}}}
    dynamodb.get_item(TableName=deliveries, Key=row, ConsistentRead=True)
    dynamodb.update_item(TableName=deliveries, Key=row, ReturnValues='ALL_NEW', **change)
    dynamodb.get_item(TableName=overrides, Key=user, ConsistentRead=True)
    dynamodb.put_item(TableName=deliveries, Item={**row, 'content': {'S': record['body']}})
    dynamodb.update_item(TableName=deliveries, Key=row, **change)

def handler(event, context):
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(answer, event['Records']))
    print('{}')
    return {'batchItemFailures': []}
"""
"""A consumer that makes a TEST delivery's calls, and does nothing else."""


def figures() -> Iterator[Figure]:
    """Yield throughput and latency end to end, then what pages of short and long histories cost."""
    with deployed() as (cloud, stack):
        yield from flow(cloud, stack)
        yield from pages(cloud, stack)


@contextmanager
def deployed() -> Iterator[tuple[LocalCloud, Stack]]:
    """Deploy the service into a local cloud of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        cloud = LocalCloud(Path(home), api_port=free_port(), cloud_port=free_port())
        try:
            cloud.start()
            yield cloud, cloud.deploy(UNBOUNDED)
        finally:
            cloud.stop()


# Flow ---------------------------------------------------------------------------------------------


def flow(cloud: LocalCloud, stack: Stack) -> Iterator[Figure]:
    """Drain as many messages from the delivery queue by the worker, and by consumers without it."""
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

    def drained_by(name: str, code: str) -> float:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("app.py", code)
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
        one = lambdas.create_event_source_mapping(
            EventSourceArn=arn,
            FunctionName=name,
            BatchSize=mapping["BatchSize"],
            FunctionResponseTypes=["ReportBatchItemFailures"],
            ScalingConfig={"MaximumConcurrency": 5},
            Enabled=False,
        )
        taken = []
        # The first time, its processes begin; the worker's have begun already.
        for count in (200, SENDS):
            fill(cloud, queue, count)
            taken.append(drain(cloud, queue, lambda: switch(one["UUID"], on=True)))
            switch(one["UUID"], on=False)
        lambdas.delete_event_source_mapping(UUID=one["UUID"])
        return taken[-1]

    switch(mapping["UUID"], on=False)
    accepted = send(stack["api_url"], SENDS)
    before = busy(cloud)
    ours = drain(cloud, queue, lambda: switch(mapping["UUID"], on=True))
    used = busy(cloud) - before
    switch(mapping["UUID"], on=False)
    bare = drained_by("bare-calls", BARE_CALLS)
    empty = drained_by("empty-consumer", NOTHING)
    yield Figure(
        row="flow", what=f"{SENDS:,} sends, drained / by an empty consumer", value=empty / ours,
        budget=OF_EMPTY_CONSUMER,
        note=f"{SENDS / ours:.0f}/s and {SENDS / empty:.0f}/s by the wall",
    )  # fmt: skip
    yield Figure(
        row="flow", what=f"{SENDS:,} sends, drained / by bare AWS calls", value=bare / ours,
        budget=OF_BARE_CALLS, note=f"those {SENDS / bare:.0f}/s by the wall",
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
    """Return the processor seconds that the local cloud itself, not its functions, has used."""
    process = cloud.cloud.process()
    if process is None:
        raise ToolFailure(f"The local cloud has ended by itself. Its log: {cloud.cloud.log}")
    used = process.cpu_times()
    return float(used.user + used.system)


def send(api_url: str, count: int) -> float:
    """Send so many messages, eight at a time; return the seconds that it took."""
    body = {"content": "How long does it take?", "integration_types": ["TEST"]}
    users = [f"{api_url}/api/v1/users/bench-{uuid.uuid4().hex[:12]}/deliveries" for _ in range(50)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ask("POST", users[number % 50], body), range(count)))
    return time.monotonic() - began


def fill(cloud: LocalCloud, queue: str, count: int) -> None:
    """Put as many doorbells into the queue, for nobody."""
    sqs = cloud.session.client("sqs")
    bell = {"v": 1, "kind": "request", "user_id": "bench", "request_id": str(uuid.uuid4())}
    for start in range(0, count, 10):
        entries: list[Any] = [
            {"Id": str(number), "MessageBody": json.dumps(bell), "MessageGroupId": str(start)}
            for number in range(min(10, count - start))
        ]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)


def drain(cloud: LocalCloud, queue: str, begin: Any) -> float:  # noqa: ANN401 - its answer is of no use
    """Let a consumer begin; return the seconds until the queue is empty."""
    sqs = cloud.session.client("sqs")
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    began = time.monotonic()
    begin()
    while time.monotonic() < began + PATIENCE:
        left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        if not any(int(left[name]) for name in names):
            return time.monotonic() - began
        time.sleep(0.1)
    raise ToolFailure(f"the queue was not empty after {PATIENCE} s: {left}")


# Pages --------------------------------------------------------------------------------------------


def pages(cloud: LocalCloud, stack: Stack) -> Iterator[Figure]:
    """Read pages of a short and of a long history, and count calls and units.

    The local cloud reports the same units for every read, so they are reckoned from the rows that
    it says it read, by DynamoDB's published rule: 4 KB each, all of a call's rows together.
    """
    dynamodb, table = cloud.session.client("dynamodb"), stack["DeliveriesTableName"]
    size = insert(dynamodb, table, "short", SHORT)
    insert(dynamodb, table, "long", LONG)
    read: list[int] = []
    dynamodb.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: read.append(parsed["ScannedCount"])
    )
    history = History(
        deliveries=DeliveryTable(dynamodb, table, token=SystemIdGenerator().token),
        clock=SystemClock(),
    )

    def page(user: str, **query: str) -> tuple[int, float, str]:
        read.clear()
        cursor = history.page(user, {"limit": str(SHORT // 2), **query})["next_cursor"]
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
    """Write so many deliveries of a user; return the bytes of one."""
    row = {**delivery(user, "", "success"), "status": "success"}
    item = {name: _serialize(_stored(value)) for name, value in row.items()}

    def write(start: int) -> None:
        requests = []
        for number in range(start, min(start + 25, count)):
            name = f"019aae2c-8f00-7000-8a5b-{number:012x}"
            key = {"sk": {"S": f"DELIVERY#{name}"}, "delivery_id": {"S": name}}
            requests.append({"PutRequest": {"Item": {**item, **key}}})
        dynamodb.batch_write_item(RequestItems={table: requests})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(0, count, 25)))
    name = f"019aae2c-8f00-7000-8a5b-{0:012x}"
    return item_size({**row, "sk": f"DELIVERY#{name}", "delivery_id": name})
