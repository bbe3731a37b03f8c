"""The heart: system defaults and a user's overrides become the effective configuration.

Pure: the environment is an argument, nothing is stored, nothing is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dispatcher.errors import BrokenSettingError
from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from dispatcher.integrations.integration import Config

SETTINGS = ("enabled", "priority", "retry_count", "retry_delay_seconds", "config")
RANGES = {"priority": (1, 100), "retry_count": (0, 20), "retry_delay_seconds": (1, 86_400)}
"""Inclusive ranges of the whole-number settings, in the settings' own units."""

DISABLED_BY_DEFAULT = "disabled_by_default"
NOT_CONFIGURED = "not_configured"
DISABLED_BY_USER = "disabled_by_user"
DISABLED_BY_RECEIVER = "disabled_by_receiver"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The five settings of one integration, complete."""

    enabled: bool
    priority: int
    retry_count: int
    retry_delay_seconds: int
    config: Config

    def as_json(self) -> dict[str, Any]:
        """Return the settings as the API shows them."""
        return {name: getattr(self, name) for name in SETTINGS}


@dataclass(frozen=True, slots=True)
class Default:
    """One integration's system default, and what to say where it is not enabled."""

    configuration: Configuration
    configured: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Override:
    """What one user set for one integration: only those of the five settings that were given.

    ``sealed`` holds the secrets of ``config``, encrypted; ``config`` itself shows ``***`` in their
    place.
    """

    settings: Mapping[str, Any]
    created_at: float
    updated_at: float
    disabled_by_receiver: bool = False
    sealed: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What one override seals.

    The hidden parts of its config, and what the service issued (a signing secret).
    """

    config: Config = field(default_factory=dict)
    issued: Config = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Secrets:
        """Read the document that a vault opened."""
        return cls(document.get("config", {}), document.get("issued", {}))

    def document(self) -> dict[str, Any]:
        """Return what a vault seals: nothing where there is nothing to hide."""
        return {
            name: part for name, part in (("config", self.config), ("issued", self.issued)) if part
        }


@dataclass(frozen=True, slots=True)
class UserOverrides:
    """All overrides of a user by integration type, and the version of the row that holds them."""

    by_type: Mapping[str, Override] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Effective:
    """What a delivery would use now, in delivery order, and why it would not use the others."""

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
        by_operator = _switch(environ, f"INTEGRATION_DEFAULTS_{name}_ENABLED")
        enabled = integration.auto_enabled and configured if by_operator is None else by_operator
        unset = by_operator is None and integration.auto_enabled
        numbers = {
            setting: _number(
                environ, f"INTEGRATION_DEFAULTS_{name}_{setting.upper()}", *RANGES[setting]
            )
            for setting in RANGES
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
    """Merge field by field, config key by key.

    The user's setting, else the operator's, else the built-in one.
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
    settings = override.settings if override else {}
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
    return result, None if result.enabled else default.reason


def _switch(environ: Mapping[str, str], variable: str) -> bool | None:
    value = environ.get(variable, "")
    if value not in {"", "true", "false"}:
        raise BrokenSettingError(
            variable, f"is {value!r}: set it to true or false, or leave it empty"
        )
    return None if value == "" else value == "true"


def _number(environ: Mapping[str, str], variable: str, low: int, high: int) -> int | None:
    value = environ.get(variable, "")
    if value == "":
        return None
    # isascii first: isdigit alone takes digits of every script. Six digits hold every range above.
    if not (value.isascii() and value.isdigit() and len(value) <= 6 and low <= int(value) <= high):
        raise BrokenSettingError(
            variable,
            f"is {value!r}: set it to a whole number from {low} to {high}, or leave it empty",
        )
    return int(value)
