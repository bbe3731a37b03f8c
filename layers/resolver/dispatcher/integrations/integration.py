"""An integration as data: the definition that each module of this package contains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dispatcher.strict_json import JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

Config = JsonObject
"""An integration's own settings: what the API calls ``config``."""

PLACEHOLDER = "***"
"""Replaces a secret in responses; in a request it keeps the stored value."""


class Address(NamedTuple):
    """Where a delivery goes.

    Which kind of address (``email``, ``url``, ``user`` …) and its value.
    """

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """The addresses that a caller may send along with a message."""

    email: str | None = None
    phone_number: str | None = None
    slack_user_id: str | None = None
    slack_channel: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A rule on one config value, written as ``Annotated[str, Check(rule)]``.

    ``rule(value, environ)`` returns the value to store, or raises ``ValueError`` with the fix.
    Pydantic is imported only when a config is validated, not when a configuration is read.
    """

    rule: Callable[[Any, Mapping[str, str]], object]
    """``Any``: pydantic has checked that the value has the rule's type."""
    schema: Mapping[str, object] = field(default_factory=dict, hash=False)
    """The part of the rule that JSON Schema can express, for the OpenAPI document."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Run the rule after pydantic's own check of the type."""
        from pydantic_core import core_schema

        return core_schema.with_info_after_validator_function(
            lambda value, info: self.rule(value, info.context), handler(source)
        )

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rule's schema to the schema of the type."""
        return {**handler(core_schema), **self.schema}


class SecretRules(Protocol):
    """The rules that hide secrets in an integration's config.

    Secrets are a mapping that can be written as JSON.
    """

    def conceal(self, config: Config) -> tuple[Config, Config]:
        """Split a config into one that may be shown (secrets as ``***``) and the secrets."""

    def reveal(self, concealed: Config, secrets: Config) -> Config:
        """Put the secrets back: the inverse of ``conceal``."""

    def keep(self, new: Config, concealed: Config, secrets: Config) -> Config:
        """Replace each ``***`` of a new config by the stored value.

        Raises ``InvalidInputError`` with pointers such as ``/config/headers/Authorization`` if no
        value is stored under that name, or if the secret would be sent to another receiver than
        before.
        """

    def issue(self, random: Callable[[int], bytes]) -> Config:
        """Issue the secrets that the service generates for a new override (``signing_secret``).

        Empty for most integrations.
        """

    def rotate(self, issued: Config, random: Callable[[int], bytes], now: float) -> Config:
        """Issue new secrets; the previous ones stay valid until ``previous_valid_until``."""


@dataclass(frozen=True, kw_only=True)
class Integration:
    """An integration: its default row, its config and its address rule.

    The functions are pure; ``environ`` is the function's environment. ``config_type`` is a
    ``TypedDict`` (total=False) with all keys that a config may contain. ``required`` names the keys
    without which an enabled override cannot deliver, ``address_key`` the key to set if no address
    is known.
    """

    name: str
    priority: int
    retry_count: int
    retry_delay_seconds: int
    auto_enabled: bool
    configured: Callable[[Mapping[str, str]], bool]
    address: Callable[[Config, Recipient, str, Mapping[str, str]], Address | None]
    address_key: str
    config_type: type
    config: Config = field(default_factory=dict)
    required: tuple[str, ...] = ()
    secrets: SecretRules | None = None
    resend_unknown: bool = True
    """False if a duplicate costs or annoys more than a lost message.

    An unknown outcome is then final.
    """
