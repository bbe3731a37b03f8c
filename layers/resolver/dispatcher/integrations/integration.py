"""An integration as data: the one shape that each module of this package fills in."""

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
"""Stands for a secret wherever one is read back; sent in, it keeps the stored value."""


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

    ``rule(value, environ)`` returns the value to store or raises ``ValueError`` with a sentence
    that says what to do. Pydantic is asked for only when a config is validated, so that reading a
    configuration never imports it.
    """

    rule: Callable[[Any, Mapping[str, str]], object]
    """``Any``: pydantic has checked that the value has the type that the rule takes."""
    schema: Mapping[str, object] = field(default_factory=dict, hash=False)
    """As much of the rule as JSON Schema can say, for the API's document."""

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
        """Add to the type what is known of the rule."""
        return {**handler(core_schema), **self.schema}


class SecretRules(Protocol):
    """How an integration's config hides what must not be read back.

    Secrets are a JSON-shaped mapping.
    """

    def conceal(self, config: Config) -> tuple[Config, Config]:
        """Split a config into one that may be shown (secrets as ``***``) and the secrets."""

    def reveal(self, concealed: Config, secrets: Config) -> Config:
        """Put the secrets back: the inverse of ``conceal``."""

    def keep(self, new: Config, concealed: Config, secrets: Config) -> Config:
        """Replace each ``***`` of a new config by the stored value.

        Raises ``InvalidInputError`` with pointers such as ``/config/headers/Authorization`` where
        nothing is stored under that name, or where the secret would go to another receiver than the
        one it was given for.
        """

    def issue(self, random: Callable[[int], bytes]) -> Config:
        """Make the secrets that the service itself gives a new override (``signing_secret``).

        Often none.
        """

    def rotate(self, issued: Config, random: Callable[[int], bytes], now: float) -> Config:
        """Issue new secrets; the previous ones stay valid until ``previous_valid_until``."""


@dataclass(frozen=True, kw_only=True)
class Integration:
    """One way to reach a user: its default row, its config and its address rule.

    The functions are pure; ``environ`` is the function's environment. ``config_type`` is a
    ``TypedDict`` (total=False) whose keys are all that a config may hold. ``required`` names the
    keys without which an enabled override cannot deliver, ``address_key`` the key to set when no
    address is known.
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
    """False where a second message costs or annoys more than a lost one.

    An unknown outcome is then final.
    """
