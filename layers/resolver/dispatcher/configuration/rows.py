"""The rows of the overrides table as values.

One row per user with overrides, preferences or suppressions, and one row with the categories of all
messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from dispatcher.configuration.preference_responses import HoursSettings
    from dispatcher.integrations.integration import Config
    from dispatcher.responses import OverrideSettings
    from dispatcher.strict_json import JsonObject

Item = Mapping[str, Any]
"""An item as plain Python values. ``Any``: the classes below are its typed form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverHealth:
    """The failures of an override's receiver since its last success."""

    failures: int
    """Rounds that failed for a reason that the receiver's health explains, since a success."""
    first_failed_at: float
    last_failed_at: float
    paused_until: float | None = None
    """Set while it is paused: the time at which one delivery probes it."""
    probe_until: float | None = None
    """The time until which the other deliveries wait for a probe; it identifies the probe."""
    pauses: int = 0
    disabled: bool = False

    @classmethod
    def of(cls, item: Item) -> ReceiverHealth:
        """Read the stored form; keys that a later version wrote are left out."""
        known = {key: item[key] for key in cls.__dataclass_fields__ if key in item}
        times = {key: float(known[key]) for key in known if key.endswith(("_at", "_until"))}
        return cls(**{**known, **times})

    def as_item(self) -> JsonObject:
        """Return the attribute to store: only what is set."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Override:
    """A user's override for one integration: only those of the five settings that were given.

    ``sealed`` holds the secrets of ``config``, encrypted; ``config`` itself shows ``***`` in their
    place.
    """

    settings: OverrideSettings
    created_at: float
    updated_at: float
    disabled_by_receiver: bool = False
    sealed: tuple[bytes, ...] = ()
    health: ReceiverHealth | None = None
    """``None`` if nothing failed since the last success."""

    @classmethod
    def of(cls, item: Item) -> Override:
        """Read the stored form; keys that a later version wrote are left out."""
        known = {key: item[key] for key in cls.__dataclass_fields__ if key in item}
        health = None if "health" not in item else ReceiverHealth.of(item["health"])
        return cls(**{**known, "sealed": tuple(item["sealed"]), "health": health})

    def as_item(self) -> Item:
        """Return the attribute to store."""
        return {
            "settings": self.settings,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "disabled_by_receiver": self.disabled_by_receiver,
            "sealed": list(self.sealed),
            **({} if self.health is None else {"health": self.health.as_item()}),
        }


@dataclass(frozen=True, slots=True)
class CategoryChoice:
    """A user's choice for one category: only the fields that were given."""

    enabled: bool | None = None
    integrations: Mapping[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, item: Item) -> CategoryChoice:
        """Read the stored form."""
        return cls(item.get("enabled"), item.get("integrations", {}))

    def as_item(self) -> JsonObject:
        """Return the stored form, which is also what the API returns."""
        item: JsonObject = {} if self.enabled is None else {"enabled": self.enabled}
        return {**item, "integrations": dict(self.integrations)} if self.integrations else item


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A user's preferences about categories and times; ``None`` and absent entries are not set."""

    time_zone: str | None = None
    language: str | None = None
    hours: HoursSettings | None = None
    muted_until: float | None = None
    categories: Mapping[str, CategoryChoice] = field(default_factory=dict)
    updated_at: float
    updated_via: str
    """``api``, ``link`` or ``unsubscribe``."""

    @classmethod
    def of(cls, item: Item) -> Preferences:
        """Read the stored form; keys that a later version wrote are left out."""
        return cls(
            time_zone=item.get("time_zone"),
            language=item.get("language"),
            hours=item.get("hours"),
            # As float: DynamoDB returns a whole number as int, which would change the tag.
            muted_until=None if item.get("muted_until") is None else float(item["muted_until"]),
            categories={
                name: CategoryChoice.of(choice)
                for name, choice in item.get("categories", {}).items()
            },
            updated_at=float(item["updated_at"]),
            updated_via=item["updated_via"],
        )

    def as_item(self) -> JsonObject:
        """Return the attribute to store: only what is set, and the two fields about the update."""
        given: JsonObject = {
            "time_zone": self.time_zone,
            "language": self.language,
            "hours": self.hours,
            "muted_until": self.muted_until,
            "categories": {name: one.as_item() for name, one in self.categories.items()} or None,
        }
        return {
            **{name: value for name, value in given.items() if value is not None},
            "updated_at": self.updated_at,
            "updated_via": self.updated_via,
        }

    @property
    def is_empty(self) -> bool:
        """Whether nothing is set, so that nothing is stored."""
        return len(self.as_item()) == len(("updated_at", "updated_via"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """The subject of messages, as operators define it."""

    name: str
    title: str
    description: str = ""
    group: str = ""
    order: int = 500
    enabled: bool = True
    """Whether messages are delivered to users without a choice; false makes it opt-in."""
    integrations: Mapping[str, bool] = field(default_factory=dict)
    locked: bool = False
    """Whether users cannot disable the category."""
    reach_by: tuple[str, ...] = ()
    """The integrations that reach the user of a locked category if no other does, in order."""
    urgent: bool = False
    """Whether hours and mutes do not apply."""

    @classmethod
    def of(cls, name: str, item: Item) -> Category:
        """Read the stored form; keys that a later version wrote are left out."""
        known = {key: item[key] for key in cls.__dataclass_fields__ if key in item}
        return cls(**{**known, "name": name, "reach_by": tuple(item.get("reach_by", ()))})

    def as_item(self) -> JsonObject:
        """Return the stored form, without the name."""
        return {
            "title": self.title,
            "description": self.description,
            "group": self.group,
            "order": self.order,
            "enabled": self.enabled,
            "integrations": dict(self.integrations),
            "locked": self.locked,
            "reach_by": list(self.reach_by),
            "urgent": self.urgent,
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """All categories by name, and the version of the row that holds them."""

    categories: Mapping[str, Category] = field(default_factory=dict)
    version: int = 0

    @classmethod
    def of(cls, row: Item) -> Policy:
        """Read the row."""
        categories = {
            name: Category.of(name, item) for name, item in row.get("categories", {}).items()
        }
        return cls(categories, row.get("version", 0))

    def unknown(self, name: str) -> str:
        """Return the rule that an unknown category breaks, with the names that are known."""
        known = ", ".join(category.name for category in self.in_order()) or "none"
        return f"{name} is not a known category; known: {known}"

    def in_order(self) -> list[Category]:
        """Return the categories by ``order``, then by name."""
        return sorted(self.categories.values(), key=lambda one: (one.order, one.name))


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address of a user to which nothing is sent any more, by the word of a provider."""

    state: str
    """``bounced``, ``complained`` or ``opted_out``."""
    at: float
    delivery_id: str
    """The delivery that met it."""
    detail: str
    shown: str
    """The address as people may see it."""

    @classmethod
    def of(cls, item: Item) -> Suppression:
        """Read the stored form; keys that a later version wrote are left out."""
        known = {key: item[key] for key in cls.__dataclass_fields__ if key in item}
        return cls(**{**known, "at": float(item["at"])})

    def as_item(self) -> JsonObject:
        """Return the attribute to store."""
        return {
            "state": self.state,
            "at": self.at,
            "delivery_id": self.delivery_id,
            "detail": self.detail,
            "shown": self.shown,
        }


SUPPRESSED = "!"
"""Begins the name of an attribute with a suppression: ``!EMAIL#9f86d081884c7d65``."""


def suppression_attribute(suppression_id: str) -> str:
    """Return the attribute of a suppression, whose ID is such as ``EMAIL-9f86d081884c7d65``."""
    return SUPPRESSED + suppression_id.replace("-", "#")


@dataclass(frozen=True, slots=True)
class UserOverrides:
    """The row of a user: overrides by integration type, preferences, suppressions, its version."""

    by_type: Mapping[str, Override] = field(default_factory=dict)
    version: int = 0
    preferences: Preferences | None = None
    suppressions: Mapping[str, Suppression] = field(default_factory=dict)
    """By ``suppression_id``."""

    @property
    def is_empty(self) -> bool:
        """Whether no part is left for which a row is kept."""
        return not self.by_type and self.preferences is None and not self.suppressions

    @classmethod
    def of(cls, row: Item) -> UserOverrides:
        """Read a row, or what is left of one."""
        by_type = {name: Override.of(row[name]) for name in catalogue() if name in row}
        preferences = row.get("preferences")
        return cls(
            by_type,
            version=row.get("version", 0),
            preferences=None if preferences is None else Preferences.of(preferences),
            suppressions={
                name.removeprefix(SUPPRESSED).replace("#", "-"): Suppression.of(item)
                for name, item in row.items()
                if name.startswith(SUPPRESSED)
            },
        )


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one override: hidden parts of its config, and secrets the service issued."""

    config: Config = field(default_factory=dict)
    issued: Config = field(default_factory=dict)

    @classmethod
    def of(cls, document: JsonObject) -> Secrets:
        """Read the document that a vault opened."""
        return cls(document.get("config", {}), document.get("issued", {}))

    def document(self) -> JsonObject:
        """Return the document that a vault seals, empty without secrets."""
        return {
            name: part for name, part in (("config", self.config), ("issued", self.issued)) if part
        }
