"""The shapes of the overview's response.

They are not in ``responses``, which every cold start reads: no function reads this module at all.
The API's document is generated from both.
"""

# No "from __future__ import annotations": see ``responses``.

from typing_extensions import TypedDict

from dispatcher.responses import Timestamp


class QueueDepth(TypedDict):
    """The approximate numbers of a queue's messages."""

    visible: int
    """The messages that wait to be received."""
    delayed: int
    """The messages that become visible later."""
    in_flight: int
    """The messages that a function has received and not yet deleted."""


class QueuesOverview(TypedDict):
    """The depth of each queue, null if the queue cannot be read now."""

    delivery: QueueDepth | None
    """The doorbells of new messages."""
    retry: QueueDepth | None
    """The other doorbells, most of them for retries."""
    dead_letter: QueueDepth | None
    """The dead letters of deliveries that finally failed."""
    intake: QueueDepth | None
    """The events that were not accepted yet."""
    parked: QueueDepth | None
    """The queue messages and events that could not be read."""
    feedback: QueueDepth | None
    """The reports of providers; null also if the system has no such queue."""


class EndedDeliveries(TypedDict):
    """The deliveries of one integration in the last hour, null without metrics."""

    delivered: int | None
    """The deliveries that succeeded."""
    failed: int | None
    """The deliveries that finally failed."""
    skipped: int | None
    """The deliveries that were skipped or cancelled."""
    held: int | None
    """The deliveries that were held until a later time."""


class LastHour(TypedDict):
    """The metrics of the last hour."""

    available: bool
    """Whether there are metrics; if not, all numbers are null."""
    accepted: int | None
    """The deliveries that were accepted."""
    oldest_due_seconds: float | None
    """The longest delay of an overdue delivery that a sweep found; null without a sweep."""
    by_integration: dict[str, EndedDeliveries]
    """The deliveries by integration."""


class OverviewResponse(TypedDict):
    """The state of the system in numbers."""

    generated_at: Timestamp
    """The time at which the numbers were read."""
    stage: str
    """The stage of the stack."""
    version: str
    """The version of the service."""
    queues: QueuesOverview
    """The depth of each queue."""
    last_hour: LastHour
    """The deliveries of the last hour."""
