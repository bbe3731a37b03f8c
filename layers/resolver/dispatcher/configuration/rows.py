"""The rows of the overrides table as values: one row per user who has overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from dispatcher.integrations.integration import Config
    from dispatcher.responses import OverrideSettings
    from dispatcher.strict_json import JsonObject

Item = Mapping[str, Any]
"""An item as plain Python values. ``Any``: the classes below are its typed form."""


@dataclass(frozen=True, slots=True)
class Override:
    """What one user set for one integration: only those of the five settings that were given.

    ``sealed`` holds the secrets of ``config``, encrypted; ``config`` itself shows ``***`` in their
    place.
    """

    settings: OverrideSettings
    created_at: float
    updated_at: float
    disabled_by_receiver: bool = False
    sealed: tuple[bytes, ...] = ()

    def as_item(self) -> Item:
        """Return the attribute to store."""
        return {
            "settings": self.settings,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "disabled_by_receiver": self.disabled_by_receiver,
            "sealed": list(self.sealed),
        }


@dataclass(frozen=True, slots=True)
class UserOverrides:
    """All overrides of a user by integration type, and the version of the row that holds them."""

    by_type: Mapping[str, Override] = field(default_factory=dict)
    version: int = 0

    @classmethod
    def of(cls, row: Item) -> UserOverrides:
        """Read a row, or what is left of one."""
        by_type = {
            name: Override(**{**row[name], "sealed": tuple(row[name]["sealed"])})
            for name in catalogue()
            if name in row
        }
        return cls(by_type, version=row.get("version", 0))


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one override: hidden parts of its config, and what the service issued."""

    config: Config = field(default_factory=dict)
    issued: Config = field(default_factory=dict)

    @classmethod
    def of(cls, document: JsonObject) -> Secrets:
        """Read the document that a vault opened."""
        return cls(document.get("config", {}), document.get("issued", {}))

    def document(self) -> JsonObject:
        """Return the document that a vault seals, empty if there is nothing to hide."""
        return {
            name: part for name, part in (("config", self.config), ("issued", self.issued)) if part
        }
