"""Measure what one user's failing receiver costs the others: `python -m tools.measure_isolation`.

One hundred users send one message each to TEST, evenly over some seconds: alone, and while the
messages of one other user, all due at the moment at which they begin, go to a receiver that fails.
"""

from __future__ import annotations

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
    """Takes every request and answers none in time."""

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
    ahead: float = 75.0
    """Seconds within which the noise is accepted, before it is due."""
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

    def noisy(self, url: str, count: int) -> Latency:
        """Do the same while one user's messages go to a receiver that fails."""
        user = f"{self.api_url}/api/v1/users/noisy-{self.phases}"
        ask("POST", f"{user}/integrations", {"integration_type": "WEBHOOK", "config": {"url": url}})
        due = datetime.now(UTC) + timedelta(seconds=self.ahead)
        with ThreadPoolExecutor(CALLERS) as callers:
            list(callers.map(lambda _: self._sent(user, "WEBHOOK", due), range(count)))
        # On a slow machine the first of them are under way before the last is accepted.
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        return self.quiet()

    def _sent(self, user: str, integration_type: str, due: datetime | None = None) -> str:
        body: dict[str, Any] = {"content": "Hello", "integration_types": [integration_type]}
        if due:
            body["deliver_at"] = due.isoformat()
        accepted = ask("POST", f"{user}/deliveries", body)
        return str(accepted["deliveries"][0]["delivery_id"])


def main() -> int:
    """Measure with 1,000 noisy messages, or as many as are asked for, on a cloud of its own."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with own_cloud() as (stack, _):
        running = Measurement(stack["api_url"])
        running.quiet()  # warms up what the others use
        alone = running.quiet()
        print(f"{running.users} users, accept to delivered, milliseconds:")
        print(
            f"  alone                          p50 {alone.p50:>6}  p95 {alone.p95:>6}", flush=True
        )
        refusing = Receiver(refusals=10**9, refusal=HTTPStatus.SERVICE_UNAVAILABLE)
        for name, receiver in (("503 at once", refusing), ("no answer, 10 s", Hanging())):
            with receiver:
                figures = running.noisy(receiver.url, count)
            ratio = figures.p95 / alone.p95
            print(
                f"  beside {count} x {name:<16}  p50 {figures.p50:>6}  p95 {figures.p95:>6}"
                f"  ratio {ratio:.1f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
