"""What all use cases stand on that move deliveries along, and what they do alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dispatcher.delivery.doorbells import DeliveryBell, RequestBell
from dispatcher.delivery.protocol import key_of
from dispatcher.delivery.rows import Delivery, Status
from dispatcher.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.ports import Overrides
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.delivery.ports import (
        Clock,
        Deliveries,
        Doorbells,
        EventLog,
        IdGenerator,
        Message,
        Outcomes,
    )


class Ring(Protocol):
    """One of the ways to ring: ``Doorbells.ring`` or ``Doorbells.ring_retry``."""

    def __call__(self, doorbell: RequestBell | DeliveryBell, *, delay: int) -> None:
        """Ring after ``delay`` seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """Accepts, tries, ends or restarts deliveries."""

    environ: Mapping[str, str]
    system_defaults: Callable[[], SystemDefaults]
    retention: float
    """Seconds that finished deliveries and their requests are kept."""
    overrides: Overrides
    deliveries: Deliveries
    doorbells: Doorbells
    clock: Clock
    id_generator: IdGenerator
    event_log: EventLog
    outcomes: Outcomes | None = None
    """Nobody listens, unless the operator named a bus."""

    def ttl(self, since: float) -> float:
        """Return when a row may go that is kept from ``since`` on: the next whole second."""
        return float(int(since + self.retention) + 1)

    def call(self, ring: Ring, doorbell: RequestBell | DeliveryBell, *, delay: int = 0) -> None:
        """Ring for what the rows hold already: if the ring fails, the sweeper repairs it."""
        try:
            ring(doorbell, delay=delay)
        except UnavailableError:
            named = (
                {"request_id": doorbell.request_id}
                if isinstance(doorbell, RequestBell)
                else {"delivery_id": doorbell.delivery_id}
            )
            self.event_log.emit("doorbell.lost", user_id=doorbell.user_id, **named)

    def tell(self, ended: Delivery) -> None:
        """Tell whoever listens how a delivery ended: a hint that may be lost, once the row says it.

        So it comes last, when nobody waits for anything any more.
        """
        if self.outcomes is None:
            return
        try:
            self.outcomes.tell(ended)
        except UnavailableError as error:
            self.event_log.emit("outcome.untold", **ids(ended), reason=str(error))

    def waiting_after(self, row: Delivery) -> list[Delivery]:
        """Return the later siblings of a ``first_success`` request that wait now, in order.

        None after a row that waits itself, or in a later round: it holds nobody up.
        """
        if not row.chain or row.waits or row.round > 1:
            return []
        later = row.chain[row.chain.index(row.delivery_id) + 1 :]
        rows = [self.deliveries.get(key_of(row.user_id, one)) for one in later]
        siblings = [Delivery.of(item) for item in rows if item]
        return [one for one in siblings if one.status == Status.PENDING and one.waits]


def ids(one: Delivery | Message) -> dict[str, object]:
    """Return what every line of the log about a delivery names."""
    return {
        "user_id": one.user_id,
        "delivery_id": one.delivery_id,
        "request_id": one.request_id,
        "integration_type": one.integration_type,
    }
