"""Resolution: system defaults and a user's overrides become the effective configuration.

Pure: the environment is an argument, and no store is read or written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.integrations import catalogue
from dispatcher.ranges import Range
from dispatcher.variables import number, switch

if TYPE_CHECKING:
    from dispatcher.configuration.rows import Override, UserOverrides
    from dispatcher.integrations.integration import Config
    from dispatcher.responses import IntegrationSettings, OverrideSettings

SETTINGS = ("enabled", "priority", "retry_count", "retry_delay_seconds", "config")
RANGES = {
    "priority": Range(1, 100),
    "retry_count": Range(0, 20),
    "retry_delay_seconds": Range(1, 86_400),
}
"""The ranges of the whole-number settings, in the settings' own units."""

DISABLED_BY_DEFAULT = "disabled_by_default"
NOT_CONFIGURED = "not_configured"
DISABLED_BY_USER = "disabled_by_user"
DISABLED_BY_RECEIVER = "disabled_by_receiver"
DISABLED_AFTER_FAILURES = "disabled_after_failures"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The five settings of one integration, complete."""

    enabled: bool
    priority: int
    retry_count: int
    retry_delay_seconds: int
    config: Config

    def as_json(self) -> IntegrationSettings:
        """Return the settings as the API returns them."""
        return {
            "enabled": self.enabled,
            "priority": self.priority,
            "retry_count": self.retry_count,
            "retry_delay_seconds": self.retry_delay_seconds,
            "config": self.config,
        }


@dataclass(frozen=True, slots=True)
class Default:
    """One integration's system default, and the reason if it is not enabled."""

    configuration: Configuration
    configured: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Effective:
    """The integrations that a delivery would use now, in order, and the reasons for all others."""

    configs: Mapping[str, Configuration]
    disabled: Mapping[str, str]


SystemDefaults = Mapping[str, Default]
"""Every integration's default, in delivery order."""


def system_defaults(environ: Mapping[str, str]) -> SystemDefaults:
    """Return every integration's default in delivery order.

    ``INTEGRATION_DEFAULTS_<TYPE>_<SETTING>`` replaces a built-in value; empty counts as unset.
    Raises ``BrokenSettingError`` for a value that cannot be used.
    """
    defaults = {}
    for name, integration in catalogue().items():
        configured = integration.configured(environ)
        prefix = f"INTEGRATION_DEFAULTS_{name}_"
        by_operator = switch(environ, prefix + "ENABLED")
        enabled = integration.auto_enabled and configured if by_operator is None else by_operator
        unset = by_operator is None and integration.auto_enabled
        numbers = {
            setting: number(environ, prefix + setting.upper(), allowed)
            for setting, allowed in RANGES.items()
        }
        built_in = {setting: getattr(integration, setting) for setting in RANGES}
        chosen = {
            setting: built_in[setting] if value is None else value
            for setting, value in numbers.items()
        }
        defaults[name] = Default(
            Configuration(enabled=enabled, config=dict(integration.config), **chosen),
            configured=configured,
            reason=None if enabled else NOT_CONFIGURED if unset else DISABLED_BY_DEFAULT,
        )
    return dict(sorted(defaults.items(), key=lambda item: item[1].configuration.priority))


def effective(defaults: Mapping[str, Default], overrides: UserOverrides) -> Effective:
    """Merge defaults and overrides field by field, and config key by key.

    The user's setting wins over the operator's, which wins over the built-in one.
    """
    order = list(catalogue())
    configs, disabled = {}, {}
    for name in order:
        configuration, reason = resolved(defaults[name], overrides.by_type.get(name))
        if reason is None:
            configs[name] = configuration
        else:
            disabled[name] = reason
    ranked = sorted(configs.items(), key=lambda item: item[1].priority)
    return Effective(dict(ranked), disabled)


def merged(default: Default, override: Override | None) -> Configuration:
    """Return the settings of one integration, whether or not it is enabled."""
    return resolved(default, override)[0]


def resolved(default: Default, override: Override | None) -> tuple[Configuration, str | None]:
    """Return the settings of one integration, and why it is not used; ``None`` if it is."""
    base = default.configuration
    settings: OverrideSettings = override.settings if override else {}
    result = Configuration(
        enabled=settings.get("enabled", base.enabled),
        priority=settings.get("priority", base.priority),
        retry_count=settings.get("retry_count", base.retry_count),
        retry_delay_seconds=settings.get("retry_delay_seconds", base.retry_delay_seconds),
        config={**base.config, **settings.get("config", {})},
    )
    if settings.get("enabled") is False:
        return result, DISABLED_BY_USER
    if override and override.disabled_by_receiver:
        return result, DISABLED_BY_RECEIVER
    if override and override.health and override.health.disabled:
        return result, DISABLED_AFTER_FAILURES
    return result, None if result.enabled else default.reason
