"""Reads and changes users' preferences; a change of their hours moves held deliveries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dispatcher.configuration.ports import Rescheduled
from dispatcher.configuration.preferences import changed, described, matches, moves_holds, tag
from dispatcher.configuration.selection import address_rule
from dispatcher.errors import (
    ConditionFailed,
    ConflictError,
    PreconditionError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dispatcher.configuration.categories import PolicyCache
    from dispatcher.configuration.ports import (
        ChangePublisher,
        Clock,
        EventLog,
        IdGenerator,
        Overrides,
        Replanner,
    )
    from dispatcher.configuration.preference_responses import (
        ChangedPreferencesResponse,
        PreferencesResponse,
    )
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.configuration.rows import Policy, Preferences, UserOverrides
    from dispatcher.strict_json import JsonObject

WRITE_TRIES = 4
"""Attempts at a change, each computed on the row that another writer has stored."""

FIELDS = ("time_zone", "language", "hours", "muted_until", "categories")

VIA_API = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPreferences:
    """The preferences of users."""

    environ: Mapping[str, str]
    system_defaults: Callable[[], SystemDefaults]
    overrides: Overrides
    policies: PolicyCache
    replanner: Callable[[], Replanner]
    """Called only if hours, mute or time zone change."""
    default_time_zone: str
    clock: Clock
    id_generator: IdGenerator
    event_log: EventLog
    publisher: ChangePublisher | None

    def get(self, user_id: str) -> PreferencesResponse:
        """Return the user's preferences and what results from them now."""
        return self._described(user_id, self.overrides.get(user_id), self.policies.policy())

    def update(
        self, user_id: str, body: object, if_match: str | None = None, *, via: str = VIA_API
    ) -> ChangedPreferencesResponse:
        """Merge the fields that the body names, and move held deliveries if the hours change.

        Raises ``PreconditionError`` if ``if_match`` names another tag than the stored one, and
        ``ConflictError`` for a locked category, or if other requests keep changing the row.
        """
        from dispatcher.configuration.preference_bodies import preferences_change

        change = preferences_change(body, self.environ, now=self.clock.now())
        policy = self._policy_of(change)
        stored, _ = self._write(user_id, lambda _: change, policy, if_match, via=via)
        self._announce(user_id, tuple(name for name in FIELDS if name in change), change, via)
        moved = Rescheduled(0, complete=True)
        if moves_holds(change):
            moved = self.replanner().replan(user_id)
        return {
            **self._described(user_id, stored, policy),
            "rescheduled": {"deliveries": moved.deliveries, "complete": moved.complete},
        }

    def merge(
        self, user_id: str, change_of: Callable[[UserOverrides], JsonObject | None], *, via: str
    ) -> bool:
        """Merge what ``change_of`` makes of the user's row; tell whether there was a change.

        The change is of categories alone, so nothing that is held moves. It may take preferences
        above their limit: an opt-out never fails because of other settings.
        """
        _, change = self._write(user_id, change_of, self.policies.policy(), via=via, unlimited=True)
        if change is None:
            return False
        self._announce(user_id, ("categories",), change, via)
        return True

    def delete(self, user_id: str) -> None:
        """Remove the user's preferences; succeeds for a user without any."""
        if self.overrides.delete_preferences(user_id, token=self.id_generator.token()):
            self._announce(user_id, FIELDS, {}, VIA_API)
        # Also without stored preferences, because an earlier request may have stopped before this.
        self.replanner().replan(user_id)

    def _policy_of(self, change: JsonObject) -> Policy:
        """Return the categories, read again if the change names an unknown one."""
        policy = self.policies.policy()
        for name, choice in (change.get("categories") or {}).items():
            if choice is not None and name not in policy.categories:
                # The category may be newer than the copy: this reads the table and renews the copy.
                self.policies.category(name)
        return self.policies.policy()

    def _write(
        self,
        user_id: str,
        change_of: Callable[[UserOverrides], JsonObject | None],
        policy: Policy,
        if_match: str | None = None,
        *,
        via: str,
        unlimited: bool = False,
    ) -> tuple[UserOverrides, JsonObject | None]:
        """Store the merge; return the user's row with it and the change, ``None`` without one."""
        for _ in range(WRITE_TRIES):
            stored = self.overrides.get(user_id)
            change = change_of(stored)
            if change is None:
                return stored, None
            current = tag(stored.preferences)
            if if_match is not None and not matches(if_match, current):
                raise PreconditionError(
                    f'The preferences of user {user_id} have the tag "{current}" now, which is not '
                    "that of If-Match: read them again, and repeat the change."
                )
            now = self.clock.now()
            new = changed(stored.preferences, change, policy, now=now, via=via, unlimited=unlimited)
            try:
                self._store(user_id, new, stored, now)
            except ConditionFailed:
                continue
            return replace(stored, preferences=new), change
        message = f"Other requests are changing the preferences of user {user_id}; try again."
        raise ConflictError(message)

    def _store(
        self, user_id: str, new: Preferences | None, stored: UserOverrides, now: float
    ) -> None:
        # A token for each computation identifies this write if its response was lost.
        token = self.id_generator.token()
        if new is not None:
            self.overrides.set_preferences(
                user_id, new, version=stored.version, now=now, token=token
            )
        elif stored.preferences is not None:
            self.overrides.delete_preferences(user_id, version=stored.version, token=token)

    def _announce(self, user_id: str, fields: Sequence[str], change: JsonObject, via: str) -> None:
        """Log a stored change, and publish it; a lost event does not fail the request."""
        named = [*(change.get("categories") or ())]
        category = named[0] if len(named) == 1 else None
        self.event_log.emit(
            "preferences.changed",
            user_id=user_id,
            via=via,
            fields=[*fields],
            category=category,
        )
        if self.publisher is None:
            return
        try:
            self.publisher.publish_change(
                {"user_id": user_id, "via": via, "fields": [*fields], "category": category}
            )
        except UnavailableError as error:
            self.event_log.emit("change.unpublished", user_id=user_id, reason=str(error))

    def _described(
        self, user_id: str, stored: UserOverrides, policy: Policy
    ) -> PreferencesResponse:
        return described(
            user_id,
            stored,
            policy,
            self.system_defaults(),
            address_rule(user_id, stored, self.environ),
            default_zone=self.default_time_zone,
            now=self.clock.now(),
        )
