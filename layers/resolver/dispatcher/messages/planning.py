"""The plan of a message: its deliveries in order, their holds, and the skipped integrations.

It only reads: a send stores the plan, a preview shows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.configuration.resolution import merged
from dispatcher.configuration.selection import (
    EXPIRES_WHILE_HELD,
    Selection,
    address_rule,
    select,
)
from dispatcher.delivery.holds import rule_of
from dispatcher.delivery.rows import PlannedDelivery, SkippedType
from dispatcher.delivery.transitions import DEAD_LETTERS_KEPT, kept_for_holds, longest_round
from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from dispatcher.configuration.categories import PolicyCache
    from dispatcher.configuration.ports import Overrides
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.configuration.rows import Category, UserOverrides
    from dispatcher.delivery.ports import EventLog
    from dispatcher.messages.bodies import SendBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The outcome of planning a message that is sent now."""

    category: Category | None
    due_at: float
    """The time of delivery, whatever the hours."""
    deliveries: tuple[PlannedDelivery, ...]
    skipped: tuple[SkippedType, ...]
    hold_zone: str
    """The time zone in which holds are shown to users."""
    ttl: int
    version: int
    """The version of the user's row that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans messages by categories, overrides and preferences."""

    overrides: Overrides
    categories: PolicyCache
    system_defaults: Callable[[], SystemDefaults]
    environ: Mapping[str, str]
    default_zone: str
    retention: float
    event_log: EventLog

    def category(self, send: SendBody) -> Category | None:
        """Return the category that a send names; ``InvalidInputError`` if it is unknown."""
        if send.category is None:
            return None
        category = self.categories.category(send.category)
        if category is None:
            rule = self.categories.policy().unknown(send.category)
            raise InvalidInputError(FieldError("/category", rule))
        return category

    def plan(
        self,
        user_id: str,
        send: SendBody,
        category: Category | None,
        *,
        now: float,
        message_id: str = "",
        forced: bool = False,
    ) -> Plan:
        """Plan a message; without ``message_id`` its hold by a pause ends at the earliest time.

        ``forced`` also delivers over integrations that are not enabled, and is never held.
        """
        stored = self.overrides.get(user_id)
        selection = self._selection(user_id, send, category, stored, forced=forced)
        due_at = max(now, send.deliver_at or now)
        kept = self.retention if forced else kept_for_holds(self.retention)
        rule = None
        if not forced:
            rule = rule_of(stored, user_id, self.default_zone, self.event_log)
        urgent = category is not None and category.urgent
        reasons, planned, hold_zone = dict(selection.reasons), [], "UTC"
        for name, configuration in selection.configs.items():
            held, opens_at = None, None
            if rule is not None:
                found = rule(name, message_id, due_at, ignores_hours=urgent)
                if found.reason is not None:
                    if send.expires_at is not None and found.at > send.expires_at:
                        reasons[name] = EXPIRES_WHILE_HELD
                        continue
                    held, hold_zone = found.reason, found.zone_name
                    # At most as long as the content is kept [32].
                    opens_at = round(min(found.at, due_at + kept - DEAD_LETTERS_KEPT), 3)
            planned.append(
                PlannedDelivery(
                    type=name,
                    priority=configuration.priority,
                    max_attempts=1 + configuration.retry_count,
                    retry_delay_seconds=configuration.retry_delay_seconds,
                    due_at=opens_at,
                    held=held,
                    by_lock=name == selection.by_lock,
                )
            )
        longest = longest_round(planned, one_by_one=send.mode == "first_success")
        return Plan(
            category=category,
            due_at=due_at,
            deliveries=tuple(planned),
            skipped=tuple(
                SkippedType(type=name, reason=reasons[name])
                for name in catalogue()
                if name in reasons
            ),
            hold_zone=hold_zone,
            ttl=math.ceil(due_at + kept + longest),
            version=stored.version,
        )

    def _selection(
        self,
        user_id: str,
        send: SendBody,
        category: Category | None,
        stored: UserOverrides,
        *,
        forced: bool,
    ) -> Selection:
        wanted: Collection[str] = send.integration_types or list(catalogue())
        defaults = self.system_defaults()
        address_trouble = address_rule(user_id, stored, self.environ, send.addressed_to())
        if not forced:
            return select(defaults, stored, category, address_trouble, wanted)
        configs = {name: merged(defaults[name], stored.by_type.get(name)) for name in wanted}
        reasons = {
            name: trouble
            for name, configuration in configs.items()
            if (trouble := address_trouble(name, configuration.config))
        }
        return Selection({name: configs[name] for name in configs if name not in reasons}, reasons)
