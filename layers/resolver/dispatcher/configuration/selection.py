"""Selection: the integrations that a message of a category uses, and the reasons for the others.

Pure. The rules are numbered as in the operators' documentation of categories; the first that
applies decides. A message without a category follows the resolution alone (rules 1, 2, 7 and 8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dispatcher.configuration.resolution import (
    DISABLED_AFTER_FAILURES,
    DISABLED_BY_RECEIVER,
    DISABLED_BY_USER,
    NOT_CONFIGURED,
    resolved,
)
from dispatcher.configuration.suppressions import REASONS, suppression_of
from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from collections.abc import Collection

    from dispatcher.configuration.resolution import Configuration, Default, SystemDefaults
    from dispatcher.configuration.rows import Category, CategoryChoice, Override, UserOverrides
    from dispatcher.integrations.integration import Config, Recipient

CATEGORY_DISABLED_BY_USER = "category_disabled_by_user"
CATEGORY_DISABLED_BY_DEFAULT = "category_disabled_by_default"
NO_ADDRESS = "no_address"
EXPIRES_WHILE_HELD = "expires_while_held"

STOPPED = frozenset({DISABLED_BY_RECEIVER, DISABLED_AFTER_FAILURES})
"""Rule 2: a delivery could not work, whatever the user and the operator chose."""

ADDRESS_REASONS = frozenset({NO_ADDRESS, *REASONS.values()})
"""Rule 8: there is no address that may be used."""

UNCHANGEABLE = STOPPED | ADDRESS_REASONS | {NOT_CONFIGURED}
"""Reasons that a change of preferences cannot remove."""

REACHING = frozenset({"SLACK", "EMAIL", "SMS"})
"""The integrations that reach a person; a locked category uses at least one if it can."""

AddressTrouble = Callable[[str, "Config"], "str | None"]
"""Rule 8: returns why an integration has no address to use with a config; ``None`` if it has."""


def address_rule(
    user_id: str,
    stored: UserOverrides,
    environ: Mapping[str, str],
    recipient: Recipient | None = None,
) -> AddressTrouble:
    """Return rule 8 for a user, and for a message with the addresses that its caller gave."""
    from dispatcher.integrations.integration import Recipient

    given = recipient or Recipient()

    def trouble(integration_type: str, config: Config) -> str | None:
        known = catalogue()[integration_type].address(config, given, user_id, environ)
        if known is None:
            return NO_ADDRESS
        found = suppression_of(stored.suppressions, integration_type, known.value)
        return REASONS[found.state] if found else None

    return trouble


@dataclass(frozen=True, slots=True)
class Selection:
    """The integrations to deliver over, in delivery order, and the reasons for all others.

    ``by_lock`` is the type that is used only because the category is locked.
    """

    configs: Mapping[str, Configuration]
    reasons: Mapping[str, str]
    by_lock: str | None = None


def select(
    defaults: SystemDefaults,
    stored: UserOverrides,
    category: Category | None,
    address_trouble: AddressTrouble,
    wanted: Collection[str] | None = None,
) -> Selection:
    """Apply all rules to the requested types, by default all.

    If a message's category no longer exists, the message is treated as one without a category.
    """
    names = [name for name in catalogue() if wanted is None or name in wanted]
    choice = choice_of(stored, category)
    configs: dict[str, Configuration] = {}
    reasons: dict[str, str] = {}
    for name in names:
        configuration, reason = selected(
            defaults[name], stored.by_type.get(name), name, category, choice
        )
        if reason is None:
            reason = address_trouble(name, configuration.config)
        if reason is None:
            configs[name] = configuration
        else:
            reasons[name] = reason
    by_lock = None
    if category is not None and category.locked and not REACHING & configs.keys():
        by_lock = _fallback(defaults, stored, category, address_trouble, names)
        if by_lock is not None:
            override = stored.by_type.get(by_lock)
            configs[by_lock] = _unless_stopped(defaults[by_lock], override)[0]
            del reasons[by_lock]
    order = list(catalogue())
    ranked = sorted(configs.items(), key=lambda item: (item[1].priority, order.index(item[0])))
    return Selection(dict(ranked), reasons, by_lock)


def selected(
    default: Default,
    override: Override | None,
    integration_type: str,
    category: Category | None,
    choice: CategoryChoice | None,
) -> tuple[Configuration, str | None]:
    """Return one integration's settings by rules 1 to 7, and the reason if it is not used."""
    configuration, reason = resolved(default, override)
    if category is None or reason == DISABLED_BY_USER or reason in STOPPED:
        return configuration, reason
    cell = None
    if choice is not None and not category.locked:
        if choice.enabled is False:
            return configuration, CATEGORY_DISABLED_BY_USER
        cell = choice.integrations.get(integration_type)
        if cell is False:
            return configuration, CATEGORY_DISABLED_BY_USER
    if cell is None:
        cell = category.integrations.get(integration_type)
        if cell is False:
            return configuration, CATEGORY_DISABLED_BY_DEFAULT
    if cell is True:
        return replace(configuration, enabled=True), None if default.configured else NOT_CONFIGURED
    if not is_enabled(category, choice):
        return configuration, CATEGORY_DISABLED_BY_DEFAULT
    return configuration, reason


def wanted_now(
    default: Default,
    stored: UserOverrides,
    integration_type: str,
    category: Category | None,
    *,
    locked: bool,
) -> tuple[Configuration, str | None]:
    """Return the settings of a planned delivery at its attempt, and why it is not wanted any more.

    If the category was locked at acceptance (``locked``), a later opt-out is ignored, because the
    plan has no other delivery that would reach the user.
    """
    override = stored.by_type.get(integration_type)
    if not locked:
        choice = choice_of(stored, category)
        return selected(default, override, integration_type, category, choice)
    return _unless_stopped(default, override)


def is_enabled(category: Category, choice: CategoryChoice | None) -> bool:
    """Return whether a category is enabled by rules 3 and 6, for any integration."""
    if choice is None or choice.enabled is None or (category.locked and not choice.enabled):
        return category.enabled
    return choice.enabled


def ignored(category: Category, choice: CategoryChoice | None) -> list[str]:
    """Return the user's settings that have no effect because the category is locked."""
    if choice is None or not category.locked:
        return []
    whole = ["enabled"] if choice.enabled is False else []
    return whole + [f"integrations.{name}" for name in catalogue() if name in choice.integrations]


def changeable(category: Category | None, reason: str | None) -> bool:
    """Return whether a change of the user's preferences could have an effect."""
    return not (category is not None and category.locked) and reason not in UNCHANGEABLE


def choice_of(stored: UserOverrides, category: Category | None) -> CategoryChoice | None:
    """Return a user's choice for a category."""
    if category is None or stored.preferences is None:
        return None
    return stored.preferences.categories.get(category.name)


def skip_detail(
    reason: str, user_id: str, integration_type: str, category: str | None
) -> str | None:
    """Return a sentence about a reason of preferences or addresses; ``None`` for all others."""
    suppressed = f"The {integration_type} address of {user_id} is suppressed:"
    sentences = {
        CATEGORY_DISABLED_BY_USER: (
            f"{user_id} disabled {integration_type} for the category {category} in the preferences."
        ),
        CATEGORY_DISABLED_BY_DEFAULT: (
            f"The category {category} does not use {integration_type} "
            f"unless {user_id} enables it in the preferences."
        ),
        EXPIRES_WHILE_HELD: (
            f"The hours or a mute of {user_id}, or a pause of the receiver, would hold "
            f"{integration_type} until after expires_at."
        ),
        DISABLED_AFTER_FAILURES: (
            f"The receiver of {user_id} for {integration_type} failed for days. Set enabled or "
            "the URL again to use it, or send a test."
        ),
        "address_bounced": f"{suppressed} a message bounced.",
        "address_complained": f"{suppressed} a message was reported as spam.",
        "opted_out": f"{suppressed} it opted out.",
    }
    return sentences.get(reason)


def _fallback(
    defaults: SystemDefaults,
    stored: UserOverrides,
    category: Category,
    address_trouble: AddressTrouble,
    names: Collection[str],
) -> str | None:
    """Return the first integration of ``reach_by`` that works and is wanted by the caller."""
    for name in category.reach_by:
        if name not in names or not defaults[name].configured:
            continue
        configuration, reason = _unless_stopped(defaults[name], stored.by_type.get(name))
        if reason is None and address_trouble(name, configuration.config) is None:
            return name
    return None


def _unless_stopped(
    default: Default, override: Override | None
) -> tuple[Configuration, str | None]:
    """Return one integration's settings as enabled, and why it could not work (rule 2)."""
    if override is not None:
        # Without the user's ``enabled``, whose reason would hide that of rule 2.
        override = replace(override, settings={**override.settings, "enabled": True})
    configuration, reason = resolved(default, override)
    return replace(configuration, enabled=True), reason if reason in STOPPED else None
