"""The outcome bus: one event per delivery that has ended, per change of preferences, per pause.

``docs/outcome-events.md`` describes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.delivery.describe import delivery_response
from dispatcher.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_events import EventBridgeClient

    from dispatcher.delivery.rows import MessageRow

SOURCE = "integration-dispatcher"
DELIVERY_FINISHED = "delivery.finished"
PREFERENCES_CHANGED = "preferences.changed"


@dataclass(frozen=True, slots=True)
class EventBridgePublisher:
    """Implements the publishers of ``delivery`` and ``configuration`` with EventBridge."""

    events: EventBridgeClient
    bus: str

    def publish(self, row: MessageRow, place: int) -> None:
        """Put the event about the end of a delivery on the bus."""
        self._put(DELIVERY_FINISHED, delivery_response(row, place))

    def publish_change(self, change: Mapping[str, str | Sequence[str] | None]) -> None:
        """Put the event about a change of preferences on the bus."""
        self._put(PREFERENCES_CHANGED, change)

    def publish_integration(self, name: str, change: Mapping[str, str | None]) -> None:
        """Put the event about a paused, disabled or recovered integration on the bus."""
        self._put(name, change)

    def _put(self, detail_type: str, fields: Mapping[str, object]) -> None:
        detail = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        with unavailable_if_it_fails():
            accepted = self.events.put_events(
                Entries=[
                    {
                        "EventBusName": self.bus,
                        "Source": SOURCE,
                        "DetailType": detail_type,
                        "Detail": detail,
                    }
                ]
            )
        [entry] = accepted.get("Entries") or [{}]
        if "EventId" not in entry:
            # The call has succeeded, but its only entry has failed.
            raise UnavailableError(
                f"PutEvents accepted no event: {entry.get('ErrorCode', 'unknown')}"
            )
