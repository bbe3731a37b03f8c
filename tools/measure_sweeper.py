"""Measure how many runs of the sweeper ring for many rows: `python -m tools.measure_sweeper`."""

from __future__ import annotations

import json
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.config import Config

from dispatcher.delivery.protocol import LONGEST_DELAY, shard_of
from dispatcher.delivery.rows import Delivery, Status
from tools import after_deploy
from tools.local_cloud import ALIAS, STACK
from tools.measure_cloud import own_cloud

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITERS = 4
"""Threads that write rows."""

AHEAD = LONGEST_DELAY - 60
"""Seconds after the first sweep at which the rows are due: far enough for nobody to answer yet."""


class Run(NamedTuple):
    """What one run of the sweeper did."""

    rung: int
    faults: int
    seconds: float


def measure(session: boto3.Session, stack: Mapping[str, str], count: int) -> list[Run]:
    """Write rows that are due at one moment, each of a user of its own, and sweep.

    Runs follow each other until one finds nothing left to ring for.
    """
    seed(stack, count)
    functions = session.client("lambda", config=Config(read_timeout=120))
    name = after_deploy.physical_ids(session, STACK)["SweepDeliveriesFunction"]
    runs: list[Run] = []
    while True:
        began = time.monotonic()
        answer = json.load(functions.invoke(FunctionName=name, Qualifier=ALIAS)["Payload"])
        run = Run(answer["rung"], answer["faults"], time.monotonic() - began)
        if run.rung == run.faults == 0:
            return runs
        runs.append(run)


def seed(stack: Mapping[str, str], count: int) -> None:
    """Write the rows as accepted messages leave them whose moment has come near."""
    due_at = Decimal(int(time.time()) + AHEAD)

    def write(numbers: range) -> None:
        dynamodb = boto3.resource(
            "dynamodb",
            endpoint_url=stack["endpoint_url"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - the local cloud's
        )
        with dynamodb.Table(stack["DeliveriesTableName"]).batch_writer() as rows:
            for number in numbers:
                rows.put_item(Item=row(f"measure-{number}", due_at))

    parts = [range(first, count, WRITERS) for first in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(write, parts))


def row(user_id: str, due_at: Decimal) -> dict[str, object]:
    """Return a delivery that waits for its first try."""
    delivery = Delivery(
        user_id=user_id,
        delivery_id=str(uuid.uuid4()),
        request_id="measure",
        integration_type="TEST",
        status=Status.PENDING,
        priority=1,
        max_attempts=1,
        retry_delay_seconds=1,
        created_at=0,
        due_at=int(due_at),
        sweep_at=int(due_at) - LONGEST_DELAY,
        sweep_shard=shard_of(user_id),
        fingerprint="measure",
    )
    return {**delivery.as_item(), "status": str(delivery.status)}


def main() -> int:
    """Measure with 100,000 rows, or as many as are asked for, on a cloud of its own."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with own_cloud() as (stack, session):
        runs = measure(session, stack, count)
    print(f"{count} rows due at one moment: {len(runs)} runs of the sweeper")
    for number, run in enumerate(runs, start=1):
        print(f"  run {number}: {run.rung} rung, {run.faults} faults, {run.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
