"""Use cases that read and change the system defaults, overrides and effective configuration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from dispatcher.configuration.health_changes import HealthChange
from dispatcher.configuration.receiver_health import health_response
from dispatcher.configuration.resolution import Effective, effective, merged
from dispatcher.configuration.rows import Override, Secrets
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

    from dispatcher.configuration.categories import PolicyCache
    from dispatcher.configuration.health_changes import HealthChanges
    from dispatcher.configuration.ports import Clock, IdGenerator, Overrides, Replanner, Vault
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.configuration.rows import Category, UserOverrides
    from dispatcher.integrations.integration import Config, Integration
    from dispatcher.responses import (
        CreatedOverrideResponse,
        DefaultsResponse,
        EffectiveConfigurationResponse,
        ListedOverrideResponse,
        ListOverridesResponse,
        OverrideDetailResponse,
        OverrideResponse,
        OverrideSettings,
        ResetResponse,
        RotatedSecretResponse,
    )
    from dispatcher.strict_json import JsonObject

UPDATE_TRIES = 4
"""Attempts at an update, each computed on the row that another writer has stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The system defaults, which no table stores."""

    system_defaults: Callable[[], SystemDefaults]

    def listing(self) -> DefaultsResponse:
        """Return the defaults of all integrations in priority order."""
        defaults = self.system_defaults()
        return {
            "default_integrations": {
                name: default.configuration.as_json() for name, default in defaults.items()
            }
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Configurations:
    """The effective configuration and the overrides of users."""

    environ: Mapping[str, str]
    system_defaults: Callable[[], SystemDefaults]
    overrides: Overrides
    vault: Vault
    clock: Clock
    id_generator: IdGenerator
    policies: Callable[[], PolicyCache]
    """Called only if a category is named, because no other request needs the categories."""
    changes: HealthChanges
    replanner: Callable[[], Replanner]
    """Called only if a change ends a pause, because no other request moves deliveries."""

    def effective(
        self, user_id: str, params: Mapping[str, str] | None = None
    ) -> EffectiveConfigurationResponse:
        """Return the settings of a delivery to the user now, and why other types are disabled.

        The parameter ``category`` names the category of the message.
        """
        category = self._category(params) if params else None
        stored = self.overrides.get(user_id)
        resolved = effective(self.system_defaults(), stored)
        if category is not None:
            resolved = self._selected(user_id, stored, category)
        return {
            "user_id": user_id,
            "user_overrides": {
                name: override.settings for name, override in _ordered(stored.by_type)
            },
            "effective_configs": {
                name: configuration.as_json() for name, configuration in resolved.configs.items()
            },
            "disabled_integrations": dict(resolved.disabled),
            "using_integration_defaults": not stored.by_type,
        }

    def _category(self, params: Mapping[str, str]) -> Category:
        from dispatcher import paging

        wrong = paging.unknown(params, ("category",))
        if wrong:
            raise InvalidInputError(*wrong)
        name = params["category"]
        category = self.policies().category(name)
        if category is None:
            rule = self.policies().policy().unknown(name)
            raise InvalidInputError(FieldError("/category", rule))
        return category

    def _selected(self, user_id: str, stored: UserOverrides, category: Category) -> Effective:
        from dispatcher.configuration.selection import address_rule, select

        trouble = address_rule(user_id, stored, self.environ)
        selection = select(self.system_defaults(), stored, category, trouble)
        return Effective(selection.configs, selection.reasons)

    def listing(self, user_id: str) -> ListOverridesResponse:
        """Return the user's overrides."""
        stored = self.overrides.get(user_id)
        return {
            "user_id": user_id,
            "integrations": [
                _listed(name, override) for name, override in _ordered(stored.by_type)
            ],
        }

    def override(self, user_id: str, integration_type: str) -> OverrideDetailResponse:
        """Return one override, with the health of its receiver."""
        override = self._stored(user_id, integration_type)[0]
        return {
            **_response(integration_type, override),
            "health": health_response(override.health),
        }

    def create(self, user_id: str, body: object) -> CreatedOverrideResponse:
        """Store a new override.

        If the service issues a signing secret, only this response contains it.
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
                config = integration.secrets.keep(settings["config"], {}, {})
                settings["config"], hidden = integration.secrets.conceal(config)
        now = self.clock.now()
        override = Override(settings, created_at=now, updated_at=now)
        self._demand_required(integration, override)
        override = replace(
            override, sealed=self._seal(user_id, integration, Secrets(hidden, issued))
        )
        try:
            self.overrides.create(
                user_id, integration.name, override, now=now, token=self.id_generator.token()
            )
        except ConditionFailed as error:
            message = (
                f"User {user_id} already has an override of {integration.name}; "
                "change it with PUT, or DELETE it first."
            )
            raise ConflictError(message) from error
        # An override without a secret has the same shape, which mypy cannot infer.
        response = cast("CreatedOverrideResponse", _response(integration.name, override))
        if "signing_secret" in issued:
            response["signing_secret"] = issued["signing_secret"]
        return response

    def update(self, user_id: str, integration_type: str, body: object) -> OverrideResponse:
        """Change the settings that the body names; null restores the default."""
        from dispatcher.configuration.bodies import change_body, override_config

        change = change_body(body, self.environ).given()
        integration = catalogue()[integration_type]
        if change.get("config") is not None:
            change["config"] = override_config(integration, change["config"], self.environ)
        replaced: list[Override] = []

        def changed(old: Override) -> Override:
            replaced[:] = [old]
            return self._change(user_id, integration, old, change)

        new = self._replace(user_id, integration_type, changed)
        self._release(HealthChange(user_id, integration_type, replaced[0].health, new.health))
        return _response(integration_type, new)

    def rotate(self, user_id: str, integration_type: str) -> RotatedSecretResponse:
        """Replace an override's signing secret; the previous one also signs for a while."""
        integration = catalogue()[integration_type]
        rules = integration.secrets
        if rules is None:
            raise NotFoundError(f"{integration_type} has no signing secret to rotate.")
        issued: Config = {}

        def rotate(old: Override) -> Override:
            nonlocal issued
            known = self._open(user_id, integration, old)
            now = self.clock.now()
            issued = rules.rotate(known.issued, self.id_generator.random, now)
            sealed = self._seal(user_id, integration, Secrets(known.config, issued))
            return replace(old, updated_at=now, sealed=sealed)

        self._replace(user_id, integration_type, rotate)
        return {
            "signing_secret": issued["signing_secret"],
            "previous_valid_until": rfc3339(issued.get("previous_valid_until")),
        }

    def delete(self, user_id: str, integration_type: str) -> None:
        """Remove one override, and the user's row with the last part; this ends its pause."""
        try:
            removed = self.overrides.delete(
                user_id, integration_type, token=self.id_generator.token()
            )
        except ConditionFailed as error:
            raise _no_override(user_id, integration_type) from error
        if removed is None:
            # It may have been paused.
            self.replanner().replan(user_id)
        else:
            self._release(HealthChange(user_id, integration_type, removed.health, None))

    def reset(self, user_id: str) -> ResetResponse:
        """Remove all overrides, which ends their pauses; succeeds for a user without any."""
        removed = self.overrides.clear(user_id, token=self.id_generator.token())
        in_order = _ordered(removed)
        self._release(*(HealthChange(user_id, name, one.health, None) for name, one in in_order))
        return {
            "user_id": user_id,
            "removed": [name for name, _ in in_order],
            "using_integration_defaults": True,
        }

    def _release(self, *changes: HealthChange) -> None:
        """Report the pauses that ended with a change of overrides; plan again what they held."""
        ended = [change for change in changes if change.is_early_end]
        for change in ended:
            self.changes.report(change)
        if ended:
            self.replanner().replan(ended[0].user_id)

    def _replace(
        self, user_id: str, integration_type: str, change: Callable[[Override], Override]
    ) -> Override:
        """Apply ``change`` to an override and write it, again if other writers intervene."""
        token = self.id_generator.token()
        for _ in range(UPDATE_TRIES):
            old, version = self._stored(user_id, integration_type)
            new = change(old)
            try:
                self.overrides.replace(user_id, integration_type, new, version=version, token=token)
            except ConditionFailed:
                continue
            return new
        message = f"Other requests are changing the overrides of user {user_id}; try again."
        raise ConflictError(message)

    def _stored(self, user_id: str, integration_type: str) -> tuple[Override, int]:
        stored = self.overrides.get(user_id)
        if integration_type not in stored.by_type:
            raise _no_override(user_id, integration_type)
        return stored.by_type[integration_type], stored.version

    def _change(
        self, user_id: str, integration: Integration, old: Override, change: JsonObject
    ) -> Override:
        settings: dict[str, Any] = {**old.settings, **change}
        sealed = old.sealed
        if "config" in change and integration.secrets:
            from dispatcher.configuration.bodies import check_size

            known = self._open(user_id, integration, old)
            config = integration.secrets.keep(
                change["config"] or {}, old.settings.get("config", {}), known.config
            )
            # The stored secrets that replace "***" can exceed the limit.
            check_size(config)
            concealed, hidden = integration.secrets.conceal(config)
            settings["config"] = None if change["config"] is None else concealed
            sealed = self._seal(user_id, integration, Secrets(hidden, known.issued))
        readdressed = "enabled" in change or "url" in (change.get("config") or {})
        left = {name: value for name, value in settings.items() if value is not None}
        new = Override(
            # Both parts were validated: the stored settings and the body of the request.
            cast("OverrideSettings", left),
            created_at=old.created_at,
            updated_at=self.clock.now(),
            disabled_by_receiver=old.disabled_by_receiver and not readdressed,
            sealed=sealed,
            health=None if readdressed else old.health,
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

    def _open(self, user_id: str, integration: Integration, override: Override) -> Secrets:
        sealed = override.sealed
        return Secrets.of(self.vault.open(user_id, integration.name, sealed) if sealed else {})

    def _seal(self, user_id: str, integration: Integration, secrets: Secrets) -> tuple[bytes, ...]:
        document = secrets.document()
        return self.vault.seal(user_id, integration.name, document) if document else ()


def _no_override(user_id: str, integration_type: str) -> NotFoundError:
    return NotFoundError(
        f"User {user_id} has no {integration_type} override; create one with POST."
    )


def _ordered(by_type: Mapping[str, Override]) -> list[tuple[str, Override]]:
    return [(name, by_type[name]) for name in catalogue() if name in by_type]


def _listed(integration_type: str, override: Override) -> ListedOverrideResponse:
    response = _response(integration_type, override)
    health = health_response(override.health)
    # mypy cannot infer that the parts have the shape of the whole.
    whole = response if health is None else {**response, "health": health}
    return cast("ListedOverrideResponse", whole)


def _response(integration_type: str, override: Override) -> OverrideResponse:
    return {
        "integration_type": integration_type,
        **override.settings,
        "created_at": rfc3339(override.created_at),
        "updated_at": rfc3339(override.updated_at),
    }
