"""Measure the time from accept to delivered, on a service that runs: `python -m tools.measure`."""

from __future__ import annotations

import json
import statistics
import sys
import time
import urllib.request
import uuid
from datetime import datetime
from typing import Any, NamedTuple

from tools.paths import LOCAL

PATIENCE = 60.0
"""Seconds to wait for one delivery."""


class Latency(NamedTuple):
    """Milliseconds at two points of a distribution."""

    p50: float
    p95: float


class Figures(NamedTuple):
    """The result of one measurement."""

    answered: Latency
    """From the request to its 202, as the caller sees it."""
    delivered: Latency
    """From the accept to the end of the delivery, by the service's own times."""


def measure(api_url: str, count: int) -> Figures:
    """Send messages to TEST, one after the other as each is delivered, and time them.

    The first ones only warm up what the others use.
    """
    user = f"{api_url}/api/v1/users/measure-{uuid.uuid4().hex[:12]}"
    body = {"content": "How long does it take?", "integration_types": ["TEST"]}
    answered, delivered = [], []
    for number in range(-5, count):
        began = time.monotonic()
        accepted = ask("POST", f"{user}/deliveries", body)
        seconds = time.monotonic() - began
        done = wait_for(f"{user}/deliveries/{accepted['deliveries'][0]['delivery_id']}")
        if number >= 0:
            answered.append(seconds * 1000)
            delivered.append(milliseconds(done["created_at"], done["delivered_at"]))
    return Figures(latency(answered), latency(delivered))


def wait_for(url: str, patience: float = PATIENCE) -> dict[str, Any]:
    """Return a delivery once it has succeeded."""
    deadline = time.monotonic() + patience
    while True:
        delivery = ask("GET", url)
        if delivery["status"] == "success":
            return delivery
        if delivery["status"] != "pending" or time.monotonic() > deadline:
            raise SystemExit(f"error: a delivery did not succeed: {delivery}")
        time.sleep(0.02)


def ask(method: str, url: str, body: object = None) -> dict[str, Any]:
    """Return the service's response."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def milliseconds(start: str, end: str) -> float:
    """Return the time between two times of the API."""
    between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return between.total_seconds() * 1000


def latency(values: list[float]) -> Latency:
    """Return the median and the 95th percentile."""
    parts = statistics.quantiles(values, n=20, method="inclusive")
    return Latency(round(statistics.median(values)), round(parts[18]))


def main() -> int:
    """Measure the service that `make up` runs, with 100 messages or as many as are asked for."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    try:
        stack = json.loads((LOCAL / "stack.json").read_text())
    except FileNotFoundError:
        print("error: nothing runs here: make up", file=sys.stderr)
        return 1
    figures = measure(stack["api_url"], count)
    print(f"{count} messages to TEST at {stack['api_url']}, milliseconds:")
    print(f"  request to 202          p50 {figures.answered.p50}  p95 {figures.answered.p95}")
    print(f"  accept to delivered     p50 {figures.delivered.p50}  p95 {figures.delivered.p95}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
