"""Measure how many runs of the sweeper ring for many rows: `python -m tools.measure_sweeper`."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.config import Config

from dispatcher.adapters.items import message_item
from dispatcher.adapters.system import SystemIdGenerator
from dispatcher.delivery.rows import Delivery, MessageRow, Status
from dispatcher.delivery.transitions import LONGEST_SQS_DELAY
from tools import after_deploy
from tools.local_cloud import STACK
from tools.measure_cloud import own_cloud

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_ID = "measure"
"""The request ID of all rows."""

WRITERS = 4
"""Threads that write rows."""

BATCH = 25
"""Rows of one BatchWriteItem."""

AHEAD = LONGEST_SQS_DELAY - 60
"""Seconds after the first sweep at which the rows are due: no worker claims them until then."""


class Run(NamedTuple):
    """What one run of the sweeper did."""

    rung: int
    faults: int
    seconds: float


def measure(session: boto3.Session, stack: Mapping[str, str], count: int) -> list[Run]:
    """Write rows that are due at the same time, each for another user, and sweep.

    Runs follow each other until one has rung for nothing.
    """
    seed(stack, count)
    functions = session.client("lambda", config=Config(read_timeout=120))
    name = after_deploy.physical_ids(session, STACK)["SweepDeliveriesFunction"]
    runs: list[Run] = []
    while True:
        began = time.monotonic()
        counts = json.load(functions.invoke(FunctionName=name)["Payload"])
        run = Run(counts["rung"], counts["faults"], time.monotonic() - began)
        if run.rung == run.faults == 0:
            return runs
        runs.append(run)


def seed(stack: Mapping[str, str], count: int) -> None:
    """Write the rows of accepted messages whose due time is near."""
    due_at = float(int(time.time()) + AHEAD)
    table, id_generator = stack["DeliveriesTableName"], SystemIdGenerator()

    def write(numbers: range) -> None:
        dynamodb = boto3.client(
            "dynamodb",
            endpoint_url=stack["endpoint_url"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the local cloud's
        )
        for first in range(0, len(numbers), BATCH):
            rows = [
                message(f"measure-{number}", due_at, id_generator)
                for number in numbers[first : first + BATCH]
            ]
            dynamodb.batch_write_item(
                RequestItems={table: [{"PutRequest": {"Item": message_item(row)}} for row in rows]}
            )

    parts = [range(first, count, WRITERS) for first in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(write, parts))


def message(user_id: str, due_at: float, id_generator: SystemIdGenerator) -> MessageRow:
    """Return a message whose only delivery waits for its first attempt."""
    delivery = Delivery(
        type="TEST",
        status=Status.PENDING,
        priority=1,
        max_attempts=1,
        retry_delay_seconds=1,
        due_at=due_at,
    )
    return MessageRow(
        user_id=user_id,
        message_id=id_generator.message_id(time.time()),
        rev=id_generator.rev(),
        request_id=REQUEST_ID,
        session_id=None,
        subject=None,
        mode="all",
        forced=False,
        created_at=0.0,
        expires_at=None,
        keep_until=0.0,
        deliveries=(delivery,),
        sweep_at=due_at - LONGEST_SQS_DELAY,
    )


def main() -> int:
    """Measure with 100,000 rows, or the number in the first argument, on a cloud of its own."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with own_cloud() as (stack, session):
        runs = measure(session, stack, count)
    print(f"{count} rows due at the same time: {len(runs)} runs of the sweeper")
    for number, run in enumerate(runs, start=1):
        print(f"  run {number}: {run.rung} rung, {run.faults} faults, {run.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
