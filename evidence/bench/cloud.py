"""Measures the whole service on a local cloud: latency, isolation of users, and long histories."""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.adapters.items import item_size, key, message_item
from dispatcher.adapters.system import SystemClock
from dispatcher.delivery.rows import MESSAGE
from dispatcher.messages.history import History
from evidence.bench.cost import read_units
from evidence.bench.figures import Figure
from evidence.bench.rows import DAY, MESSAGE_ID, message_of
from tools.failure import ToolFailure
from tools.local_cloud import LocalCloud, Stack
from tools.processes import free_port
from tools.receiver import Receiver

COUNT = 100
"""Messages whose latency is measured."""
FAILING = 200
"""Messages of another user whose receiver refuses all of them."""
ROWS, SHORT, PAGE = 100_000, 12, 5
"""Rows of a long and of a short history, and of a page; both go on behind their second page."""
PATIENCE = 60.0


def figures() -> Iterator[Figure]:
    """Deploy the service into its own local cloud, and yield its figures."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        cloud = LocalCloud(Path(home), api_port=free_port(), cloud_port=free_port())
        try:
            cloud.start()
            stack = cloud.deploy({"ApiRateLimit": "10000", "ApiBurstLimit": "5000"})
            yield from latencies(stack["api_url"])
            yield from pages(cloud.session.client("dynamodb"), stack, ROWS)
        finally:
            cloud.stop()


# Latency ------------------------------------------------------------------------------------------


def latencies(api_url: str, count: int = COUNT, failing: int = FAILING) -> Iterator[Figure]:
    """Yield the time from accept to delivered, alone and beside a user whose receiver fails."""
    user = f"{api_url}/api/v1/users/bench-{uuid.uuid4().hex[:8]}"
    send(user, count=5)  # starts the functions
    alone = send(user, count)
    noisy = f"{user}-noisy"
    with Receiver(default=503) as receiver:
        settings = {"retry_count": 20, "retry_delay_seconds": 5, "config": {"url": receiver.url}}
        ask("POST", f"{noisy}/integrations", {"integration_type": "WEBHOOK", **settings})
        body = {"content": "Hello", "integration_types": ["WEBHOOK"]}
        for _ in range(failing):
            ask("POST", f"{noisy}/deliveries", body)
        until = time.monotonic() + PATIENCE
        while len({arrival.headers["webhook-id"] for arrival in receiver.arrivals}) < failing:
            if time.monotonic() > until:
                raise ToolFailure(f"not all {failing} messages were attempted after {PATIENCE} s")
            time.sleep(0.1)
        beside = send(user, count)
        ask("PUT", f"{noisy}/integrations/WEBHOOK", {"enabled": False})
    for share, name in ((50, "p50"), (95, "p95")):
        what = f"accept to delivered, {name}"
        yield Figure(row="latency", what=what, value=percentile(alone, share), unit="ms")
    what = f"the same p95 beside {failing} failing messages of another user / alone"
    over = percentile(beside, 95) / percentile(alone, 95)
    yield Figure(row="latency", what=what, value=over, budget=2)


def send(user: str, count: int) -> list[float]:
    """Send messages to TEST one after the other; return milliseconds from accept to delivered."""
    taken = []
    for _ in range(count):
        body = {"content": "How long does it take?", "integration_types": ["TEST"]}
        [accepted] = ask("POST", f"{user}/deliveries", body)["deliveries"]
        until = time.monotonic() + PATIENCE
        while True:
            delivery = ask("GET", f"{user}/deliveries/{accepted['delivery_id']}")
            if delivery["status"] == "success":
                break
            if delivery["status"] != "pending" or time.monotonic() > until:
                raise ToolFailure(f"a delivery did not succeed: {delivery}")
            time.sleep(0.02)
        ends = [datetime.fromisoformat(delivery[name]) for name in ("created_at", "delivered_at")]
        taken.append((ends[1] - ends[0]).total_seconds() * 1000)
    return taken


def percentile(values: list[float], share: int) -> float:
    """Return the value that ``share`` percent of all values do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def ask(method: str, url: str, body: object = None) -> dict[str, Any]:
    """Return the body of a response; ``ToolFailure`` if it is an error."""
    with requests.Session() as http:
        http.trust_env = False
        response = http.request(method, url, json=body, timeout=30)
    if not response.ok:
        raise ToolFailure(f"{method} {url} returned {response.status_code}: {response.text}")
    result: dict[str, Any] = response.json()
    return result


# Pages --------------------------------------------------------------------------------------------


def pages(dynamodb: Any, stack: Stack, rows: int) -> Iterator[Figure]:  # noqa: ANN401 - a client of boto3
    """Yield the calls and read units of pages of a long history, relative to a short one.

    The local cloud reports the same units for every read, so they are computed from the rows that
    it read, by DynamoDB's rule: one for each 4 KB of all rows of a call.
    """
    table = stack["DeliveriesTableName"]
    size = insert(dynamodb, table, "short", SHORT)
    insert(dynamodb, table, "long", rows)
    read: list[int] = []
    dynamodb.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: read.append(parsed["ScannedCount"])
    )
    store = DeliveryTable(dynamodb, table, stack["OverridesTableName"])
    history = History(store=store, clock=SystemClock())

    def page(user: str, **query: str) -> tuple[int, float, str]:
        read.clear()
        cursor = history.page(user, {"limit": str(PAGE), **query})["next_cursor"]
        return len(read), sum(read_units(count * size) for count in read), str(cursor)

    for place in ("at offset 0", "by cursor"):
        by_cursor = place == "by cursor"
        (long_calls, long_units, _), (calls, units, _) = (
            page(user, **({"cursor": page(user)[2]} if by_cursor else {}))
            for user in ("long", "short")
        )
        what = f"page {place}, {rows:,} rows / {SHORT}"
        over = max(long_calls / calls, long_units / units)
        note = "the larger of calls and read units"
        yield Figure(row="history", what=what, value=over, budget=1, note=note)
    for offset in (100, 1_000, 10_000):
        _, units, _ = page("long", offset=str(offset))
        what = f"read units at offset {offset:,}"
        yield Figure(row="history", what=what, value=units, unit="units")


def insert(dynamodb: Any, table: str, user: str, count: int) -> int:  # noqa: ANN401 - a client of boto3
    """Write so many delivered messages of a user; return the bytes of one."""
    delivered = message_of(user, MESSAGE_ID, "success")
    item = message_item(replace(delivered, ttl=int(time.time()) + DAY))

    def write(start: int) -> None:
        # A message ID ends with 00.
        message_ids = [
            f"019aae2c-8f00-7000-8a5b-{number << 8:012x}"
            for number in range(start, min(start + 25, count))
        ]
        puts = [
            {"PutRequest": {"Item": {**item, **key(user, MESSAGE + message_id)}}}
            for message_id in message_ids
        ]
        dynamodb.batch_write_item(RequestItems={table: puts})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(0, count, 25)))
    return item_size(item)
