"""The health of receivers as the worker's attempts learn it: pauses, probes and recoveries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dispatcher.configuration.health_changes import HealthChange
from dispatcher.configuration.receiver_health import (
    after_failure,
    health_of,
    is_answered,
    is_explained,
    needs_probe,
    probing,
)
from dispatcher.delivery.outcomes import UNKNOWN_OUTCOME, Delivered, Permanent
from dispatcher.delivery.transitions import may_attempt
from dispatcher.errors import ConditionFailed

if TYPE_CHECKING:
    from dispatcher.configuration.health_changes import HealthChanges
    from dispatcher.configuration.ports import Clock, IdGenerator, Overrides
    from dispatcher.configuration.receiver_health import PauseRules
    from dispatcher.configuration.rows import ReceiverHealth, UserOverrides
    from dispatcher.delivery.outcomes import Outcome
    from dispatcher.delivery.prepare import FreshOverrides
    from dispatcher.delivery.replan import Replanner
    from dispatcher.delivery.rows import Delivery, MessageRow

TRIES = 10
"""Times that a change is computed, each time on the row that another writer left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """Keeps the health of the receivers of users' integrations.

    Without an override there is no health: it needs a row.
    """

    overrides: Overrides
    rules: PauseRules
    clock: Clock
    id_generator: IdGenerator
    changes: HealthChanges
    replanner: Replanner

    def probe(self, row: MessageRow, delivery: Delivery, users: FreshOverrides) -> float | None:
        """Begin the probe of a paused receiver; return its identity, ``None`` if none is needed.

        Raises ``ConditionFailed`` if the row has changed, ``UnavailableError``.
        """
        stored = users.latest
        if row.forced or not needs_probe(health_of(stored, delivery.type)):
            return None
        health = probing(health_of(stored, delivery.type), self.clock.now())
        if health is None:
            raise ConditionFailed
        users.latest = self._write(row.user_id, delivery.type, stored, health)
        return health.probe_until

    def judge(
        self,
        row: MessageRow,
        delivery: Delivery,
        outcome: Outcome,
        users: FreshOverrides,
        probe: float | None,
    ) -> HealthChange | None:
        """Store the effect of an outcome on the receiver's health, before its record.

        Raises ``UnavailableError``.
        """
        name, seen = delivery.type, health_of(users.latest, delivery.type)
        works = isinstance(outcome, Delivered) or (probe is not None and _is_response(outcome))
        # Of a probe any failure counts, whatever retries it has left [48].
        is_last = probe is not None or not may_attempt(delivery)
        counts = is_explained(outcome.code) and is_last and name in users.latest.by_type
        if not (counts or (works and seen is not None)):
            return None
        for _ in range(TRIES):
            health = health_of(users.latest, name)
            is_other = health != seen if probe is None else _identity(health) != probe
            if is_other or name not in users.latest.by_type:
                # A PUT or another attempt has ended that pause or that count [49].
                return None
            now, probed = self.clock.now(), probe is not None
            new = None if works else after_failure(health, self.rules, now, probed=probed)
            if new == health:
                # Rules that never pause know no health.
                return None
            try:
                users.latest = self._write(row.user_id, name, users.latest, new)
            except ConditionFailed:
                if probe is None and not works:
                    return None
                users.read_again()
                continue
            return HealthChange(row.user_id, name, health, new, by_probe=probed)
        return None

    def announce(self, change: HealthChange) -> None:
        """Report a change, and release held deliveries where no probe does. Never raises."""
        self.changes.report(change)
        if change.is_early_end:
            self.replanner.replan(change.user_id)

    def _write(
        self, user_id: str, name: str, stored: UserOverrides, health: ReceiverHealth | None
    ) -> UserOverrides:
        """Store the health of a receiver as it is in ``stored``; return what is stored now."""
        override = replace(stored.by_type[name], health=health)
        token = self.id_generator.token()
        self.overrides.replace(user_id, name, override, version=stored.version, token=token)
        by_type = {**stored.by_type, name: override}
        return replace(stored, by_type=by_type, version=stored.version + 1)


def _identity(health: ReceiverHealth | None) -> float | None:
    """Return the identity of a probe: a later one ends later."""
    return None if health is None else health.probe_until


def _is_response(outcome: Outcome) -> bool:
    """Return whether a probe shows that the receiver works, although it refused the message."""
    if isinstance(outcome, Permanent):
        return outcome.code != UNKNOWN_OUTCOME and not is_explained(outcome.code)
    return is_answered(outcome.code)
