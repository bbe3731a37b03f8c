"""Disables a category over EMAIL, and undoes that: the effect of an unsubscribe link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.configuration.categories import PolicyCache
    from dispatcher.configuration.ports import EventLog
    from dispatcher.configuration.rows import Category, UserOverrides
    from dispatcher.configuration.user_preferences import UserPreferences
    from dispatcher.strict_json import JsonObject

EMAIL = "EMAIL"
VIA_UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribing:
    """One category by email, for one user."""

    policies: PolicyCache
    preferences: Callable[[], UserPreferences]
    """Called only where something may change."""
    event_log: EventLog

    def category(self, name: str) -> Category | None:
        """Return the category as it is now, ``None`` if it was removed."""
        return self.policies.category(name)

    def change(self, user_id: str, name: str, *, undo: bool) -> Category | None:
        """Disable the category over EMAIL, or remove that setting; return the category.

        Nothing changes if the category is locked or was removed, or has the setting already. Raises
        ``ConflictError`` if other requests keep changing the user's row.
        """
        category = self.category(name)
        if category is None or category.locked:
            return category

        def change_of(stored: UserOverrides) -> JsonObject | None:
            return _switched(stored, name, undo=undo)

        if self.preferences().merge(user_id, change_of, via=VIA_UNSUBSCRIBE):
            action = "undo" if undo else "unsubscribe"
            self.event_log.emit(
                "category.unsubscribed", user_id=user_id, category=name, action=action
            )
        return category


def _switched(stored: UserOverrides, name: str, *, undo: bool) -> JsonObject | None:
    """Return the change of preferences, ``None`` if it has no effect."""
    preferences = stored.preferences
    choice = None if preferences is None else preferences.categories.get(name)
    item: JsonObject = {} if choice is None else choice.as_item()
    integrations = dict(item.get("integrations", {}))
    # Only an opt-out is undone: a user who enabled it meanwhile wants it even more.
    if (integrations.get(EMAIL) is False) is not undo:
        return None
    if undo:
        del integrations[EMAIL]
    else:
        integrations[EMAIL] = False
    merged = {**item, "integrations": integrations}
    if not integrations:
        del merged["integrations"]
    return {"categories": {name: merged or None}}
