"""Preferences: the merge of a change, the tag, and the resulting state.

Pure. Hours are only reported here; ``hours`` applies them.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, cast

from dispatcher.configuration.hours import next_opening, quiet_of, time_zone_of
from dispatcher.configuration.rows import CategoryChoice, Preferences
from dispatcher.configuration.selection import (
    changeable,
    choice_of,
    ignored,
    is_enabled,
    select,
)
from dispatcher.errors import ConflictError, FieldError, InvalidInputError, json_pointer
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dispatcher.configuration.preference_responses import (
        CategoryChoiceSettings,
        CategoryInEffect,
        IntegrationInEffect,
        PreferencesInEffect,
        PreferencesResponse,
    )
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.configuration.rows import Category, Policy, UserOverrides
    from dispatcher.configuration.selection import AddressTrouble
    from dispatcher.strict_json import JsonObject

LARGEST_PREFERENCES = 16 * 1024
"""Bytes of JSON in UTF-8, written without spaces."""

TIMING = ("hours", "muted_until", "time_zone")
"""The fields whose change moves held deliveries."""

_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')


# Tag ----------------------------------------------------------------------------------------------


def tag(preferences: Preferences | None) -> str:
    """Return the tag of stored preferences: a change of an override does not change it."""
    stored = {} if preferences is None else preferences.as_item()
    return hashlib.sha256(_canonical(stored)).hexdigest()[:16]


def matches(if_match: str, current: str) -> bool:
    """Return whether the header If-Match (RFC 9110, 13.1.1) names the current tag.

    Without quotes it is the field ``version`` of a response, which has the same value.
    """
    if if_match.strip() in {"*", current}:
        return True
    return any(not weak and one == current for weak, one in _ENTITY_TAG.findall(if_match))


def _canonical(value: JsonObject) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


# Change -------------------------------------------------------------------------------------------


def changed(
    old: Preferences | None,
    change: JsonObject,
    policy: Policy,
    *,
    now: float,
    via: str,
    unlimited: bool = False,
) -> Preferences | None:
    """Return preferences after a change; ``None`` if no field is set any more.

    ``change`` holds the named fields of a validated body; null removes a field. Categories merge by
    name. Raises ``InvalidInputError`` for an unknown category, or if preferences above the limit
    would grow and are not ``unlimited``; ``ConflictError`` if the change would disable a locked
    category.
    """
    named = change.get("categories") or {}
    _demand_known(named, policy)
    _demand_unlocked(named, policy)
    old = old or Preferences(updated_at=now, updated_via=via)
    kept = {} if "categories" in change and change["categories"] is None else old.categories
    muted_until = change.get("muted_until", old.muted_until)
    new = Preferences(
        time_zone=change.get("time_zone", old.time_zone),
        language=change.get("language", old.language),
        hours=change.get("hours", old.hours),
        # An expired mute is removed.
        muted_until=None if muted_until is None or muted_until <= now else muted_until,
        categories={
            **{name: choice for name, choice in kept.items() if name not in named},
            **{name: CategoryChoice.of(choice) for name, choice in named.items() if choice},
        },
        updated_at=now,
        updated_via=via,
    )
    size = len(_canonical(new.as_item()))
    # Preferences that an unsubscribe took above the limit can still be reduced.
    if not unlimited and size > max(LARGEST_PREFERENCES, len(_canonical(old.as_item()))):
        detail = f"would make the preferences {size} bytes; at most {LARGEST_PREFERENCES} are kept"
        raise InvalidInputError(FieldError("", detail))
    return None if new.is_empty else new


def moves_holds(change: JsonObject) -> bool:
    """Return whether a change may move deliveries that are held."""
    return any(name in change for name in TIMING)


def _demand_known(named: Mapping[str, JsonObject | None], policy: Policy) -> None:
    # Null is allowed: it removes a setting for a category that was removed.
    unknown = [
        FieldError(json_pointer("categories", name), policy.unknown(name))
        for name, choice in named.items()
        if choice is not None and name not in policy.categories
    ]
    if unknown:
        raise InvalidInputError(*unknown)


def _demand_unlocked(named: Mapping[str, JsonObject | None], policy: Policy) -> None:
    locked = [
        f"categories.{name}.{where}"
        for name, choice in named.items()
        if choice is not None and policy.categories[name].locked
        for where in _switched_off(CategoryChoice.of(choice))
    ]
    if locked:
        message = (
            f"{', '.join(locked)} cannot be false: users cannot disable a locked category. "
            "Leave it out."
        )
        raise ConflictError(message)


def _switched_off(choice: CategoryChoice) -> Iterator[str]:
    if choice.enabled is False:
        yield "enabled"
    for name, enabled in choice.integrations.items():
        if not enabled:
            yield f"integrations.{name}"


# In effect ----------------------------------------------------------------------------------------


def described(
    user_id: str,
    stored: UserOverrides,
    policy: Policy,
    defaults: SystemDefaults,
    address_trouble: AddressTrouble,
    *,
    default_zone: str,
    now: float,
) -> PreferencesResponse:
    """Return a user's preferences and what results from them now, all null if nothing is set."""
    preferences = stored.preferences
    set_ = preferences or Preferences(updated_at=now, updated_via="api")
    muted = set_.muted_until is not None and set_.muted_until > now
    choices = {name: choice.as_item() for name, choice in set_.categories.items()}
    return {
        "user_id": user_id,
        "time_zone": set_.time_zone,
        "language": set_.language,
        "hours": set_.hours,
        "muted_until": rfc3339(set_.muted_until) if muted else None,
        "categories": cast("dict[str, CategoryChoiceSettings]", choices) or None,
        "version": tag(preferences),
        "updated_at": None if preferences is None else rfc3339(preferences.updated_at),
        "updated_via": None if preferences is None else preferences.updated_via,
        "effective": _in_effect(
            stored, policy, defaults, address_trouble, default_zone=default_zone, now=now
        ),
    }


def _in_effect(
    stored: UserOverrides,
    policy: Policy,
    defaults: SystemDefaults,
    address_trouble: AddressTrouble,
    *,
    default_zone: str,
    now: float,
) -> PreferencesInEffect:
    value, source = time_zone_of(stored.preferences, default_zone)
    opens_at = next_opening(quiet_of(stored.preferences, default_zone), now)

    def integrations(category: Category | None) -> dict[str, IntegrationInEffect]:
        reasons = select(defaults, stored, category, address_trouble).reasons
        return {
            name: {
                "enabled": name not in reasons,
                "reason": reasons.get(name),
                "changeable": changeable(category, reasons.get(name)),
            }
            for name in catalogue()
        }

    def category_in_effect(category: Category) -> CategoryInEffect:
        choice = choice_of(stored, category)
        return {
            "category": category.name,
            "title": category.title,
            "description": category.description,
            "group": category.group,
            "locked": category.locked,
            "urgent": category.urgent,
            "enabled": is_enabled(category, choice),
            "ignored": ignored(category, choice),
            "integrations": integrations(category),
        }

    return {
        "time_zone": {"value": value, "source": source},
        "open_now": opens_at == now,
        "next_open_at": None if opens_at == now else rfc3339(opens_at),
        "without_category": {"integrations": integrations(None)},
        "categories": [category_in_effect(category) for category in policy.in_order()],
    }
