"""What a message costs: dollars from counted calls, measured bytes and milliseconds.

Pure: nothing is looked up here. The counts are those that ``tests/functions/test_aws_calls.py``
holds; the bytes and milliseconds are measured by ``tests/functions/test_cost.py`` and `make bench`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dispatcher.delivery import protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MILLION = 1_000_000
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
    """That an alarm looks at."""


READ, WRITE, RING = "dynamodb:GetItem", "dynamodb:UpdateItem", "sqs:SendMessage"
TRANSACTION, PUT = "dynamodb:TransactWriteItems", "dynamodb:PutItem"

CALLS: Mapping[str, tuple[str, ...]] = {
    "send": (READ, TRANSACTION, RING),
    "request": (READ, READ),
    "attempt": (WRITE, WRITE),
    "retry": (RING,),
    "final failure": (RING, WRITE),
    "mailbox": (PUT,),
    "history page": ("dynamodb:Query",),
    "effective configuration": (READ,),
}
"""The calls of AWS that each step takes, as ``tests/functions/test_aws_calls.py`` counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes, as measured for the message in ``bench.rows``."""

    delivery_row: int = 410
    """Pending."""
    ended_row: int = 620
    """With one attempt."""
    attempt_entry: int = 130
    """That each attempt adds to the row."""
    request_row: int = 790
    """Without its content."""
    overrides_row: int = 180
    send_log: int = 1240
    """Lines of one send: accepted and answered."""
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
    """An answer of AWS: an estimate."""
    receiver: float = 200
    sweep: float = 10
    """That finds nothing, on a whole core."""


MINUTES = 30 * 24 * 60
"""Of a month; in each a sweep begins."""
ALARMS, ALARM_METRICS = 12, 18
POLLED_QUEUES = 3
POLLS = 5 * 3
"""Empty answers of a polled queue in a minute: five pollers, which wait for 20 seconds."""

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
    """Messages that the worker gets at once."""
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
    request_row = sizes.request_row + case.content
    tries = case.deliveries * case.attempts
    # A doorbell for the request, and one for each retry; each is sent, received and deleted.
    doorbells = 1 + case.deliveries * (case.attempts - 1)
    batches = doorbells / case.batch
    by_events = case.entry == "events"
    invocations = batches + (1 / 10 if by_events else 2)
    waited = _in_turn(case) * (times.receiver + 4 * times.call)
    busy = tries / batches * times.delivery * _slowed(case.worker_memory)
    api = times.send * _slowed(case.memory) + 3 * times.call
    if not by_events:
        api += times.authorize * _slowed(case.memory)
    gigabyte_seconds = (batches * (busy + waited) * case.worker_memory + api * case.memory) / 1000
    log_bytes = sizes.send_log + tries * sizes.attempt_log + batches * sizes.batch_log
    stored = request_row + case.deliveries * (
        sizes.ended_row + (case.attempts - 1) * sizes.attempt_entry
    )
    return {
        "API Gateway": 0.0 if by_events else prices.api_request,
        "Lambda": prices.invocation * invocations + prices.gigabyte_second * gigabyte_seconds,
        "SQS": prices.queue_request * _queue_requests(case, doorbells, by_events=by_events),
        "DynamoDB writes": prices.write_unit * written(case, sizes),
        "DynamoDB reads": prices.read_unit * _read(case, sizes, request_row),
        "Storage": prices.stored_gigabyte * stored * case.months * MILLION / 1e9,
        "Logs": prices.log_gigabyte * log_bytes * case.logs * MILLION / 1e9,
    }


def total(case: Case, **inputs: Any) -> float:  # noqa: ANN401 - bill's
    """Return all of a bill."""
    return sum(bill(case, **inputs).values())


def written(case: Case, sizes: Sizes) -> float:
    """Return the write units of a send and all its deliveries.

    A transaction costs double. An index costs a write for each new row in it, two (delete and put)
    for each change of its keys, one for each row that leaves it.
    """
    row = write_units(sizes.delivery_row)
    index = 1  # its rows hold a part of the row, which fits one unit
    request = write_units(sizes.request_row + case.content)
    accept = 2 * (request + case.deliveries * row) + case.deliveries * index
    claims = case.deliveries * case.attempts * (row + 2 * index)
    retries = case.deliveries * (case.attempts - 1) * (row + 2 * index)
    ends = case.deliveries * (
        write_units(sizes.ended_row + (case.attempts - 1) * sizes.attempt_entry) + index
    )
    return accept + claims + retries + ends


def floor(case: Case, prices: Prices | None = None) -> Bill:
    """Return what no design over these services can go below.

    The message is kept in one row, its outcome in another write, its settings are read once; all
    else is shared with so many others that it costs nothing.
    """
    prices = prices or Prices()
    kept = case.content + 300
    return {
        "DynamoDB writes": prices.write_unit * (write_units(kept) + case.deliveries),
        "DynamoDB reads": prices.read_unit * 0.5,
        "Storage": prices.stored_gigabyte * kept * case.months * MILLION / 1e9,
    }


def idle(prices: Prices | None = None, times: Milliseconds | None = None) -> Bill:
    """Return what a stack costs in a month in which nobody uses it."""
    prices, times = prices or Prices(), times or Milliseconds()
    swept = MINUTES * (times.sweep + times.call) / 1000 * CORE
    sweeps = (
        prices.read_unit * read_units(0, consistent=False) * protocol.SHARDS * MINUTES
        + prices.invocation * MINUTES
        + prices.gigabyte_second * swept
    ) / MILLION
    polls = prices.queue_request * POLLED_QUEUES * POLLS * MINUTES / MILLION
    return {
        "the key": prices.key,
        "the dashboard": prices.dashboard,
        f"{ALARMS} alarms, which look at {ALARM_METRICS} metrics": (
            prices.alarm_metric * ALARM_METRICS
        ),
        f"polling of {POLLED_QUEUES} queues": polls,
        "a sweep each minute": sweeps,
    }


def _queue_requests(case: Case, doorbells: int, *, by_events: bool) -> float:
    # Each is sent alone; received and deleted by the batch. So too the events that come in.
    return doorbells * (1 + 2 / case.batch) + (1 + 2 / 10 if by_events else 0)


def _read(case: Case, sizes: Sizes, request_row: int) -> float:
    """Return the read units: all reads are consistent."""
    overrides = read_units(sizes.overrides_row)
    visits = 1 + case.deliveries * (case.attempts - 1)
    return overrides + visits * (read_units(request_row) + overrides)


def _slowed(memory: float) -> float:
    """Return how many times as long a function of so much memory takes to compute."""
    return max(1.0, CORE / memory)


def _in_turn(case: Case) -> float:
    """Return how many receivers a doorbell's thread waits for, one after the other."""
    doorbells = 1 + case.deliveries * (case.attempts - 1)
    return case.deliveries * case.attempts / doorbells


def write_units(size: float) -> int:
    """Return the write units of a row: one for each KB begun."""
    return max(1, math.ceil(size / 1024))


def read_units(size: float, *, consistent: bool = True) -> float:
    """Return the read units of what one call reads: one for each 4 KB begun, half if eventual."""
    return max(1, math.ceil(size / 4096)) * (1 if consistent else 0.5)


def item_size(item: Mapping[str, Any]) -> int:
    """Return the bytes that DynamoDB counts for a row of plain Python values."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Any) -> int:  # noqa: ANN401 - any stored value
    match value:
        case None | bool():
            return 1
        case int() | float() | Decimal():
            digits = Decimal(repr(value) if isinstance(value, float) else value).normalize()
            return (len(digits.as_tuple().digits) + 1) // 2 + 1 + (value < 0)
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
        case list() | tuple():
            return 3 + sum(1 + _value_size(one) for one in value)
        case _:
            return 3 + sum(
                1 + len(str(name).encode()) + _value_size(one) for name, one in value.items()
            )


# The tables of docs/cost.md -----------------------------------------------------------------------

USUAL = Case()
FAN_OUT = (1, 3, 7)
RETRIES = (0, 1, 3, 10)
PAYLOADS = (250, 1_000, 10_000, 100_000)
KNOBS: Mapping[str, Case] = {
    "as it is": USUAL,
    "events in place of HTTP": replace(USUAL, entry="events"),
    "API functions with 256 MB": replace(USUAL, memory=0.25),
    "API functions with 1,024 MB": replace(USUAL, memory=1.0),
    "worker with 512 MB": replace(USUAL, worker_memory=0.5),
    "worker gets one message at a time": replace(USUAL, batch=1),
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
            ["all", dollars(total(USUAL))],
        ],
        "The floor": [
            *([name, dollars(amount)] for name, amount in floor(USUAL).items()),
            ["all", dollars(sum(floor(USUAL).values()))],
        ],
        "A stack that nobody uses": [
            *([name, dollars(amount)] for name, amount in idle().items()),
            ["all", dollars(sum(idle().values()))],
        ],
        "Fan-out": list(_grown("deliveries", FAN_OUT)),
        "Retries": [
            [str(retries), dollars(total(replace(USUAL, attempts=1 + retries)))]
            for retries in RETRIES
        ],
        "Payload": [
            [f"{size:,}", f"{written(replace(USUAL, content=size), Sizes()):g}",
             dollars(total(replace(USUAL, content=size)))]
            for size in PAYLOADS
        ],
        "Knobs": [[name, dollars(total(case))] for name, case in KNOBS.items()],
    }  # fmt: skip


def _grown(field: str, values: tuple[int, ...]) -> Iterator[list[str]]:
    for value in values:
        case = replace(USUAL, **{field: value})  # type: ignore[arg-type]  # each of them is a number
        yield [str(value), dollars(total(case)), dollars(total(case) / value)]


def dollars(amount: float) -> str:
    """Write an amount."""
    return f"${amount:,.2f}"
