"""The overview for operators: the queues now, and the metrics of the last hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

from dispatcher import VERSION
from dispatcher.errors import UnavailableError
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339
from dispatcher.ttl_cache import TtlValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.overview_responses import (
        EndedDeliveries,
        LastHour,
        OverviewResponse,
        QueueDepth,
        QueuesOverview,
    )
    from dispatcher.configuration.ports import Clock, Numbers, SideBySide

TTL = 15.0
"""Seconds for which one overview is served."""

ENDS = ("delivered", "failed", "skipped", "held")
"""The metrics that have the integration as a dimension."""


@dataclass(slots=True, kw_only=True)
class Overview:
    """Reads the numbers, all at the same time."""

    stage: str
    queues: Mapping[str, str | None]
    """The URL of each queue, ``None`` for one that the system lacks."""
    has_metrics: bool
    """Whether the cloud computes metrics from log lines; the local cloud does not."""
    numbers: Numbers
    side_by_side: SideBySide
    clock: Clock
    _latest: TtlValue[OverviewResponse] = field(init=False)

    def __post_init__(self) -> None:
        """Create the cache."""
        self._latest = TtlValue(self._read, self.clock.monotonic, ttl=TTL)

    def get(self) -> OverviewResponse:
        """Return the numbers, at most 15 s old."""
        return self._latest.get()

    def _read(self) -> OverviewResponse:
        now = self.clock.now()
        reads: list[Callable[[], object]] = [
            *(partial(self._depth, url) for url in self.queues.values()),
            partial(self._last_hour, now),
        ]
        *depths, last_hour = self.side_by_side(reads)
        queues = dict(zip(self.queues, depths, strict=True))
        return {
            "generated_at": rfc3339(now),
            "stage": self.stage,
            "version": VERSION,
            # The keys and values are those of the type, which zip cannot tell.
            "queues": cast("QueuesOverview", queues),
            "last_hour": cast("LastHour", last_hour),
        }

    def _depth(self, url: str | None) -> QueueDepth | None:
        if url is None:
            return None
        try:
            depth = self.numbers.depth(url)
        except UnavailableError:
            return None
        return {
            "visible": depth.visible,
            "delayed": depth.delayed,
            "in_flight": depth.in_flight,
        }

    def _last_hour(self, now: float) -> LastHour:
        names = list(catalogue())
        try:
            metrics = self.numbers.last_hour(now, ENDS, names) if self.has_metrics else None
        except UnavailableError:
            metrics = None
        if metrics is None:
            nothing: EndedDeliveries = {
                "delivered": None,
                "failed": None,
                "skipped": None,
                "held": None,
            }
            return {
                "available": False,
                "accepted": None,
                "oldest_due_seconds": None,
                "by_integration": dict.fromkeys(names, nothing),
            }
        return {
            "available": True,
            "accepted": metrics.accepted,
            "oldest_due_seconds": metrics.oldest_due_seconds,
            "by_integration": {
                name: {
                    "delivered": metrics.ended["delivered", name],
                    "failed": metrics.ended["failed", name],
                    "skipped": metrics.ended["skipped", name],
                    "held": metrics.ended["held", name],
                }
                for name in names
            },
        }
