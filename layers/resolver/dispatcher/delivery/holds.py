"""Holds: the times at which a user's deliveries may be sent, by preferences and pauses.

``hours`` is imported only for users with hours, a mute or a pause: it reads time zones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dispatcher.configuration.receiver_health import health_of, needs_probe, resumes, spread
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
    """Returns when the user's hours and mutes are open for an integration, from a time on."""

    class Rule(Protocol):
        """Returns when a delivery that is due at ``t`` may be sent, pauses included."""

        def __call__(
            self, integration_type: str, message_id: str, t: float, *, ignores_hours: bool = False
        ) -> Opening:
            """Apply the rule to one delivery."""


def openings(
    stored: UserOverrides, user_id: str, default_zone: str, event_log: EventLog
) -> Openings | None:
    """Return when a user's hours and mutes are open; ``None`` means always.

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


def rule_of(
    stored: UserOverrides, user_id: str, default_zone: str, event_log: EventLog
) -> Rule | None:
    """Return when a user's deliveries may be sent; ``None`` means at any time.

    A pause is about the receiver, so it holds urgent messages and rounds that ignore hours too.
    """
    opening = openings(stored, user_id, default_zone, event_log)
    if opening is None and not any(needs_probe(one.health) for one in stored.by_type.values()):
        return None

    def rule(
        integration_type: str, message_id: str, t: float, *, ignores_hours: bool = False
    ) -> Opening:
        from dispatcher.configuration.hours import MUTED, PAUSED, Opening, time_zone_of

        by_hours = None if ignores_hours else opening
        health = health_of(stored, integration_type)
        resumes_at = resumes(health, t)
        if resumes_at == t:
            return Opening(t) if by_hours is None else by_hours(integration_type, t)
        at, reason = resumes_at, PAUSED
        spread_to = at + spread(health, message_id, t)
        if by_hours is not None:
            at = by_hours(integration_type, resumes_at).at
            spread_to = at + spread(health, message_id, t)
            spread_to = spread_to if by_hours(integration_type, spread_to).reason is None else at
            reason = MUTED if by_hours(integration_type, t).reason == MUTED else PAUSED
        zone_name = time_zone_of(stored.preferences, default_zone)[0]
        return Opening(spread_to, reason, zone_name)

    return rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """Computes when deliveries may be sent, and corrects holds after a change of preferences."""

    context: DeliveryContext
    overrides: Overrides
    default_zone: str

    def opens(self, stored: UserOverrides, user_id: str) -> Opens | None:
        """Return the rule for when a message's deliveries may be sent; ``None``: at any time."""
        rule = rule_of(stored, user_id, self.default_zone, self.context.event_log)
        if rule is None:
            return None

        def opens(row: MessageRow, delivery: Delivery, t: float) -> Opening:
            if row.forced:
                return _open(row, delivery, t)
            ignores_hours = row.urgent or delivery.ignores_hours
            return rule(delivery.type, row.message_id, t, ignores_hours=ignores_hours)

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
