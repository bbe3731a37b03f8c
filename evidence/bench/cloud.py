"""Measures the whole service on a local cloud: latency, and isolation of users."""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from evidence.bench.figures import Figure
from tools.failure import ToolFailure
from tools.local_cloud import LocalCloud
from tools.processes import free_port
from tools.receiver import Receiver

COUNT = 100
"""Messages whose latency is measured."""
FAILING = 200
"""Messages of another user whose receiver refuses all of them."""
PATIENCE = 60.0


def figures() -> Iterator[Figure]:
    """Deploy the service into its own local cloud, and yield its figures."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        cloud = LocalCloud(Path(home), api_port=free_port(), cloud_port=free_port())
        try:
            cloud.start()
            stack = cloud.deploy({"ApiRateLimit": "10000", "ApiBurstLimit": "5000"})
            yield from latencies(stack["api_url"])
        finally:
            cloud.stop()


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
