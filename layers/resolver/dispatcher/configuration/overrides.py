"""Reads and changes what a user receives and how.

System defaults, overrides, the effective configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dispatcher.configuration.resolution import Override, Secrets, effective, merged
from dispatcher.errors import (
    ConditionFailed,
    ConflictError,
    FieldError,
    InvalidInputError,
    NotFoundError,
)
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.ports import Clock, IdGenerator, Overrides, Vault
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.integrations.integration import Config, Integration

UPDATE_TRIES = 4
"""Times that an update is worked out, each time on what somebody else has written meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the API says of the system's own settings, which nobody has stored."""

    system_defaults: Callable[[], SystemDefaults]

    def listing(self) -> dict[str, Any]:
        """Return the defaults of all integrations in priority order."""
        defaults = self.system_defaults()
        return {
            "default_integrations": {
                name: one.configuration.as_json() for name, one in defaults.items()
            }
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Configurations:
    """All that the API says and changes about configuration."""

    environ: Mapping[str, str]
    system_defaults: Callable[[], SystemDefaults]
    overrides: Overrides
    vault: Vault
    clock: Clock
    id_generator: IdGenerator

    def effective(self, user_id: str) -> dict[str, Any]:
        """Return what a delivery to the user would use now, and why it would use nothing else."""
        stored = self.overrides.get(user_id)
        resolved = effective(self.system_defaults(), stored)
        return {
            "user_id": user_id,
            "user_overrides": {name: dict(one.settings) for name, one in _ordered(stored.by_type)},
            "effective_configs": {name: one.as_json() for name, one in resolved.configs.items()},
            "disabled_integrations": dict(resolved.disabled),
            "using_integration_defaults": not stored.by_type,
        }

    def listing(self, user_id: str) -> dict[str, Any]:
        """Return the user's overrides."""
        stored = self.overrides.get(user_id)
        return {
            "user_id": user_id,
            "integrations": [_shown(name, one) for name, one in _ordered(stored.by_type)],
        }

    def override(self, user_id: str, integration_type: str) -> dict[str, Any]:
        """Return one override."""
        return _shown(integration_type, self._stored(user_id, integration_type)[0])

    def create(self, user_id: str, body: object) -> dict[str, Any]:
        """Store a new override.

        The answer carries the signing secret where the service issues one, this once.
        """
        from dispatcher.configuration.bodies import override_body, override_config

        new = override_body(body, self.environ)
        integration = catalogue()[new.integration_type]
        settings = new.settings()
        issued: Config = {}
        hidden: Config = {}
        if "config" in settings:
            settings["config"] = override_config(integration, settings["config"], self.environ)
        if integration.secrets:
            issued = integration.secrets.issue(self.id_generator.random)
            if "config" in settings:
                kept = integration.secrets.keep(settings["config"], {}, {})
                settings["config"], hidden = integration.secrets.conceal(kept)
        now = self.clock.now()
        override = Override(settings, created_at=now, updated_at=now)
        self._demand_required(integration, override)
        override = replace(
            override, sealed=self._sealed(user_id, integration, Secrets(hidden, issued))
        )
        try:
            self.overrides.create(
                user_id, integration.name, override, now=now, token=self.id_generator.token()
            )
        except ConditionFailed as error:
            message = (
                f"user {user_id} has an override of {integration.name} already: "
                "change it with PUT, or DELETE it first"
            )
            raise ConflictError(message) from error
        return {**_shown(integration.name, override), **issued}

    def update(self, user_id: str, integration_type: str, body: object) -> dict[str, Any]:
        """Change the settings that the body names; null gives one back to the default."""
        from dispatcher.configuration.bodies import change_body, override_config

        change = change_body(body, self.environ).given()
        integration = catalogue()[integration_type]
        if change.get("config") is not None:
            change["config"] = override_config(integration, change["config"], self.environ)
        new = self._replaced(
            user_id, integration_type, lambda old: self._changed(user_id, integration, old, change)
        )
        return _shown(integration_type, new)

    def rotate(self, user_id: str, integration_type: str) -> dict[str, Any]:
        """Give an override another signing secret, and say how long the one before it signs too."""
        integration = catalogue()[integration_type]
        rules = integration.secrets
        if rules is None:
            raise NotFoundError(f"{integration_type} has no secret to rotate: only WEBHOOK signs")
        issued: Config = {}

        def rotated(old: Override) -> Override:
            nonlocal issued
            known = self._opened(user_id, integration, old)
            now = self.clock.now()
            issued = rules.rotate(known.issued, self.id_generator.random, now)
            sealed = self._sealed(user_id, integration, Secrets(known.config, issued))
            return replace(old, updated_at=now, sealed=sealed)

        self._replaced(user_id, integration_type, rotated)
        return {
            "signing_secret": issued["signing_secret"],
            "previous_valid_until": rfc3339(issued.get("previous_valid_until")),
        }

    def delete(self, user_id: str, integration_type: str) -> None:
        """Remove one override; with the last one nothing of the user is left in the table."""
        try:
            self.overrides.delete(user_id, integration_type, token=self.id_generator.token())
        except ConditionFailed as error:
            raise _no_override(user_id, integration_type) from error

    def reset(self, user_id: str) -> dict[str, Any]:
        """Remove all overrides; a user without any is reset already."""
        removed = set(self.overrides.clear(user_id))
        in_order = [name for name in catalogue() if name in removed]
        return {"user_id": user_id, "removed": in_order, "using_integration_defaults": True}

    def _replaced(
        self, user_id: str, integration_type: str, change: Callable[[Override], Override]
    ) -> Override:
        """Write what ``change`` makes of an override, anew if others write meanwhile."""
        token = self.id_generator.token()
        for _ in range(UPDATE_TRIES):
            old, version = self._stored(user_id, integration_type)
            new = change(old)
            try:
                self.overrides.replace(user_id, integration_type, new, version=version, token=token)
            except ConditionFailed:
                continue
            return new
        message = f"the overrides of user {user_id} are being changed by others: try again"
        raise ConflictError(message)

    def _stored(self, user_id: str, integration_type: str) -> tuple[Override, int]:
        stored = self.overrides.get(user_id)
        if integration_type not in stored.by_type:
            raise _no_override(user_id, integration_type)
        return stored.by_type[integration_type], stored.version

    def _changed(
        self, user_id: str, integration: Integration, old: Override, change: Mapping[str, Any]
    ) -> Override:
        settings = {**old.settings, **change}
        sealed = old.sealed
        if "config" in change and integration.secrets:
            known = self._opened(user_id, integration, old)
            kept = integration.secrets.keep(
                change["config"] or {}, old.settings.get("config", {}), known.config
            )
            shown, hidden = integration.secrets.conceal(kept)
            settings["config"] = None if change["config"] is None else shown
            sealed = self._sealed(user_id, integration, Secrets(hidden, known.issued))
        readdressed = "enabled" in change or "url" in (change.get("config") or {})
        new = Override(
            {name: value for name, value in settings.items() if value is not None},
            created_at=old.created_at,
            updated_at=self.clock.now(),
            disabled_by_receiver=old.disabled_by_receiver and not readdressed,
            sealed=sealed,
        )
        self._demand_required(integration, new)
        return new

    def _demand_required(self, integration: Integration, override: Override) -> None:
        configuration = merged(self.system_defaults()[integration.name], override)
        missing = [key for key in integration.required if key not in configuration.config]
        if configuration.enabled and missing:
            raise InvalidInputError(
                *(
                    FieldError(f"/config/{key}", f"is required while {integration.name} is enabled")
                    for key in missing
                )
            )

    def _opened(self, user_id: str, integration: Integration, override: Override) -> Secrets:
        sealed = override.sealed
        return Secrets.of(self.vault.open(user_id, integration.name, sealed) if sealed else {})

    def _sealed(
        self, user_id: str, integration: Integration, secrets: Secrets
    ) -> tuple[bytes, ...]:
        return (
            self.vault.seal(user_id, integration.name, secrets.document())
            if secrets.document()
            else ()
        )


def _no_override(user_id: str, integration_type: str) -> NotFoundError:
    return NotFoundError(f"user {user_id} has no {integration_type} override: create one with POST")


def _ordered(by_type: Mapping[str, Override]) -> list[tuple[str, Override]]:
    return [(name, by_type[name]) for name in catalogue() if name in by_type]


def _shown(integration_type: str, override: Override) -> dict[str, Any]:
    return {
        "integration_type": integration_type,
        **override.settings,
        "created_at": rfc3339(override.created_at),
        "updated_at": rfc3339(override.updated_at),
    }
