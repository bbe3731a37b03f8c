"""The cost of a million sends: dollars from AWS calls, row sizes and measured milliseconds.

``tests/functions/test_aws_calls.py`` counts the calls of the real functions,
``tests/functions/test_cost.py`` their write units, rows and log lines; `make bench` measures
milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.delivery.rows import SHARDS

if TYPE_CHECKING:
    from collections.abc import Mapping

MILLION = 1_000_000

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

UNITS = {1: 6, 3: 8, 7: 12}
"""Write units of a send of 1,000 bytes by its number of deliveries, none of them retried."""

HELD: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "not held": (6, ()),
    "held for at most 15 minutes": (6, (READ,)),
    "held for longer": (9, (READ, READ, WRITE)),
    "held for longer, released by a change of preferences": (9, (READ, WRITE)),
}
"""Write units of a send with one delivery, and its AWS calls beyond those of a send not held."""

STORED = {1: (876, 716), 3: (881, 591), 7: (863, 733)}
"""Bytes of its request row and message row."""

SIZES = {"overrides row": 180, "send": 1240, "attempt": 830, "batch": 250}
"""Bytes of a row, and of the log lines of one send, attempt and batch."""

CORE = 1.769
"""Gigabytes of memory that come with a whole core."""

# Milliseconds of processor time on a whole core, then of waiting: the last is an estimate.
AUTHORIZE, SEND, DELIVERY, SWEEP = 0.1, 3.5, 7.0, 10.0
RECEIVER, CALL = 200.0, 5.0

MINUTES = 30 * 24 * 60
"""Of a month; a sweep starts in each."""
ALARMS, ALARM_METRICS = 14, 22
POLLED_QUEUES = 4
POLLS = 5 * 3
"""Empty responses of a queue in a minute: five pollers, which wait for 20 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How messages come in and go out; by default one HTTP send over one webhook."""

    deliveries: int = 1
    """One of the keys of ``UNITS``; each succeeds with its first attempt."""
    by_events: bool = False
    """Ten to a batch, without API Gateway and authorizer."""
    batch: int = 10
    """Messages that one call of the worker gets."""
    memory: float = 0.5
    """Gigabytes of a function of the API."""
    worker_memory: float = 1.0
    logs: float = 1.0
    """The share of log lines that are written."""
    months: float = 3
    """For which rows are kept."""


def bill(case: Case) -> dict[str, float]:
    """Return the dollars that a million sends cost, by item."""
    request_bytes, message_bytes = STORED[case.deliveries]
    batches = 1 / case.batch
    invocations = batches + (1 / 10 if case.by_events else 2)
    # A visit reads, claims, and records after each attempt.
    waited = case.deliveries * (RECEIVER + CALL) + 2 * CALL
    busy = case.deliveries * case.batch * DELIVERY * _slowdown(case.worker_memory)
    api = (SEND + (0 if case.by_events else AUTHORIZE)) * _slowdown(case.memory) + 4 * CALL
    gigabyte_seconds = (batches * (busy + waited) * case.worker_memory + api * case.memory) / 1000
    # A doorbell is sent alone, and received and deleted in a batch, as events are.
    queue = 1 + 2 / case.batch + (1 + 2 / 10 if case.by_events else 0)
    overrides = read_units(SIZES["overrides row"])
    reads = 2 * overrides + read_units(message_bytes) + read_units(request_bytes)
    log_bytes = SIZES["send"] + case.deliveries * SIZES["attempt"] + batches * SIZES["batch"]
    stored = request_bytes + message_bytes
    return {
        "API Gateway": 0.0 if case.by_events else API_REQUEST,
        "Lambda": INVOCATION * invocations + GIGABYTE_SECOND * gigabyte_seconds,
        "SQS": QUEUE_REQUEST * queue,
        "DynamoDB writes": WRITE_UNIT * UNITS[case.deliveries],
        "DynamoDB reads": READ_UNIT * reads,
        "Storage": STORED_GIGABYTE * stored * case.months * MILLION / 1e9,
        "Logs": LOG_GIGABYTE * log_bytes * case.logs * MILLION / 1e9,
    }


def total(case: Case) -> float:
    """Return the sum of a bill."""
    return sum(bill(case).values())


def receipt() -> float:
    """Return the dollars for a million reports of SES that change a receipt."""
    gigabyte_seconds = (10 * DELIVERY * _slowdown(0.5) + 2 * CALL) * 0.5 / 1000 / 10
    # SES's event is sent to the queue alone, and received and deleted in a batch.
    requests = QUEUE_REQUEST * (1 + 2 / 10)
    # The row is written without a change of its index entry.
    table = READ_UNIT * read_units(STORED[1][1]) + WRITE_UNIT
    return requests + (INVOCATION / 10 + GIGABYTE_SECOND * gigabyte_seconds) + table


def suppression() -> float:
    """Return the dollars for a million suppressions: one read and one write of the user's row."""
    return READ_UNIT * read_units(SIZES["overrides row"]) + WRITE_UNIT


def idle() -> dict[str, float]:
    """Return the dollars that a stack costs in a month without any message."""
    sweep = (SWEEP + CALL) / 1000 * CORE
    read = READ_UNIT * read_units(0, consistent=False) * SHARDS
    return {
        "KMS key": KEY,
        "dashboard": DASHBOARD,
        f"{ALARMS} alarms on {ALARM_METRICS} metrics": ALARM_METRIC * ALARM_METRICS,
        f"polling of {POLLED_QUEUES} queues": (
            QUEUE_REQUEST * POLLED_QUEUES * POLLS * MINUTES / MILLION
        ),
        "sweep every minute": (read + INVOCATION + GIGABYTE_SECOND * sweep) * MINUTES / MILLION,
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
    "unchanged": USUAL,
    "events instead of HTTP": Case(by_events=True),
    "API functions with 256 MB": Case(memory=0.25),
    "API functions with 1,024 MB": Case(memory=1.0),
    "worker with 512 MB": Case(worker_memory=0.5),
    "worker batches of one message": Case(batch=1),
    "`LogLevel=WARNING`": Case(logs=0.0),
    "`RetentionDays=30`": Case(months=1),
    "events, `LogLevel=WARNING`, `RetentionDays=30`": Case(by_events=True, logs=0.0, months=1),
}


def tables() -> dict[str, list[list[str]]]:
    """Return the rows of each table of docs/cost.md by the heading above it."""

    def with_total(items: dict[str, float]) -> list[list[str]]:
        items = {**items, "total": sum(items.values())}
        return [[name, _dollars(amount)] for name, amount in items.items()]

    return {
        "One send": with_total(bill(USUAL)),
        "Idle stack": with_total(idle()),
        "Fan-out": [
            [str(count), str(units), *map(_dollars, (total(case), total(case) / count))]
            for count, units in UNITS.items()
            for case in [Case(deliveries=count)]
        ],
        "Holds": [
            [name, str(len(calls)), str(units), _dollars(_more(units, calls))]
            for name, (units, calls) in HELD.items()
        ],
        "Receipts": [
            ["`all`", _dollars(receipt())],
            ["`problems`, with 2 % bounces", _dollars(0.02 * (receipt() + suppression()))],
        ],
        "Cost settings": [[name, _dollars(total(case))] for name, case in KNOBS.items()],
    }


def _more(units: int, calls: tuple[str, ...]) -> float:
    """Return the dollars for the requests of DynamoDB beyond those of a million sends not held."""
    return WRITE_UNIT * (units - UNITS[1]) + READ_UNIT * calls.count(READ)


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}"
