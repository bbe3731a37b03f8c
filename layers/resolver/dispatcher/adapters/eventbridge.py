"""The outcome bus: one event per delivery that has ended (``docs/outcome-events.md``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.delivery.describe import delivery_response
from dispatcher.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from dispatcher.delivery.rows import MessageRow

SOURCE = "integration-dispatcher"
DETAIL_TYPE = "delivery.finished"


@dataclass(frozen=True, slots=True)
class EventBridgePublisher:
    """Implements ``ports.OutcomePublisher`` with EventBridge."""

    events: EventBridgeClient
    bus: str

    def publish(self, row: MessageRow, place: int) -> None:
        """Put the event on the bus."""
        detail = json.dumps(
            delivery_response(row, place), ensure_ascii=False, separators=(",", ":")
        )
        with unavailable_if_it_fails():
            accepted = self.events.put_events(
                Entries=[
                    {
                        "EventBusName": self.bus,
                        "Source": SOURCE,
                        "DetailType": DETAIL_TYPE,
                        "Detail": detail,
                    }
                ]
            )
        [entry] = accepted.get("Entries") or [{}]
        if "EventId" not in entry:
            # The call succeeded, and its one entry did not.
            raise UnavailableError(f"PutEvents took no event: {entry.get('ErrorCode', 'unknown')}")
