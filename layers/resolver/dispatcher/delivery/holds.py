"""Holds: the times at which a user's deliveries may be sent, by the stored preferences.

``hours`` is imported only for users who have hours or a mute: it reads time zones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.delivery import perform, transitions
from dispatcher.delivery.transitions import Step
from dispatcher.errors import BrokenSettingError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.configuration.hours import Opening
    from dispatcher.configuration.ports import Overrides
    from dispatcher.configuration.rows import UserOverrides
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.delivery.ports import EventLog
    from dispatcher.delivery.rows import Delivery, MessageRow
    from dispatcher.delivery.transitions import Opens, Unchanged

    Openings = Callable[[str, float], Opening]
    """Returns when a delivery over an integration that is due at a time may be sent."""


def openings(
    stored: UserOverrides, user_id: str, default_zone: str, event_log: EventLog
) -> Openings | None:
    """Return the rule for when a user may be disturbed; ``None`` means at any time.

    Raises ``BrokenSettingError`` if the default time zone does not exist.
    """
    preferences = stored.preferences
    if preferences is None or (preferences.hours is None and preferences.muted_until is None):
        return None
    from dispatcher.configuration import hours

    if default_zone not in hours.zone_names():
        raise BrokenSettingError(
            "DEFAULT_TIME_ZONE", f"is {default_zone!r}: set it to a time zone such as Europe/Berlin"
        )
    quiet = hours.quiet_of(preferences, default_zone)

    def opening(integration_type: str, t: float) -> Opening:
        found = hours.opening(quiet, user_id, integration_type, t)
        if found.never:
            event_log.emit("hours.never_open", user_id=user_id, time_zone=quiet.zone_name)
        return found

    return opening


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """Computes when deliveries may be sent, and corrects holds after a change of preferences."""

    context: DeliveryContext
    overrides: Overrides
    default_zone: str

    def opens(self, stored: UserOverrides, user_id: str) -> Opens | None:
        """Return the rule for when a message's deliveries may be sent; ``None``: at any time."""
        opening = openings(stored, user_id, self.default_zone, self.context.event_log)
        if opening is None:
            return None

        def opens(row: MessageRow, delivery: Delivery, t: float) -> Opening:
            if row.urgent or row.forced or delivery.ignores_hours:
                return _open(row, delivery, t)
            return opening(delivery.type, t)

        return opens

    def reschedule(
        self, row: MessageRow, stored: UserOverrides
    ) -> tuple[Step | Unchanged, MessageRow]:
        """Move held deliveries to their opening by these preferences [36], without a ring."""
        opens, context = self.opens(stored, row.user_id) or _open, self.context

        def reschedule(row: MessageRow) -> Step | Unchanged:
            now = context.clock.now()
            return transitions.reschedule(row, opens, now=now, retention=context.retention)

        return perform.perform(context, row, reschedule)

    def check(
        self,
        row: MessageRow,
        version: int | None,
        *,
        read: Callable[[], UserOverrides] | None = None,
        first: bool = False,
    ) -> MessageRow:
        """Correct the holds of a row that was written after its preferences were read [34].

        A re-plan may have missed the row, if it ran before the write. ``version`` is that of the
        preferences, ``None`` if unknown. If AWS does not respond, the row keeps its hold, which
        ends by itself.
        """
        try:
            while any(delivery.held is not None for delivery in row.deliveries):
                stored = read() if read else self.overrides.get(row.user_id)
                if stored.version == version:
                    break
                version = stored.version
                step, row = self.reschedule(row, stored)
                if not isinstance(step, Step):
                    break
                perform.ring_if_possible(self.context, row, step.ring_for, first=first)
        except UnavailableError:
            self.context.event_log.emit(
                "hold.unchecked", user_id=row.user_id, request_id=row.request_id
            )
        return row


def _open(_row: MessageRow, _delivery: Delivery, t: float) -> Opening:
    from dispatcher.configuration.hours import Opening

    return Opening(t)
