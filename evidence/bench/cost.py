"""The cost of a million sends: dollars from AWS calls, encoded rows and measured milliseconds.

Rows are those of the real transitions, encoded and sized as the table's adapter does it. Calls are
counted by ``tests/functions/test_aws_calls.py``, bytes of log lines by
``tests/functions/test_cost.py``, milliseconds by `make bench`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dispatcher.adapters.items import item_size, message_item, request_item
from dispatcher.delivery import transitions
from dispatcher.delivery.rows import SHARDS
from dispatcher.delivery.transitions import Attempted, Step
from evidence.bench import rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.delivery.rows import MessageRow
    from dispatcher.delivery.transitions import ClaimDenied, SettleDenied

MILLION = 1_000_000
RETENTION = 90 * 86_400.0

# List prices in us-east-1, November 2026, in dollars without any free tier: for a million …
API_REQUEST, INVOCATION, QUEUE_REQUEST = 3.50, 0.20, 0.40
GIGABYTE_SECOND = 13.3334
WRITE_UNIT, READ_UNIT = 0.625, 0.125
# … and for one gigabyte, or for one each month.
LOG_GIGABYTE, STORED_GIGABYTE = 0.50, 0.25
KEY, DASHBOARD, ALARM_METRIC = 1.00, 3.00, 0.10

READ, READS, PUT = "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem"
WRITE, RING = "dynamodb:UpdateItem", "sqs:SendMessage"

CALLS: Mapping[str, tuple[str, ...]] = {
    "send": (READ, PUT, PUT, RING),
    "repeated send": (READ, PUT, READ),
    "visit": (READS, WRITE),
    "attempt": (WRITE,),
    "retry": (RING,),
    "final failure": (RING, WRITE),
    "mailbox": (PUT,),
    "history page": ("dynamodb:Query",),
    "effective configuration": (READ,),
}
"""The AWS calls of each step."""

SIZES = {"overrides row": 180, "send": 1240, "attempt": 830, "batch": 250}
"""Bytes of a row, and of the log lines of one send, attempt and batch."""

CORE = 1.769
"""Gigabytes of memory that come with a whole core."""

# Milliseconds of processor time on a whole core, then of waiting: the last is an estimate.
AUTHORIZE, SEND, DELIVERY, SWEEP = 0.1, 3.5, 7.0, 10.0
RECEIVER, CALL = 200.0, 5.0

MINUTES = 30 * 24 * 60
"""Of a month; a sweep starts in each."""
ALARMS, ALARM_METRICS = 12, 18
POLLED_QUEUES = 3
POLLS = 5 * 3
"""Empty responses of a queue in a minute: five pollers, which wait for 20 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How messages come in and go out; by default one HTTP send over one webhook."""

    deliveries: int = 1
    attempts: int = 1
    """Of each delivery; the last one succeeds."""
    content: int = 1_000
    """Bytes."""
    by_events: bool = False
    """Ten to a batch, without API Gateway and authorizer."""
    batch: int = 10
    """Messages that the worker gets at once."""
    memory: float = 0.5
    """Gigabytes of a function of the API."""
    worker_memory: float = 1.0
    logs: float = 1.0
    """The share of log lines that are written."""
    months: float = 3
    """For which rows are kept."""


def bill(case: Case) -> dict[str, float]:
    """Return the dollars that a million sends cost, by item."""
    message, doorbells = life(case), case.attempts
    attempts, batches = case.deliveries * case.attempts, doorbells / case.batch
    invocations = batches + (1 / 10 if case.by_events else 2)
    # A visit reads, claims, and records after each attempt.
    waited = attempts / doorbells * (RECEIVER + CALL) + 2 * CALL
    busy = attempts / batches * DELIVERY * _slowdown(case.worker_memory)
    api = (SEND + (0 if case.by_events else AUTHORIZE)) * _slowdown(case.memory) + 4 * CALL
    gigabyte_seconds = (batches * (busy + waited) * case.worker_memory + api * case.memory) / 1000
    # Each doorbell is sent alone, and received and deleted in a batch, as events are.
    queue = doorbells * (1 + 2 / case.batch) + (1 + 2 / 10 if case.by_events else 0)
    overrides = read_units(SIZES["overrides row"])
    visit = overrides + read_units(message.row_bytes) + read_units(message.request_bytes)
    log_bytes = SIZES["send"] + attempts * SIZES["attempt"] + batches * SIZES["batch"]
    stored = message.request_bytes + message.row_bytes
    return {
        "API Gateway": 0.0 if case.by_events else API_REQUEST,
        "Lambda": INVOCATION * invocations + GIGABYTE_SECOND * gigabyte_seconds,
        "SQS": QUEUE_REQUEST * queue,
        "DynamoDB writes": WRITE_UNIT * message.units,
        "DynamoDB reads": READ_UNIT * (overrides + case.attempts * visit),
        "Storage": STORED_GIGABYTE * stored * case.months * MILLION / 1e9,
        "Logs": LOG_GIGABYTE * log_bytes * case.logs * MILLION / 1e9,
    }


def total(case: Case) -> float:
    """Return the sum of a bill."""
    return sum(bill(case).values())


@dataclass(slots=True)
class Life:
    """The writes of a request and its message row, counted as DynamoDB bills them."""

    request_bytes: int
    row_bytes: int = 0
    row_units: int = 0
    index_units: int = 0
    writes: int = 0
    row: MessageRow | None = field(default=None, repr=False)

    @property
    def units(self) -> int:
        """Return all write units: the request's, the message row's, and index entries."""
        return write_units(self.request_bytes) + self.row_units + self.index_units

    def write(self, step: Step | ClaimDenied | SettleDenied) -> MessageRow:
        """Count a write: the larger of the two sizes, and the index entries put and deleted."""
        if not isinstance(step, Step):
            raise TypeError(f"the model's message does not go on: {step}")
        row = replace(step.row, rev=rows.REV)
        size = item_size(message_item(row))
        before = self.row.sweep_at if self.row else None
        if before != row.sweep_at:
            self.index_units += (before is not None) + (row.sweep_at is not None)
        self.row_units += write_units(max(size, self.row_bytes))
        self.row_bytes, self.row, self.writes = size, row, self.writes + 1
        return row


def life(case: Case) -> Life:
    """Write a message as a worker does whose visits attempt all deliveries in time."""
    request = rows.request(case.deliveries, case.content, max_attempts=max(4, case.attempts))
    message = Life(request_bytes=item_size(request_item(request)))
    now = request.created_at
    row = message.write(transitions.accept(request, now=now))
    for _ in range(case.attempts):
        now = max(now + 0.1, *(delivery.due_at for delivery in row.deliveries))
        claim = transitions.begin(row, token=rows.token(1), now=now, retention=RETENTION)
        row = message.write(claim)
        while row.owner is not None and row.current is not None:
            delivery = row.deliveries[row.current]
            is_last = delivery.tries == case.attempts
            outcome = (rows.DELIVERED if is_last else rows.FAILED)[delivery.type]
            step = transitions.settle(
                row,
                row.owner,
                Attempted(outcome, round(now, 3), 0.183),
                now=round(now + 0.2, 3),
                retention=RETENTION,
                next_token=rows.token(message.writes),
            )
            row, now = message.write(step), now + 0.371
    return message


def idle() -> dict[str, float]:
    """Return the dollars that a stack costs in a month without any message."""
    sweep = (SWEEP + CALL) / 1000 * CORE
    read = READ_UNIT * read_units(0, consistent=False) * SHARDS
    return {
        "the key": KEY,
        "the dashboard": DASHBOARD,
        f"{ALARMS} alarms, which look at {ALARM_METRICS} metrics": ALARM_METRIC * ALARM_METRICS,
        f"polling of {POLLED_QUEUES} queues": (
            QUEUE_REQUEST * POLLED_QUEUES * POLLS * MINUTES / MILLION
        ),
        "a sweep each minute": (read + INVOCATION + GIGABYTE_SECOND * sweep) * MINUTES / MILLION,
    }


def _slowdown(memory: float) -> float:
    """Return how many times as long a function with this memory takes to compute."""
    return max(1.0, CORE / memory)


def write_units(size: float) -> int:
    """Return the write units of a row: one for each KB begun."""
    return max(1, math.ceil(size / 1024))


def read_units(size: float, *, consistent: bool = True) -> float:
    """Return the read units of what one call reads: one for each 4 KB begun, half if eventual."""
    return max(1, math.ceil(size / 4096)) * (1 if consistent else 0.5)


USUAL = Case()
KNOBS: Mapping[str, Case] = {
    "as it is": USUAL,
    "events in place of HTTP": Case(by_events=True),
    "API functions with 256 MB": Case(memory=0.25),
    "API functions with 1,024 MB": Case(memory=1.0),
    "worker with 512 MB": Case(worker_memory=0.5),
    "worker gets one message at a time": Case(batch=1),
    "`LogLevel=WARNING`": Case(logs=0.0),
    "`RetentionDays=30`": Case(months=1),
    "events, `LogLevel=WARNING`, `RetentionDays=30`": Case(by_events=True, logs=0.0, months=1),
}


def tables() -> dict[str, list[list[str]]]:
    """Return the rows of each table of docs/cost.md by the heading above it."""

    def with_all(items: dict[str, float]) -> list[list[str]]:
        items = {**items, "all": sum(items.values())}
        return [[name, _dollars(amount)] for name, amount in items.items()]

    def row(name: str, case: Case) -> list[str]:
        return [name, str(life(case).units), _dollars(total(case))]

    return {
        "One send": with_all(bill(USUAL)),
        "An idle stack": with_all(idle()),
        "Fan-out": [
            [*row(str(count), case), _dollars(total(case) / count)]
            for count in (1, 3, 7)
            for case in [Case(deliveries=count)]
        ],
        "Retries": [row(str(count), Case(attempts=1 + count)) for count in (0, 1, 3, 10)],
        "Payload": [row(f"{size:,}", Case(content=size)) for size in (250, 1_000, 10_000, 100_000)],
        "Knobs": [[name, _dollars(total(case))] for name, case in KNOBS.items()],
    }


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}"
