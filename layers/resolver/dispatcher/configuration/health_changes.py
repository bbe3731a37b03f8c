"""Changes of a receiver's health, as the log and the outcome bus report them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.configuration.receiver_health import state_of
from dispatcher.errors import UnavailableError
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from dispatcher.configuration.ports import EventLog, IntegrationPublisher
    from dispatcher.configuration.rows import ReceiverHealth
    from dispatcher.events import EventName


@dataclass(frozen=True, slots=True)
class HealthChange:
    """The health of a user's receiver before and after a write."""

    user_id: str
    integration_type: str
    before: ReceiverHealth | None
    after: ReceiverHealth | None
    by_probe: bool = False

    @property
    def event(self) -> EventName | None:
        """The event of the change; ``None`` for one that no delivery depends on."""
        before, after = self.before, self.after
        if after is None:
            is_failing = before is None or state_of(before) == "failing"
            return None if is_failing else "integration.recovered"
        if after.disabled:
            return None if before is not None and before.disabled else "integration.disabled"
        begins = after.pauses > (before.pauses if before else 0)
        return "integration.paused" if begins else None

    @property
    def is_early_end(self) -> bool:
        """Whether deliveries are held for longer than the receiver needs now.

        After a probe the others are due by themselves.
        """
        return self.event == "integration.recovered" and not self.by_probe


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanges:
    """Reports each change once."""

    event_log: EventLog
    publisher: IntegrationPublisher | None
    """``None`` if the operator named no outcome bus."""

    def report(self, change: HealthChange) -> None:
        """Log and publish a stored change; a lost event affects no delivery."""
        event, after = change.event, change.after
        if event is None:
            return
        fields = {
            "user_id": change.user_id,
            "integration_type": change.integration_type,
            "until": rfc3339(after.paused_until if after and not after.disabled else None),
        }
        self.event_log.emit(event, **fields)
        if self.publisher is None:
            return
        try:
            self.publisher.publish_integration(event, fields)
        except UnavailableError as error:
            self.event_log.emit("change.unpublished", user_id=change.user_id, reason=str(error))
