"""Measure what one user's failing receiver costs the others: `python -m tools.measure_isolation`.

One hundred users send one message each to TEST, evenly over some seconds: alone, and beside one
user whose messages all go to a receiver that fails, time after time. `--burst` measures the worst
moment too: that user's messages all fall due for the first time as the others begin.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tools.measure import Latency, ask, latency, milliseconds, wait_for
from tools.measure_cloud import own_cloud
from tools.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLERS = 8
"""Threads that send messages."""

HANG = 30.0
"""Seconds that a hanging receiver takes: longer than any attempt."""


class Hanging(Receiver):
    """Accepts every request and responds to none in time."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = threading.Event()

    def take(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Hold the line until the attempt is long over, or the measurement is."""
        self._ended.wait(HANG)
        return super().take(method, path, headers, body)

    def __exit__(self, *parts: object) -> None:
        """Let go of all lines."""
        self._ended.set()
        super().__exit__(*parts)


@dataclass
class Measurement:
    """One running service, and the users that are measured on it."""

    api_url: str
    users: int = 100
    seconds: float = 30.0
    """Over which the quiet users' messages are spread."""
    delay: int = 60
    """Seconds between two tries of the noisy user's messages."""
    ahead: float = 75.0
    """Seconds within which a burst is accepted, before it is due."""
    phases: int = 0

    def quiet(self) -> Latency:
        """Send one message for each quiet user and return accept to delivered."""
        self.phases += 1
        began = time.monotonic()

        def send(number: int) -> str:
            time.sleep(max(0.0, began + number * self.seconds / self.users - time.monotonic()))
            user = f"{self.api_url}/api/v1/users/quiet-{self.phases}-{number}"
            return f"{user}/deliveries/{self._sent(user, 'TEST')}"

        with ThreadPoolExecutor(CALLERS) as callers:
            paths = list(callers.map(send, range(self.users)))
        ended = [wait_for(path, patience=300) for path in paths]
        return latency([milliseconds(one["created_at"], one["delivered_at"]) for one in ended])

    def beside_retries(self, url: str, count: int) -> Latency:
        """Do the same while one user's messages, each of which failed before, are tried again."""
        user = self._noisy(url)
        self._send_all(user, count)
        while self._untried(user):
            time.sleep(1.0)
        figures = self.quiet()
        ask("PUT", f"{user}/integrations/WEBHOOK", {"enabled": False})
        return figures

    def beside_burst(self, url: str, count: int) -> Latency:
        """Do the same while one user's messages fall due for the first time, all at one moment."""
        user = self._noisy(url)
        due = datetime.now(UTC) + timedelta(seconds=self.ahead)
        self._send_all(user, count, due)
        # On a slow machine the first of them are under way before the last is accepted.
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        figures = self.quiet()
        ask("PUT", f"{user}/integrations/WEBHOOK", {"enabled": False})
        return figures

    def _noisy(self, url: str) -> str:
        user = f"{self.api_url}/api/v1/users/noisy-{self.phases}"
        settings = {"retry_count": 20, "retry_delay_seconds": self.delay, "config": {"url": url}}
        ask("POST", f"{user}/integrations", {"integration_type": "WEBHOOK", **settings})
        return user

    def _send_all(self, user: str, count: int, due: datetime | None = None) -> None:
        with ThreadPoolExecutor(CALLERS) as callers:
            list(callers.map(lambda _: self._sent(user, "WEBHOOK", due), range(count)))

    def _untried(self, user: str) -> bool:
        path = f"{user}/deliveries?limit=200"
        page = ask("GET", path)
        while all(one["attempts"] for one in page["deliveries"]):
            if page["next_cursor"] is None:
                return False
            page = ask("GET", f"{path}&cursor={page['next_cursor']}")
        return True

    def _sent(self, user: str, integration_type: str, due: datetime | None = None) -> str:
        body: dict[str, Any] = {"content": "Hello", "integration_types": [integration_type]}
        if due:
            body["deliver_at"] = due.isoformat()
        accepted = ask("POST", f"{user}/deliveries", body)
        return str(accepted["deliveries"][0]["delivery_id"])


def main() -> int:
    """Measure with 1,000 noisy messages, or as many as are asked for, on a separate cloud."""
    parser = argparse.ArgumentParser(prog="python -m tools.measure_isolation", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000, help="messages of the noisy")
    parser.add_argument("--burst", action="store_true", help="measure the worst moment too")
    asked = parser.parse_args()
    with own_cloud() as (stack, _):
        running = Measurement(stack["api_url"])
        running.quiet()  # warms up what the others use
        alone = running.quiet()
        print(f"{running.users} users, accept to delivered, milliseconds:")
        tell("alone", alone, alone)
        for receiver, manner in (
            (Receiver(refusals=10**9, refusal=HTTPStatus.SERVICE_UNAVAILABLE), "503 at once"),
            (Hanging(), "no answer, 10 s"),
        ):
            with receiver:
                figures = running.beside_retries(receiver.url, asked.count)
                tell(f"{asked.count} retried, {manner}", figures, alone)
                if asked.burst:
                    figures = running.beside_burst(receiver.url, asked.count)
                    tell(f"{asked.count} at once, {manner}", figures, alone)
    return 0


def tell(name: str, figures: Latency, alone: Latency) -> None:
    """Print one line of the table."""
    ratio = figures.p95 / alone.p95
    print(f"  {name:<30} p50 {figures.p50:>6}  p95 {figures.p95:>6}  ratio {ratio:.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
