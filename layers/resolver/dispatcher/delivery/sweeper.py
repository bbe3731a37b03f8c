"""Rings for overdue rows: outbox, long delays and repair in one loop."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dispatcher.deadline import Deadline
from dispatcher.delivery import perform, transitions
from dispatcher.delivery.rows import SHARDS
from dispatcher.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.delivery.rows import MessageRow

LONGEST_SWEEP = 45.0
"""Seconds after which a sweep leaves the rest to the next one, a minute after it began."""

COUNTS = ("rung", "dead_letters", "passed", "faults")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Reads the sweep index once a minute."""

    context: DeliveryContext

    def sweep(self) -> dict[str, int]:
        """Sweep all shards in parallel; return the counts."""
        deadline = Deadline(LONGEST_SWEEP, self.context.clock.monotonic)
        with ThreadPoolExecutor(SHARDS) as threads:
            counts = list(threads.map(partial(self._sweep_shard, deadline=deadline), range(SHARDS)))
        result = {name: sum(count[name] for count in counts) for name in COUNTS}
        result["oldest_due_seconds"] = max(count["oldest_due_seconds"] for count in counts)
        self.context.event_log.emit("sweep.finished", **result)
        return result

    def _sweep_shard(self, shard: int, deadline: Deadline) -> Counter[str]:
        counts, now = Counter[str](), self.context.clock.now()
        try:
            for user_id, message_id in self.context.messages.overdue(shard, now):
                if deadline.is_over():
                    break
                self._sweep_row(user_id, message_id, counts)
        except UnavailableError:
            counts["faults"] += 1
        return counts

    def _sweep_row(self, user_id: str, message_id: str, counts: Counter[str]) -> None:
        try:
            row = self.context.messages.message(user_id, message_id)
            # The index may be outdated: the row decides.
            if row is None or row.sweep_at is None or row.sweep_at > self.context.clock.now():
                counts["passed"] += 1
            else:
                self._serve(row, counts)
        except NotFoundError:
            counts["passed"] += 1
        except UnavailableError:
            counts["faults"] += 1
        except Exception as error:  # noqa: BLE001 - one damaged row must not hold up its shard
            counts["faults"] += 1
            self.context.event_log.emit(
                "row.unreadable", user_id=user_id, message_id=message_id, error=type(error).__name__
            )

    def _serve(self, row: MessageRow, counts: Counter[str]) -> None:
        """Send what an overdue row needs, and set the time of its next sweep."""
        context, now = self.context, self.context.clock.now()
        if not transitions.is_claimed(row, now):
            if owed := transitions.dead_letters_owed(row):
                row = perform.send_dead_letters(context, row, owed)
                counts["dead_letters"] += len(owed)
                if row.sweep_at is None or transitions.is_claimed(row, now):
                    return
            due_at = transitions.sweeper_rings_for(row, now)
            if due_at is not None:
                late = max(0, int(now - due_at))
                counts["oldest_due_seconds"] = max(counts["oldest_due_seconds"], late)
                # Ring before the stamp: a crash in between doubles the ring, never loses it [22].
                perform.ring(context, row, due_at)
                counts["rung"] += 1
        # The same time as above, so that only a row that was rung for is stamped.
        stamp = partial(transitions.stamp, read=row.rev, now=now, retention=context.retention)
        perform.perform(context, row, stamp)
