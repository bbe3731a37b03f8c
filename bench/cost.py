"""The cost of a message: dollars from counted calls, encoded rows and measured milliseconds.

Pure: nothing is fetched. Rows are those of the real transitions, encoded and sized as the table's
adapter does it. The calls are those that ``tests/functions/test_aws_calls.py`` counts; the bytes of
log lines and the milliseconds are measured by ``tests/functions/test_cost.py`` and `make bench`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench import rows
from dispatcher.adapters.items import item_size, message_item, request_item
from dispatcher.delivery import transitions
from dispatcher.delivery.rows import SHARDS
from dispatcher.delivery.transitions import Attempted, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dispatcher.delivery.rows import MessageRow
    from dispatcher.delivery.transitions import ClaimDenied, SettleDenied

MILLION = 1_000_000
RETENTION = 90 * 86_400.0
PRICES_OF = "November 2026"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """List prices in us-east-1, in dollars for a million of each, without any free tier."""

    api_request: float = 3.50
    invocation: float = 0.20
    gigabyte_second: float = 13.3334
    """Of Lambda on arm64."""
    queue_request: float = 0.40
    """For 64 KB each."""
    write_unit: float = 0.625
    read_unit: float = 0.125
    log_gigabyte: float = 0.50
    """For one."""
    stored_gigabyte: float = 0.25
    """For one, a month."""
    key: float = 1.00
    """One, a month; so are the next ones."""
    dashboard: float = 3.00
    alarm_metric: float = 0.10
    """That an alarm reads."""


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
"""The AWS calls of each step, as ``tests/functions/test_aws_calls.py`` counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes, as measured for the message in ``bench.rows``."""

    overrides_row: int = 180
    send_log: int = 1240
    """The lines of one send: accepted and handled."""
    attempt_log: int = 830
    """The line of one attempt."""
    batch_log: int = 250
    """The line of one batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Milliseconds:
    """Processor time of warm invocations on a whole core, as measured, and what is waited for."""

    authorize: float = 0.1
    send: float = 3.5
    delivery: float = 7
    call: float = 5
    """A response of AWS: an estimate."""
    receiver: float = 200
    sweep: float = 10
    """That finds nothing, on a whole core."""


MINUTES = 30 * 24 * 60
"""Of a month; in each a sweep begins."""
ALARMS, ALARM_METRICS = 12, 18
POLLED_QUEUES = 3
POLLS = 5 * 3
"""Empty responses of a polled queue in a minute: five pollers, which wait for 20 seconds."""

CORE = 1.769
"""Gigabytes of memory that come with a whole core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How messages come in and go out; the defaults are one HTTP send over one webhook."""

    deliveries: int = 1
    """Of each send."""
    attempts: int = 1
    """Of each delivery; the last one succeeds."""
    content: int = 1_000
    """Bytes."""
    entry: str = "http"
    """``http`` or ``events``: ten to a batch, without API Gateway and authorizer."""
    batch: int = 10
    """Messages that the worker receives in one batch."""
    memory: float = 0.5
    """Gigabytes of a function of the API."""
    worker_memory: float = 1.0
    logs: float = 1.0
    """Share of the lines that are written."""
    months: float = 3
    """That rows are kept."""


Bill = dict[str, float]
"""Dollars for a million sends by what they are paid for."""


def bill(
    case: Case,
    prices: Prices | None = None,
    sizes: Sizes | None = None,
    times: Milliseconds | None = None,
) -> Bill:
    """Return what a million sends cost."""
    prices, sizes, times = prices or Prices(), sizes or Sizes(), times or Milliseconds()
    message = life(case)
    attempts = case.deliveries * case.attempts
    doorbells = case.attempts
    batches = doorbells / case.batch
    by_events = case.entry == "events"
    invocations = batches + (1 / 10 if by_events else 2)
    # A visit reads, claims, and records after each attempt.
    waited = attempts / doorbells * (times.receiver + times.call) + 2 * times.call
    busy = attempts / batches * times.delivery * _slowed(case.worker_memory)
    api = times.send * _slowed(case.memory) + 4 * times.call
    if not by_events:
        api += times.authorize * _slowed(case.memory)
    gigabyte_seconds = (batches * (busy + waited) * case.worker_memory + api * case.memory) / 1000
    log_bytes = sizes.send_log + attempts * sizes.attempt_log + batches * sizes.batch_log
    stored = message.request_bytes + message.row_bytes
    return {
        "API Gateway": 0.0 if by_events else prices.api_request,
        "Lambda": prices.invocation * invocations + prices.gigabyte_second * gigabyte_seconds,
        "SQS": prices.queue_request * _queue_requests(case, doorbells, by_events=by_events),
        "DynamoDB writes": prices.write_unit * message.units,
        "DynamoDB reads": prices.read_unit * _read(case, sizes, message),
        "Storage": prices.stored_gigabyte * stored * case.months * MILLION / 1e9,
        "Logs": prices.log_gigabyte * log_bytes * case.logs * MILLION / 1e9,
    }


def total(case: Case, **inputs: Any) -> float:  # noqa: ANN401 - bill's
    """Return all of a bill."""
    return sum(bill(case, **inputs).values())


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
        """All write units: the request's put, the writes of the message row, index entries."""
        return write_units(self.request_bytes) + self.row_units + self.index_units

    def write(self, step: Step) -> MessageRow:
        """Count a write: the larger of the two sizes, and the index entries put and deleted."""
        row = replace(step.row, rev=rows.REV)
        size = item_size(message_item(row))
        before = self.row.sweep_at if self.row else None
        if before != row.sweep_at:
            self.index_units += (before is not None) + (row.sweep_at is not None)
        self.row_units += write_units(max(size, self.row_bytes))
        self.row_bytes, self.row, self.writes = size, row, self.writes + 1
        return row


def life(case: Case) -> Life:
    """Write a message as a worker does whose receivers respond in time; nothing fails but attempts.

    Each delivery is attempted ``case.attempts`` times and succeeds with the last; every visit
    attempts all deliveries.
    """
    most = max(4, case.attempts)
    request = rows.request(case.deliveries, case.content, max_attempts=most)
    message = Life(request_bytes=item_size(request_item(request)))
    now = request.created_at
    row = message.write(transitions.accept(request, now=now))
    for _ in range(case.attempts):
        now = max(now + 0.1, *(delivery.due_at for delivery in row.deliveries))
        claim = transitions.begin(row, token=rows.token(1), now=now, retention=RETENTION)
        row = message.write(_taken(claim))
        while row.owner is not None and row.current is not None:
            delivery = row.deliveries[row.current]
            last = delivery.tries == case.attempts
            outcome = rows.DELIVERED[delivery.type] if last else rows.FAILED[delivery.type]
            step = transitions.settle(
                row,
                row.owner,
                Attempted(outcome, round(now, 3), 0.183),
                now=round(now + 0.2, 3),
                retention=RETENTION,
                next_token=rows.token(message.writes),
            )
            row, now = message.write(_taken(step)), now + 0.371
    return message


def _taken(step: Step | ClaimDenied | SettleDenied) -> Step:
    if not isinstance(step, Step):
        raise TypeError(f"the model's message does not go on: {step}")
    return step


def floor(case: Case, prices: Prices | None = None) -> Bill:
    """Return what no design over these services can go below.

    The message is kept in one row, its outcome in another write, its settings are read once; all
    else is shared with so many others that it costs nothing.
    """
    prices = prices or Prices()
    kept = item_size(request_item(rows.request(case.deliveries, case.content)))
    return {
        "DynamoDB writes": prices.write_unit * (write_units(kept) + case.deliveries),
        "DynamoDB reads": prices.read_unit * 0.5,
        "Storage": prices.stored_gigabyte * kept * case.months * MILLION / 1e9,
    }


def idle(prices: Prices | None = None, times: Milliseconds | None = None) -> Bill:
    """Return the cost of a stack in a month without any request."""
    prices, times = prices or Prices(), times or Milliseconds()
    swept = MINUTES * (times.sweep + times.call) / 1000 * CORE
    sweeps = (
        prices.read_unit * read_units(0, consistent=False) * SHARDS * MINUTES
        + prices.invocation * MINUTES
        + prices.gigabyte_second * swept
    ) / MILLION
    polls = prices.queue_request * POLLED_QUEUES * POLLS * MINUTES / MILLION
    return {
        "KMS key": prices.key,
        "dashboard": prices.dashboard,
        f"{ALARMS} alarms on {ALARM_METRICS} metrics": prices.alarm_metric * ALARM_METRICS,
        f"polling of {POLLED_QUEUES} queues": polls,
        "sweep every minute": sweeps,
    }


def _queue_requests(case: Case, doorbells: int, *, by_events: bool) -> float:
    # Each is sent alone; received and deleted by the batch. So too the events that come in.
    return doorbells * (1 + 2 / case.batch) + (1 + 2 / 10 if by_events else 0)


def _read(case: Case, sizes: Sizes, message: Life) -> float:
    """Return the read units: all reads are consistent."""
    overrides = read_units(sizes.overrides_row)
    visit = overrides + read_units(message.row_bytes) + read_units(message.request_bytes)
    return overrides + case.attempts * visit


def _slowed(memory: float) -> float:
    """Return how many times as long a function of so much memory takes to compute."""
    return max(1.0, CORE / memory)


def write_units(size: float) -> int:
    """Return the write units of a row: one for each KB begun."""
    return max(1, math.ceil(size / 1024))


def read_units(size: float, *, consistent: bool = True) -> float:
    """Return the read units of what one call reads: one for each 4 KB begun, half if eventual."""
    return max(1, math.ceil(size / 4096)) * (1 if consistent else 0.5)


# The tables of docs/cost.md -----------------------------------------------------------------------

USUAL = Case()
FAN_OUT = (1, 3, 7)
RETRIES = (0, 1, 3, 10)
PAYLOADS = (250, 1_000, 10_000, 100_000)
KNOBS: Mapping[str, Case] = {
    "unchanged": USUAL,
    "events instead of HTTP": replace(USUAL, entry="events"),
    "API functions with 256 MB": replace(USUAL, memory=0.25),
    "API functions with 1,024 MB": replace(USUAL, memory=1.0),
    "worker with 512 MB": replace(USUAL, worker_memory=0.5),
    "worker batches of one message": replace(USUAL, batch=1),
    "`LogLevel=WARNING`": replace(USUAL, logs=0.0),
    "`RetentionDays=30`": replace(USUAL, months=1),
    "events, `LogLevel=WARNING`, `RetentionDays=30`": replace(
        USUAL, entry="events", logs=0.0, months=1
    ),
}


def tables() -> dict[str, list[list[str]]]:
    """Return the rows of each table by the heading above it."""
    return {
        "One send": [
            *([name, dollars(amount)] for name, amount in bill(USUAL).items()),
            ["total", dollars(total(USUAL))],
        ],
        "Lower bound": [
            *([name, dollars(amount)] for name, amount in floor(USUAL).items()),
            ["total", dollars(sum(floor(USUAL).values()))],
        ],
        "Idle stack": [
            *([name, dollars(amount)] for name, amount in idle().items()),
            ["total", dollars(sum(idle().values()))],
        ],
        "Fan-out": list(_fan_out()),
        "Retries": [
            [
                str(retries),
                str(life(replace(USUAL, attempts=1 + retries)).units),
                dollars(total(replace(USUAL, attempts=1 + retries))),
            ]
            for retries in RETRIES
        ],
        "Payload": [
            [f"{size:,}", str(life(replace(USUAL, content=size)).units),
             dollars(total(replace(USUAL, content=size)))]
            for size in PAYLOADS
        ],
        "Cost settings": [[name, dollars(total(case))] for name, case in KNOBS.items()],
    }  # fmt: skip


def _fan_out() -> Iterator[list[str]]:
    for count in FAN_OUT:
        case = replace(USUAL, deliveries=count)
        units = str(life(case).units)
        yield [str(count), units, dollars(total(case)), dollars(total(case) / count)]


def dollars(amount: float) -> str:
    """Write an amount."""
    return f"${amount:,.2f}"
