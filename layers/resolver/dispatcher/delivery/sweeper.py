"""Rings for whatever is owed and was not rung for.

The outbox, the long delays and the repair in one loop.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from dispatcher.delivery import protocol
from dispatcher.delivery.doorbells import DeliveryBell, RequestBell
from dispatcher.delivery.protocol import delay_until, key_of
from dispatcher.delivery.recording import send_owed_ticket
from dispatcher.delivery.rows import Status
from dispatcher.errors import ConditionFailed, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dispatcher.delivery.ports import Clock, Deliveries, Doorbells, EventLog
    from dispatcher.delivery.rows import Item

LONGEST_SWEEP = 45.0
"""Seconds after which a sweep leaves the rest to the next one, a minute after it began."""

AT_ONCE = 100
"""Rows of one shard that are shared out among its threads at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Looks through the sweep index once a minute."""

    deliveries: Deliveries
    doorbells: Doorbells
    clock: Clock
    event_log: EventLog
    threads: int = 1
    """Requests of one shard that are served side by side."""

    def sweep(self) -> dict[str, int]:
        """Ring for all rows that are due, shard by shard side by side.

        Return what was done, counted.
        """
        until = self.clock.monotonic() + LONGEST_SWEEP
        with ThreadPoolExecutor(protocol.SHARDS) as shards:
            counts = list(
                shards.map(lambda shard: self._sweep_shard(shard, until), range(protocol.SHARDS))
            )
        result = {
            name: sum(count[name] for count in counts)
            for name in ("rung", "tickets", "passed", "faults")
        }
        result["oldest_due_seconds"] = max(count["oldest_due_seconds"] for count in counts)
        self.event_log.emit("sweep.done", **result)
        return result

    def _sweep_shard(self, shard: int, until: float) -> Counter[str]:
        with ThreadPoolExecutor(self.threads) as servers:
            return self._serve_shard(shard, until, servers.map)

    def _serve_shard(self, shard: int, until: float, each: Callable[..., Any]) -> Counter[str]:
        """Serve what is due in one shard; ``each`` maps like the built-in, or side by side."""
        counts: Counter[str] = Counter()
        rung: set[tuple[str, str]] = set()
        now = self.clock.now()
        try:
            rows = iter(self.deliveries.due(shard, now))
            while self.clock.monotonic() <= until and (some := list(islice(rows, AT_ONCE))):
                late = max(_lateness(row, now) for row in some)
                counts["oldest_due_seconds"] = max(counts["oldest_due_seconds"], late)
                for done in each(
                    lambda request: self._serve_all(request, rung, until), _by_request(some)
                ):
                    counts.update(done)
        except UnavailableError:
            counts["faults"] += 1
        return counts

    def _serve_all(
        self, request: list[Item], rung: set[tuple[str, str]], until: float
    ) -> list[str]:
        """Serve the rows of one request one after the other: one ring does for its first tries."""
        return [self._serve(row, rung) for row in request if self.clock.monotonic() <= until]

    def _serve(self, item: Item, rung: set[tuple[str, str]]) -> str:
        """Do what one row asks for; the index may be behind, so every write has its condition."""
        user_id = item["user_id"]
        try:
            delivery_id = item["delivery_id"]
            if item.get("ticket_owed") and item["status"] == Status.FAILED:
                send_owed_ticket(
                    self.deliveries, self.doorbells, user_id, delivery_id, item["round"]
                )
                return "tickets"
            # Ring first, then stamp: a crash in between rings twice, never not at all.
            now = self.clock.now()
            delay = delay_until(item["due_at"], now)
            if not protocol.rings_for_request(item):
                self.doorbells.ring_retry(
                    DeliveryBell(user_id, delivery_id, item["due_at"]), delay=delay
                )
            elif (user_id, item["request_id"]) not in rung:
                self.doorbells.ring(RequestBell(user_id, item["request_id"]), delay=delay)
                rung.add((user_id, item["request_id"]))
            self.deliveries.apply(key_of(user_id, delivery_id), protocol.stamp(item, now))
        except ConditionFailed:
            return "passed"
        except UnavailableError:
            return "faults"
        except Exception as error:  # noqa: BLE001 - one damaged row must not hold up its shard
            self.event_log.emit("row.broken", row=item.get("sk"), error=type(error).__name__)
            return "faults"
        return "rung"


def _by_request(rows: Iterable[Item]) -> list[list[Item]]:
    requests: dict[tuple[str, str], list[Item]] = {}
    for row in rows:
        requests.setdefault((row["user_id"], row.get("request_id", "")), []).append(row)
    return list(requests.values())


def _lateness(row: Item, now: float) -> int:
    """Return for how many seconds a delivery has been due; 0 for what is not due or not pending."""
    due_at = row.get("due_at")
    if row.get("status") != Status.PENDING or not isinstance(due_at, int | float):
        return 0
    return max(0, int(now - due_at))
